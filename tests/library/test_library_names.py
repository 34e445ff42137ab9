import pytest

from yivideo_pipeline.library.decisions import Why
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.settings.model import IGNORED, VIDEO_EXTENSIONS

RULES = NameRules(VIDEO_EXTENSIONS, IGNORED)


def why(path, rules=RULES):
    decision = rules.pass_path(path)
    return decision and decision.why


@pytest.mark.parametrize(
    "path", ["talk.mp4", "TALK.MKV", "2024/May/talk.webm", "v1.5.mp4", "lens.f28.mp4", "a~b.mp4", "课.mp4"]
)
def test_videos_are_not_passed_over_for_their_names(path):
    assert why(path) is None


@pytest.mark.parametrize(
    "name",
    [
        "talk.mp4.part",  # Firefox, yt-dlp
        "Unconfirmed 12345.crdownload",  # Chrome
        "talk.mp4.download/talk.mp4",  # Safari makes a folder
        ".talk.mp4.Xa8d9F",  # rsync
        ".syncthing.talk.mp4.tmp",
        "~syncthing~talk.mp4.tmp",
        "talk.mp4.part-Frag12",  # yt-dlp
        "talk.f137.mp4",
        "talk.f140-1.m4a",
        "talk.temp.mp4",
        "talk.mp4.ytdl",
        "talk.mp4.filepart",  # WinSCP
        "talk.mp4.!qB",
        "talk.mp4~",
        "~talk.mp4",
        "~$talk.mp4",
        "TALK.MP4.PART",
    ],
)
def test_names_of_unfinished_files_are_passed_over(name):
    assert why(name) is Why.TEMPORARY


@pytest.mark.parametrize(
    "path", [".talk.mp4", "._talk.mp4", ".Trash-1000/files/talk.mp4", ".stversions/a.mp4"]
)
def test_hidden_files_and_what_lies_in_hidden_folders_are_passed_over(path):
    assert why(path) is Why.HIDDEN


@pytest.mark.parametrize("path", ["talk.srt", "notes", "talk.mp4.txt", "mp4", "talk.jpg"])
def test_files_with_other_endings_are_passed_over(path):
    assert why(path) is Why.OTHER_ENDING


@pytest.mark.parametrize("path", ["@eaDir/talk.mp4", "2024/@eaDir/x/talk.mp4", "#recycle/talk.mp4"])
def test_what_storage_boxes_keep_in_between_is_passed_over(path):
    assert why(path) is Why.IGNORED


@pytest.mark.parametrize(
    ("glob", "passed", "kept"),
    [
        ("drafts", ["drafts/a.mp4", "x/drafts/y/a.mp4"], ["drafts2/a.mp4", "my drafts/a.mp4"]),
        ("drafts/**", ["drafts/a.mp4", "drafts/x/a.mp4"], ["x/drafts/a.mp4"]),
        ("/drafts", ["drafts/a.mp4"], ["drafts.mp4"]),
        ("*.sample.mp4", ["a.sample.mp4", "x/a.sample.mp4"], ["sample.mp4"]),
        ("x/*.mp4", ["x/a.mp4"], ["x/y/a.mp4", "a.mp4"]),
        ("x/**/b.mp4", ["x/b.mp4", "x/y/z/b.mp4"], ["b.mp4", "x/bb.mp4"]),
        ("take?.mp4", ["take1.mp4"], ["take.mp4", "take12.mp4"]),
        ("take[0-3].mp4", ["take2.mp4"], ["take4.mp4"]),
        ("take[!0-3].mp4", ["take4.mp4"], ["take2.mp4"]),
        ("a+b(c).mp4", ["a+b(c).mp4"], ["aab(c).mp4"]),
        ("x[1.mp4", ["x[1.mp4"], ["x1.mp4"]),
        ("**", ["a.mp4", "x/a.mp4"], []),
    ],
)
def test_a_glob_passes_over_what_it_says_and_no_more(glob, passed, kept):
    rules = NameRules(VIDEO_EXTENSIONS, [glob])
    assert [why(path, rules) for path in passed] == [Why.IGNORED] * len(passed)
    # The ending is the only other thing that could speak against these.
    assert [why(path, rules) for path in kept] == [None] * len(kept)


def test_the_reason_names_the_glob():
    decision = NameRules(VIDEO_EXTENSIONS, ["drafts", "*.sample.mp4"]).pass_path("a.sample.mp4")
    assert str(decision) == "library.ignore passes over it (*.sample.mp4)"


def test_names_that_are_no_utf8_can_be_told():
    decision = RULES.pass_path("caf\udce9.mp4.part")
    assert decision.detail.encode() and "\udce9" not in decision.detail
