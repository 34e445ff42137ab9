import json
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from tests.cli.command import run, settings, summary
from tests.cli.video_folder import BROKEN, EMPTY, ODD_NAMES, fill_video_folder

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("process")


@pytest.fixture(scope="module")
def environment(place, model_dir, tiny_weights):
    return settings(place / "home", model_dir, YIVIDEO_RETRY__BASE_DELAY_S="0")


@pytest.fixture(scope="module")
def videos(place):
    return fill_video_folder(place / "videos")


@pytest.fixture(scope="module")
def first(environment, videos):
    return run(environment, "process", videos, "--format", "srt,json", "--json")


@pytest.fixture(scope="module")
def again(first, environment, videos):
    return run(environment, "process", videos / "plain.mp4", videos / "deep", folder=videos)


def made(video, ending):
    return Path(next(file for file in video["files"] if file.endswith(ending)))


def test_bad_videos_fail_alone(first):
    assert first.returncode == 1
    report = summary(first)
    assert {
        name: video["error"]["kind"] for name, video in report["by_name"].items() if video["error"]
    } == BROKEN
    assert (report["failed"], report["done"]) == (len(BROKEN), len(report["videos"]) - len(BROKEN))
    for name in BROKEN:
        assert report["by_name"][name]["files"] == []
        assert report["by_name"][name]["error"]["hint"], f"{name}: what to do about it"


def test_what_cannot_be_transcribed_starts_no_run_and_is_quarantined(first, environment):
    videos = summary(first)["by_name"]
    assert {name for name, video in videos.items() if video["run_id"] is None} == set(BROKEN)
    quarantined = json.loads(run(environment, "quarantine", "--json").stdout)
    assert {Path(entry["key"]).name: entry["failed"]["kind"] for entry in quarantined} == BROKEN


def test_short_videos_share_a_run_whatever_lies_between_them(first):
    videos = summary(first)["by_name"]
    assert videos["plain.mp4"]["run_id"] == videos["two\nlines \"quoted\" 'q'.mp4"]["run_id"]
    assert videos["plain.mp4"]["run_id"] != videos["breaks off.mkv"]["run_id"], "that one is long"


def test_every_failure_is_one_line_for_the_user(first):
    lines = [line for line in first.stderr.splitlines() if line.startswith("failed: ")]
    assert len(lines) == len(BROKEN)
    assert "Traceback" not in first.stderr


@pytest.mark.parametrize("name", ODD_NAMES, ids=["plain", "dash", "newline", "brackets", "latin1", "long"])
def test_odd_names_are_processed_and_found_again(first, videos, name):
    video = summary(first)["by_name"][name]
    assert video["status"] == "done"
    assert video["path"] == str(videos / name)
    assert "good morning" in made(video, ".srt").read_text(encoding="utf-8").lower()


def test_subtitles_lie_beside_the_video_under_its_name(first, videos):
    assert summary(first)["by_name"]["talk.mp4"]["files"] == [
        str(videos / "deep" / "er" / f"talk.en.{kind}") for kind in ("srt", "json")
    ]


def test_a_file_that_yivideo_did_not_write_is_not_overwritten(first, videos):
    video = summary(first)["by_name"]["plain.mp4"]
    assert (videos / "plain.en.srt").read_text() == "by hand"
    assert [Path(file).name for file in video["files"]] == ["plain.mp4.en.srt", "plain.en.json"]
    assert any("plain.en.srt" in warning for warning in video["warnings"])


def test_a_name_too_long_for_its_subtitles_is_shortened_with_a_warning(first):
    video = summary(first)["by_name"][ODD_NAMES[-1]]
    assert all(Path(file).name.startswith("长长") for file in video["files"])
    assert any("shortened" in warning for warning in video["warnings"])


def test_what_can_be_read_of_a_truncated_file_is_used_with_a_warning(first):
    video = summary(first)["by_name"]["breaks off.mkv"]
    assert video["status"] == "done"
    assert 5 < video["audio_s"] < 40
    assert any("breaks off: the sound is missing from" in warning for warning in video["warnings"])


@pytest.mark.parametrize("name", EMPTY)
def test_silence_gives_no_words_and_a_reason(first, name):
    video = summary(first)["by_name"][name]
    assert (video["status"], video["cues"]) == ("done", 0)
    assert video["empty_reason"]
    assert video["readability"] is video["confidence"] is None
    assert video["files"] == []


def test_words_carry_their_times(first):
    document = json.loads(made(summary(first)["by_name"]["talk.mp4"], ".json").read_text(encoding="utf-8"))
    words = [word for segment in document["segments"] for word in segment["words"]]
    assert len(words) > 20
    assert all(0 <= word["start"] <= word["end"] <= 17 for word in words)


def test_the_same_content_is_recognized_once(first):
    videos = summary(first)["by_name"]
    copies = [videos[name]["reused"] for name in (*ODD_NAMES, "talk.mp4")]
    # Side by side, one copy may be the first whose speech is recognized, and another the first aligned.
    assert [sum(stage not in reused for reused in copies) for stage in ("transcript", "alignment")] == [1, 1]


def test_the_second_run_has_nothing_to_do_and_reports_it(again):
    assert again.returncode == 0, again.stderr
    lines = again.stdout.splitlines()
    assert lines[0].startswith("[1/2] plain.mp4: nothing to do")
    assert lines[1].startswith("[2/2] deep/er/talk.mp4: nothing to do")


def test_a_pipe_gets_plain_lines_and_the_table(again):
    assert "\x1b" not in again.stdout
    assert "\r" not in again.stdout
    heading = next(line for line in again.stdout.splitlines() if "language" in line)
    for column in ("file", "speech s", "× real time", "cues", "readability", "confidence", "subtitles"):
        assert column in heading
    row = next(line for line in again.stdout.splitlines() if line.strip().startswith("talk.mp4"))
    assert row.split()[1] == "en"
    assert row.strip().endswith("deep/er/talk.en.srt")


def test_a_second_run_loads_no_model(again, environment, videos, tiny_weights, tmp_path):
    """Weights of the same revision that can't be loaded do not matter to it."""
    broken = tmp_path / "models" / "tiny.en"
    copytree(tiny_weights.folder, broken, ignore=ignore_patterns("model.bin"))
    (broken / "model.bin").write_bytes(b"no weights")
    stat = (broken / "model.bin").stat()
    (broken / "revision.txt").write_text(f"{tiny_weights.revision} {stat.st_size} {stat.st_mtime_ns}")
    unloadable = {**environment, "YIVIDEO_CACHE__MODEL_DIR": str(broken.parent)}
    assert run(unloadable, "process", videos / "plain.mp4").returncode == 0
    assert run(unloadable, "process", videos / "breaks off.mkv", "--compute-type", "float32").returncode == 1


def test_a_changed_format_renders_alone(first, environment, videos, tmp_path):
    ended = run(
        environment, "process", videos / "deep", "--output-dir", tmp_path / "new", "--format", "vtt", "--json"
    )
    (video,) = summary(ended)["videos"]
    assert video["reused"] == ["video", "audio", "transcript", "alignment"]
    assert video["files"] == [str(tmp_path / "new" / "talk.en.vtt")]
