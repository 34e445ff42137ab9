"""What this machine, or this container, has for the models."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# PART settings/cgroup.py: What a container's control groups leave of the machine: processors and memory.
#
# Both kernel interfaces are read, version 2 (`cpu.max`, `memory.max`) and version 1
# (`cpu.cfs_quota_us`, `memory.limit_in_bytes`). A limit of any group above ours binds us too.

_NO_LIMIT = 2**60  # version 1 writes "unlimited" as a number of this size


def read_cpu_limit(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
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


def read_memory_limit(
    proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> tuple[int, int] | None:
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
    """Yield the folders of our group and of those above it, as far as they can be seen from here."""
    if not proc.is_file():  # no Linux
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
    """Return the numbers in a file; none where it is missing or says `max`."""
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
class Gpu:
    """One NVIDIA GPU."""

    name: str
    memory_total_bytes: int
    memory_free_bytes: int


@dataclass(frozen=True, slots=True)
class Hardware:
    """Processors, memory and GPUs that this process may use, and what CTranslate2 computes on them.

    `cuda_problem` says why no GPU can be used, where none can; else it is empty.
    """

    cores: int
    memory_available_bytes: int
    memory_total_bytes: int
    gpus: tuple[Gpu, ...]
    cpu_compute_types: frozenset[str]
    cuda_compute_types: frozenset[str]
    cuda_problem: str = ""

    @property
    def has_cuda(self) -> bool:
        """Whether a GPU can be used."""
        return bool(self.cuda_compute_types)


def probe_hardware() -> Hardware:
    """Look at this machine; limits of its container are honoured. Imports ctranslate2."""
    import ctranslate2
    import psutil

    memory = psutil.virtual_memory()
    limit, left = read_memory_limit() or (memory.total, memory.available)
    gpus, driver_problem = _probe_gpus()
    cuda_types, cuda_problem = _probe_cuda(driver_problem)
    return Hardware(
        cores=_count_cores(),
        memory_available_bytes=min(memory.available, left),
        memory_total_bytes=min(memory.total, limit),
        gpus=gpus,
        cpu_compute_types=frozenset(ctranslate2.get_supported_compute_types("cpu")),
        cuda_compute_types=cuda_types,
        cuda_problem=cuda_problem,
    )


def _count_cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(cores, read_cpu_limit() or cores))


def _probe_cuda(driver_problem: str) -> tuple[frozenset[str], str]:
    """Return the compute types of the first GPU, or why there are none."""
    import ctranslate2

    try:
        if ctranslate2.get_cuda_device_count() == 0:
            return (
                frozenset(),
                driver_problem or "CTranslate2 sees no GPU (CUDA_VISIBLE_DEVICES, driver version)",
            )
        return frozenset(ctranslate2.get_supported_compute_types("cuda")), ""
    except (RuntimeError, ValueError) as error:  # a wheel without CUDA, a driver too old
        return frozenset(), str(error)


def _probe_gpus() -> tuple[tuple[Gpu, ...], str]:
    """Ask the driver for its GPUs, those alone that CUDA_VISIBLE_DEVICES leaves; or say why it has none."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"no NVIDIA driver answers ({error})"
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        gpus = []
        for handle in _keep_visible(handles):
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            gpus.append(Gpu(pynvml.nvmlDeviceGetName(handle), int(memory.total), int(memory.free)))
    except pynvml.NVMLError as error:
        return (), f"the NVIDIA driver fails ({error})"
    finally:
        pynvml.nvmlShutdown()
    return tuple(gpus), "" if gpus else "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES?)"


def _keep_visible(handles: list) -> list:
    """Apply CUDA_VISIBLE_DEVICES, a list of indexes or UUIDs, which NVML itself ignores."""
    import pynvml

    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return handles
    by_name = {str(index): handle for index, handle in enumerate(handles)}
    by_name |= {pynvml.nvmlDeviceGetUUID(handle): handle for handle in handles}
    return [by_name[name.strip()] for name in wanted.split(",") if name.strip() in by_name]
