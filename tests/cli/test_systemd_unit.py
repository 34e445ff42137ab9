"""The units of systemd in `deploy/` start the commands as they are, and systemd understands them."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.cli.command import PROGRAM
from yivideo_pipeline.cli.app import app
from yivideo_pipeline.cli.console import Exit

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNIT = UNITS / "yivideo.service"


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
@pytest.mark.parametrize("unit", sorted(UNITS.iterdir()), ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault_in_it(unit, tmp_path):
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/yivideo/.venv/bin", str(PROGRAM.parent)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (verified.returncode, verified.stdout) == (0, "")
    assert unit.name not in verified.stderr, "what it says of other units is not ours"
