"""Memory, GPU and weights: recognized by message, since CTranslate2 and CUDA raise bare RuntimeErrors.

The messages are those of CTranslate2 4.6 to 4.8 with MKL, OpenBLAS and oneDNN, numpy, PyTorch 2,
ONNX Runtime and CUDA 12's `cudaGetErrorString`; the table of them is why this rule has a module to itself.
"""

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from yivideo_pipeline.errors.origin import class_names, explain
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    DeviceLost,
    MemoryExhausted,
    ModelLoadError,
    YivideoError,
)


@dataclass(frozen=True)
class _KnownMessage:
    """A library's message, the error that it means, and what to do about it."""

    pattern: re.Pattern[str]
    error: Callable[[str, str], YivideoError]
    claim: str
    hint: str


def _known(pattern: str, error: Callable[[str, str], YivideoError], claim: str, hint: str) -> _KnownMessage:
    return _KnownMessage(re.compile(pattern, re.IGNORECASE), error, claim, hint)


_GPU_MEMORY = _known(
    r"cuda (failed with error|error:)? ?out of memory|(cuda|hip|mps backend) out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    partial(MemoryExhausted, device="gpu"),
    "The GPU's memory is exhausted",
    "Use a smaller batch_size, compute_type int8 or a smaller model, or stop what else uses the GPU.",
)
_HOST_MEMORY = _known(
    r"std::bad_alloc|can(?:'|no)t allocate memory|not enough memory: you tried to allocate"
    r"|failed to allocate memory|INTERNAL_ERROR_HOST_ALLOCATION_FAILED|unable to allocate .* for an array"
    r"|smaller than requested bytes|bad allocation|openblas.*(malloc failed|memory allocation)"
    r"|could not create a memory|can't start new thread|pthread_create failed",
    MemoryExhausted,
    "The machine's memory is exhausted",
    "Use a smaller batch_size or a smaller model, or stop other programs.",
)
_MESSAGES: tuple[_KnownMessage, ...] = (
    _GPU_MEMORY,
    _HOST_MEMORY,
    _known(
        r"\becc error|device-side assert|unspecified launch failure|gpu is lost|illegal memory access"
        r"|fallen off the bus|launch timed out and was terminated",
        DeviceLost,
        "The GPU failed or is gone",
        "Run again in a fresh process; if it comes back, look at nvidia-smi and at the kernel's log.",
    ),
    _known(
        r"compute type, but the target device or backend do not support|invalid compute type",
        ConfigValidationError,
        "This device can't compute in that precision",
        "Set compute_type to auto, or to int8 or float32 on a CPU.",
    ),
    _known(
        r"^unsupported device ",
        ConfigValidationError,
        "The models can't run on that device",
        "Set device to auto, cpu or cuda.",
    ),
    _known(
        r"CUDA driver version is insufficient|no CUDA-capable device|not compiled with CUDA support",
        ModelLoadError,
        "No usable NVIDIA GPU or driver was found",
        "Install or update the NVIDIA driver, or set device to cpu.",
    ),
    _known(
        r"no kernel image is available",
        ModelLoadError,
        "The GPU is older or newer than this build supports",
        "Set device to cpu, or install a build for this GPU.",
    ),
    _known(
        r"lib(cudnn|cublas|cudart|nvrtc)\S* .*(cannot open|not found|cannot be loaded)"
        r"|(could not|unable to) load .*lib(cudnn|cublas|cudart|nvrtc)",
        ModelLoadError,
        "A CUDA library is missing",
        "Install nvidia-cublas-cu12 and nvidia-cudnn-cu12 on LD_LIBRARY_PATH, or set device to cpu.",
    ),
    _known(
        r"unable to open file '?model\.bin",
        ModelLoadError,
        "The model's folder holds no readable model.bin",
        "Name a folder with a converted CTranslate2 model, or remove it and fetch the model again.",
    ),
    _known(
        r"model\.bin is incomplete",
        ModelLoadError,
        "The weights are cut off",
        "Remove the model's folder and fetch the model again.",
    ),
    _known(
        r"unsupported model binary version",
        ModelLoadError,
        "The weights were made for a newer CTranslate2",
        "Update ctranslate2, or convert the model again.",
    ),
)


def device_error(error: BaseException) -> YivideoError | None:
    """Return the error for exhausted memory, a failed GPU, or weights that this machine can't load."""
    text = str(error)
    for known in _MESSAGES:
        if known.pattern.search(text):
            return _translate(known, error)
    # Not every version repeats the message, so the class is enough.
    if "torch.OutOfMemoryError" in class_names(error):
        return _translate(_GPU_MEMORY, error)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return _translate(_HOST_MEMORY, error)
    return None


def _translate(known: _KnownMessage, error: BaseException) -> YivideoError:
    return known.error(explain(known.claim, error), known.hint)
