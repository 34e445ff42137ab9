"""Drops clips of 10 s into the inbox of a running system: when each has its subtitles, what it takes idle.

`yivideo up` runs as for a user. A clip comes by a rename, so that it stands still at once; the first one has
the service load its model and is not counted. Where the seconds go is read from the events of each run. Then
several videos come at once: some of them wait while another one has the model.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.clips import cut_clips, load_english, write_flac
from benchmarks.contenders import Task, environment_of, settings_of
from benchmarks.ports import free_port
from benchmarks.services import MODELS, load_line, run_program
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.speech.weights import find_weights

CLIP_S = 10.0
PATIENCE_S = 300.0
SETTLE_S = 10.0
STEPS = {
    "requested": dg.DagsterEventType.PIPELINE_ENQUEUED,
    "begun": dg.DagsterEventType.RUN_START,
    "over": dg.DagsterEventType.RUN_SUCCESS,
}
"""What is read from a run's events, by what it is called in the table."""


def main() -> int:
    """Start the system, measure it idle, drop the clips, print the table."""
    given = _read_arguments()
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        home = Path(temporary)
        task = Task(home, given.model, find_weights(given.model, MODELS).folder, MODELS)
        source, recorded = load_english()
        lengths = [CLIP_S] * (given.clips + 1) + [given.together_s] * given.together
        sounds = cut_clips(recorded, np.array(lengths))
        sounds, together = sounds[: given.clips + 1], sounds[given.clips + 1 :]
        service_port = free_port()
        arguments = ["up", "--port", str(free_port()), "--service-port", str(service_port)]
        health = f"http://127.0.0.1:{service_port}/health"
        if given.own_models:
            (home / "config.yml").write_text("speech: {service_url: null}\n")
        with run_program(arguments, environment_of(settings_of(task, home)), health, home / "log") as program:
            _wait_for_runs(home)
            _drop(sounds[0], home, "first")
            _read_steps(home, "first.flac")
            time.sleep(SETTLE_S)  # the run's process ends
            console.print(f"idle: {_measure_idle(program.pid, given.idle):.1f}% of a core")
            table = Table("clip", *(f"{name} after s" for name in (*STEPS, "subtitles")))
            took = []
            for number, sound in enumerate(sounds[1:], 1):
                time.sleep(given.pause * number / given.clips)  # at any time of a scan's pace
                dropped_at, took_s = _drop(sound, home, f"clip{number}")
                took.append(took_s)
                steps = _read_steps(home, f"clip{number}.flac")
                table.add_row(str(number), *(f"{at - dropped_at:.1f}" for at in steps), f"{took_s:.1f}")
            began_s = time.monotonic()
            _drop_together(together, home)
            together_s = time.monotonic() - began_s
        console.print(f"{given.clips} clips of {CLIP_S:.0f} s from {source}; {given.model}; {load_line()}")
        console.print(table)
        console.print(f"median {statistics.median(took):.1f} s, longest {max(took):.1f} s")
        console.print(f"{given.together} videos of {given.together_s:.0f} s at once: {together_s:.1f} s")
    return 0


def _wait_for_runs(home: Path) -> None:
    """Wait until the library is watched: the inbox is there once all is about to start."""
    deadline = time.monotonic() + PATIENCE_S
    while not (home / "inbox").is_dir() and time.monotonic() < deadline:
        time.sleep(0.2)


def _drop(sound: np.ndarray, home: Path, name: str) -> tuple[float, float]:
    """Drop a clip; return when that was, and the seconds until it has its subtitles.

    Raises:
        RuntimeError: it gets none.
    """
    hidden, inbox = home / f"{name}.flac", home / "inbox"
    write_flac(sound, hidden)
    dropped_at = time.time()
    hidden.rename(inbox / hidden.name)
    while not list(inbox.glob(f"{name}.*.srt")):
        if time.time() - dropped_at > PATIENCE_S:
            raise RuntimeError(f"{name} has no subtitles: {(home / 'log').read_text(errors='replace')}")
        time.sleep(0.02)
    return dropped_at, time.time() - dropped_at


def _drop_together(sounds: list[np.ndarray], home: Path) -> None:
    """Drop videos at once, and wait until all have their subtitles."""
    inbox = home / "inbox"
    for number, sound in enumerate(sounds):
        write_flac(sound, home / f"together{number}.flac")
    for hidden in home.glob("together*.flac"):
        hidden.rename(inbox / hidden.name)
    deadline = time.monotonic() + PATIENCE_S
    while len(list(inbox.glob("together*.srt"))) < len(sounds):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all have subtitles: {(home / 'log').read_text(errors='replace')}")
        time.sleep(0.05)


def _read_steps(home: Path, key: str) -> list[float]:
    """Return when a clip's run came to each of the steps, in Unix seconds."""
    with open_instance(home) as instance:
        (run,) = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": key}))
        deadline = time.monotonic() + PATIENCE_S
        while not run.is_finished and time.monotonic() < deadline:
            time.sleep(0.1)
            run = instance.get_run_by_id(run.run_id) or run
        events = {entry.dagster_event_type: entry.timestamp for entry in instance.all_logs(run.run_id)}
    return [events[kind] for kind in STEPS.values()]


def _measure_idle(pid: int, seconds: float) -> float:
    """Return the processor time of a process and all that it started, in percent of a core."""
    before = _cpu_s(pid)
    time.sleep(seconds)
    return 100 * (_cpu_s(pid) - before) / seconds


def _cpu_s(pid: int) -> float:
    top = psutil.Process(pid)
    times = [process.cpu_times() for process in (top, *top.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=os.environ.get("BENCH_MODEL", "tiny.en"))
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--together", type=int, default=8, help="videos that come at once in the end")
    parser.add_argument("--together-s", type=float, default=60.0, help="how long each of these is")
    parser.add_argument(
        "--own-models", action="store_true", help="runs load the model, in place of the service"
    )
    parser.add_argument("--idle", type=float, default=60, help="for how many seconds it is measured idle")
    parser.add_argument("--pause", type=float, default=10, help="longest pause before a clip, in seconds")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
