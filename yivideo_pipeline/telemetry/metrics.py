"""What one stage cost, in the names that every materialization carries."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class StageMetrics(BaseModel):
    """Time, processor, memory and GPU of one stage.

    A megabyte is 2**20 bytes. GPU figures are None where there is no GPU or it does not tell them.
    `gpu_memory_scope` says whose memory `gpu_memory_*` is: this process's where the driver tells it,
    else the whole device's. All figures are the process's: stages that run at once share them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_s: float = Field(ge=0, description="Time from start to end")
    cpu_s: float = Field(ge=0, description="Processor time of all threads, user and system")
    rss_peak_mb: float = Field(ge=0, description="Most host memory in use at once")
    rss_mean_mb: float = Field(ge=0, description="Host memory in use, mean of the samples")
    cpu_mean_pct: float = Field(ge=0, description="Processor use; 100 is one core the whole time")
    gpu_memory_peak_mb: float | None = Field(None, ge=0, description="Most GPU memory seen in use")
    gpu_memory_mean_mb: float | None = Field(None, ge=0, description="GPU memory in use, mean of the samples")
    gpu_memory_scope: Literal["process", "device"] | None = Field(None, description="Whose GPU memory it is")
    gpu_utilization_mean_pct: float | None = Field(None, ge=0, description="GPU use, mean of the samples")
    gpu_utilization_peak_pct: float | None = Field(None, ge=0, description="Highest GPU use seen")
    gpu_power_mean_w: float | None = Field(None, ge=0, description="Power drawn, mean of the samples")
    gpu_temperature_peak_c: float | None = Field(None, description="Highest temperature seen")
    samples: int = Field(ge=0, description="Samples of the host taken")
