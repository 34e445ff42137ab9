"""What this machine, or this container, has for the models."""

import os
from dataclasses import dataclass

from yivideo_pipeline.settings.cgroup import read_cpu_limit, read_memory_limit


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
