import pytest
from av.stream import Disposition
from make_tracks import add_track

from yivideo_pipeline.library.decisions import Why
from yivideo_pipeline.library.existing import Folder, read_facts, speaks


def beside(*names, video="talk.mp4"):
    folder = Folder([video, *names], lambda name: name.endswith((".mp4", ".mkv")))
    return {sidecar.name: sidecar.language for sidecar in folder.sidecars_of(video)}


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("talk.srt", None),
        ("talk.en.srt", "en"),
        ("talk.EN.SRT", "en"),
        ("talk.eng.sdh.srt", "en"),
        ("talk.en.hi.srt", "en"),  # for the hard of hearing
        ("talk.hi.srt", "hi"),  # Hindi
        ("talk.zh-Hans.ass", "zh"),
        ("talk.chi.vtt", "zh"),
        ("talk.pt_BR.ttml", "pt"),
        ("talk.English.srt", "en"),
        ("talk.mp4.de.srt", "de"),
        ("talk.cc.srt", None),
        ("talk.final.srt", None),
        ("talk.default.fr.ssa", "fr"),
        ("talk.ga.srt", "ga"),  # Irish, which Whisper does not know
    ],
)
def test_a_file_beside_the_video_says_its_language_in_its_name(name, language):
    assert beside(name) == {name: language}


@pytest.mark.parametrize(
    "name",
    [
        "talk.en.forced.srt",
        "talk.forced.en.srt",
        "talk.en.commentary.srt",
        "talk.signs.ass",
        "talk.sup",  # pictures of text
        "talk.en.idx",
        "talk.txt",
        "talk2.srt",
        "talks.en.srt",
        "other.srt",
    ],
)
def test_files_that_hold_less_than_all_that_is_said_in_this_video_do_not_count(name):
    assert beside(name) == {}


def test_subtitles_of_a_longer_named_video_are_that_ones():
    names = ["talk.part2.mkv", "talk.part2.srt", "talk.part2.en.srt", "talk.en.srt"]
    assert beside(*names) == {"talk.en.srt": "en"}
    assert beside("talk.mp4", "talk.en.srt", *names[1:3], video="talk.part2.mkv") == {
        "talk.part2.srt": None,
        "talk.part2.en.srt": "en",
    }


def test_what_is_not_known_may_be_the_wanted_language():
    assert speaks("eng", "en") and speaks(None, "en") and speaks("", "en") and speaks("fr", None)
    assert not speaks("fr", "en")


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "subrip"), ("mkv", "ass"), ("mkv", "webvtt"), ("mp4", "mov_text")]
)
def test_a_text_track_inside_counts(tmp_path, suffix, codec):
    path = add_track(tmp_path / f"talk.{suffix}", codec, "ger")
    assert read_facts(path).subtitles == ("ger",)


@pytest.mark.parametrize(
    "disposition", [Disposition.forced, Disposition.comment, Disposition.visual_impaired]
)
def test_a_track_that_is_marked_as_less_than_all_does_not_count(tmp_path, disposition):
    path = add_track(tmp_path / "talk.mkv", language="eng", disposition=disposition)
    assert read_facts(path).subtitles == ()


@pytest.mark.parametrize("title", ["Director's Commentary", "Signs & Songs", "English (Forced)"])
def test_a_track_whose_title_says_that_it_is_less_than_all_does_not_count(tmp_path, title):
    path = add_track(tmp_path / "talk.mkv", language="eng", title=title)
    assert read_facts(path).subtitles == ()


def test_a_track_of_pictures_does_not_count(tmp_path):
    assert read_facts(add_track(tmp_path / "talk.mkv", codec="dvdsub", language="eng")).subtitles == ()


def test_a_video_with_subtitles_in_the_wanted_language_is_passed_over(shelf):
    shelf.speak("en")
    for name in ("german.mp4", "english.mp4", "untold.mp4"):
        shelf.add(name)
    (shelf.inbox / "german.de.srt").write_text("x")
    (shelf.inbox / "english.eng.srt").write_text("x")
    (shelf.inbox / "untold.srt").write_text("x")
    look = shelf.settle()
    assert [item.key for item in look.take] == ["german.mp4"]
    assert look.decisions["english.mp4"].why is Why.SUBTITLED
    assert look.decisions["english.mp4"].detail == "english.eng.srt"
    assert look.decisions["untold.mp4"].detail == "untold.srt"


def test_a_track_inside_counts_by_its_language(shelf):
    shelf.speak("en")
    add_track(shelf.inbox / "english.mkv", language="eng")
    add_track(shelf.inbox / "german.mkv", language="ger")
    look = shelf.settle()
    assert [item.key for item in look.take] == ["german.mkv"]
    assert look.decisions["english.mkv"].detail == "a track inside, eng"


def test_without_a_language_setting_that_of_the_sound_is_wanted(shelf):
    for name in ("a", "b", "c"):
        add_track(shelf.inbox / f"{name}.mkv", codec="dvdsub", spoken="fre")
    add_track(shelf.inbox / "d.mkv", language="fre", spoken="fre")
    (shelf.inbox / "a.en.srt").write_text("x")
    (shelf.inbox / "b.fr.srt").write_text("x")
    (shelf.inbox / "c.srt").write_text("x")
    assert [item.key for item in shelf.settle().take] == ["a.mkv"]


def test_where_nothing_says_which_language_is_spoken_any_subtitles_will_do(shelf):
    add_track(shelf.inbox / "a.mkv", codec="dvdsub", spoken="und")
    (shelf.inbox / "a.sw.srt").write_text("x")
    assert shelf.settle().decisions["a.mkv"].detail == "a.sw.srt"


def test_all_videos_are_taken_where_existing_subtitles_are_ignored(shelf):
    shelf.add("talk.mp4")
    (shelf.inbox / "talk.srt").write_text("x")
    assert shelf.settle().decisions["talk.mp4"].why is Why.SUBTITLED
    shelf.set(existing_subtitles="ignore")
    assert [item.key for item in shelf.look(1).take] == ["talk.mp4"]


def test_a_video_is_taken_once_the_subtitles_beside_it_are_gone(shelf):
    shelf.add("talk.mp4")
    (shelf.inbox / "talk.srt").write_text("x")
    assert shelf.settle().take == ()
    (shelf.inbox / "talk.srt").unlink()
    assert [item.key for item in shelf.look(1).take] == ["talk.mp4"]


def test_subtitles_that_we_wrote_for_this_video_do_not_count(shelf):
    video = shelf.add("talk.mp4")
    subtitles = video.with_name("talk.en.srt")
    subtitles.write_text("ours")
    shelf.storage.note_delivery(subtitles, "its hash", "talk.mp4")
    assert [item.key for item in shelf.settle().take] == ["talk.mp4"]


def test_subtitles_that_we_wrote_for_another_video_count(shelf):
    video = shelf.add("talk.mp4")
    subtitles = video.with_name("talk.srt")
    subtitles.write_text("ours")
    shelf.storage.note_delivery(subtitles, "its hash", "other.mp4")
    assert shelf.settle().decisions["talk.mp4"].why is Why.SUBTITLED
