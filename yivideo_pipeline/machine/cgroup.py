"""What a container's control groups leave of the machine: processors and memory.

Both kernel interfaces are read, version 2 (`cpu.max`, `memory.max`) and version 1
(`cpu.cfs_quota_us`, `memory.limit_in_bytes`). A limit of any group above ours binds us too. The file
formats are the kernel's own, which is why they have a module to themselves.
"""

import math
from collections.abc import Iterator
from pathlib import Path

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
