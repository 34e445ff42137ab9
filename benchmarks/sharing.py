"""Sends the service ten short sounds at once, one after the other, and one sound as long as all.

Each is its own request, as runs send them; the model is already loaded. Chunks of concurrent requests
share batches, so that ten short videos should take about as long as one long one.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.clips import cut_clips, load_english, write_flac
from benchmarks.services import load_line, run_service

PATIENCE_S = 300
COUNT, LENGTH_S = 10, 10.0


def main() -> int:
    """Run a service, send it the sounds in each way, print the best time of the rounds."""
    given = _read_arguments()
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        home = Path(temporary)
        source, recorded = load_english()
        sounds = cut_clips(recorded, np.full(COUNT, LENGTH_S))
        short = [home / "inbox" / f"{number}.flac" for number in range(COUNT)]
        long = home / "inbox" / "long.flac"
        long.parent.mkdir()
        for path, sound in zip([*short, long], [*sounds, np.concatenate(sounds)], strict=True):
            write_flac(sound, path)
        with (
            run_service(given.model, home) as (url, pid),
            httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client,
            ThreadPoolExecutor(COUNT) as pool,
        ):
            options = client.get("/api/v1/model/info").json()["configured"]

            def ask(path: Path) -> None:
                call = {"sound": {"path": str(path)}, "options": options}
                answer = client.post("/v1/speech/transcribe", json=call).raise_for_status()
                last = json.loads(answer.text.splitlines()[-1])
                if last["event"] != "result":
                    raise RuntimeError(f"{path.name} was not recognized: {last}")

            ask(short[0])  # loads the model
            ways: dict[str, Callable[[], object]] = {
                f"one sound of {COUNT * LENGTH_S:.0f} s": lambda: ask(long),
                f"{COUNT} sounds of {LENGTH_S:.0f} s at once": lambda: list(pool.map(ask, short)),
                "the same one after the other": lambda: list(map(ask, short)),
            }
            service = psutil.Process(pid)
            rounds = [[_measure(way, service) for way in ways.values()] for _ in range(given.rounds)]
    table = Table("", "wall s", "CPU s")
    for name, figures in zip(ways, zip(*rounds, strict=True), strict=True):
        wall_s, cpu_s = min(figures)
        table.add_row(name, f"{wall_s:.2f}", f"{cpu_s:.2f}")
    console.print(f"{given.model}; sounds from {source}; the best of {given.rounds} rounds")
    console.print(table)
    console.print(load_line())
    return 0


def _measure(way: Callable[[], object], service: psutil.Process) -> tuple[float, float]:
    cpu_s, began = _cpu_s(service), time.perf_counter()
    way()
    return time.perf_counter() - began, _cpu_s(service) - cpu_s


def _cpu_s(service: psutil.Process) -> float:
    times = service.cpu_times()
    return times.user + times.system


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=os.environ.get("BENCH_MODEL", "base"))
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
