"""What GNU's OpenMP library, which CTranslate2 brings, says of itself once it is loaded."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from yivideo_pipeline.machine.openmp import let_waiting_threads_sleep
let_waiting_threads_sleep()
import ctranslate2
"""


@pytest.mark.parametrize(
    ("given", "spins"),
    [
        pytest.param({}, "1000", id="by-default"),
        pytest.param({"GOMP_SPINCOUNT": "77"}, "77", id="as-the-user-says"),
        pytest.param({"OMP_WAIT_POLICY": "PASSIVE"}, "0", id="the-users-policy-decides"),
    ],
)
def test_threads_of_openmp_spin_as_long_as_they_should(given: dict[str, str], spins: str) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**ours, **given, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{spins}'" in ended.stderr
