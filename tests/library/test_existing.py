import pytest
from av.stream import Disposition

from tests.library.subtitle_tracks import add_track
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.existing import Folder, is_in_language, read_facts


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
        ("talk.zh-Hans.ass", "zh-Hans"),
        ("talk.zh_TW.srt", "zh-Hant"),
        ("talk.cht.srt", "zh-Hant"),
        ("talk.chi.vtt", "zh"),
        ("talk.tib.srt", "bo"),
        ("talk.deu.srt", "de"),
        ("talk.ger.srt", "de"),
        ("talk.pt_BR.ttml", "pt"),
        ("talk.English.srt", "en"),
        ("talk.mp4.de.srt", "de"),
        ("talk.cc.srt", None),
        ("talk.final.srt", None),
        ("talk.default.fr.ssa", "fr"),
        ("talk.ga.srt", "ga"),  # Irish, which Whisper does not know
    ],
)
def test_a_file_beside_the_video_gives_its_language_in_its_name(name, language):
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
    assert (
        is_in_language("eng", "en")
        and is_in_language(None, "en")
        and is_in_language("", "en")
        and is_in_language("fr", None)
    )
    assert not is_in_language("fr", "en")


@pytest.mark.parametrize(
    ("there", "wanted", "is_enough"),
    [
        ("zh-Hans", "zh-TW", False),
        ("zh-Hant", "zh-HK", True),
        ("zh-Hant", "zh", True),  # no script is asked for
        ("chi", "zh-TW", True),  # of no known script
        ("zho-CN", "chi_SG", True),
    ],
)
def test_chinese_in_the_other_script_is_not_what_is_wanted(there, wanted, is_enough):
    assert is_in_language(there, wanted) is is_enough


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


@pytest.mark.parametrize(
    "title", ["Director's Commentary", "Commentaires", "Signs & Songs", "English (Forced)"]
)
def test_a_track_whose_title_says_that_it_is_less_than_all_does_not_count(tmp_path, title):
    path = add_track(tmp_path / "talk.mkv", language="eng", title=title)
    assert read_facts(path).subtitles == ()


def test_a_track_of_pictures_does_not_count(tmp_path):
    assert read_facts(add_track(tmp_path / "talk.mkv", codec="dvdsub", language="eng")).subtitles == ()


def test_a_video_with_subtitles_in_the_wanted_language_is_skipped(library):
    library.speak("en")
    for name in ("german.mp4", "english.mp4", "untold.mp4"):
        library.add(name)
    (library.inbox / "german.de.srt").write_text("x")
    (library.inbox / "english.eng.srt").write_text("x")
    (library.inbox / "untold.srt").write_text("x")
    result = library.settle()
    assert [item.key for item in result.take] == ["german.mp4"]
    assert result.decisions["english.mp4"].reason is Reason.SUBTITLED
    assert result.decisions["english.mp4"].detail == "english.eng.srt"
    assert result.decisions["untold.mp4"].detail == "untold.srt"


def test_simplified_chinese_beside_the_video_is_not_enough_where_traditional_is_wanted(library):
    library.speak("zh-TW")
    for name in ("simplified.mp4", "traditional.mp4"):
        library.add(name)
    (library.inbox / "simplified.chs.srt").write_text("x")
    (library.inbox / "traditional.zh-Hant.srt").write_text("x")
    result = library.settle()
    assert [item.key for item in result.take] == ["simplified.mp4"]
    assert result.decisions["traditional.mp4"].detail == "traditional.zh-Hant.srt"


def test_a_track_inside_counts_by_its_language(library):
    library.speak("en")
    add_track(library.inbox / "english.mkv", language="eng")
    add_track(library.inbox / "german.mkv", language="ger")
    result = library.settle()
    assert [item.key for item in result.take] == ["german.mkv"]
    assert result.decisions["english.mkv"].detail == "embedded track, eng"


def test_without_a_language_setting_that_of_the_sound_is_wanted(library):
    for name in ("a", "b", "c"):
        add_track(library.inbox / f"{name}.mkv", codec="dvdsub", spoken="fre")
    add_track(library.inbox / "d.mkv", language="fre", spoken="fre")
    (library.inbox / "a.en.srt").write_text("x")
    (library.inbox / "b.fr.srt").write_text("x")
    (library.inbox / "c.srt").write_text("x")
    assert [item.key for item in library.settle().take] == ["a.mkv"]


def test_where_nothing_says_which_language_is_spoken_any_subtitles_will_do(library):
    add_track(library.inbox / "a.mkv", codec="dvdsub", spoken="und")
    (library.inbox / "a.sw.srt").write_text("x")
    assert library.settle().decisions["a.mkv"].detail == "a.sw.srt"


def test_all_videos_are_taken_where_existing_subtitles_are_ignored(library):
    library.add("talk.mp4")
    (library.inbox / "talk.srt").write_text("x")
    assert library.settle().decisions["talk.mp4"].reason is Reason.SUBTITLED
    library.set(existing_subtitles="ignore")
    assert [item.key for item in library.scan(1).take] == ["talk.mp4"]


def test_a_video_is_taken_once_the_subtitles_beside_it_are_gone(library):
    library.add("talk.mp4")
    (library.inbox / "talk.srt").write_text("x")
    assert library.settle().take == ()
    (library.inbox / "talk.srt").unlink()
    assert [item.key for item in library.scan(1).take] == ["talk.mp4"]


def test_subtitles_that_we_wrote_for_this_video_do_not_count(library):
    video = library.add("talk.mp4")
    subtitles = video.with_name("talk.en.srt")
    subtitles.write_text("ours")
    library.storage.record_delivery(subtitles, "its hash", "talk.mp4")
    assert [item.key for item in library.settle().take] == ["talk.mp4"]


def test_subtitles_that_we_wrote_for_another_video_count(library):
    video = library.add("talk.mp4")
    subtitles = video.with_name("talk.srt")
    subtitles.write_text("ours")
    library.storage.record_delivery(subtitles, "its hash", "other.mp4")
    assert library.settle().decisions["talk.mp4"].reason is Reason.SUBTITLED
