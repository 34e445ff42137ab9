"""Workers and services killed or stopped in the middle of transcribing, under the real daemon."""

import json
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import av
import dagster as dg
import numpy as np
import psutil
import pytest
from command import SAMPLES, settings, start

from tests.media.make_media import Sound, write_media
from yivideo_pipeline.cli.supervisor import wait_until
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import JOB, LOCATION, VIDEOS

pytestmark = pytest.mark.model

STAGES = ("video", "audio", "transcript", "alignment", "subtitles")
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
LAUNCH = """mutation ($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) { ... on LaunchRunSuccess { run { runId } } } }"""
RUNS = """{ runsOrError { ... on Runs { results {
  runId status parentRunId startTime tags { key value } } } } }"""


class Place:
    """A home with one long video, and `yivideo up` on it, as often as it is started; runs load the model."""

    def __init__(self, folder: Path, model_dir: Path, **more: str) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "config.yml").write_text("speech: {service_url: null}")
        self.videos = folder / "videos"
        self.videos.mkdir()
        self.video = write_media(self.videos / "talk.mkv", [Sound(long_talk())])
        self._environment = settings(self.home, model_dir, YIVIDEO_SPEECH__BATCH_SIZE="1", **more)
        self._url = ""
        self.program: subprocess.Popen | None = None
        self.said: list[str] = []

    def up(self) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self.said = []
        self.program = start(
            self._environment, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        while "http://" not in "".join(self.said):
            assert self.program.poll() is None, self.said
            self.said.append(self.program.stdout.readline())

    def ask(self, query: str, **variables) -> dict:
        request = urllib.request.Request(
            f"{self._url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as told:
            return json.load(told)["data"]

    def launch(self) -> str:
        with open_instance(self.home) as instance:
            instance.add_dynamic_partitions(VIDEOS, [str(self.video)])
        where = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
        tags = [{"key": "dagster/partition", "value": str(self.video)}]
        parameters = {
            "selector": {**where, "pipelineName": JOB},
            "mode": "default",
            "executionMetadata": {"tags": tags},
        }
        return self.ask(LAUNCH, parameters=parameters)["launchPipelineExecution"]["run"]["runId"]

    def runs(self) -> list[dict]:
        """The runs, first launched first."""
        listed = self.ask(RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in listed[::-1]]

    def worker_at_the_transcript(self, run_id: str) -> psutil.Process:
        """Wait until the run's process has worked on the transcript for a while; returns it."""
        with open_instance(self.home) as instance:
            assert wait_until(lambda: bool(transcript_steps(instance, run_id)), 60)
            worker = self._worker()
            enough_s = worker.cpu_times().user + 2
            assert wait_until(lambda: worker.cpu_times().user > enough_s, 60)
            assert transcript_steps(instance, run_id) == [dg.DagsterEventType.STEP_START], "it is at work"
        return worker

    def tree(self) -> list[psutil.Process]:
        return psutil.Process(self.program.pid).children(recursive=True)

    def wait_for_the_retry(self) -> list[dict]:
        """Wait until a retry has ended; returns all runs."""
        assert wait_until(lambda: any(is_ended_retry(run) for run in self.runs()), 90), self.runs()
        return self.runs()

    def _worker(self) -> psutil.Process:
        # Of what the services started, a run's process is the one that multiprocessing spawned.
        (worker,) = [process for process in self.tree() if "--multiprocessing-fork" in process.cmdline()]
        return worker


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def long_talk() -> np.ndarray:
    """A minute of speech, said twice, shape (1, n) at 16 kHz."""
    with av.open(str(SAMPLES / "lighthouse-60s.mkv")) as media:
        mono = av.AudioResampler("flt", "mono", 16_000)
        frames = [part for frame in media.decode(audio=0) for part in mono.resample(frame)]
    return np.tile(np.concatenate([frame.to_ndarray() for frame in frames], axis=1), 2)


def is_ended_retry(run: dict) -> bool:
    return run["parentRunId"] is not None and run["status"] in ENDED


def transcript_steps(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEventType | None]:
    """How far the transcript's step has come."""
    kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS}
    logs = instance.all_logs(run_id, of_type=kinds)
    return [log.dagster_event_type for log in logs if log.step_key == "transcript"]


@pytest.fixture
def place(tmp_path, model_dir, tiny_weights):
    place = Place(tmp_path, model_dir)
    place.up()
    yield place
    if place.program.poll() is None:
        place.program.send_signal(signal.SIGINT)
        place.program.communicate(timeout=60)


def assert_it_ended_well_once(place: Place, first: str, runs: list[dict]) -> None:
    assert [run["status"] for run in runs] == ["FAILURE", "SUCCESS"]
    assert [run["parentRunId"] for run in runs] == [None, first]
    second = runs[1]["runId"]
    with open_instance(place.home) as instance:
        made = {
            stage: [
                record.run_id
                for record in instance.fetch_materializations(dg.AssetKey(stage), limit=10).records
            ]
            for stage in STAGES
        }
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
    assert made == {stage: [first if stage in ("video", "audio") else second] for stage in STAGES}
    assert {file.name for file in place.videos.iterdir()} == {"talk.mkv", "talk.en.srt"}
    assert "lighthouse" in (place.videos / "talk.en.srt").read_text().lower()
    artifacts = place.home / "artifacts"
    assert list((artifacts / "tmp").iterdir()) == []
    for stage in STAGES:
        assert len(list(artifacts.glob(f"videos/*/{stage}-*/manifest.json"))) == 1, stage


def test_a_killed_worker_is_replaced_and_the_video_ends_well_once(place):
    first = place.launch()
    place.worker_at_the_transcript(first).kill()
    assert_it_ended_well_once(place, first, place.wait_for_the_retry())


def test_after_a_crash_of_everything_the_next_start_ends_the_video_well_once(place):
    first = place.launch()
    place.worker_at_the_transcript(first)
    everything = [psutil.Process(place.program.pid), *place.tree()]
    for process in everything:
        process.kill()
    place.program.communicate()
    psutil.wait_procs(everything, timeout=10)
    with open_instance(place.home) as instance:
        assert instance.get_run_by_id(first).status == dg.DagsterRunStatus.STARTED
    place.up()
    assert "Runs closed since their process is gone: 1. Dagster tries again.\n" in place.said
    assert_it_ended_well_once(place, first, place.wait_for_the_retry())


def test_what_a_stop_interrupts_is_taken_up_again_by_the_next_start(place):
    first = place.launch()
    place.worker_at_the_transcript(first)
    place.program.send_signal(signal.SIGINT)
    place.program.communicate(timeout=60)
    place.up()
    assert_it_ended_well_once(place, first, place.wait_for_the_retry())
