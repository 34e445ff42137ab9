"""How much memory a model needs, whether it fits what is free, and what would fit.

It is apart from `resolve`, which applies it, because it is a formula with measured constants.
"""

from dataclasses import dataclass
from typing import Literal

from yivideo_pipeline.settings.hardware import Hardware
from yivideo_pipeline.settings.options import ComputeType, SpeechOptions
from yivideo_pipeline.settings.whisper_models import MODELS

ENCODER_FRAMES = 1500
TYPICAL_TOKENS = 100
"""Tokens of a chunk of dense speech; the decoder may go to 448 but hardly ever does."""

CPU_RUNTIME_BYTES = 900 * 2**20
"""Interpreter, libraries and decoded sound of a process that does no more than transcribe."""
CUDA_RUNTIME_BYTES = 600 * 2**20
"""CUDA context and the workspaces of cuBLAS and cuDNN."""


def estimate_memory_bytes(
    model: str, compute_type: str, batch_size: int, beam_size: int = 5, *, cuda: bool = False
) -> int | None:
    """Estimate the peak memory of a transcription, on the GPU if `cuda`, else in the host.

    Weights, plus a runtime's fixed share, plus for each chunk of the batch what CTranslate2 holds at
    once: the projected keys and values of the cross-attention (shared by the beams), one encoder
    layer's attention scores, and each beam's own keys and values. Activations are float16 under the
    16-bit types and under int8 on a GPU, float32 on a CPU. Against the memory tables of
    faster-whisper's readme (large-v2 on a GPU, small on a CPU; batch 1 and 8) it is within 20%.

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
    return (
        facts.weight_bytes(compute_type) + runtime + batch_size * (cross_attention + scores + self_attention)
    )


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
