"""The unit of systemd in `deploy/` starts the command as it is, and systemd understands it."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.cli.command import PROGRAM
from yivideo_pipeline.cli.app import app
from yivideo_pipeline.cli.console import Exit

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "yivideo.service"


class _Unit(ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr  # systemd's names have capitals


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    unit = _Unit(interpolation=None, strict=False)
    unit.read(UNIT)
    return dict(unit["Service"])


def test_it_starts_the_command_and_asks_it_alone_to_stop(service):
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name == PROGRAM.name
    commands = {getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert arguments == ["up"] and "up" in commands
    assert service["KillMode"] == "mixed", "its programs would end before it otherwise, and be restarted"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(int(Exit.USAGE))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_finds_no_fault_in_it(tmp_path):
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/yivideo/.venv/bin/yivideo", str(PROGRAM)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (verified.returncode, verified.stdout) == (0, "")
    assert UNIT.name not in verified.stderr, "what it says of other units is not ours"
