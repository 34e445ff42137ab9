"""Whether a model and its batch fit the free memory, and what would."""

from dataclasses import dataclass
from typing import Literal

from yivideo_pipeline.settings.hardware import Hardware
from yivideo_pipeline.settings.models import MODELS, estimate_memory_bytes
from yivideo_pipeline.settings.options import ComputeType, SpeechOptions


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The options' demand against the free memory of one device."""

    options: SpeechOptions
    hardware: Hardware
    device: Literal["cpu", "cuda"]

    @property
    def free_bytes(self) -> int | None:
        """Free memory; None for a GPU whose driver does not tell."""
        if self.device == "cpu":
            return self.hardware.memory_available_bytes
        return self.hardware.gpus[0].memory_free_bytes if self.hardware.gpus else None

    def estimate(
        self, compute_type: ComputeType, batch_size: int | None = None, model: str | None = None
    ) -> int | None:
        """Estimate the demand in bytes, by default of the options' own batch and model; None if unknown."""
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
        """Tell whether the demand is within what is free, as far as both are known."""
        needed, free = self.estimate(compute_type, batch_size, model), self.free_bytes
        return needed is None or free is None or needed <= free

    def describe(self, compute_type: ComputeType) -> str:
        """Say what is needed and what is there."""
        where = "GPU" if self.device == "cuda" else "machine"
        return (
            f"model {self.options.model_name} in {compute_type} with batch_size {self.options.batch_size}"
            f" needs about {_gb(self.estimate(compute_type))}, this {where}"
            f" has {_gb(self.free_bytes)} free"
        )

    def advise(self, compute_type: ComputeType) -> tuple[str, str]:
        """Name the field to change and how: a smaller batch, else a smaller type, else a smaller model."""
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
