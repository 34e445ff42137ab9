"""Checks options against a machine, and chooses what `auto` means on it."""

from dataclasses import dataclass
from typing import Literal

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.hardware import Hardware
from yivideo_pipeline.settings.memory import MemoryBudget
from yivideo_pipeline.settings.options import ComputeType, Device, SpeechOptions, Task
from yivideo_pipeline.settings.whisper_models import MODELS

MAX_CPU_BATCH = 8
MAX_THREADS = 32
_INSTEAD_ON_CPU = {
    ComputeType.FLOAT16: ComputeType.FLOAT32,
    ComputeType.BFLOAT16: ComputeType.FLOAT32,
    ComputeType.INT8_FLOAT16: ComputeType.INT8,
}
_AUTO_ON_CUDA = (ComputeType.FLOAT16, ComputeType.INT8_FLOAT16, ComputeType.INT8, ComputeType.FLOAT32)
_AUTO_ON_CPU = (ComputeType.INT8, ComputeType.FLOAT32)


@dataclass(frozen=True, slots=True)
class OptionFinding:
    """What is wrong or unusual about one field on this machine, and what to do about it."""

    level: Literal["error", "warning"]
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class ResolvedOptions:
    """The options in use: no `auto` and no unset value is left."""

    device: Literal["cpu", "cuda"]
    compute_type: ComputeType
    batch_size: int
    threads: int
    findings: tuple[OptionFinding, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings, as lines for the user."""
        return tuple(str(finding) for finding in self.findings if finding.level == "warning")


def check_machine(options: SpeechOptions, hardware: Hardware) -> list[OptionFinding]:
    """Return what is wrong or unusual about the options on this machine, errors first."""
    findings = _plan(options, hardware).findings
    return sorted(findings, key=lambda finding: finding.level != "error")


def resolve(options: SpeechOptions, hardware: Hardware) -> ResolvedOptions:
    """Choose device, compute type and threads where they are left open, and check the rest.

    Raises:
        ConfigValidationError: The options can't work on this machine; one line for each reason.
    """
    plan = _plan(options, hardware)
    errors = [str(finding) for finding in plan.findings if finding.level == "error"]
    if errors:
        raise ConfigValidationError("\n".join(errors))
    return plan


def _plan(options: SpeechOptions, hardware: Hardware) -> ResolvedOptions:
    findings = _check_task(options)
    device = _choose_device(options, hardware, findings)
    compute_type = _choose_compute_type(options, hardware, device, findings)
    threads = _choose_threads(options, hardware, findings)
    if device == "cpu" and options.batch_size > MAX_CPU_BATCH:
        message = f"{options.batch_size} is over {MAX_CPU_BATCH}, the most on a CPU: lower it"
        findings.append(OptionFinding("error", "batch_size", message))
    else:
        findings += _check_memory(MemoryBudget(options, hardware, device), compute_type)
    return ResolvedOptions(device, compute_type, options.batch_size, threads, tuple(findings))


def _check_task(options: SpeechOptions) -> list[OptionFinding]:
    facts = MODELS.get(options.model_name)
    if options.task is not Task.TRANSLATE or facts is None:
        return []
    if facts.english_only:
        message = f"model {facts.name} supports English only and can't translate: choose large-v3 or medium"
    elif facts.turbo:
        message = f"model {facts.name} never learned to translate and mostly won't: choose large-v3 or medium"
    else:
        return []
    return [OptionFinding("warning", "task", message)]


def _choose_device(
    options: SpeechOptions, hardware: Hardware, findings: list[OptionFinding]
) -> Literal["cpu", "cuda"]:
    if options.device is Device.MPS:
        message = "CTranslate2 has no backend for mps, so the CPU is used: choose cpu or auto"
        findings.append(OptionFinding("warning", "device", message))
        return "cpu"
    if options.device is Device.CUDA and not hardware.has_cuda:
        message = f"no GPU can be used: {hardware.cuda_problem}: repair that, or choose cpu or auto"
        findings.append(OptionFinding("error", "device", message))
    wants_cuda = options.device is Device.CUDA or (options.device is Device.AUTO and hardware.has_cuda)
    return "cuda" if wants_cuda else "cpu"


def _choose_compute_type(
    options: SpeechOptions, hardware: Hardware, device: Literal["cpu", "cuda"], findings: list[OptionFinding]
) -> ComputeType:
    wanted = options.compute_type
    supported = hardware.cuda_compute_types if device == "cuda" else hardware.cpu_compute_types
    if wanted is ComputeType.AUTO:
        return _choose_auto(options, hardware, device, supported)
    if device == "cuda" and not supported:  # no GPU: reported already
        return wanted
    if wanted in supported:
        return wanted
    if device == "cpu" and (instead := _INSTEAD_ON_CPU.get(wanted)) in supported:
        message = f"a CPU does not compute in {wanted}, so {instead} is used: choose {instead} or auto"
        findings.append(OptionFinding("warning", "compute_type", message))
        return instead
    known = ", ".join(kind for kind in ComputeType if kind in supported)
    findings.append(
        OptionFinding(
            "error", "compute_type", f"this {device} does not compute in {wanted}: choose {known} or auto"
        )
    )
    return wanted


def _choose_auto(
    options: SpeechOptions, hardware: Hardware, device: Literal["cpu", "cuda"], supported: frozenset[str]
) -> ComputeType:
    """Choose the best type that is supported and fits; the best supported one if none fits."""
    budget = MemoryBudget(options, hardware, device)
    order = [kind for kind in (_AUTO_ON_CUDA if device == "cuda" else _AUTO_ON_CPU) if kind in supported]
    return next(filter(budget.fits, order), order[0] if order else ComputeType.FLOAT32)


def _choose_threads(options: SpeechOptions, hardware: Hardware, findings: list[OptionFinding]) -> int:
    wanted = options.faster_whisper_threads
    if wanted is None:
        return min(hardware.cores, MAX_THREADS)
    if wanted > hardware.cores:
        message = (
            f"{wanted} is over the {hardware.cores} cores that may be used here: lower it or leave it out"
        )
        findings.append(OptionFinding("error", "faster_whisper_threads", message))
    return wanted


def _check_memory(budget: MemoryBudget, compute_type: ComputeType) -> list[OptionFinding]:
    if budget.fits(compute_type):
        return []
    field, advice = budget.advise(compute_type)
    return [OptionFinding("error", field, f"{budget.describe(compute_type)}: {advice}")]
