"""What the daemon does without a click: backfills, new videos, and subtitles of a changed profile."""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from shutil import copyfile

import dagster as dg
import psutil
import pytest

from tests.cli.command import SAMPLES, call, run, settings
from tests.cli.up.running_services import REPOSITORY, RunningServices, speech
from tests.media.media_files import Sound, write_media
from tests.waiting import wait_for
from yivideo_pipeline.defs.automation import SENSOR
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.stages import STAGES, VIDEOS

pytestmark = pytest.mark.model

SWITCH_ON = """mutation ($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"""
BACKFILL_ENDED = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")
GOOD, BROKEN, OTHER = "a good.mkv", "broken.mp4", "c good.mkv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder outside of the library, which the running sensor does not watch."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, model_dir, tiny_weights):
    home = tmp_path_factory.mktemp("pipeline")
    return settings(home, model_dir, YIVIDEO_LIBRARY__POLL_S="5", YIVIDEO_LIBRARY__SETTLE_S="1")


@pytest.fixture(scope="module")
def processed(environment, folder) -> Path:
    """A video whose subtitles the command has made, with lines of the usual length."""
    video = Path(copyfile(SAMPLES / "harbour-15s.mp4", folder / "talk.mp4"))
    assert run(environment, "process", video).returncode == 0
    assert widest_line(video.with_name("talk.en.srt")) > 20
    return video


@pytest.fixture(scope="module")
def backfill(environment, processed, folder) -> str:
    """A backfill of three videos, one of them broken, launched by the command; its id."""
    keys = [str(folder / name) for name in (GOOD, BROKEN, OTHER)]
    write_media(folder / GOOD, [Sound(speech(length_s=15))])
    write_media(folder / OTHER, [Sound(speech(length_s=16))])
    (folder / BROKEN).write_text("this is no video\n" * 100)
    with open_instance(Path(environment["YIVIDEO_HOME"])) as instance:
        instance.add_dynamic_partitions(VIDEOS, keys)
    (launched,) = json.loads(run(environment, "backfill", "--yes", "--json").stdout)["launched"]
    return launched["id"]


@pytest.fixture(scope="module")
def services(environment, backfill):
    """The running services, with a profile of short lines."""
    narrow = {**environment, "YIVIDEO_SUBTITLES__MAX_CHARS_PER_LINE": "20"}
    with RunningServices(narrow) as services:
        yield services


@pytest.fixture(scope="module")
def poisoned(services):
    """A video in the inbox that kills its worker each time, as one does that takes all memory.

    Yields the times of the kills; they go on beside the tests.
    """
    killed_at: list[float] = []
    over, ledger = threading.Event(), open_ledger(services.home)

    def kill() -> None:
        while not over.wait(0.05):
            if entry := ledger.workers.at_work("poisoned.mkv"):
                with suppress(psutil.NoSuchProcess):
                    worker = psutil.Process(int(entry.worker.split(":")[1]))
                    worker.kill()
                    killed_at.append(time.monotonic())
                    worker.wait()

    killer = threading.Thread(target=kill)
    killer.start()
    write_media(services.home / "tmp.mkv", [Sound(speech(length_s=13))]).rename(
        services.home / "inbox" / "poisoned.mkv"
    )
    yield killed_at
    over.set()
    killer.join()
    ledger.engine.dispose()


def widest_line(file: Path) -> int:
    return max(len(line) for line in file.read_text().splitlines() if "-->" not in line)


def why(environment, file) -> dict:
    return json.loads(call(environment, "why", file, "--json").stdout)


def test_a_backfill_makes_the_good_videos_and_shows_the_broken_one_as_failed(
    environment, services, backfill, folder, processed
):
    good, broken, other = (str(folder / name) for name in (GOOD, BROKEN, OTHER))
    with open_instance(services.home) as instance:

        def has_ended() -> bool:
            assert services.program.poll() is None
            return instance.get_backfill(backfill).status.value in BACKFILL_ENDED

        wait_for(has_ended)
        ended = instance.get_backfill(backfill)
        (made_by,) = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
        made = instance.get_materialized_partitions(dg.AssetKey("subtitles"))
        assert made == {good, other, str(processed)}
    assert ended.status.value == "COMPLETED_FAILED"
    assert made_by.status == dg.DagsterRunStatus.FAILURE
    assert made_by.tags["dagster/priority"] == "-2"
    assert made_by.tags["yivideo/trigger"] == "backfill"
    left = ended.asset_backfill_data.failed_and_downstream_subset.partitions_subsets_by_asset_key
    assert {key for subset in left.values() for key in subset.get_partition_keys()} == {broken}
    delivered = {file.name for file in folder.glob("*.srt")} - {"talk.en.srt"}
    assert delivered == {"a good.en.srt", "c good.en.srt"}
    again = run(environment, "backfill")
    assert again.stdout == "Nothing to do among 4 videos.\nLeft out: 1 quarantined after failures.\n"


def test_a_video_in_the_inbox_gets_its_subtitles_and_the_command_knows_of_it(environment, services, poisoned):
    inbox = services.home / "inbox"
    video = write_media(inbox.parent / "tmp.mkv", [Sound(speech(length_s=14))]).rename(inbox / "talk.mkv")
    (inbox / "half.mp4.part").write_bytes(b"\0" * 4096)
    subtitles = video.with_name("talk.en.srt")
    wait_for(subtitles.exists)
    assert "-->" in subtitles.read_text()
    wait_for(lambda: why(environment, video)["action"] == "known", poll_s=1)
    known = why({**environment, "YIVIDEO_SUBTITLES__MAX_CHARS_PER_LINE": "20"}, video)
    assert {stage["made"]["stage"] for stage in known["stages"]} == set(STAGES)
    assert known["last_run"]["outcome"] == "subtitles were made"
    assert {stage["stale"] for stage in known["stages"]} == {None}
    logs = [file.read_text() for file in (services.home / "dagster").rglob("*.err")]
    assert any("talk.mkv: to be made. It is new and complete." in log for log in logs)


def test_a_changed_profile_renders_the_subtitles_again_once_the_sensor_is_on(services, processed):
    subtitles = processed.with_name("talk.en.srt")
    assert widest_line(subtitles) > 20
    switched = services.ask(SWITCH_ON, sensor={**REPOSITORY, "sensorName": SENSOR})
    assert switched["startSensor"]["__typename"] == "Sensor"
    wait_for(lambda: widest_line(subtitles) <= 20)
    with open_instance(services.home) as instance:
        again = instance.get_runs(dg.RunsFilter(tags={"yivideo/trigger": "automation"}))
        assert [entry.asset_selection for entry in again] == [{dg.AssetKey("subtitles")}]
        of_video = dg.AssetRecordsFilter(dg.AssetKey("transcript"), asset_partitions=[str(processed)])
        assert len(instance.fetch_materializations(of_video, limit=5).records) == 1


def test_a_video_that_kills_its_worker_each_time_is_quarantined_and_has_held_up_no_other(services, poisoned):
    with open_instance(services.home) as instance:
        failures = open_ledger(services.home).failures
        found = wait_for(lambda: failures.find_quarantined("poisoned.mkv"))
        print(f"quarantined {time.monotonic() - poisoned[0]:.1f} s after the first of {len(poisoned)} kills")
        assert (found.kind, found.attempts, len(poisoned)) == ("worker_killed", 3, 3)
        wait_for(lambda: instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0)
    written = {file.name for file in (services.home / "inbox").glob("*.srt")}
    assert written == {"talk.en.srt"}
