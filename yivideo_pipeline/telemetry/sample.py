"""One performance sample, in the owner's contract's names."""

import time
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.telemetry.measure import StageMetrics


class PerformanceMetrics(BaseModel):
    """One operation that ended: when, how long, how heavy, and whether it succeeded.

    `timestamp` is the operation's end as Unix time; `duration` and `audio_duration` are seconds;
    memory is the peak; 100 percent of CPU is one core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timestamp: float
    operation: str = Field(min_length=1)
    duration: float = Field(ge=0)
    memory_usage_mb: float = Field(ge=0)
    cpu_usage_percent: float = Field(ge=0)
    gpu_memory_usage_mb: float | None = Field(None, ge=0)
    batch_size: int | None = Field(None, ge=1)
    audio_duration: float | None = Field(None, ge=0)
    success: bool

    @classmethod
    def from_metrics(
        cls,
        metrics: StageMetrics,
        operation: str,
        *,
        success: bool,
        batch_size: int | None = None,
        audio_duration: float | None = None,
        timestamp: float | None = None,
    ) -> Self:
        """Make a sample of what a stage was measured to cost.

        Args:
            metrics: The stage's cost.
            operation: Its name, such as `whisperx.generate_subtitles`.
            success: Whether it ended without an error.
            batch_size: Chunks decoded at once, where there was a model.
            audio_duration: Seconds of sound worked on.
            timestamp: Unix time of its end; now if not given.
        """
        return cls(
            timestamp=time.time() if timestamp is None else timestamp,
            operation=operation,
            duration=metrics.wall_s,
            memory_usage_mb=metrics.rss_peak_mb,
            cpu_usage_percent=metrics.cpu_mean_pct,
            gpu_memory_usage_mb=metrics.gpu_memory_peak_mb,
            batch_size=batch_size,
            audio_duration=audio_duration,
            success=success,
        )
