"""Runs the real `yivideo` command, as a user does."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from benchmarks.ports import free_port
from tests.waiting import TIMEOUT_S
from yivideo_pipeline.cli.app import main

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
PROGRAM = Path(sys.executable).with_name("yivideo")


def settings(home: Path, model_dir: Path, **more: str) -> dict[str, str]:
    """An environment for the command: its own home and port, the smallest model, shared weights."""
    scrubbed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_CACHE__MODEL_DIR": str(model_dir),
        "YIVIDEO_SPEECH__MODEL_NAME": "tiny.en",
        "YIVIDEO_SERVICE__PORT": str(free_port()),
        "HF_HUB_OFFLINE": "1",
    }
    return {**scrubbed, **own, **more}


def run(environment: dict[str, str], *arguments: str | Path, folder: Path | None = None):
    """Run the command to its end; text in and out, no terminal."""
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def call(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which has imported Dagster already: that takes most of its time.

    Not for commands that open a log or wait for signals: those change the process for good.
    """
    printed, complained = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "argv", ["yivideo", *map(str, arguments)]),
        redirect_stdout(printed),
        redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    code = int(ended.value.code or 0)
    return subprocess.CompletedProcess(arguments, code, printed.getvalue(), complained.getvalue())


def start(environment: dict[str, str], *arguments: str | Path, **options: Any) -> subprocess.Popen:
    """Start the command; Ctrl-C works on it even where the tests run with it ignored."""
    return subprocess.Popen(
        [PROGRAM, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def summary(ended: subprocess.CompletedProcess) -> dict[str, Any]:
    """The one object on stdout, its videos by file name."""
    printed = json.loads(ended.stdout)
    return {**printed, "by_name": {Path(video["path"]).name: video for video in printed["videos"]}}
