"""Processors, memory and disks as this process may use them: limits of its container are honoured."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from yivideo_pipeline.machine.cgroup import read_cpu_limit, read_memory_limit


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Memory of the machine, or of the container where that has less."""

    total_bytes: int
    available_bytes: int

    @property
    def used_pct(self) -> float:
        """Share in use, 0 to 100."""
        return 100 * (1 - self.available_bytes / self.total_bytes)


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Room on one file system; folders with the same `device` share it."""

    device: int
    total_bytes: int
    free_bytes: int

    @property
    def used_pct(self) -> float:
        """Share in use, 0 to 100."""
        return 100 * (1 - self.free_bytes / self.total_bytes)


def count_cores() -> int:
    """Return how many processors this process may use, by its affinity and its container's limit."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(cores, read_cpu_limit() or cores))


def read_memory() -> HostMemory:
    """Return the memory that there is, and how much of it is available."""
    memory = psutil.virtual_memory()
    limit, left = read_memory_limit() or (memory.total, memory.available)
    return HostMemory(min(memory.total, limit), min(memory.available, left))


def read_process_memory_bytes() -> int:
    """Return the memory that this process holds now (resident set size)."""
    return psutil.Process().memory_info().rss


def read_disk(folder: Path) -> DiskSpace:
    """Return the room on the disk of a folder; a missing folder would lie on its parent's.

    Raises:
        OSError: The folder can't be looked at.
    """
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    usage = shutil.disk_usage(there)
    return DiskSpace(there.stat().st_dev, usage.total, usage.free)
