"""What a container's control groups leave of the machine."""

from pathlib import Path

import pytest

from yivideo_pipeline.machine.host import read_cpu_limit, read_memory_limit

MB = 2**20


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def proc(tmp_path):
    return tmp_path / "proc"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "sys"


def test_version_2_limits_are_read(proc, root):
    write(proc, "0::/box\n")
    write(root / "box/cpu.max", "150000 100000\n")
    write(root / "box/memory.max", f"{512 * MB}\n")
    write(root / "box/memory.current", f"{300 * MB}\n")
    write(root / "box/memory.stat", f"anon 5\ninactive_file {100 * MB}\n")
    assert read_cpu_limit(proc, root) == 2
    assert read_memory_limit(proc, root) == (512 * MB, 312 * MB)


def test_version_1_limits_are_read(proc, root):
    write(proc, "4:memory:/box\n2:cpu,cpuacct:/box\n0::/\n")
    write(root / "cpu/box/cpu.cfs_quota_us", "400000\n")
    write(root / "cpu/box/cpu.cfs_period_us", "100000\n")
    write(root / "memory/box/memory.limit_in_bytes", f"{1024 * MB}\n")
    write(root / "memory/box/memory.usage_in_bytes", f"{24 * MB}\n")
    assert read_cpu_limit(proc, root) == 4
    assert read_memory_limit(proc, root) == (1024 * MB, 1000 * MB)


def test_a_limit_of_a_group_above_binds_too(proc, root):
    write(proc, "0::/pod/box\n")
    write(root / "pod/cpu.max", "100000 100000\n")
    write(root / "pod/box/cpu.max", "max 100000\n")
    write(root / "pod/memory.max", f"{100 * MB}\n")
    write(root / "pod/box/memory.max", "max\n")
    assert read_cpu_limit(proc, root) == 1
    assert read_memory_limit(proc, root) == (100 * MB, 100 * MB)


def test_no_limit_is_none(proc, root):
    assert read_cpu_limit(proc, root) is None
    write(proc, "4:memory:/\n2:cpu:/\n0::/\n")
    write(root / "cpu/cpu.cfs_quota_us", "-1\n")
    write(root / "cpu/cpu.cfs_period_us", "100000\n")
    write(root / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert read_cpu_limit(proc, root) is None
    assert read_memory_limit(proc, root) is None
