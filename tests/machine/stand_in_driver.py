"""A stand-in for NVIDIA's driver library, compiled from C, so that the real pynvml runs without a GPU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("nvml_stand_in.c")


def build_driver(folder: Path) -> Path:
    """Compile the library into a folder, to be put on LD_LIBRARY_PATH; skip the test without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in for libnvidia-ml.so.1 with")
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)]
    subprocess.run(command, check=True)
    return folder


def run_script(script: str, library: Path | None, **environment: str) -> tuple[list, str]:
    """Run a script in a process of its own, since pynvml loads its library once and for all.

    Returns:
        What it printed, each line parsed as JSON, and what it logged.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
    paths = {"LD_LIBRARY_PATH": str(library)} if library else {}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=kept | paths | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
