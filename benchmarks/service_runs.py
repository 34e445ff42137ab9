"""Makes subtitles for many short clips: as Dagster runs, with and without the service, and by programs.

`yivideo up` runs as for a user, and all runs are launched over GraphQL at once. The wall time is from the
first launch to the end of the last run. `yivideo process` and whisperx are one program each for all
clips, from start to end; whisperx makes no word times.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.clips import cut_clips, load_english, write_flac
from benchmarks.contenders import WHISPERX, Task, environment_of, settings_of, whisperx
from benchmarks.ports import free_port
from benchmarks.process import TreeWatch, measure
from benchmarks.services import load_line, run_program
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.speech.weights import find_weights
from yivideo_pipeline.stages import JOB, LOCATION, VIDEOS

ROOT = Path(__file__).resolve().parents[1]
SHORTEST_S, LONGEST_S = 5, 10
PATIENCE_S = 1800
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
LAUNCH = """mutation ($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) {
    __typename ... on LaunchRunSuccess { run { runId } } } }"""
RUNS = "{ runsOrError { ... on Runs { results { status startTime endTime } } } }"


@dataclass(frozen=True)
class Figures:
    """Figures of making all clips; `loads` is the number of model loads."""

    wall_s: float
    peak_mb: float
    loads: int


def main() -> int:
    """Make the clips, run each contender on them, print the table."""
    given = _read_arguments()
    console = Console(highlight=False, soft_wrap=True)
    model_dir = ROOT / "data" / "models"
    weights = find_weights(given.model, model_dir).folder
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        folder = Path(temporary)
        source, sounds = _cut(given.clips)
        task = Task(folder, given.model, weights, model_dir)
        console.print(f"{given.clips} clips of {SHORTEST_S} to {LONGEST_S} s from {source}; {given.model}")
        table = Table("", "wall s", "model loads", "peak MB", "load average before")
        contenders = {
            "runs with the service": lambda: by_runs(task, sounds, folder / "with", with_service=True),
            "runs without it": lambda: by_runs(task, sounds, folder / "without", with_service=False),
            "yivideo process, one program": lambda: by_process(task, sounds, folder / "process"),
        }
        if given.whisperx.is_file():
            contenders[WHISPERX] = lambda: by_whisperx(task, sounds, folder / "whisperx", given.whisperx)
        for name, make in contenders.items():
            load, figures = os.getloadavg()[0], make()
            peak = f"{figures.peak_mb:.0f}"
            table.add_row(name, f"{figures.wall_s:.1f}", str(figures.loads), peak, f"{load:.1f}")
        console.print(table)
        console.print(load_line())
    return 0


def by_runs(task: Task, sounds: list[np.ndarray], home: Path, with_service: bool) -> Figures:
    """Launch a run for each clip and wait for all.

    Raises:
        RuntimeError: a run failed.
    """
    port, service_port = free_port(), free_port()
    clips = _write(sounds, home / "clips")
    if not with_service:
        (home / "config.yml").write_text("speech: {service_url: null}", encoding="utf-8")
    with open_instance(home) as instance:
        instance.add_dynamic_partitions(VIDEOS, [str(clip) for clip in clips])
    url, service = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{service_port}"
    arguments = ["up", "--port", str(port), "--service-port", str(service_port)]
    environment = environment_of(settings_of(task, home))
    with (
        run_program(arguments, environment, f"{service}/health", home / "log") as program,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        _wait_for_code(client)
        # The service runs in both: where runs do without it, it is left out of what they take.
        watch = TreeWatch(program.pid, leave_out=None if with_service else _service_of(program.pid))
        watch.start()
        began = time.time()
        for clip in clips:
            _launch(client, str(clip))
        ends = _wait_for_all(client, len(clips))
        watch.stop()
        usage = httpx.get(f"{service}/api/v1/model/usage", trust_env=False).json()
    # A run is a process of its own, so one that made its transcript itself loaded a model for it.
    loads = usage["loads"] + len(_made_in_runs(home))
    return Figures(max(ends) - began, watch.peak_bytes / 2**20, loads)


def by_process(task: Task, sounds: list[np.ndarray], home: Path) -> Figures:
    """Run `yivideo process` on all clips.

    Raises:
        RuntimeError: it failed.
    """
    program = Path(sys.executable).with_name("yivideo")
    command = [program, "process", *_write(sounds, home / "clips")]
    return _measured(command, environment_of(settings_of(task, home)), home / "log")


def by_whisperx(task: Task, sounds: list[np.ndarray], folder: Path, program: Path) -> Figures:
    """Run the whisperx program on all clips.

    Raises:
        RuntimeError: it failed.
    """
    contender = whisperx(task, _write(sounds, folder / "clips"), folder / "out", program)
    return _measured(contender.command, contender.environment, folder / "log")


def _measured(command: list[str | Path], environment: dict[str, str], log: Path) -> Figures:
    usage = measure(command, environment, log)
    if usage.exit_code != 0:
        raise RuntimeError(log.read_text(errors="replace"))
    return Figures(usage.wall_s, usage.peak_mb, 1)


def _cut(count: int) -> tuple[str, list[np.ndarray]]:
    source, recorded = load_english()
    return source, cut_clips(recorded, np.linspace(SHORTEST_S, LONGEST_S, count))


def _write(sounds: list[np.ndarray], folder: Path) -> list[Path]:
    """Write separate files for each contender: runs put subtitles beside them."""
    folder.mkdir(parents=True)
    paths = [folder / f"clip{number:02}.flac" for number in range(len(sounds))]
    for path, sound in zip(paths, sounds, strict=True):
        write_flac(sound, path)
    return paths


def _launch(client: httpx.Client, key: str) -> None:
    where = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
    parameters = {
        "selector": {**where, "pipelineName": JOB},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": key}]},
    }
    launched = _ask(client, LAUNCH, parameters=parameters)["launchPipelineExecution"]
    if launched["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(f"{key} was not launched: {launched}")


def _wait_for_all(client: httpx.Client, count: int) -> Iterable[float]:
    """Wait until all runs have succeeded; returns their end times."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        runs = _ask(client, RUNS)["runsOrError"]["results"]
        if len(runs) == count and all(run["status"] in ENDED for run in runs):
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"Runs have not ended after {PATIENCE_S} s: {runs}")
        time.sleep(0.5)
    if any(run["status"] != "SUCCESS" for run in runs):
        raise RuntimeError(f"Not all runs ended well: {runs}")
    return [run["endTime"] for run in runs]


def _wait_for_code(client: httpx.Client) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if _ask(client, "{ repositoriesOrError { __typename } }")["repositoriesOrError"]["__typename"]:
                return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _ask(client: httpx.Client, query: str, **variables: object) -> dict:
    reply = client.post("/graphql", json={"query": query, "variables": variables}).raise_for_status().json()
    if "errors" in reply:
        raise RuntimeError(f"Dagster refused a query: {reply['errors']}")
    return reply["data"]


def _service_of(pid: int) -> int:
    """Return the process of `yivideo serve` among the children of `yivideo up`."""
    return next(child.pid for child in psutil.Process(pid).children() if "serve" in child.cmdline())


def _made_in_runs(home: Path) -> list[Path]:
    """Return the transcripts that were not made at the service."""
    made = home.glob("artifacts/videos/*/transcript-*/manifest.json")
    return [file for file in made if " at http" not in json.loads(file.read_text())["made_by"]["backend"]]


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=os.environ.get("BENCH_MODEL", "base"))
    parser.add_argument("--clips", type=int, default=16, help="how many clips")
    parser.add_argument(
        "--whisperx",
        type=Path,
        default=Path(os.environ.get("BENCH_WHISPERX", ROOT / ".tools" / "whisperx" / "bin" / "whisperx")),
        help="the whisperx program",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
