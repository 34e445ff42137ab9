"""A performance sample carries the contract's names."""

import time

import pytest
from pydantic import ValidationError

from yivideo_pipeline.telemetry.measure import PerformanceMetrics, StageMetrics

COST = StageMetrics(
    wall_s=12.0, cpu_s=18.0, rss_peak_mb=900.0, rss_mean_mb=800.0, cpu_mean_pct=150.0, samples=24
)


def test_a_sample_is_made_of_a_stages_cost():
    sample = PerformanceMetrics.from_metrics(
        COST.model_copy(update={"gpu_memory_peak_mb": 3100.0}),
        "whisperx.generate_subtitles",
        success=True,
        batch_size=4,
        audio_duration=600.0,
        timestamp=1_700_000_000.0,
    )
    assert sample.model_dump() == {
        "timestamp": 1_700_000_000.0,
        "operation": "whisperx.generate_subtitles",
        "duration": 12.0,
        "memory_usage_mb": 900.0,
        "cpu_usage_percent": 150.0,
        "gpu_memory_usage_mb": 3100.0,
        "batch_size": 4,
        "audio_duration": 600.0,
        "success": True,
    }


def test_what_is_not_known_is_none_and_the_time_is_now():
    before = time.time()
    sample = PerformanceMetrics.from_metrics(COST, "ffmpeg.extract_audio", success=False)
    assert before <= sample.timestamp <= time.time()
    assert (sample.gpu_memory_usage_mb, sample.batch_size, sample.audio_duration) == (None, None, None)
    assert sample.success is False


def test_a_sample_survives_being_written_and_read():
    sample = PerformanceMetrics.from_metrics(COST, "align", success=True)
    assert PerformanceMetrics.model_validate_json(sample.model_dump_json()) == sample


def test_a_sample_without_an_operation_is_refused():
    with pytest.raises(ValidationError):
        PerformanceMetrics.from_metrics(COST, "", success=True)
