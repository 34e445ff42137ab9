"""The real service, as a process of its own, on the smallest model."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.ports import free_port
from tests.speech.make_sound import decode_speech, join_sounds
from tests.waiting import TIMEOUT_S

PROGRAM = Path(sys.executable).with_name("yivideo")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
PATIENCE_S = TIMEOUT_S
KEY = "a-key-of-enough-characters"


@dataclass
class Server:
    """A running service: its address, its process, its home."""

    url: str
    process: subprocess.Popen
    home: Path

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False, **options)

    def read_log(self) -> str:
        return (self.home / "logs" / "yivideo.log").read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@contextmanager
def run_server(
    home: Path, model_dir: Path, port: int | None = None, options: Sequence[str] = (), **more: str
) -> Generator[Server]:
    """Run the service until the block ends; `options` are the command's, `more` environment variables."""
    port = port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_CACHE__MODEL_DIR": str(model_dir),
        "YIVIDEO_SPEECH__MODEL_NAME": "tiny.en",
        "HF_HUB_OFFLINE": "1",
        **more,
    }
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", str(port), *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    server = Server(f"http://127.0.0.1:{port}", process, home)
    try:
        wait_until_it_answers(server)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.stdout:
            process.stdout.close()
        process.wait()


def wait_until_it_answers(server: Server) -> None:
    def answers() -> bool:
        if server.process.poll() is not None:
            raise AssertionError(server.process.stdout.read() if server.process.stdout else "it ended")
        try:
            return httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(answers)


def wait_until(look: Callable[[], Any], patience_s: float = PATIENCE_S, every_s: float = 0.05) -> Any:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(every_s)
    return found


def make_long_sound(folder: Path, minutes: int) -> Path:
    """A sound whose transcription can't be over before a test has done what it has to do meanwhile."""
    minute = decode_speech("lighthouse-60s.mkv", folder).samples
    return join_sounds(folder / "long.wav", *[minute] * minutes).path
