import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import bootstrap

ROOT = bootstrap.ROOT
SCRIPT = ROOT / "scripts" / "bootstrap.py"

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "toy"
version = "1"
"""
BUILDERS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")


def _locked(names: tuple[str, ...]) -> str:
    """The entries of these packages in the project's own lock."""
    entries = re.split(r"\n(?=[a-z])", (ROOT / "requirements" / "dev.txt").read_text())
    return "\n".join(entry for entry in entries if entry.partition("==")[0] in names) + "\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small project with a lock of its own, and uv at hand with the cache that installed this one."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    own = ROOT / ".tools" / "uv" / "bin"
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(own)]))
    if not shutil.which("uv"):
        pytest.skip("neither PATH nor .tools has uv")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text(_locked(BUILDERS))
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text("")
    return tmp_path


def _imports(checkout: Path, module: str, place: str = ".venv") -> bool:
    python = checkout / place / "bin" / "python"
    return subprocess.run([python, "-c", f"import {module}"], cwd="/", check=False).returncode == 0


def test_an_install_brings_the_lock_and_the_project_and_a_second_one_does_nothing(checkout):
    assert bootstrap.install(checkout)
    assert _imports(checkout, "hatchling")
    assert _imports(checkout, "toy")
    assert not bootstrap.install(checkout)


def test_an_interrupted_install_is_made_anew(checkout):
    bootstrap.install(checkout)
    (checkout / ".venv" / "installed").unlink()
    shutil.rmtree(next((checkout / ".venv").glob("lib/python*/site-packages/hatchling")))
    assert bootstrap.install(checkout)
    assert _imports(checkout, "hatchling")


def test_an_environment_whose_python_is_gone_is_made_anew(checkout):
    bootstrap.install(checkout)
    (checkout / ".venv" / "bin" / "python").unlink()
    assert bootstrap.install(checkout)
    assert _imports(checkout, "toy")


def test_a_changed_lock_is_followed_and_what_it_dropped_goes(checkout):
    (checkout / "requirements" / "dev.txt").write_text(_locked((*BUILDERS, "iniconfig")))
    bootstrap.install(checkout)
    assert _imports(checkout, "iniconfig")
    (checkout / "requirements" / "dev.txt").write_text(_locked(BUILDERS))
    assert bootstrap.install(checkout)
    assert not _imports(checkout, "iniconfig")


def test_the_chosen_lock_is_kept_until_another_is_asked_for(checkout):
    (checkout / "requirements" / "whisperx.txt").write_text(_locked((*BUILDERS, "iniconfig")))
    bootstrap.install(checkout, "whisperx")
    assert not bootstrap.install(checkout)
    assert _imports(checkout, "iniconfig")
    assert bootstrap.install(checkout, "dev")
    assert not _imports(checkout, "iniconfig")


def test_a_lock_whose_hashes_do_not_fit_is_refused_and_leaves_no_stamp(checkout):
    lock = checkout / "requirements" / "dev.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", lock.read_text()))
    with pytest.raises(subprocess.CalledProcessError):
        bootstrap.install(checkout)
    assert not (checkout / ".venv" / "installed").exists()


def test_the_rest_is_installed_where_the_registry_lacks_the_weights(checkout, capfd):
    lock = checkout / "requirements" / "dev.txt"
    gone = "".join(f"{name}==99 --hash=sha256:{'0' * 64}\n" for name in bootstrap.WEIGHTS)
    lock.write_text(f"{lock.read_text()}{gone}")
    assert bootstrap.install(checkout)
    assert _imports(checkout, "hatchling")
    assert capfd.readouterr().err == f"set-up: {bootstrap.NO_WEIGHTS}\n"
    assert not bootstrap.install(checkout)


def test_the_weights_that_may_be_missing_are_those_of_the_extra_and_in_the_locks():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["weights"]
    assert [requirement.partition("==")[0] for requirement in extra] == list(bootstrap.WEIGHTS)
    for name in ("dev", "runtime", "whisperx"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        rest = bootstrap.without_weights(text)
        assert text.count("==") - rest.count("==") == len(extra)
        assert not any(weights in rest for weights in bootstrap.WEIGHTS)


def test_whisperx_gets_an_environment_beside_the_projects_own(checkout):
    bootstrap.install(checkout)
    (checkout / "requirements" / "whisperx.txt").write_text(_locked((*BUILDERS, "iniconfig")))
    assert bootstrap.install(checkout, "whisperx", ".tools/whisperx")
    assert _imports(checkout, "iniconfig", ".tools/whisperx")
    assert not _imports(checkout, "iniconfig")
    assert not bootstrap.install(checkout)
    assert not bootstrap.install(checkout, "whisperx", ".tools/whisperx")


def test_whisperx_is_refused_in_one_line_where_it_does_not_fit(checkout, monkeypatch):
    (checkout / "requirements" / "whisperx.txt").write_text("")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=3_210_000_000))
    with pytest.raises(bootstrap.SetupError, match=r"take 9 GB; 3\.2 GB are free"):
        bootstrap.install(checkout, "whisperx", ".tools/whisperx")
    assert not (checkout / ".tools").exists()


def test_a_program_that_cannot_run_answers_nothing(tmp_path):
    torn = tmp_path / "uv"
    torn.write_bytes(b"\x7fELF")
    torn.chmod(0o755)
    assert bootstrap.answer(torn, "--version") == ""
    assert bootstrap.answer(tmp_path / "missing") == ""
    assert bootstrap.answer(sys.executable, "-c", "print('here')") == "here"


def test_an_unknown_choice_is_one_clear_line():
    refused = subprocess.run(
        [sys.executable, SCRIPT, "install"],
        env={**os.environ, "YIVIDEO_WHISPERX": "maybe"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr == "set-up: YIVIDEO_WHISPERX is 'maybe'; set it to 1 or 0, or unset it\n"


def test_an_unknown_command_is_wrong_usage():
    refused = subprocess.run([sys.executable, SCRIPT, "instal"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "bootstrap.py install" in refused.stderr
