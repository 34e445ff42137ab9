import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Spelled in parts, so that this file passes its own test.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("deb", "debian", "org"),
    )
]


def _committed(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_committed_file_names_a_registry_host():
    named = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in _committed()
        for host in REGISTRIES
        if host.encode() in path.read_bytes()
    ]
    assert named == []


def test_every_locked_package_carries_a_hash():
    for lock in _committed("requirements/*.txt"):
        entries = [entry for entry in lock.read_text().split("\n") if entry[:1].isalnum()]
        assert entries, f"{lock.name} locks nothing"
        assert [entry for entry in entries if not entry.endswith("\\")] == [], lock.name


def test_no_python_gets_another_major_version_of_a_library_than_the_tests_ran_with():
    for lock in _committed("requirements/*.txt"):
        majors: dict[str, set[str]] = {}
        for name, major in re.findall(r"^([a-z0-9-]+)==(\d+)", lock.read_text(), re.MULTILINE):
            majors.setdefault(name, set()).add(major)
        assert {name: found for name, found in majors.items() if len(found) > 1} == {}, lock


def test_every_declared_dependency_is_locked():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    runtime = project["dependencies"] + project["optional-dependencies"]["weights"]
    asked = {
        "runtime": runtime,
        "dev": runtime + declared["dependency-groups"]["dev"],
        "whisperx": runtime
        + project["optional-dependencies"]["whisperx"]
        + declared["dependency-groups"]["bench"],
        "uv": declared["dependency-groups"]["uv"],
    }
    for lock, requirements in asked.items():
        lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
        locked = {line.partition("==")[0] for line in lines}
        assert [r for r in requirements if re.split(r"[<>=!~\[ ;]", r)[0] not in locked] == [], lock


def test_bash_scripts_parse():
    scripts = [
        path
        for path in _committed(".ci/*", "scripts/*")
        if path.read_bytes().startswith(b"#!/usr/bin/env bash")
    ]
    assert ROOT / ".ci" / "run" in scripts
    for script in scripts:
        parsed = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert parsed.returncode == 0, parsed.stderr


def test_ci_can_be_executed():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "target", ["install", "test", "demo", "dev", "bench", "lint", "lock", "clean", "help"]
)
def test_make_knows_its_targets(target):
    planned = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr


def test_help_lists_every_target_that_make_declares():
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    declared = next(line for line in makefile.splitlines() if line.startswith(".PHONY:")).split()[1:]
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert sorted(line.split()[1] for line in listed.splitlines()) == sorted(declared)


def test_the_bootstrap_parses_on_an_old_python():
    ast.parse((ROOT / "scripts" / "bootstrap.py").read_text(), feature_version=(3, 7))
