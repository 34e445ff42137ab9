import json

import pytest

from tests.cli.command import call, run, settings
from yivideo_pipeline.errors.tree import ModelInferenceError, TruncatedMedia
from yivideo_pipeline.ledger import open_ledger

ELSEWHERE = "/elsewhere/talk.mp4"


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir)


@pytest.fixture
def failures(home):
    """Three quarantined videos, one of them outside of the library."""
    failures = open_ledger(home).failures
    broken = TruncatedMedia("The file breaks off after 3 s", "Copy it again")
    crash = ModelInferenceError("The model gave up\nat [bold]something")
    for key, error in (("2024/会议.mp4", broken), ("talk.mp4", crash), (ELSEWHERE, broken)):
        failed = failures.note_failure(key, "audio", "run-1", error, attempts=2)
        failures.quarantine(key, failed, 1000, 5)
    return failures


def test_no_video_is_quarantined_at_first(environment):
    ended = run(environment, "quarantine")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "No video is quarantined.\n", "")
    assert json.loads(call(environment, "quarantine", "--json").stdout) == []


def test_each_quarantined_video_is_listed_with_its_reason_on_one_line(environment, failures):
    lines = call(environment, "quarantine").stdout.splitlines()
    (of_talk,) = [line for line in lines if "talk.mp4" in line and ELSEWHERE not in line]
    assert "audio" in of_talk
    assert "The model gave up; at [bold]something" in of_talk
    assert any("2024/会议.mp4" in line and "breaks off after 3 s" in line for line in lines)
    assert "yivideo quarantine release" in lines[-1]


def test_json_has_all_that_is_known(environment, failures):
    first, *_ = json.loads(call(environment, "quarantine", "--json").stdout)
    assert first["key"] == ELSEWHERE
    failed = first["failed"]
    assert (failed["kind"], failed["hint"], failed["attempts"]) == ("media_truncated", "Copy it again", 2)


def test_a_video_is_released_by_its_key_or_by_its_file(environment, home, failures):
    ended = call(environment, "quarantine", "release", "2024/会议.mp4", home / "inbox" / "talk.mp4")
    assert ended.returncode == 0, ended.stderr
    assert list(failures.quarantined()) == [ELSEWHERE]
    assert failures.streak("talk.mp4") == 0


def test_a_file_is_named_relative_to_the_working_directory(environment, home, failures):
    (home / "inbox" / "2024").mkdir(parents=True)
    ended = run(environment, "quarantine", "release", "会议.mp4", folder=home / "inbox" / "2024")
    assert ended.returncode == 0, ended.stderr
    assert "2024/会议.mp4" not in failures.quarantined()


def test_all_are_released_at_once_and_what_comes_next_is_printed(environment, failures):
    ended = call(environment, "quarantine", "release", "--all")
    assert failures.quarantined() == {}
    *released, watched, outside = ended.stdout.splitlines()
    assert len(released) == 3
    assert "new_videos takes 2 videos as new, in one of its scans every 5 s" in watched
    assert "In no library root: 1 video; `yivideo process FILE`" in outside
    assert call(environment, "quarantine", "release", "--all").stdout == "No video is quarantined.\n"


def test_a_name_that_is_not_quarantined_releases_none(environment, failures):
    ended = call(environment, "quarantine", "release", "talk.mp4", "tlak.mp4")
    assert ended.returncode == 2
    assert ended.stderr.startswith("yivideo: Not quarantined: tlak.mp4.")
    assert len(failures.quarantined()) == 3


@pytest.mark.parametrize("arguments", [(), ("--all", "talk.mp4")])
def test_the_videos_to_release_have_to_be_named(environment, failures, arguments):
    ended = call(environment, "quarantine", "release", *arguments)
    assert ended.returncode == 2
    assert "--all" in ended.stderr
    assert len(failures.quarantined()) == 3


def test_a_settings_file_before_the_command_is_not_ignored_silently(environment, tmp_path):
    ended = call(environment, "quarantine", "--config", tmp_path / "a.yml", "release", "--all")
    assert ended.returncode == 2
    assert "after the command" in ended.stderr
