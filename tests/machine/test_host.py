"""Processors, memory and disks as a process may use them."""

import os

import pytest

from yivideo_pipeline.machine.host import count_cores, read_disk, read_memory, read_process_memory_bytes


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity on this system")
def test_cores_are_those_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert count_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_memory_is_within_what_there_is():
    memory = read_memory()
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert 0 <= memory.used_pct < 100
    assert 0 < read_process_memory_bytes() < memory.total_bytes


def test_a_folder_that_is_not_there_yet_lies_on_its_parents_disk(tmp_path):
    disk = read_disk(tmp_path / "new" / "folder")
    assert disk.device == read_disk(tmp_path).device == tmp_path.stat().st_dev
    assert 0 < disk.free_bytes <= disk.total_bytes
    assert 0 <= disk.used_pct <= 100
