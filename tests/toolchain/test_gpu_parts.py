"""What is carried to a machine without a network comes whole, however its parts arrive."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.gpu_parts import MANIFEST, join, read_entries, split, take

PART_BYTES = 4096
FACTS = {"python": "3.12", "machine": "x86_64"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a file that no compression makes smaller, a program and an empty file."""
    folder = tmp_path / "source"
    (folder / "models" / "tiny").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, 5 * PART_BYTES, np.uint8)
    (folder / "models" / "tiny" / "model.bin").write_bytes(noise.tobytes())
    (folder / "empty").touch()
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o755)
    return folder


def names_of(parts: Path) -> list[str]:
    return [part["name"] for part in json.loads((parts / MANIFEST).read_text())["parts"]]


def carry(parts: Path, call: Path, *names: str) -> None:
    """Let a call hold the manifest and these parts alone."""
    call.mkdir(exist_ok=True)
    for old in call.iterdir():
        old.unlink()
    for name in (MANIFEST, *names):
        (call / name).write_bytes((parts / name).read_bytes())


def test_parts_that_come_one_by_one_in_any_order_are_the_folder_again(source: Path, tmp_path: Path) -> None:
    parts, call, kept, target = (tmp_path / name for name in ("parts", "call", "kept", "target"))
    split(source, parts, PART_BYTES, FACTS)
    names = names_of(parts)
    assert len(names) > 4
    assert all((parts / name).stat().st_size <= PART_BYTES for name in names)
    for count, name in enumerate(reversed(names), start=1):
        carry(parts, call, name)
        missing, damaged = take(call, kept)
        assert (missing, damaged) == (names[: len(names) - count], [])
    join(kept, names, target)
    for file in ("models/tiny/model.bin", "empty", "program"):
        assert (target / file).read_bytes() == (source / file).read_bytes()
    assert (target / "program").stat().st_mode & 0o111


def test_a_damaged_part_is_named_and_taken_when_it_comes_again(source: Path, tmp_path: Path) -> None:
    parts, call, kept = (tmp_path / name for name in ("parts", "call", "kept"))
    split(source, parts, PART_BYTES, FACTS)
    names = names_of(parts)
    carry(parts, call, *names)
    (call / names[1]).write_bytes((parts / names[1]).read_bytes()[:-1])
    assert take(call, kept) == ([names[1]], [names[1]])
    carry(parts, call, names[1])
    assert take(call, kept) == ([], [])


def test_of_a_package_that_is_locked_for_several_pythons_allread_entries_are_kept(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# made by a program\nnumpy==2.4 ; python_full_version < '3.12' \\\n    --hash=sha256:aa\n"
        "numpy==2.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:bb\n    # via x\n"
        "uvicorn[standard]==0.3 \\\n    --hash=sha256:cc\n"
    )
    entries = read_entries(lock)
    assert sorted(entries) == ["numpy", "uvicorn"]
    assert [digest in entries["numpy"] for digest in ("aa", "bb", "cc")] == [True, True, False]
