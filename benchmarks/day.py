"""A day of 5,000 short videos in less time: what became of each, and what it takes.

Dagster's daemon and code server run as under `yivideo up`; the models alone are stood in for. A part of the
videos is an archive that a backfill processes, the others come into the library one hour's after the other,
as soon as those of the hour before are over, and are found by the watch. One in a hundred has broken sound.
In the end each video must be done or failed with a reason, once; else the exit status is 1.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import dagster as dg
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.library import register
from benchmarks.services import load_line
from yivideo_pipeline.defs.backfills.launch import PlannedBackfill, launch
from yivideo_pipeline.defs.dagster_internals import DAEMON_MODULE, code_server_answers
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.runs import UNFINISHED
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.stages import LAST_STAGE, LOCATION, STAGES

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "samples" / "harbour-15s.mp4"
DAY, HOURS, BROKEN_EVERY, LOOKS = 5000, 24, 100, 10
PROGRAMS = ("code server", "fork server", "daemon")
KEPT = {  # what grows, as it is called in the table
    "logs of runs (dagster/history/runs, one file a run)": "dagster/history/runs/*-*-*-*-*.db*",
    "events of assets (dagster/history/runs/index.db)": "dagster/history/runs/index.db*",
    "runs (dagster/history/runs.db)": "dagster/history/runs.db*",
    "ticks (dagster/schedules)": "dagster/schedules",
    "what steps printed (dagster/storage)": "dagster/storage",
    "ledger (library.db)": "library.db*",
    "artifacts": "artifacts",
}


@dataclass
class Day:
    """A home with its videos, by key; when each came, in Unix seconds; and the running programs."""

    home: Path
    archive: list[str]
    hourly: list[list[str]]
    came_at: dict[str, float] = field(default_factory=dict)
    programs: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    def subtitles(self) -> dict[str, float]:
        """Return when each video's subtitles were written, in Unix seconds."""
        return {
            str(file.relative_to(self.inbox).with_suffix("").with_suffix(".mp4")): file.stat().st_mtime
            for file in self.inbox.glob("*/*.srt")
        }

    def write(self, keys: Iterable[str]) -> None:
        """Write videos that differ in a box at their end, which players ignore."""
        content = SAMPLE.read_bytes()
        begin = content.index(b"mdat") + 4
        end = begin - 8 + int.from_bytes(content[begin - 8 : begin - 4])
        broken = content[:begin] + b"\xff" * (end - begin) + content[end:]
        for key in keys:
            path, number = self.inbox / key, int(Path(key).stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = broken if number % BROKEN_EVERY == BROKEN_EVERY - 1 else content
            hidden = path.with_suffix(".part")
            hidden.write_bytes(whole + (16).to_bytes(4) + b"free" + number.to_bytes(8))
            hidden.rename(path)
            self.came_at[key] = time.time()

    def memory_mb(self) -> dict[str, float]:
        """Return the resident memory of the daemon, the code server, and what that one forks runs from."""
        found = {name: psutil.Process(one.pid) for name, one in self.programs.items()}
        for one in found["code server"].children():
            if any("forkserver" in word for word in one.cmdline()):
                found["fork server"] = one
        return {name: process.memory_info().rss / 2**20 for name, process in found.items()}

    def sizes(self) -> dict[str, int]:
        """Return the bytes on the disk by kind."""
        return {name: sum(map(_bytes, self.home.glob(pattern))) for name, pattern in KEPT.items()}


def main() -> int:
    """Let the day go by, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=DAY)
    parser.add_argument("--archive", type=int, default=4800, help="how many of them a backfill processes")
    parser.add_argument("--seconds", type=float, default=1800, help="end after so long, with what is done")
    given = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        keys = [f"hour {number % HOURS:02}/{number:05}.mp4" for number in range(given.videos)]
        rest = keys[given.archive :]
        day = Day(Path(temporary), keys[: given.archive], [rest[hour::HOURS] for hour in range(HOURS)])
        environment = _environment(day.home)
        os.environ.update(environment)
        _begin_backfill(day)
        with tempfile.TemporaryDirectory() as sockets:
            day.programs = dict(_start(Path(sockets), environment, day.home / "log"))
            try:
                is_over = _live(day, console, given.seconds)
            finally:
                _stop(day.programs.values())
        return _judge(day, console, is_over)


def _environment(home: Path) -> dict[str, str]:
    ours = ("YIVIDEO_", "DAGSTER_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_LIBRARY__SETTLE_S": "0",
        "YIVIDEO_SPEECH__MODEL_NAME": "base",
        "DAGSTER_HOME": str(home / "dagster"),
    }


def _begin_backfill(day: Day) -> None:
    """Register the archive, as if the watch had seen it long ago, and launch a backfill of it."""
    day.write(day.archive)
    with open_instance(day.home) as instance:
        if day.archive:
            register(load_settings(), instance, day.archive)
            planned = PlannedBackfill("archive", "by-hand", "backfill", day.archive, list(STAGES), "", "")
            launch(instance, planned)


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
        try:
            program.wait(60)
        except subprocess.TimeoutExpired:  # it waits for a run in the middle of its work
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def _live(day: Day, console: Console, seconds: float) -> bool:
    """Let the videos come until all have come and are over, and print what there is now and then.

    Returns:
        Whether all are over and no run is open; else the time was.
    """
    began, ledger, hours = time.monotonic(), open_ledger(day.home), iter(day.hourly)
    archive, total, looks = set(day.archive), len(day.archive) + sum(map(len, day.hourly)), 0
    table = Table("over", "after s", "watched and waiting", *(f"{name}, MB" for name in PROGRAMS), "disk, MB")
    over: set[str] = set()
    while len(over) < total and time.monotonic() - began < seconds:
        time.sleep(2)
        over = {*day.subtitles(), *ledger.failures.quarantined()}
        waiting = len(day.came_at.keys() - archive - over)
        if not waiting:
            day.write(next(hours, ()))
        if len(over) * LOOKS >= looks * total:
            looks = len(over) * LOOKS // total + 1
            memory, disk = day.memory_mb(), sum(day.sizes().values()) / 1e6
            took = f"{time.monotonic() - began:.0f}"
            row = (str(len(over)), took, str(waiting), *(f"{memory.get(name, 0):.0f}" for name in PROGRAMS))
            table.add_row(*row, f"{disk:.0f}")
            print(*row, f"{disk:.0f}", load_line(), flush=True)
    at_work = dg.RunsFilter(statuses=UNFINISHED)
    with open_instance(day.home) as instance:
        while instance.get_runs_count(at_work) and time.monotonic() - began < seconds:
            time.sleep(1)
    took_s = time.monotonic() - began
    console.print(table)
    console.print(f"{len(over)} videos in {took_s:.0f} s, {len(over) / took_s:.2f} a second; {load_line()}")
    return took_s < seconds


def _judge(day: Day, console: Console, is_over: bool) -> int:
    """Print what became of the videos, and what they left; return the exit status."""
    ledger, written, archive = open_ledger(day.home), day.subtitles(), set(day.archive)
    results: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for key in day.came_at:
        failure = ledger.failures.last(key)
        reasons.update([f"{failure.kind}: {failure.message}"] if failure else [])
        without = "failed with a reason" if failure else "forgotten" if is_over else "not reached"
        results["done" if key in written else without] += 1
    with open_instance(day.home) as instance:
        made = Counter(_made(instance))
        runs = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        lags = [(run.start_time or 0.0) - run.create_timestamp.timestamp() for run in runs]
        count = instance.get_runs_count()
    twice = {key: times for key, times in made.items() if times > 1}
    console.print(f"came {len(day.came_at)}: {dict(results)}; made twice {len(twice)}; {count} runs")
    for reason, times in reasons.items():
        console.print(f"  {times} × {reason}")
    console.print(f"a run waited in the queue {_spread(lags)}")
    watched = [at - day.came_at[key] for key, at in written.items() if key not in archive]
    console.print(f"a video of the watch had its subtitles after {_spread(watched)}")
    table = Table("what", "MB", "kB a video", f"GB a year of {DAY:,} a day")
    for name, size in day.sizes().items():
        each = size / max(1, len(written))
        table.add_row(name, f"{size / 1e6:.0f}", f"{each / 1e3:.0f}", f"{each * DAY * 365 / 1e9:.0f}")
    console.print(table)
    return 1 if results["forgotten"] or twice else 0


def _made(instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield the video of each materialization of subtitles."""
    cursor, more = None, True
    while more:
        found = instance.fetch_materializations(dg.AssetKey(LAST_STAGE), limit=1000, cursor=cursor)
        yield from (record.partition_key or "" for record in found.records)
        cursor, more = found.cursor, found.has_more


def _bytes(path: Path) -> int:
    """Return what a file or folder takes on the disk; parts of results come and go meanwhile."""
    files = [path, *(Path(folder, name) for folder, _, names in os.walk(path) for name in names)]
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_blocks * 512
    return total


def _spread(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "not measured"
    *_, late = statistics.quantiles(seconds, n=20, method="inclusive")
    return (
        f"{statistics.median(seconds):.0f} s (median), {late:.0f} s (19 of 20), {max(seconds):.0f} s (most)"
    )


if __name__ == "__main__":
    sys.exit(main())
