"""Processors, memory and disks as this process may use them, within the limits of its container.

Limits are read from both interfaces of the kernel's control groups, version 2 (`cpu.max`, `memory.max`) and
version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`). A limit of any group above ours binds us too.
"""

import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_NO_LIMIT = 2**60  # version 1 writes "unlimited" as a number of this size
_PROC = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")


def read_cpu_limit(proc: Path = _PROC, root: Path = _ROOT) -> int | None:
    """Return how many processors may be used, rounded up; None without a limit."""
    limits = []
    for group in _list_groups(proc, root, "cpu"):
        quota, period = (
            _read_numbers(group / "cpu.max")
            or (
                *_read_numbers(group / "cpu.cfs_quota_us"),
                *_read_numbers(group / "cpu.cfs_period_us"),
            )
            or (0, 0)
        )
        if quota > 0 and period > 0:
            limits.append(math.ceil(quota / period))
    return min(limits, default=None)


def read_memory_limit(proc: Path = _PROC, root: Path = _ROOT) -> tuple[int, int] | None:
    """Return the limit and what is left of it, in bytes, of the tightest group; None without a limit.

    File cache that the kernel can drop counts as left.
    """
    limits = []
    for group in _list_groups(proc, root, "memory"):
        limit = _read_numbers(group / "memory.max") or _read_numbers(group / "memory.limit_in_bytes")
        if not limit or limit[0] >= _NO_LIMIT:
            continue
        used = (
            _read_numbers(group / "memory.current") or _read_numbers(group / "memory.usage_in_bytes") or (0,)
        )
        left = limit[0] - used[0] + _read_inactive_files(group / "memory.stat")
        limits.append((limit[0], max(0, min(limit[0], left))))
    return min(limits, key=lambda pair: pair[1], default=None)


def _list_groups(proc: Path, root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of our group and of those above it, as far as they are visible from here."""
    if not proc.is_file():  # not Linux
        return
    for line in proc.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        group = top / path.lstrip("/")
        yield from (
            folder for folder in (group, *group.parents) if folder.is_relative_to(top) and folder.is_dir()
        )


def _read_numbers(file: Path) -> tuple[int, ...]:
    """Return the numbers in a file; none where it is missing or holds `max`."""
    if not file.is_file():
        return ()
    words = file.read_text().split()
    return () if "max" in words else tuple(int(word) for word in words)


def _read_inactive_files(file: Path) -> int:
    if not file.is_file():
        return 0
    counts = dict(line.split() for line in file.read_text().splitlines())
    return int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))


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
