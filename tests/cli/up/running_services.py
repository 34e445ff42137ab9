"""`yivideo up` as tests run it: started, asked by GraphQL as its UI does, and ended."""

import json
import signal
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
import psutil

from benchmarks.ports import free_port
from tests.cli.command import SAMPLES, start
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import JOB, LOCATION, VIDEOS

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
REPOSITORY = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
LAUNCH = """mutation ($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) { ... on LaunchRunSuccess { run { runId } } } }"""
RUNS = """{ runsOrError { ... on Runs { results {
  runId status parentRunId tags { key value } assets { key { path } } } } } }"""


class RunningServices:
    """The programs of `yivideo up` on one home folder, as often as they are started.

    Args:
        environment: All environment variables, as `command.settings` gives them.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.home = Path(environment["YIVIDEO_HOME"])
        # The option is to count, not the variable.
        self._environment = dict(environment)
        self._service_port = self._environment.pop("YIVIDEO_SERVICE__PORT")
        self.service_url = f"http://127.0.0.1:{self._service_port}"
        self.url = ""
        self.printed: list[str] = []
        self.program: subprocess.Popen

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self.program.poll() is None:
            self.stop()

    def start(self, *, wait: bool = True) -> None:
        """Start it; by default wait until it has printed its addresses."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.printed = []
        ports = ("--port", str(port), "--service-port", self._service_port)
        self.program = start(
            self._environment, "up", *ports, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        while wait and "http://" not in "".join(self.printed):
            assert self.program.poll() is None, self.printed
            self.printed.append(self.program.stdout.readline())

    def stop(self) -> str:
        """Press Ctrl-C, and wait until it has ended; returns what it printed since its addresses."""
        self.program.send_signal(signal.SIGINT)
        return self.program.communicate(timeout=TIMEOUT_S)[0]

    def configure(self, retry: dict[str, object] | None = None, **speech: object) -> None:
        """Let the runs and starts to come have these settings of retries and speech, and no others."""
        (self.home / "config.yml").write_text(json.dumps({"retry": retry or {}, "speech": speech}))

    def processes(self) -> list[psutil.Process]:
        """Return all processes that it started."""
        return psutil.Process(self.program.pid).children(recursive=True)

    def wait_for_child(self, word: str, other_than: int | None = None) -> psutil.Process:
        """Return the process that it started with this word in its command, as soon as it runs."""

        def find() -> psutil.Process | None:
            assert self.program.poll() is None
            for child in psutil.Process(self.program.pid).children():
                if child.pid != other_than and child.status() != psutil.STATUS_ZOMBIE:
                    with suppress(psutil.ZombieProcess):  # it ended in between
                        if word in child.cmdline():
                            return child
            return None

        return wait_for(find, poll_s=0.05)

    def ask_service(self, path: str) -> Any:
        """Return the JSON that the service answers."""
        with urllib.request.urlopen(f"{self.service_url}{path}", timeout=TIMEOUT_S) as response:
            return json.load(response)

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the data of a GraphQL request."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, key: str | Path, output_dir: Path | None = None) -> str:
        """Launch a run of a video as the UI does; returns its id."""
        with open_instance(self.home) as instance:
            instance.add_dynamic_partitions(VIDEOS, [str(key)])
        config = {"resources": {"launch": {"config": {"output_dir": str(output_dir)}}}} if output_dir else {}
        parameters = {
            "selector": {**REPOSITORY, "pipelineName": JOB},
            "runConfigData": json.dumps(config),
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(key)}]},
        }
        return self.ask(LAUNCH, parameters=parameters)["launchPipelineExecution"]["run"]["runId"]

    def runs(self, key: str | Path | None = None) -> list[dict[str, Any]]:
        """Return the runs, or those of one video; the first one launched comes first."""
        listed = self.ask(RUNS)["runsOrError"]["results"]
        runs = [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in listed[::-1]]
        return [run for run in runs if key is None or run["tags"].get("dagster/partition") == str(key)]

    def wait_for_end(self, run_id: str) -> str:
        """Wait until a run has ended; returns its status."""

        def ended() -> str | None:
            (status,) = [run["status"] for run in self.runs() if run["runId"] == run_id]
            return status if status in ENDED else None

        return wait_for(ended)


def speech(start_s: float = 0.0, length_s: float | None = None) -> np.ndarray:
    """Return a part of the minute of speech in the lighthouse sample, shape (1, n) at 16 kHz."""
    with av.open(str(SAMPLES / "lighthouse-60s.mkv")) as media:
        mono = av.AudioResampler("flt", "mono", 16_000)
        frames = [part for frame in media.decode(audio=0) for part in mono.resample(frame)]
    whole = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    first = round(start_s * 16_000)
    return whole[:, first : None if length_s is None else first + round(length_s * 16_000)]
