"""Memory, GPU and weights: told by message, since CTranslate2 and CUDA raise bare RuntimeErrors.

Messages are those of CTranslate2 4.6 to 4.8, PyTorch 2, ONNX Runtime and CUDA 12's
`cudaGetErrorString`.
"""

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    DeviceLost,
    MemoryExhausted,
    ModelLoadError,
    YivideoError,
)

# PART errors/origin.py: Where a library's error comes from and what it says, read without importing that library.

MAX_DETAIL_CHARS = 300

_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")

Rule = Callable[[BaseException], YivideoError | None]
"""Says what an error of a library is, or None where it is none of its business."""


def class_names(error: BaseException) -> frozenset[str]:
    """Names of the error's class and its bases, each as `package.Class`.

    Only the top package is kept: libraries move classes between their submodules from one release
    to the next.
    """
    return frozenset(f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(error).__mro__)


def detail(error: BaseException) -> str:
    """The first line of what the library said, its type if it said nothing.

    Without secrets, without the number of a system's error, and shortened.
    """
    lines = _ERROR_NUMBER.sub("", str(error)).strip().splitlines()
    first = redact(lines[0].strip()) if lines else type(error).__name__
    return first if len(first) <= MAX_DETAIL_CHARS else f"{first[:MAX_DETAIL_CHARS]}…"


def explain(claim: str, error: BaseException) -> str:
    """Our own words, followed by the library's in brackets."""
    return f"{claim} ({detail(error)})"


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was explicitly raised from, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        current = current.__cause__


@dataclass(frozen=True)
class _Message:
    """A message of a library, the error that it means, and what to do about it."""

    pattern: re.Pattern[str]
    error: Callable[[str, str], YivideoError]
    claim: str
    hint: str


def _message(pattern: str, error: Callable[[str, str], YivideoError], claim: str, hint: str) -> _Message:
    return _Message(re.compile(pattern, re.IGNORECASE), error, claim, hint)


_GPU_MEMORY = _message(
    r"cuda (failed with error|error:)? ?out of memory|(cuda|hip|mps backend) out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    partial(MemoryExhausted, device="gpu"),
    "The GPU's memory is exhausted",
    "Use a smaller batch_size, compute_type int8 or a smaller model, or stop what else uses the GPU.",
)
_HOST_MEMORY = _message(
    r"std::bad_alloc|can(?:'|no)t allocate memory|not enough memory: you tried to allocate"
    r"|failed to allocate memory for requested buffer|INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    MemoryExhausted,
    "The machine's memory is exhausted",
    "Use a smaller batch_size or a smaller model, or stop other programs.",
)
_MESSAGES: tuple[_Message, ...] = (
    _GPU_MEMORY,
    _HOST_MEMORY,
    _message(
        r"\becc error|device-side assert|unspecified launch failure|gpu is lost|illegal memory access"
        r"|fallen off the bus|launch timed out and was terminated",
        DeviceLost,
        "The GPU failed or is gone",
        "Run again in a fresh process; if it comes back, look at nvidia-smi and at the kernel's log.",
    ),
    _message(
        r"compute type, but the target device or backend do not support|invalid compute type",
        ConfigValidationError,
        "This device can't compute in that precision",
        "Set compute_type to auto, or to int8 or float32 on a CPU.",
    ),
    _message(
        r"^unsupported device ",
        ConfigValidationError,
        "The models can't run on that device",
        "Set device to auto, cpu or cuda.",
    ),
    _message(
        r"CUDA driver version is insufficient|no CUDA-capable device|not compiled with CUDA support",
        ModelLoadError,
        "No usable NVIDIA GPU or driver was found",
        "Install or update the NVIDIA driver, or set device to cpu.",
    ),
    _message(
        r"no kernel image is available",
        ModelLoadError,
        "The GPU is older or newer than this build supports",
        "Set device to cpu, or install a build for this GPU.",
    ),
    _message(
        r"lib(cudnn|cublas|cudart|nvrtc)\S* .*(cannot open|not found|cannot be loaded)"
        r"|(could not|unable to) load .*lib(cudnn|cublas|cudart|nvrtc)",
        ModelLoadError,
        "A CUDA library is missing",
        "Install nvidia-cublas-cu12 and nvidia-cudnn-cu12 on LD_LIBRARY_PATH, or set device to cpu.",
    ),
    _message(
        r"unable to open file '?model\.bin",
        ModelLoadError,
        "The model's folder holds no readable model.bin",
        "Name a folder with a converted CTranslate2 model, or remove it and fetch the model again.",
    ),
    _message(
        r"model\.bin is incomplete",
        ModelLoadError,
        "The weights are cut off",
        "Remove the model's folder and fetch the model again.",
    ),
    _message(
        r"unsupported model binary version",
        ModelLoadError,
        "The weights were made for a newer CTranslate2",
        "Update ctranslate2, or convert the model again.",
    ),
)


def device_error(error: BaseException) -> YivideoError | None:
    """Memory that ran out, a GPU that failed, or weights that this machine can't load."""
    text = str(error)
    for known in _MESSAGES:
        if known.pattern.search(text):
            return _say(known, error)
    # Not every version repeats the words, so the class is enough.
    if "torch.OutOfMemoryError" in class_names(error):
        return _say(_GPU_MEMORY, error)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return _say(_HOST_MEMORY, error)
    return None


def _say(known: _Message, error: BaseException) -> YivideoError:
    return known.error(explain(known.claim, error), known.hint)
