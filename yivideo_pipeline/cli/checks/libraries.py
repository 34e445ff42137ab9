"""The libraries that yivideo stands on."""

import ctypes
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec

from yivideo_pipeline.cli.checks.result import Result
from yivideo_pipeline.settings.hardware import Hardware
from yivideo_pipeline.settings.options import Aligner, SpeechOptions

SUPPORTED_PYTHON = ((3, 11), (3, 13))
USUAL_CODECS = ("h264", "hevc", "vp9", "av1", "aac", "opus")
CUBLAS, CUDNN = "libcublas.so.12", "libcudnn.so.9"


def check_python() -> Iterable[Result]:
    """The interpreter: its version, and room to address."""
    text = f"{platform.python_version()} ({sys.executable})"
    if not SUPPORTED_PYTHON[0] <= sys.version_info[:2] <= SUPPORTED_PYTHON[1]:
        yield Result("Python", "failure", text, "Use Python 3.11, 3.12 or 3.13")
    elif sys.maxsize < 2**32:
        yield Result("Python", "failure", f"{text}, 32 bits", "Use a 64-bit Python: models need the memory")
    else:
        yield Result("Python", "ok", text)


def check_pyav() -> Iterable[Result]:
    """PyAV, and decoders for what videos are usually made of."""
    import av

    missing = [name for name in USUAL_CODECS if not _has_decoder(name)]
    if missing:
        advice = "Install PyAV's own wheel: pip install --force-reinstall --only-binary av av"
        yield Result("PyAV", "warning", f"{av.__version__} lacks decoders: {', '.join(missing)}", advice)
    else:
        yield Result("PyAV", "ok", f"{av.__version__}, decodes {', '.join(USUAL_CODECS)}")


def check_ctranslate2(hardware: Hardware) -> Iterable[Result]:
    """CTranslate2 and the CUDA libraries that it opens by name."""
    kinds = ", ".join(sorted(hardware.cpu_compute_types))
    yield Result("CTranslate2", "ok", f"{version('ctranslate2')}, on the CPU: {kinds}")
    if not hardware.has_cuda:
        yield Result("CUDA", "ok", f"not used: {hardware.cuda_problem}")
        return
    yield Result("CUDA", "ok", f"on the GPU: {', '.join(sorted(hardware.cuda_compute_types))}")
    if _can_open(CUBLAS):
        yield Result("cuBLAS", "ok", CUBLAS)
    else:
        advice = (
            "Install nvidia-cublas-cu12 and put its folder on LD_LIBRARY_PATH, or set speech.device to cpu"
        )
        yield Result("cuBLAS", "failure", f"{CUBLAS} can't be opened", advice)
    # The wheel of CTranslate2 4.8 opens cuBLAS alone; torch brings a cuDNN of its own.
    found = CUDNN if _can_open(CUDNN) else f"no {CUDNN} here; CTranslate2 4.8 and later do without it"
    yield Result("cuDNN", "ok", found)


def check_torch(options: SpeechOptions) -> Iterable[Result]:
    """Torch and WhisperX, which wav2vec2 alignment and WhisperX's own pipeline alone need."""
    installed = [name for name in ("torch", "whisperx") if find_spec(name)]
    told = ", ".join(f"{name} {version(name)}" for name in installed)
    needs = options.aligner is Aligner.WAV2VEC2 or not options.use_faster_whisper
    if len(installed) == 2 or not needs:
        yield Result("torch", "ok", told or "not installed; only wav2vec2 and WhisperX need it")
    else:
        yield Result(
            "torch",
            "failure",
            "the settings ask for wav2vec2 or WhisperX, which are not installed",
            "make install-whisperx, or set speech.aligner to attention and speech.use_faster_whisper to true",
        )


def _has_decoder(name: str) -> bool:
    import av

    try:
        av.Codec(name, "r")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _can_open(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
