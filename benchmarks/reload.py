"""Reloads a service's model repeatedly under load: does a request fail, does memory come back?

Clients have a sample transcribed without a pause, and the model is reloaded, 20 times by default.
Memory is that of the process with the model loaded and no requests: after the clients have worked for a
while and before the first reload, and after the last one.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data" / "samples"
PROGRAM = Path(sys.executable).with_name("yivideo")
PATIENCE_S = 120
ALLOWED_PCT = 10
WARM_UP = 4
"""Answers to a client before memory is looked at first: it grows with the first ones."""


def main() -> int:
    """Run a service, reload it, print the figures; returns 1 if a request failed or memory was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=20, metavar="N")
    parser.add_argument("--clients", type=int, default=4, metavar="N")
    parser.add_argument("--model", default="tiny.en", metavar="NAME")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as home, _service(home, given.model) as url:
        return Trial(url, given.model, given.clients).run(given.reloads, Console(soft_wrap=True))


class Trial:
    """The answers to the clients of a service.

    Args:
        url: Its address.
        model: Whisper model.
        clients: Number of clients at once.
    """

    def __init__(self, url: str, model: str, clients: int) -> None:
        self._call = {"sound": {"path": str(SAMPLES / "harbour-15s.mp4")}, "options": {"model_name": model}}
        self._url = url
        self._clients = clients
        self._answers: Counter[str] = Counter()

    def run(self, reloads: int, console: Console) -> int:
        """Measure, print the figures; returns 1 if a request failed or memory was lost."""
        with self._client() as client:
            with self._load():
                self._wait_for_answers(WARM_UP * self._clients)
            before_mb = _rss_mb(client)
            with self._load():
                for _ in range(reloads):
                    client.post("/api/v1/model/reload", params={"force": True}).raise_for_status()
                    self._wait_for_answers(self._clients)
            after_mb = _rss_mb(client)
            loads = client.get("/api/v1/model/usage").json()["loads"]
        failed = self._answers.total() - self._answers["result"]
        grown_pct = 100 * (after_mb - before_mb) / before_mb
        console.print(f"{reloads} reloads under {self._clients} clients; the model was loaded {loads} times")
        console.print(f"{self._answers.total()} requests, {failed} failed {dict(self._answers)}")
        console.print(f"RSS {before_mb:.0f} MB before, {after_mb:.0f} MB after ({grown_pct:+.1f}%)")
        return int(failed > 0 or grown_pct > ALLOWED_PCT)

    @contextmanager
    def _load(self) -> Generator[None]:
        """Run the clients until the block ends, and wait for their last answers."""
        over = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(over,)) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _ask(self, over: threading.Event) -> None:
        with self._client() as client:
            while not over.is_set():
                self._answers[self._outcome(client)] += 1

    def _outcome(self, client: httpx.Client) -> str:
        try:
            answer = client.post("/v1/speech/transcribe", json=self._call)
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.status_code != 200:
            return str(answer.status_code)
        return json.loads(answer.text.splitlines()[-1])["event"]

    def _wait_for_answers(self, more: int) -> None:
        wanted = self._answers.total() + more
        while self._answers.total() < wanted:
            time.sleep(0.05)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, timeout=PATIENCE_S, trust_env=False)


@contextmanager
def _service(home: str, model: str) -> Generator[str]:
    """Run a separate service; yields its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("YIVIDEO_")}
    environ |= {
        "YIVIDEO_HOME": home,
        "YIVIDEO_CACHE__MODEL_DIR": str(ROOT / "data" / "models"),
        "YIVIDEO_SPEECH__MODEL_NAME": model,
        "YIVIDEO_LIBRARY__ROOTS__SAMPLES": str(SAMPLES),
        "HF_HUB_OFFLINE": "1",
    }
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([PROGRAM, "serve", "--port", str(port)], env=environ) as process:
        try:
            _wait_until_it_answers(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)


def _wait_until_it_answers(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            httpx.get(f"{url}/health", trust_env=False).raise_for_status()
            return
        except httpx.HTTPError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _rss_mb(client: httpx.Client) -> float:
    return client.get("/api/v1/model/info").json()["memory"]["rss_mb"]


if __name__ == "__main__":
    sys.exit(main())
