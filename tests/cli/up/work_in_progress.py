"""Runs caught in the middle of a transcript, and what must have become of them in the end."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import numpy as np
import psutil

from tests.cli.up.running_services import ENDED, RunningServices, speech
from tests.media.media_files import Sound, write_media
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import STAGES

_AT_WORK_S = 1.0
"""Processor time after which whoever transcribes is in the middle of it."""
_NUMBERS = count(1)


@dataclass(frozen=True)
class Launched:
    """A long video in a folder of its own, its run, and the artifacts that there were before."""

    video: Path
    run_id: str
    artifacts_before: frozenset[Path]


def launch_long(services: RunningServices, folder: Path) -> Launched:
    """Launch a run of a video that no run has seen before: its content is its own."""
    sound = np.tile(speech(), 2)[:, : 16_000 * (70 - next(_NUMBERS))]
    video = write_media(folder / "talk.mkv", [Sound(sound)])
    before = frozenset(manifests(services.home))
    return Launched(video, services.launch(video), before)


def manifests(home: Path) -> list[Path]:
    return list((home / "artifacts").glob("videos/*/*/manifest.json"))


def wait_for_work_in_the_run(services: RunningServices, run_id: str) -> psutil.Process:
    """Wait until the run's process, which has the model, is in the middle of the transcript; returns it."""
    with open_instance(services.home) as instance:
        wait_for(lambda: _transcript_steps(instance, run_id))
        # The only run's process: forked from the fork server, it has the same command.
        started = services.processes()
        servers = {one.pid for one in started if any("forkserver" in word for word in one.cmdline())}
        (worker,) = [one for one in started if one.pid in servers and one.ppid() in servers]
        _wait_for_work(worker)
        assert _transcript_steps(instance, run_id) == [dg.DagsterEventType.STEP_START], "it is at work"
    return worker


def wait_for_work_in_the_service(url: str, service: psutil.Process) -> None:
    """Wait until the service is in the middle of a request."""

    def has_a_request() -> bool:
        ready = httpx.get(f"{url}/health/ready", trust_env=False, timeout=TIMEOUT_S).json()
        return ready["places_taken"] > 0

    wait_for(has_a_request, poll_s=0.1)
    _wait_for_work(service)
    assert has_a_request(), "it is at work"


def _wait_for_work(process: psutil.Process) -> None:
    enough_s = process.cpu_times().user + _AT_WORK_S
    wait_for(lambda: process.cpu_times().user > enough_s, poll_s=0.05)


def _transcript_steps(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEventType | None]:
    """How far the transcript's step has come."""
    kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS}
    logs = instance.all_logs(run_id, of_type=kinds)
    return [log.dagster_event_type for log in logs if log.step_key == "transcript"]


def assert_the_retry_finishes_the_video(
    services: RunningServices, launched: Launched, killed_at: float | None = None
) -> None:
    """Wait for the second run, which makes what the first one had not: each stage is made once.

    Prints how long after the kill (Unix time) it was at work.
    """

    def retries_that_ended() -> list[dict]:
        runs = services.runs(launched.video)
        return [run for run in runs if run["parentRunId"] is not None and run["status"] in ENDED]

    wait_for(retries_that_ended)
    first, second = services.runs(launched.video)
    assert (first["status"], second["status"]) == ("FAILURE", "SUCCESS")
    assert (first["parentRunId"], second["parentRunId"]) == (None, launched.run_id)
    with open_instance(services.home) as instance:
        if killed_at:
            (record,) = instance.get_run_records(dg.RunsFilter(run_ids=[second["runId"]]))
            print(f"at work again {(record.start_time or 0.0) - killed_at:.1f} s after the kill")
        made_by = {stage: _runs_that_made(instance, stage, launched.video) for stage in STAGES}
        # The daemon frees what the killed one held 5 to 10 s after its end.
        wait_for(lambda: instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0)
    assert made_by == {
        stage: [launched.run_id if stage in ("video", "audio") else second["runId"]] for stage in STAGES
    }
    assert {file.name for file in launched.video.parent.iterdir()} == {"talk.mkv", "talk.en.srt"}
    assert "lighthouse" in (launched.video.parent / "talk.en.srt").read_text().lower()
    assert list((services.home / "artifacts" / "tmp").iterdir()) == []
    new = [file for file in manifests(services.home) if file not in launched.artifacts_before]
    assert sorted(file.parent.name.partition("-")[0] for file in new) == sorted(STAGES), "each made once"


def _runs_that_made(instance: dg.DagsterInstance, stage: str, video: Path) -> list[str]:
    wanted = dg.AssetRecordsFilter(dg.AssetKey(stage), asset_partitions=[str(video)])
    return [record.run_id for record in instance.fetch_materializations(wanted, limit=10).records]


def assert_the_same_run_succeeds(
    services: RunningServices, launched: Launched
) -> tuple[list[str], dict[str, Any]]:
    """Wait for the run, which had lost its service in the middle.

    Returns:
        Why the transcript was retried, and its metadata.
    """
    assert services.wait_for_end(launched.run_id) == "SUCCESS"
    (run,) = services.runs(launched.video)
    assert run["runId"] == launched.run_id
    assert "lighthouse" in launched.video.with_name("talk.en.srt").read_text().lower()
    with open_instance(services.home) as instance:
        logs = instance.all_logs(launched.run_id)
    events = [log.dagster_event for log in logs if log.step_key == "transcript" and log.dagster_event]
    reasons = [
        event.step_retry_data.error.to_string()
        for event in events
        if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY
    ]
    assert "broke off in the middle of the work" in reasons[0] or "does not answer" in reasons[0]
    (made,) = [event for event in events if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION]
    return reasons, {name: one.value for name, one in made.materialization.metadata.items()}
