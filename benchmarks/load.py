"""Sends the service requests from many clients at once, without a pause, and prints the figures.

Clips of 5 to 15 s are sent in three ways in turn: by path to our own API, uploaded to OpenAI's, as raw
samples to whisper-asr-webservice's. Meanwhile `/health` is polled. Requests to a full service (429) are
retried after the time that it names. After each round the model is unloaded: the memory that remains
then must not grow.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.clips import RATE_HZ, cut_clips, load_english, write_flac
from benchmarks.services import load_line, run_service

PATIENCE_S = 300
HEALTH_EVERY_S = 0.1
MEMORY_WINDOW_S = 30
"""Resident memory is reported as a median over each of these."""
LENGTHS_S = np.linspace(5, 15, 11)
EXPECTED = {"200", "429"}


@dataclass(frozen=True)
class Clip:
    """A sound as the clients send it: a file that the service can read, and its raw samples."""

    path: Path
    samples: bytes

    @property
    def duration_s(self) -> float:
        return len(self.samples) / 2 / RATE_HZ


Way = tuple[str, Callable[[httpx.Client, Clip], httpx.Response]]
"""How a transcript is asked for, and its name."""


@dataclass
class Met:
    """The answers to all clients; each list has one entry an answer."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    left_mb: list[float] = field(default_factory=list)
    audio_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, way: str, status: str, wall_s: float, clip: Clip) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[way, status] += 1
            if status == "200":
                self.seconds.append(wall_s)
                self.audio_s += clip.duration_s

    @property
    def statuses(self) -> set[str]:
        """All statuses answered."""
        return {status for _, status in self.answers}


def main() -> int:
    """Run a service, load it, print the figures; returns 1 if an answer was neither 200 nor 429."""
    given = _read_arguments()
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        home = Path(temporary)
        source, clips = make_clips(home / "inbox")
        with run_service(given.model, home) as (url, pid):
            before = load_line()
            met, wall_s = Met(), 0.0
            for _ in range(given.rounds):
                wall_s += load(url, pid, clips, given.clients, given.seconds, met)
                met.left_mb.append(_unload(url, pid))
    rounds = f"{given.rounds} times {given.seconds:.0f} s"
    console.print(f"{given.clients} clients for {rounds} on {given.model}; clips from {source}")
    console.print(f"Before: {before}; after: {load_line()}")
    console.print(render(met, wall_s))
    return int(not met.statuses <= EXPECTED)


def load(url: str, pid: int, clips: list[Clip], clients: int, seconds: float, met: Met) -> float:
    """Run the clients for some time and record the answers; returns the time until the last answer."""
    over = threading.Event()
    options = httpx.get(f"{url}/api/v1/model/info", trust_env=False).json()["configured"]
    ways = _ways(options)
    began = time.monotonic()
    watches = [
        threading.Thread(target=_watch_health, args=(url, met, over)),
        threading.Thread(target=_watch_memory, args=(pid, met, over)),
    ]
    for watch in watches:
        watch.start()
    with ThreadPoolExecutor(clients) as pool:
        asked = [
            pool.submit(_ask_on, url, number, clips, ways, began + seconds, met) for number in range(clients)
        ]
    wall_s = time.monotonic() - began
    over.set()
    for watch in watches:
        watch.join()
    for client in asked:
        client.result()  # raises what it raised
    return wall_s


def _unload(url: str, pid: int) -> float:
    """Unload the model; returns the MB that the service has afterwards."""
    httpx.post(
        f"{url}/api/v1/model/unload?drain=true", timeout=PATIENCE_S, trust_env=False
    ).raise_for_status()
    return psutil.Process(pid).memory_info().rss / 2**20


def render(met: Met, wall_s: float) -> Table:
    """Return the table of figures."""
    table = Table("figure", show_header=False)
    for (way, status), count in sorted(met.answers.items()):
        table.add_row(f"{way}: {status}", str(count))
    table.add_row("answer P50 / P99 / max", _percentiles(met.seconds))
    table.add_row(f"/health P50 / P99 / max ({len(met.health_s)} times)", _percentiles(met.health_s))
    table.add_row("audio minutes a minute", f"{met.audio_s / wall_s:.1f}")
    table.add_row("RSS at the start, MB", f"{met.rss_mb[0]:.0f}")
    for begin in range(0, len(met.rss_mb) - MEMORY_WINDOW_S + 1, MEMORY_WINDOW_S):
        window = met.rss_mb[begin : begin + MEMORY_WINDOW_S]
        name = f"RSS from {begin} to {begin + MEMORY_WINDOW_S} s, MB"
        table.add_row(name, f"{np.median(window):.0f} (at most {max(window):.0f})")
    table.add_row("RSS after each round, unloaded, MB", ", ".join(f"{mb:.0f}" for mb in met.left_mb))
    return table


def _percentiles(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    p50, p99, most = np.percentile(seconds, [50, 99, 100])
    return f"{p50:.3f} / {p99:.3f} / {most:.3f} s"


def make_clips(folder: Path) -> tuple[str, list[Clip]]:
    """Write clips of 5 to 15 s into a folder; returns the source of their speech, and them."""
    folder.mkdir(parents=True)
    source, recorded = load_english()
    clips = []
    for number, sound in enumerate(cut_clips(recorded, LENGTHS_S)):
        clips.append(Clip(folder / f"{number}.flac", sound.tobytes()))
        write_flac(sound, clips[-1].path)
    return source, clips


def _ways(options: dict) -> list[Way]:
    """Return the ways to request a transcript."""

    def by_path(client: httpx.Client, clip: Clip) -> httpx.Response:
        call = {"sound": {"path": str(clip.path)}, "options": options}
        return client.post("/v1/speech/transcribe", json=call)

    def by_upload(client: httpx.Client, clip: Clip) -> httpx.Response:
        asked = {"model": "whisper-1", "response_format": "verbose_json"}
        return client.post(
            "/v1/audio/transcriptions", data=asked, files={"file": (clip.path.name, clip.path.read_bytes())}
        )

    def by_samples(client: httpx.Client, clip: Clip) -> httpx.Response:
        asked = {"encode": "false", "output": "srt"}
        return client.post("/asr", params=asked, files={"audio_file": clip.samples})

    return [("by path", by_path), ("OpenAI upload", by_upload), ("/asr samples", by_samples)]


def _ask_on(url: str, number: int, clips: list[Clip], ways: list[Way], until: float, met: Met) -> None:
    """Run one client until the time is over."""
    with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        for turn in itertools.count(number):
            (way, send), clip = ways[turn % len(ways)], clips[turn % len(clips)]
            if time.monotonic() >= until:
                return
            began = time.monotonic()
            try:
                answer = send(client, clip)
            except httpx.HTTPError as error:
                met.note(way, type(error).__name__, 0, clip)
                continue
            met.note(way, _status_of(answer), time.monotonic() - began, clip)
            if answer.status_code == 429:
                time.sleep(float(answer.headers["Retry-After"]))


def _status_of(answer: httpx.Response) -> str:
    """Return the status; in lines of JSON the last one counts, which may be an error."""
    if answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/x-ndjson"):
        last = json.loads(answer.text.splitlines()[-1])
        return "200" if last["event"] == "result" else f"200, then {last.get('kind', last['event'])}"
    return str(answer.status_code)


def _watch_health(url: str, met: Met, over: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        while not over.wait(HEALTH_EVERY_S):
            began = time.monotonic()
            client.get("/health").raise_for_status()
            met.health_s.append(time.monotonic() - began)


def _watch_memory(pid: int, met: Met, over: threading.Event) -> None:
    """Record the service's resident memory once a second."""
    service = psutil.Process(pid)
    met.rss_mb.append(service.memory_info().rss / 2**20)
    while not over.wait(1.0):
        met.rss_mb.append(service.memory_info().rss / 2**20)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=os.environ.get("BENCH_MODEL", "base"))
    parser.add_argument("--clients", type=int, default=32, help="how many ask at once")
    parser.add_argument("--seconds", type=float, default=120, help="how long they do")
    parser.add_argument("--rounds", type=int, default=1, help="how often")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
