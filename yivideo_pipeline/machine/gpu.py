"""NVIDIA GPUs by the driver's management library (NVML): which there are, and how busy they are.

CUDA_VISIBLE_DEVICES, which NVML itself ignores, is followed. `pynvml` (nvidia-ml-py) is imported on
first use. A megabyte is 2**20 bytes, as in nvidia-smi.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

logger = logging.getLogger(__name__)

BYTES_PER_MB = 2**20
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class NvmlFailed(Exception):
    """NVML reports no more figures; the stage that it watched goes on."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU and its memory."""

    name: str
    memory_total_bytes: int
    memory_free_bytes: int


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What a GPU reports at one moment; None for what it does not report.

    `device_memory_mb` of `device_memory_total_mb` is in use by all processes, `process_memory_mb` by
    this one: drivers withhold the latter on Windows and where a container numbers processes itself.
    """

    utilization_pct: float | None = None
    device_memory_mb: float | None = None
    device_memory_total_mb: float | None = None
    process_memory_mb: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None


class Nvml(Protocol):
    """One GPU that can be read."""

    def read(self) -> GpuReading:
        """Read the GPU now.

        Raises:
            NvmlFailed: It can't be read, now or ever again.
        """
        ...

    def give_up(self, reason: str) -> None:
        """Read no more, and log the reason the first time."""
        ...


class NvmlDevice:
    """One GPU, read through pynvml.

    Args:
        pynvml: The initialised module.
        handle: The device's handle.
    """

    def __init__(self, pynvml: Any, handle: Any) -> None:
        self._pynvml = pynvml
        self._handle = handle
        self._given_up: str | None = None
        # What one GPU can't report (a laptop's power, a MIG slice's load) does not hide the rest.
        self._unreported = {
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            pynvml.NVML_ERROR_NO_PERMISSION,
            pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        }

    def read(self) -> GpuReading:
        """Read the GPU now.

        Raises:
            NvmlFailed: It can't be read, now or ever again.
        """
        if self._given_up is not None:
            raise NvmlFailed(self._given_up)
        try:
            return self._read()
        except self._pynvml.NVMLError as error:
            self.give_up(str(error))
            raise NvmlFailed(str(error)) from error

    def give_up(self, reason: str) -> None:
        """Read no more, and log the reason the first time."""
        if self._given_up is None:
            self._given_up = reason
            logger.warning("GPU figures stop here, the work goes on: %s", reason)

    def _read(self) -> GpuReading:
        nvml = self._pynvml
        utilization = self._ask(nvml.nvmlDeviceGetUtilizationRates)
        # Version 2 leaves out what the driver keeps for itself; drivers before 510 lack it.
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, nvml.nvmlMemory_v2)
        memory = memory or self._ask(nvml.nvmlDeviceGetMemoryInfo)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage)
        return GpuReading(
            utilization_pct=utilization.gpu if utilization else None,
            device_memory_mb=memory.used / BYTES_PER_MB if memory else None,
            device_memory_total_mb=memory.total / BYTES_PER_MB if memory else None,
            process_memory_mb=self._process_memory_mb(),
            power_w=None if milliwatts is None else milliwatts / 1000,
            temperature_c=self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        )

    def _process_memory_mb(self) -> float | None:
        for process in self._ask(self._pynvml.nvmlDeviceGetComputeRunningProcesses) or ():
            if process.pid == os.getpid() and process.usedGpuMemory is not None:
                return process.usedGpuMemory / BYTES_PER_MB
        return None

    def _ask(self, query: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return query(self._handle, *arguments)
        except self._pynvml.NVMLError as error:
            if error.value in self._unreported:
                return None
            raise


_first_gpu_lock = threading.Lock()


def list_gpus() -> tuple[tuple[Gpu, ...], str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves; or none, and the reason."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"no NVIDIA driver answers ({error})"
    try:
        gpus = tuple(_describe(pynvml, handle) for handle in _visible_handles(pynvml))
    except pynvml.NVMLError as error:
        return (), f"the NVIDIA driver fails ({error})"
    finally:
        pynvml.nvmlShutdown()
    return gpus, "" if gpus else "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES?)"


def read_driver_version() -> str:
    """Return the version of the NVIDIA driver.

    Raises:
        pynvml.NVMLError: There is no driver.
    """
    import pynvml

    pynvml.nvmlInit()
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def read_first_gpu() -> GpuReading | None:
    """Read the GPU that CUDA calls the first; None where there is none, or its driver has failed."""
    gpu = open_first_gpu()
    if gpu is None:
        return None
    with _first_gpu_lock:
        try:
            return gpu.read()
        except NvmlFailed:
            return None


@cache
def open_first_gpu() -> Nvml | None:
    """Open the GPU that CUDA calls the first, once a process."""
    return open_nvml()


def open_nvml(device_index: int = 0) -> Nvml | None:
    """Open the GPU that CUDA calls by this number, or return None where there is none.

    CUDA_VISIBLE_DEVICES is followed. NVML numbers GPUs by their place on the bus, as CUDA does with
    CUDA_DEVICE_ORDER=PCI_BUS_ID; among unlike GPUs CUDA otherwise puts the fastest first.
    """
    target = nvml_target(device_index, os.environ.get(_VISIBLE))
    if target is None:
        return None
    import pynvml

    return _open(pynvml, target)


def nvml_target(device_index: int, visible_devices: str | None) -> int | str | None:
    """Return which GPU CUDA means by a number: NVML's index, a UUID or its beginning, or None.

    Args:
        device_index: CUDA's number of the device.
        visible_devices: CUDA_VISIBLE_DEVICES, None where it is not set.
    """
    if visible_devices is None:
        return device_index
    targets = _read_visible(visible_devices)
    return targets[device_index] if device_index < len(targets) else None


def _read_visible(visible_devices: str) -> Sequence[int | str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, each as NVML's index or a UUID or its beginning."""
    targets: list[int | str] = []
    for entry in map(str.strip, visible_devices.split(",")):
        if entry.isdecimal():
            targets.append(int(entry))
        elif entry.startswith(("GPU-", "MIG-")):
            targets.append(entry)
        else:
            # CUDA sees no device from the first invalid entry on.
            break
    return targets


def _visible_handles(pynvml: Any) -> Iterator[Any]:
    visible = os.environ.get(_VISIBLE)
    targets = range(pynvml.nvmlDeviceGetCount()) if visible is None else _read_visible(visible)
    for target in targets:
        try:
            yield _handle(pynvml, target)
        except pynvml.NVMLError as error:
            if error.value in _absent(pynvml):  # an invalid entry too
                return
            raise


def _describe(pynvml: Any, handle: Any) -> Gpu:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(pynvml.nvmlDeviceGetName(handle), int(memory.total), int(memory.free))


def _open(pynvml: Any, target: int | str) -> NvmlDevice | None:
    try:
        pynvml.nvmlInit()
        return NvmlDevice(pynvml, _handle(pynvml, target))
    except pynvml.NVMLError as error:
        # A missing driver or GPU is normal; the user may want to repair anything else.
        level = logging.DEBUG if error.value in _absent(pynvml) else logging.WARNING
        logger.log(level, "No GPU figures: %s", error)
        return None


def _absent(pynvml: Any) -> set[int]:
    """Return the errors that mean: there is no such driver or GPU."""
    return {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
    }


def _handle(pynvml: Any, target: int | str) -> Any:
    """Find a GPU by index or UUID; like CUDA, take the beginning of a UUID for the whole."""
    if isinstance(target, int):
        return pynvml.nvmlDeviceGetHandleByIndex(target)
    if target.startswith("GPU-"):
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            if pynvml.nvmlDeviceGetUUID(handle).startswith(target):
                return handle
    return pynvml.nvmlDeviceGetHandleByUUID(target)
