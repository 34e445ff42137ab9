"""`yivideo backfill`; `up/test_pipeline.py` shows that a real daemon does what it launched."""

import json
from shutil import copyfile

import dagster as dg
import pytest

from tests.cli.command import SAMPLES, call, run, settings
from yivideo_pipeline.cli.running_ui import note_ui
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.stages import STAGES, VIDEOS
from yivideo_pipeline.storage.partition_keys import key_of

GOOD, BROKEN, OTHER = "a good.mp4", "broken.mp4", "c good.mp4"


def fill(home, folder):
    """Three videos, one of them broken, that are registered and not made; returns their keys."""
    folder.mkdir(parents=True)
    copyfile(SAMPLES / "harbour-15s.mp4", folder / GOOD)
    copyfile(SAMPLES / "harbour-15s.mp4", folder / OTHER)
    (folder / BROKEN).write_text("this is no video\n" * 100)
    keys = [key_of(folder / name, {"inbox": home / "inbox"}) for name in (GOOD, BROKEN, OTHER)]
    with open_instance(home) as instance:
        instance.add_dynamic_partitions(VIDEOS, keys)
    return keys


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir)


@pytest.fixture
def filled(home):
    fill(home, home / "inbox")
    return home


def backfills(home):
    with open_instance(home) as instance:
        return instance.get_backfills()


def test_nothing_to_do_is_reported_in_one_line(environment):
    ended = run(environment, "backfill")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Nothing to do among 0 videos.\n", "")


def test_a_dry_run_prints_what_would_be_done_and_launches_nothing(environment, filled):
    ended = call(environment, "backfill", "--missing", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "3 videos to process: 3 missing.",
        f"  missing: {GOOD}",
        f"  missing: {BROKEN}",
        f"  missing: {OTHER}",
        "Stages of 3 videos: video, audio, transcript, alignment, subtitles; what exists already is reused.",
        "How long it takes is not known yet: too little was processed with this model on this machine.",
    ]
    assert backfills(filled) == []


def test_json_has_the_same_as_one_object(environment, filled):
    ended = call(environment, "backfill", "--match", "* good.mp4", "--dry-run", "--json")
    plan = json.loads(ended.stdout)
    assert plan["videos"] == [
        {"key": GOOD, "reason": "missing", "start": "video"},
        {"key": OTHER, "reason": "missing", "start": "video"},
    ]
    assert plan["estimate"] == {"work_s": None, "audio_s": None, "guessed": 2}
    assert (plan["registered"], plan["launched"], plan["left_out"]) == (3, [], [])


def test_without_a_terminal_nothing_is_launched_without_a_yes(environment, filled):
    ended = call(environment, "backfill")
    assert ended.returncode == 2
    assert ended.stderr == (
        "yivideo: There is no terminal to ask for confirmation."
        " Add --yes to launch it, or --dry-run to only look.\n"
    )
    assert backfills(filled) == []


def test_what_is_launched_is_not_launched_again(environment, filled):
    note_ui(filled, "http://127.0.0.1:3105", "http://127.0.0.1:8788")
    first = run(environment, "backfill", "--yes")
    (launched,) = backfills(filled)
    assert f"Launched backfill {launched.backfill_id}: http://127.0.0.1:3105/runs/b/" in first.stdout
    assert first.stdout.splitlines()[-1] == "It starts as soon as `yivideo up` runs."
    again = run(environment, "backfill", "--yes")
    assert again.stdout == "Nothing to do among 3 videos.\nLeft out: 3 in progress or queued.\n"
    assert len(backfills(filled)) == 1


def test_a_time_that_is_not_one_is_wrong_usage(environment):
    ended = call(environment, "backfill", "--since", "soon")
    assert ended.returncode == 2
    assert "--since soon is not a time. Write 7d, 12h, 2w or a date such as 2026-11-20." in ended.stderr


def test_stale_videos_are_not_known_without_the_weights(environment, tmp_path):
    elsewhere = {
        **environment,
        "YIVIDEO_CACHE__MODEL_DIR": str(tmp_path),
        "YIVIDEO_SPEECH__MODEL_NAME": "small",
    }
    ended = call(elsewhere, "backfill", "--stale", "--dry-run")
    assert ended.returncode == 1
    assert "is not known without the weights of small" in ended.stderr


def test_stale_videos_are_told_with_their_number_their_length_and_what_has_changed(
    environment, filled, tiny_weights
):
    """A commit that is pinned is known before it is downloaded."""
    made = {
        GOOD: (tiny_weights.revision, 5400.0),
        OTHER: (tiny_weights.revision, 1800.0),
        BROKEN: (None, 60.0),
    }
    ledger = open_ledger(filled)
    with open_instance(filled) as instance:
        recipe = f"{STAGES['transcript'].code_version}.other"
        for key, (revision, audio_s) in made.items():
            for stage in STAGES:
                instance.report_runless_asset_event(dg.AssetMaterialization(stage, partition=key))
            ledger.materializations.note(
                Materialization(
                    key, "transcript", "k", recipe, False, "h", 1.0, "run", False,
                    audio_s=audio_s, model="tiny.en", revision=revision,
                )
            )  # fmt: skip
    commit = "0123456789abcdef" * 2 + "01234567"
    pinned = {**environment, "YIVIDEO_SPEECH__MODEL_REVISION": commit}
    ended = call(pinned, "backfill", "--stale", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    was = tiny_weights.revision[:19]
    assert [line for line in ended.stdout.splitlines() if line.startswith("Stale: ")] == [
        f"Stale: 2 videos with 2 h 00 min of sound, since the revision of tiny.en has changed from {was} to"
        " 0123456789ab.",
        "Stale: 1 video with 60 s of sound, since the options of the transcript have changed.",
    ]
    told = json.loads(call(pinned, "backfill", "--stale", "--dry-run", "--json").stdout)
    assert [(one["videos"], one["audio_s"]) for one in told["stale"]] == [(2, 7200.0), (1, 60.0)]
    # Those weights themselves are not here, and the command says so in a line.
    ended = call(pinned, "process", filled / "inbox" / GOOD)
    assert ended.returncode == 1
    assert f"Revision {commit} of its weights is not on this machine" in ended.stderr


def test_a_pause_lasts_until_the_schedules_are_resumed(environment, home):
    assert call(environment, "backfill", "--pause").stdout.startswith("Paused: no schedule launches")
    mark = open_ledger(home).flags.get("backfills.paused")
    assert "@" in mark.value
    assert "schedules launch backfills again" in call(environment, "backfill", "--resume").stdout
    assert open_ledger(home).flags.get("backfills.paused") is None
    assert call(environment, "backfill", "--resume").stdout == "The schedules were not paused.\n"


def test_a_launch_by_hand_reports_the_pause(environment, filled):
    call(environment, "backfill", "--pause")
    assert "The schedules are paused since" in call(environment, "backfill", "--yes").stdout


def test_pausing_goes_with_nothing_else(environment):
    assert call(environment, "backfill", "--pause", "--stale").returncode == 2
