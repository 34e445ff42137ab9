"""Probes what the machine offers to a model, checks options against it, and resolves `auto`."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.machine.gpu import Gpu, list_gpus
from yivideo_pipeline.machine.host import count_cores, read_memory
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.options import Aligner, ComputeType, Device, SpeechOptions, Task
from yivideo_pipeline.settings.whisper_models import MODELS


@dataclass(frozen=True, slots=True)
class Hardware:
    """Processors, memory and GPUs that this process may use, and what CTranslate2 computes on them.

    `cuda_problem` is the reason why no GPU can be used; it is empty where one can. `has_whisperx` is whether
    the extra with WhisperX and torch is installed.
    """

    cores: int
    memory_available_bytes: int
    memory_total_bytes: int
    gpus: tuple[Gpu, ...]
    cpu_compute_types: frozenset[str]
    cuda_compute_types: frozenset[str]
    cuda_problem: str = ""
    has_whisperx: bool = False

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
        has_whisperx=find_spec("whisperx") is not None,
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


ENCODER_FRAMES = 1500
TYPICAL_TOKENS = 100
"""Tokens of a chunk of dense speech; the decoder may go to 448 but hardly ever does."""

CPU_RUNTIME_BYTES = 600 * 2**20
"""Interpreter, libraries, decoded sound and the aligner's weights of a process that transcribes."""
CPU_WORKERS = 2
"""Chunks that are encoded side by side; more only where more threads are set."""
CUDA_RUNTIME_BYTES = 600 * 2**20
"""CUDA context and the workspaces of cuBLAS and cuDNN."""


def estimate_memory_bytes(
    model: str, compute_type: str, batch_size: int, beam_size: int = 5, *, cuda: bool = False
) -> int | None:
    """Estimate the peak memory of a transcription, on the GPU if `cuda`, else in the host.

    Weights, plus a runtime's fixed share, plus for each chunk of the batch what CTranslate2 holds at
    once: the projected keys and values of the cross-attention (shared by the beams), one encoder
    layer's attention scores, and each beam's own keys and values. Activations are float16 under the
    16-bit types and under int8 on a GPU, float32 on a CPU, where the encoder reads one chunk a worker
    at a time. It is within a quarter of the table of faster-whisper's readme (large-v2 on a GPU) and of
    our own peaks (base on a CPU; batch 1 and 8).

    Returns:
        Bytes, or None for a model that is not in `MODELS` (a folder or a hub id).
    """
    facts = MODELS.get(model)
    if facts is None:
        return None
    activation = 2 if cuda and compute_type != "float32" else 4
    cross_attention = 2 * facts.decoder_layers * ENCODER_FRAMES * facts.width * activation
    scores = facts.heads * ENCODER_FRAMES**2 * activation
    self_attention = 2 * facts.decoder_layers * TYPICAL_TOKENS * facts.width * activation * beam_size
    runtime = CUDA_RUNTIME_BYTES if cuda else CPU_RUNTIME_BYTES
    encoding = batch_size if cuda else min(batch_size, CPU_WORKERS)
    chunks = batch_size * (cross_attention + self_attention) + encoding * scores
    return facts.weight_bytes(compute_type) + runtime + chunks


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The memory that options need, against what is free on one device."""

    options: SpeechOptions
    hardware: Hardware
    device: Literal["cpu", "cuda"]

    @property
    def free_bytes(self) -> int | None:
        """Free memory; None for a GPU whose driver does not report it."""
        if self.device == "cpu":
            return self.hardware.memory_available_bytes
        return self.hardware.gpus[0].memory_free_bytes if self.hardware.gpus else None

    def estimate(
        self, compute_type: ComputeType, batch_size: int | None = None, model: str | None = None
    ) -> int | None:
        """Estimate the need in bytes, by default of the options' own batch and model; None if unknown."""
        return estimate_memory_bytes(
            model or self.options.model_name,
            compute_type,
            batch_size or self.options.batch_size,
            self.options.beam_size,
            cuda=self.device == "cuda",
        )

    def fits(
        self, compute_type: ComputeType, batch_size: int | None = None, model: str | None = None
    ) -> bool:
        """Return whether the need is within what is free; true if either is unknown."""
        needed, free = self.estimate(compute_type, batch_size, model), self.free_bytes
        return needed is None or free is None or needed <= free

    def describe(self, compute_type: ComputeType) -> str:
        """Return a sentence on what is needed and what is free."""
        where = "GPU" if self.device == "cuda" else "machine"
        return (
            f"model {self.options.model_name} in {compute_type} with batch_size {self.options.batch_size}"
            f" needs about {_gb(self.estimate(compute_type))}, this {where}"
            f" has {_gb(self.free_bytes)} free"
        )

    def advise(self, compute_type: ComputeType) -> tuple[str, str]:
        """Return the field to change, and how: a smaller batch, else a smaller type, else a smaller model."""
        for batch_size in range(self.options.batch_size - 1, 0, -1):
            if self.fits(compute_type, batch_size):
                return "batch_size", f"lower batch_size to {batch_size}"
        hardware = self.hardware
        supported = hardware.cuda_compute_types if self.device == "cuda" else hardware.cpu_compute_types
        for kind in (ComputeType.INT8_FLOAT16, ComputeType.INT8):
            if kind in supported and self.fits(kind, 1):
                return "compute_type", f"choose compute_type {kind} and batch_size 1"
        english = MODELS[self.options.model_name].english_only
        for facts in sorted(MODELS.values(), key=lambda facts: -facts.parameters):
            if facts.english_only == english and self.fits(compute_type, 1, facts.name):
                return "model_name", f"choose model_name {facts.name} and batch_size 1"
        return "model_name", "free some memory"


def _gb(count: int | None) -> str:
    return f"{(count or 0) / 1e9:.1f} GB"


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


def device_of(options: SpeechOptions, hardware: Hardware) -> Literal["cpu", "cuda"]:
    """Return where the options run; a GPU that is asked for counts also where none can be used."""
    return _choose_device(options, hardware, [])


def budget_of(options: SpeechOptions, hardware: Hardware) -> tuple[MemoryBudget, ComputeType]:
    """Return the memory budget of the options where they run, and the compute type that they run in."""
    device = device_of(options, hardware)
    return MemoryBudget(options, hardware, device), _choose_compute_type(options, hardware, device, [])


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
    if not hardware.has_whisperx:
        findings += _check_without_whisperx(options)
    if options.temperature and not options.use_faster_whisper:
        message = "WhisperX's pipeline never samples: set it to 0, or use_faster_whisper to true"
        findings.append(OptionFinding("warning", "temperature", message))
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


def _check_without_whisperx(options: SpeechOptions) -> list[OptionFinding]:
    install = "WhisperX is not installed here: run `make install-whisperx`, or set it to"
    findings = []
    if not options.use_faster_whisper:
        findings.append(OptionFinding("error", "use_faster_whisper", f"{install} true"))
    if options.aligner is Aligner.WAV2VEC2 and options.task is not Task.TRANSLATE:
        findings.append(OptionFinding("error", "aligner", f"{install} auto or attention"))
    return findings


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
            f"{wanted} is over the {plural(hardware.cores, 'core')} that may be used here, which gains"
            " nothing: lower it or leave it out"
        )
        findings.append(OptionFinding("warning", "faster_whisper_threads", message))
    return wanted


def _check_memory(budget: MemoryBudget, compute_type: ComputeType) -> list[OptionFinding]:
    if budget.fits(compute_type):
        return []
    field, advice = budget.advise(compute_type)
    return [OptionFinding("error", field, f"{budget.describe(compute_type)}: {advice}")]
