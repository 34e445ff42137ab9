import pytest

from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.settings.sections import IGNORED, VIDEO_EXTENSIONS

RULES = NameRules(VIDEO_EXTENSIONS, IGNORED)


def reason(path, rules=RULES):
    decision = rules.check_path(path)
    return decision and decision.reason


@pytest.mark.parametrize(
    "path", ["talk.mp4", "TALK.MKV", "2024/May/talk.webm", "v1.5.mp4", "lens.f28.mp4", "a~b.mp4", "课.mp4"]
)
def test_videos_are_not_skipped_for_their_names(path):
    assert reason(path) is None


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
def test_unfinished_files_are_skipped(name):
    assert reason(name) is Reason.TEMPORARY


@pytest.mark.parametrize(
    "path", [".talk.mp4", "._talk.mp4", ".Trash-1000/files/talk.mp4", ".stversions/a.mp4"]
)
def test_hidden_files_and_files_in_hidden_folders_are_skipped(path):
    assert reason(path) is Reason.HIDDEN


@pytest.mark.parametrize("path", ["talk.srt", "notes", "talk.mp4.txt", "mp4", "talk.jpg"])
def test_files_with_other_extensions_are_skipped(path):
    assert reason(path) is Reason.OTHER_ENDING


@pytest.mark.parametrize("path", ["@eaDir/talk.mp4", "2024/@eaDir/x/talk.mp4", "#recycle/talk.mp4"])
def test_folders_that_storage_boxes_put_in_between_are_skipped(path):
    assert reason(path) is Reason.IGNORED


@pytest.mark.parametrize(
    ("glob", "skipped", "kept"),
    [
        ("drafts", ["drafts/a.mp4", "x/drafts/y/a.mp4"], ["drafts2/a.mp4", "my drafts/a.mp4"]),
        ("drafts/**", ["drafts/a.mp4", "drafts/x/a.mp4"], ["x/drafts/a.mp4"]),
        ("/drafts", ["drafts/a.mp4"], ["drafts.mp4", "x/drafts/a.mp4"]),
        ("drafts/", ["drafts/a.mp4", "x/drafts/a.mp4"], ["drafts.mp4"]),
        ("*.sample.mp4", ["a.sample.mp4", "x/a.sample.mp4"], ["sample.mp4"]),
        ("x/*.mp4", ["x/a.mp4"], ["x/y/a.mp4", "a.mp4"]),
        ("x/**/b.mp4", ["x/b.mp4", "x/y/z/b.mp4"], ["b.mp4", "x/bb.mp4"]),
        ("take?.mp4", ["take1.mp4"], ["take.mp4", "take12.mp4"]),
        ("take[0-3].mp4", ["take2.mp4"], ["take4.mp4"]),
        ("take[!0-3].mp4", ["take4.mp4"], ["take2.mp4"]),
        ("season[!1]*", ["season2/a.mp4"], ["season1/a.mp4", "season/a.mp4"]),
        ("a+b(c).mp4", ["a+b(c).mp4"], ["aab(c).mp4"]),
        ("x[1.mp4", ["x[1.mp4"], ["x1.mp4"]),
        ("#1.mp4", ["#1.mp4"], ["1.mp4"]),
        ("!a.mp4", ["!a.mp4"], ["a.mp4"]),
        ("a\\*.mp4", ["a\\b.mp4"], ["a*.mp4"]),
        ("end ", ["end /a.mp4"], ["end/a.mp4"]),
        ("**", ["a.mp4", "x/a.mp4"], []),
    ],
)
def test_a_glob_skips_what_it_matches_and_no_more(glob, skipped, kept):
    rules = NameRules(VIDEO_EXTENSIONS, [glob])
    assert [reason(path, rules) for path in skipped] == [Reason.IGNORED] * len(skipped)
    # The extension is the only other thing that could speak against these.
    assert [reason(path, rules) for path in kept] == [None] * len(kept)


def test_the_reason_names_the_glob():
    decision = NameRules(VIDEO_EXTENSIONS, ["drafts", "*.sample.mp4"]).check_path("a.sample.mp4")
    assert str(decision) == "It is ignored by library.ignore (*.sample.mp4)"


def test_names_that_are_not_utf_8_can_be_printed():
    decision = RULES.check_path("caf\udce9.mp4.part")
    assert decision.detail.encode() and "\udce9" not in decision.detail
