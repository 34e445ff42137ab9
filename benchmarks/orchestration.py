"""Measures what grows with the library: ticks, library page, the UI's queries, `why`, `backfill`.

Each size has its own home (`benchmarks.library`); the tick finds 50 new files among the known ones.
Figures are medians, wall time and in brackets processor time, which other load changes less; the last column
is the ratio of the largest library to the smallest, by processor time.
"""

import argparse
import json
import logging
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.library import fill
from benchmarks.services import load_line
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.sensors.new_videos import build_watch_sensor
from yivideo_pipeline.history.run_queue import read_runs
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.operation_queries import Window
from yivideo_pipeline.service.pages.video_list import VideoQuery, list_videos
from yivideo_pipeline.service.performance.history import Tables
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import JOB, RANGE_TAGS, VIDEOS

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "samples" / "harbour-15s.mp4"
PROGRAM = Path(sys.executable).with_name("yivideo")
NEW = 50
SHARED = 500
"""Videos of a shared run."""
OWN = ("YIVIDEO_", "DAGSTER_")  # variables that would say otherwise
STATUS = """{ assetNodes { assetKey { path } partitionStats { numMaterialized numFailed numPartitions }
  assetPartitionStatuses { ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions } }
  staleStatus } }"""
PARTITIONS = """{ assetNodeOrError(assetKey: {path: ["subtitles"]}) { ... on AssetNode {
  partitionKeysByDimension { partitionKeys } assetPartitionStatuses { ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions materializingPartitions } } } } }"""
PAGES = {
    "library page, list": VideoQuery(),
    "library page, search": VideoQuery("season 000"),
    "library page, by readability": VideoQuery(order="readability"),
}
FIGURES = (
    "sensor tick, nothing new",
    f"sensor tick, {NEW} new, before submission",
    *PAGES,
    "library page, refreshed, half of it in shared runs",
    "statistics, all",
    "UI, an asset's partitions",
    "status page query, first",
    "status page query, again",
    "yivideo why",
    "yivideo backfill --missing --dry-run",
    "yivideo backfill --stale --dry-run",
)


@dataclass(frozen=True)
class Took:
    """Seconds of wall and of processor that something took, with the programs that it ran or asked."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Fill a library of each size, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # the tick says a line for each file
    console = Console()
    measured: list[dict[str, Took]] = []
    for size in given.sizes:
        console.print(f"Filling a library of {size:,} videos")
        with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as folder:
            measured.append(_measure(Path(folder), size, given.runs))
    console.print(_render(given.sizes, measured))
    return 0


def _measure(home: Path, size: int, runs: int) -> dict[str, Took]:
    environ = {
        **{
            name: value for name, value in os.environ.items() if not name.startswith(("YIVIDEO_", "DAGSTER_"))
        },
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_CACHE__MODEL_DIR": str(ROOT / "data" / "models"),
        "YIVIDEO_LIBRARY__SETTLE_S": "0",
        "DAGSTER_HOME": str(home / "dagster"),
        "HF_HUB_OFFLINE": "1",
    }
    settings = load_settings(environ=environ)
    keys = fill(settings, size)
    video = settings.library.folders["inbox"] / keys[size // 2]
    commands = {
        "yivideo why": ["why", str(video)],
        "yivideo backfill --missing --dry-run": ["backfill", "--missing", "--dry-run"],
        "yivideo backfill --stale --dry-run": ["backfill", "--stale", "--dry-run"],
    }
    figures = _ticks(settings, runs) | _pages(settings, runs)
    figures |= _status(environ, home, runs)
    for name, arguments in commands.items():
        figures[name] = _median(lambda arguments=arguments: _run(arguments, environ), runs)
    return figures


def _ticks(settings: Settings, runs: int) -> dict[str, Took]:
    """Evaluate the sensor in this process, as the code server does."""
    resources = build_resources(settings)
    needed = {name: resources[name] for name in ("launch", "ledger", "library", "storage")}
    with open_instance(settings.home) as instance:

        def tick() -> dg.SensorResult:
            sensor = build_watch_sensor(settings.library.poll_s)  # the one before may leave out its next scan
            with dg.build_sensor_context(instance=instance, resources=needed) as context:
                result = sensor(context)
            assert isinstance(result, dg.SensorResult)
            return result

        tick()  # the first one writes down what it sees
        before_mb = _memory_mb()
        quiet = _median(tick, runs)
        print(f"{before_mb:.0f} MB after the first tick, {_memory_mb():.0f} MB after {runs} more")
        news: list[Took] = []
        for run in range(runs):
            folder = settings.library.folders["inbox"] / f"new {run}"
            folder.mkdir()
            for number in range(NEW):
                shutil.copyfile(SAMPLE, folder / f"{number}.mp4")
            tick()  # seen for the first time: nothing is taken before it was seen to stand still
            requests: list[dg.RunRequest] = []
            news.append(_time(lambda found=requests: found.extend(tick().run_requests or ())))
            assert len(requests) == NEW, f"{len(requests)} of {NEW} were taken"
            shutil.rmtree(folder)
    return {FIGURES[0]: quiet, FIGURES[1]: _middle(news)}


def _pages(settings: Settings, runs: int) -> dict[str, Took]:
    """List videos as the library page does, and read all statistics as the service does."""
    ledger = open_ledger(settings.home)

    def page(query: VideoQuery) -> None:
        assert list_videos(ledger.engine, query).rows

    figures = {name: _median(lambda query=query: page(query), runs) for name, query in PAGES.items()}
    figures["library page, refreshed, half of it in shared runs"] = _refresh(settings, runs)
    whole = Window(0.0, time.time())
    figures["statistics, all"] = _median(lambda: Tables(ledger).operations(None, whole), 1)
    return figures


def _refresh(settings: Settings, runs: int) -> Took:
    """Read the queue, and list videos by it; the second refresh and those after it count."""
    ledger = open_ledger(settings.home)
    with open_instance(settings.home) as instance:
        keys = instance.get_dynamic_partitions(VIDEOS)
        parts = [keys[start : start + SHARED] for start in range(0, len(keys) // 2, SHARED)]
        shared = [
            dg.DagsterRun(
                JOB,
                status=dg.DagsterRunStatus.QUEUED,
                tags=dict(zip(RANGE_TAGS, (part[0], part[-1]), strict=True)),
                remote_job_origin=job_origin(JOB),
            )
            for part in parts
        ]
        for run in shared:
            instance.add_run(run)

        def refresh() -> None:
            list_videos(ledger.engine, VideoQuery(), read_runs(instance).runs)

        refresh()
        taken = _median(refresh, runs)
        for run in shared:
            instance.delete_run(run.run_id)
    return taken


def _memory_mb() -> float:
    return psutil.Process().memory_info().rss / 2**20


def _status(environ: dict[str, str], home: Path, runs: int) -> dict[str, Took]:
    """Send a real webserver the queries of its lineage page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "dagster_webserver", "--port", str(port),
        "-m", "yivideo_pipeline.definitions", "-d", str(ROOT),
    ]  # fmt: skip
    server = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/server_info")

        def ask(query: str = STATUS) -> None:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/graphql",
                json.dumps({"query": query}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=300) as answer:
                reply = json.load(answer)
            assert "errors" not in reply, reply["errors"]

        return {
            "status page query, first": _median(ask, 1, server.pid),
            "status page query, again": _median(ask, runs, server.pid),
            "UI, an asset's partitions": _median(lambda: ask(PARTITIONS), runs, server.pid),
        }
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _run(arguments: list[str], environ: dict[str, str]) -> None:
    ended = subprocess.run([PROGRAM, *arguments], env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def _median(work: Callable[[], object], runs: int, server: int | None = None) -> Took:
    """Do some work again and again; `server` is the process that does it, if it is another one."""
    return _middle([_time(work, server) for _ in range(runs)])


def _time(work: Callable[[], object], server: int | None = None) -> Took:
    began, cpu_s = time.perf_counter(), _cpu_s(server)
    work()
    return Took(time.perf_counter() - began, _cpu_s(server) - cpu_s)


def _cpu_s(server: int | None) -> float:
    """Return the processor time of this process and the programs that it has run; or of a server."""
    if server is None:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + ended.ru_utime + ended.ru_stime
    process = psutil.Process(server)
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def _middle(took: list[Took]) -> Took:
    return Took(statistics.median(one.wall_s for one in took), statistics.median(one.cpu_s for one in took))


def _render(sizes: list[int], measured: list[dict[str, Took]]) -> Table:
    table = Table(title=f"Seconds, by videos in the library; {load_line()}")
    table.add_column("")
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    table.add_column("growth", justify="right")
    for name in FIGURES:
        row = [one[name] for one in measured]
        growth = row[-1].cpu_s / max(row[0].cpu_s, 0.01)
        table.add_row(name, *(f"{one.wall_s:.2f} ({one.cpu_s:.2f})" for one in row), f"× {growth:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
