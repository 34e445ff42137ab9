"""Workers and services killed or stopped in the middle of transcribing, under the real daemon."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import dagster as dg
import numpy as np
import psutil
import pytest

from tests.cli.command import settings
from tests.cli.up.running_services import ENDED, RunningServices, speech
from tests.media.media_files import Sound, write_media
from tests.waiting import wait_for
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import STAGES

pytestmark = pytest.mark.model

_NUMBERS = count()


@pytest.fixture(scope="module")
def services(tmp_path_factory, model_dir, tiny_weights):
    """The running services, whose runs load the model themselves; tests end and start them again."""
    home = tmp_path_factory.mktemp("crash")
    (home / "config.yml").write_text("speech: {service_url: null}")
    with RunningServices(settings(home, model_dir, YIVIDEO_SPEECH__BATCH_SIZE="1")) as services:
        yield services


@dataclass(frozen=True)
class Launched:
    """A long video in a folder of its own, its first run, and the artifacts that there were before."""

    video: Path
    run_id: str
    artifacts_before: frozenset[Path]


@pytest.fixture
def launched(services, tmp_path) -> Launched:
    """A run of a video that no run has seen before: its content is its own."""
    minutes = np.tile(speech(), 2)[:, : -16_000 * (1 + next(_NUMBERS))]
    video = write_media(tmp_path / "talk.mkv", [Sound(minutes)])
    before = frozenset(manifests(services.home))
    return Launched(video, services.launch(video), before)


def manifests(home: Path) -> list[Path]:
    return list((home / "artifacts").glob("videos/*/*/manifest.json"))


def transcript_steps(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEventType | None]:
    """How far the transcript's step has come."""
    kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS}
    logs = instance.all_logs(run_id, of_type=kinds)
    return [log.dagster_event_type for log in logs if log.step_key == "transcript"]


def wait_for_work_on_the_transcript(services: RunningServices, run_id: str) -> psutil.Process:
    """Wait until the run's process has worked on the transcript for a while; returns it."""
    with open_instance(services.home) as instance:
        wait_for(lambda: transcript_steps(instance, run_id))
        worker = find_worker(services)
        enough_s = worker.cpu_times().user + 2
        wait_for(lambda: worker.cpu_times().user > enough_s, poll_s=0.1)
        assert transcript_steps(instance, run_id) == [dg.DagsterEventType.STEP_START], "it is at work"
    return worker


def find_worker(services: RunningServices) -> psutil.Process:
    """Return the only run's process: of all that was started, the one that multiprocessing spawned."""
    (worker,) = [one for one in services.processes() if "--multiprocessing-fork" in one.cmdline()]
    return worker


def assert_the_retry_finishes_the_video(services: RunningServices, launched: Launched) -> None:
    def retries_that_ended() -> list[dict]:
        runs = services.runs(launched.video)
        return [run for run in runs if run["parentRunId"] is not None and run["status"] in ENDED]

    wait_for(retries_that_ended)
    first, second = services.runs(launched.video)
    assert (first["status"], second["status"]) == ("FAILURE", "SUCCESS")
    assert (first["parentRunId"], second["parentRunId"]) == (None, launched.run_id)
    with open_instance(services.home) as instance:
        made_by = {stage: runs_that_made(instance, stage, launched.video) for stage in STAGES}
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
    assert made_by == {
        stage: [launched.run_id if stage in ("video", "audio") else second["runId"]] for stage in STAGES
    }
    assert {file.name for file in launched.video.parent.iterdir()} == {"talk.mkv", "talk.en.srt"}
    assert "lighthouse" in (launched.video.parent / "talk.en.srt").read_text().lower()
    assert list((services.home / "artifacts" / "tmp").iterdir()) == []
    new = [file for file in manifests(services.home) if file not in launched.artifacts_before]
    assert sorted(file.parent.name.partition("-")[0] for file in new) == sorted(STAGES), "each made once"


def runs_that_made(instance: dg.DagsterInstance, stage: str, video: Path) -> list[str]:
    wanted = dg.AssetRecordsFilter(dg.AssetKey(stage), asset_partitions=[str(video)])
    return [record.run_id for record in instance.fetch_materializations(wanted, limit=10).records]


def test_a_killed_worker_is_replaced_and_the_video_is_finished_once(services, launched):
    wait_for_work_on_the_transcript(services, launched.run_id).kill()
    assert_the_retry_finishes_the_video(services, launched)


def test_after_a_crash_of_everything_the_next_start_finishes_the_video_once(services, launched):
    wait_for_work_on_the_transcript(services, launched.run_id)
    everything = [psutil.Process(services.program.pid), *services.processes()]
    for process in everything:
        process.kill()
    services.program.communicate()
    psutil.wait_procs(everything, timeout=10)
    with open_instance(services.home) as instance:
        assert instance.get_run_by_id(launched.run_id).status == dg.DagsterRunStatus.STARTED
    services.start()
    assert "Closed runs whose process is gone: 1. Dagster retries them.\n" in services.printed
    assert_the_retry_finishes_the_video(services, launched)


def test_what_a_stop_interrupts_is_continued_by_the_next_start(services, launched):
    wait_for_work_on_the_transcript(services, launched.run_id)
    services.stop()
    services.start()
    assert_the_retry_finishes_the_video(services, launched)
