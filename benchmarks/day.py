"""Sends many short videos through watch, queue and runs, as a day of 5,000 does, in less time.

Dagster's daemon and code server run as under `yivideo up`; the models alone are stood in for, so that what is
measured is all the rest: videos a second, what each video leaves on the disk, memory of the programs.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.services import load_line
from yivideo_pipeline.defs.dagster_internals import DAEMON_MODULE, code_server_answers
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import LOCATION

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "samples" / "harbour-15s.mp4"
DAY = 5000
KEPT = {  # what grows, as it is called in the table
    "logs of runs (dagster/history/runs, one file a run)": "dagster/history/runs/*-*-*-*-*.db*",
    "events of assets (dagster/history/runs/index.db)": "dagster/history/runs/index.db*",
    "runs (dagster/history/runs.db)": "dagster/history/runs.db*",
    "ticks (dagster/schedules)": "dagster/schedules/**/*",
    "what steps printed (dagster/storage)": "dagster/storage/**/*",
    "ledger (library.db)": "library.db*",
    "artifacts": "artifacts/**/*",
}


def main() -> int:
    """Fill the inbox, let the programs work for a while, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=DAY)
    parser.add_argument("--seconds", type=float, default=1800, help="end after so long, with what is done")
    given = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        home = Path(temporary)
        environment = _environment(home)
        _fill(home / "inbox", given.videos)
        open_instance(home).dispose()
        with tempfile.TemporaryDirectory() as sockets:
            programs = dict(_start(Path(sockets), environment, home / "log"))
            try:
                _report(console, home, programs, given.videos, given.seconds)
            finally:
                _stop(programs.values())
    return 0


def _environment(home: Path) -> dict[str, str]:
    ours = ("YIVIDEO_", "DAGSTER_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_LIBRARY__SETTLE_S": "0",
        "YIVIDEO_SPEECH__MODEL_NAME": "base",
        "DAGSTER_HOME": str(home / "dagster"),
    }


def _fill(inbox: Path, videos: int) -> None:
    """Write videos that differ in a box at their end, which players ignore."""
    content = SAMPLE.read_bytes()
    for number in range(videos):
        path = inbox / f"hour {number % 24:02}" / f"{number:05}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + (16).to_bytes(4) + b"free" + number.to_bytes(8))


def _start(
    sockets: Path, environment: Mapping[str, str], log: Path
) -> Iterator[tuple[str, subprocess.Popen]]:
    socket, workspace = sockets / "code.sock", sockets / "workspace.yaml"
    server = {"grpc_server": {"socket": str(socket), "location_name": LOCATION}}
    workspace.write_text(yaml.safe_dump({"load_from": [server]}))
    code = ["--module-name", "benchmarks.fake_pipeline", "--working-directory", str(ROOT)]
    code = ["yivideo_pipeline.cli.code_server", "--socket", str(socket), "--location-name", LOCATION, *code]
    with log.open("ab") as output:
        yield "code server", _run(code, environment, output)
        while not code_server_answers(socket):
            time.sleep(0.2)
        yield "daemon", _run([DAEMON_MODULE, "run", "--workspace", str(workspace)], environment, output)


def _run(arguments: list[str], environment: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip


def _stop(programs: Iterable[subprocess.Popen]) -> None:
    for program in programs:
        os.killpg(program.pid, signal.SIGTERM)
    for program in programs:
        program.wait(60)


def _report(
    console: Console, home: Path, programs: Mapping[str, subprocess.Popen], videos: int, seconds: float
) -> None:
    began, done, half = time.monotonic(), 0, None
    first = _sizes(home)
    while done < videos and time.monotonic() - began < seconds:
        time.sleep(2)
        done = len(list((home / "inbox").glob("*/*.srt")))
        if half is None and done >= 20:
            half = (done, time.monotonic(), _memory(programs))
    if half is None:
        raise RuntimeError(f"{done} videos were done: {(home / 'log').read_text(errors='replace')[-3000:]}")
    before, since, memory = half
    console.print(f"{done} videos in {time.monotonic() - began:.0f} s; {load_line()}")
    pace = (done - before) / (time.monotonic() - since)
    console.print(f"{pace:.2f} videos a second, once all is under way")
    now = _memory(programs)
    for name in programs:
        console.print(f"{name}: {memory[name]:.0f} MB after {before} videos, {now[name]:.0f} MB at the end")
    table = Table("what", "kB a video", f"GB a day of {DAY:,}", "GB a year")
    for name, size in _sizes(home).items():
        each = (size - first[name]) / done
        table.add_row(name, f"{each / 1e3:.0f}", f"{each * DAY / 1e9:.2f}", f"{each * DAY * 365 / 1e9:.0f}")
    console.print(table)


def _sizes(home: Path) -> dict[str, int]:
    """Return the bytes on the disk by kind."""
    return {
        name: sum(path.stat().st_blocks * 512 for path in home.glob(pattern) if path.is_file())
        for name, pattern in KEPT.items()
    }


def _memory(programs: Mapping[str, subprocess.Popen]) -> dict[str, float]:
    return {name: psutil.Process(one.pid).memory_info().rss / 2**20 for name, one in programs.items()}


if __name__ == "__main__":
    sys.exit(main())
