"""Runs our own HTTP programs while they are measured."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.contenders import Task, environment_of, settings_of
from benchmarks.ports import free_port
from yivideo_pipeline.speech.weights import find_weights

MODELS = Path(__file__).resolve().parents[1] / "data" / "models"
PROGRAM = Path(sys.executable).with_name("yivideo")
START_PATIENCE_S = 180
STOP_PATIENCE_S = 60


@contextmanager
def run_program(
    arguments: list[str], environment: Mapping[str, str], url: str, log: Path
) -> Generator[subprocess.Popen]:
    """Run `yivideo` with these arguments until the block ends; it begins once the address answers."""
    with log.open("wb") as output:
        program = subprocess.Popen(
            [PROGRAM, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # What a shell starts in the background is deaf to it, and so would be its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        _wait_until_it_answers(program, url, log)
        yield program
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(STOP_PATIENCE_S)


@contextmanager
def run_service(model: str | Task, home: Path) -> Generator[tuple[str, int]]:
    """Run `yivideo serve` with a model's weights until the block ends.

    Args:
        model: Its name, for the CPU with weights that must be in data/models; or a task, for its device.
        home: The service's home folder; sounds to be asked for belong into its inbox.

    Yields:
        The service's address and its process.
    """
    port = free_port()
    task = model if isinstance(model, Task) else Task(home, model, find_weights(model, MODELS).folder, MODELS)
    url, environment = f"http://127.0.0.1:{port}", environment_of(settings_of(task, home))
    with run_program(["serve", "--port", str(port)], environment, f"{url}/health", home / "log") as program:
        yield url, program.pid


def load_line() -> str:
    """Return a line on the machine's other load, which makes figures worse."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def _wait_until_it_answers(program: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
            return
        except httpx.HTTPError:
            if program.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{url} does not answer:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.2)
