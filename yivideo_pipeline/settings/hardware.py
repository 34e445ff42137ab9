"""What this machine offers to the models: processors, memory, GPUs, and the types that they compute in."""

from dataclasses import dataclass, replace

from yivideo_pipeline.machine.gpu import Gpu, list_gpus
from yivideo_pipeline.machine.host import count_cores, read_memory


@dataclass(frozen=True, slots=True)
class Hardware:
    """Processors, memory and GPUs that this process may use, and what CTranslate2 computes on them.

    `cuda_problem` is the reason why no GPU can be used; it is empty where one can.
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
    """Return what this machine offers now; limits of its container are honoured. Imports ctranslate2."""
    import ctranslate2

    memory = read_memory()
    gpus, driver_problem = list_gpus()
    cuda_types, cuda_problem = _probe_cuda(driver_problem)
    return Hardware(
        cores=count_cores(),
        memory_available_bytes=memory.available_bytes,
        memory_total_bytes=memory.total_bytes,
        gpus=gpus,
        cpu_compute_types=frozenset(ctranslate2.get_supported_compute_types("cpu")),
        cuda_compute_types=cuda_types,
        cuda_problem=cuda_problem,
    )


def capacity_of(hardware: Hardware) -> Hardware:
    """Return the machine as it is when all its memory is free.

    What is free at this moment says little about a later run: our own model may be what fills it, or a
    run that ends before then. The model manager looks at free memory when it loads.
    """
    gpus = tuple(replace(gpu, memory_free_bytes=gpu.memory_total_bytes) for gpu in hardware.gpus)
    return replace(hardware, memory_available_bytes=hardware.memory_total_bytes, gpus=gpus)


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
