"""`yivideo backfill`, and that a real daemon does what it launched."""

import json
import signal
import socket
import subprocess
import time
from shutil import copyfile

import dagster as dg
import pytest
from command import SAMPLES, run, settings, start

from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.stages import VIDEOS
from yivideo_pipeline.storage.partition_keys import key_of

GOOD, BROKEN, OTHER = "a good.mp4", "broken.mp4", "c good.mp4"
ENDED = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")


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


def test_nothing_to_do_is_said_in_one_line(environment):
    ended = run(environment, "backfill")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Nothing to do among 0 videos.\n", "")


def test_a_dry_run_says_what_would_be_done_and_launches_nothing(environment, filled):
    ended = run(environment, "backfill", "--missing", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "3 videos to make: 3 missing.",
        f"  missing: {GOOD}",
        f"  missing: {BROKEN}",
        f"  missing: {OTHER}",
        "Stages of 3 videos: video, audio, transcript, alignment, subtitles; what is made already is reused.",
        "How long it takes is not known yet: too little was made with this model on this machine.",
    ]
    assert backfills(filled) == []


def test_programs_get_the_same_as_one_object(environment, filled):
    ended = run(environment, "backfill", "--match", "* good.mp4", "--dry-run", "--json")
    told = json.loads(ended.stdout)
    assert told["videos"] == [
        {"key": GOOD, "reason": "missing", "start": "video"},
        {"key": OTHER, "reason": "missing", "start": "video"},
    ]
    assert told["estimate"] == {"work_s": None, "audio_s": None, "guessed": 2}
    assert (told["registered"], told["launched"], told["left_out"]) == (3, [], [])


def test_where_nobody_can_be_asked_nothing_is_launched_without_a_yes(environment, filled):
    ended = run(environment, "backfill")
    assert ended.returncode == 2
    assert ended.stderr == (
        "yivideo: Nobody is here to be asked. Add --yes to launch it, or --dry-run to only look.\n"
    )
    assert backfills(filled) == []


def test_what_is_launched_is_not_launched_again(environment, filled):
    first = run(environment, "backfill", "--yes")
    (launched,) = backfills(filled)
    assert f"Launched backfill {launched.backfill_id}: http://127.0.0.1:3000/runs/b/" in first.stdout
    assert first.stdout.splitlines()[-1] == "It starts as soon as `yivideo up` runs."
    again = run(environment, "backfill", "--yes")
    assert again.stdout == "Nothing to do among 3 videos.\nLeft out: 3 in progress or queued.\n"
    assert len(backfills(filled)) == 1


def test_a_time_that_is_none_is_wrong_usage(environment):
    ended = run(environment, "backfill", "--since", "soon")
    assert ended.returncode == 2
    assert "--since soon is no time. Write 7d, 12h, 2w or a date such as 2026-11-20." in ended.stderr


def test_stale_ones_can_not_be_told_without_the_weights(environment, tmp_path):
    elsewhere = {
        **environment,
        "YIVIDEO_CACHE__MODEL_DIR": str(tmp_path),
        "YIVIDEO_SPEECH__MODEL_NAME": "small",
    }
    ended = run(elsewhere, "backfill", "--stale", "--dry-run")
    assert ended.returncode == 1
    assert "can't be told without the weights of small" in ended.stderr


def test_a_pause_stands_until_it_is_taken_back(environment, home):
    assert run(environment, "backfill", "--pause").stdout.startswith("Paused: no schedule launches")
    mark = Ledger(open_ledger(home)).marks.get("backfills.paused")
    assert "@" in mark.value
    assert "schedules launch backfills again" in run(environment, "backfill", "--resume").stdout
    assert Ledger(open_ledger(home)).marks.get("backfills.paused") is None
    assert run(environment, "backfill", "--resume").stdout == "They were not paused.\n"


def test_who_launches_by_hand_is_told_of_the_pause(environment, filled):
    run(environment, "backfill", "--pause")
    assert "The schedules are paused since" in run(environment, "backfill", "--yes").stdout


def test_pausing_goes_with_nothing_else(environment):
    assert run(environment, "backfill", "--pause", "--stale").returncode == 2


@pytest.mark.model
def test_the_daemon_makes_the_good_ones_and_shows_the_broken_one_as_failed(
    environment, home, tmp_path, tiny_weights
):
    # Outside of the library, which the running sensor watches.
    good, broken, other = fill(home, tmp_path / "elsewhere")
    told = json.loads(run(environment, "backfill", "--yes", "--json").stdout)
    (launched,) = told["launched"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start(environment, "up", "--port", str(port), stdout=subprocess.DEVNULL) as program:
        try:
            with open_instance(home) as instance:
                while (backfill := instance.get_backfill(launched["id"])).status.value not in ENDED:
                    assert program.poll() is None
                    time.sleep(1)
                (made_by,) = instance.get_runs()
                assert instance.get_materialized_partitions(dg.AssetKey("subtitles")) == {good, other}
        finally:
            program.send_signal(signal.SIGINT)
            program.wait(60)
    assert backfill.status.value == "COMPLETED_FAILED"
    assert made_by.status == dg.DagsterRunStatus.FAILURE
    assert made_by.tags["dagster/priority"] == "-2"
    assert made_by.tags["yivideo/trigger"] == "backfill"
    left = backfill.asset_backfill_data.failed_and_downstream_subset.partitions_subsets_by_asset_key
    assert {key for subset in left.values() for key in subset.get_partition_keys()} == {broken}
    delivered = sorted(file.name for file in (tmp_path / "elsewhere").glob("*.srt"))
    assert delivered == ["a good.en.srt", "c good.en.srt"]
    again = run(environment, "backfill")
    assert again.stdout == "Nothing to do among 3 videos.\nLeft out: 1 set aside after failures.\n"
