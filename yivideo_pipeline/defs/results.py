"""What a stage hands over when it is done with a video, and what is told of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.checks.base import Subject
from yivideo_pipeline.ledger.attempts import Attempt
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.storage.artifacts import Artifact
from yivideo_pipeline.telemetry.metrics import StageMetrics


@dataclass(frozen=True)
class Made:
    """What a stage's work hands over: a document (JSON), files in its scratch folder, and by what engine."""

    document: Mapping[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)
    engine: EngineInfo | None = None


@dataclass(frozen=True)
class Kept:
    """What the stage has in the end, made now or before."""

    artifact: Artifact
    reused: bool
    metrics: StageMetrics

    @property
    def document(self) -> dict[str, Any]:
        """The result, as JSON."""
        return self.artifact.document


@dataclass(frozen=True)
class Result:
    """What a stage has of one video, and what is told of it.

    Args:
        kept: What it has.
        facts: Metadata about the result; None becomes null.
        subject: What the checks look at.
        audio_s: Seconds of sound that were worked on, for the speed.
        version: What the result's data version is; by default the hash of its content.
        deliver: Hands the result over to the person, once no check stands against it; returns the facts
            anew, with what came of that.
    """

    kept: Kept
    facts: Mapping[str, Any]
    subject: Subject
    audio_s: float | None = None
    version: str = ""
    deliver: Callable[[], Mapping[str, Any]] | None = None

    @property
    def data_version(self) -> str:
        """The version by which Dagster tells whether what follows is stale."""
        return self.version or self.kept.artifact.content

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound by second of work; the speed of finding what was made before says nothing."""
        if self.kept.reused or not self.audio_s or not self.kept.metrics.wall_s:
            return None
        return self.audio_s / self.kept.metrics.wall_s

    def metadata(self, earlier: Sequence[Attempt]) -> dict[str, Any]:
        """Return the materialization's metadata: the facts, what every stage measures, the attempts.

        What the asset is about stands first, its picture among it; what it cost comes after.

        Args:
            earlier: The attempts that failed before this one.
        """
        metadata = {**self.facts, **self._measured(), "attempts": len(earlier) + 1}
        if earlier:
            metadata["earlier_attempts"] = _attempt_table(earlier)
        return {name: _presentable(value) for name, value in metadata.items()}

    def _measured(self) -> dict[str, Any]:
        metrics, by = self.kept.metrics, self.kept.artifact.made_by
        return {
            "wall_s": metrics.wall_s,
            "cpu_s": metrics.cpu_s,
            "rtfx": self.rtfx,
            "rss_peak_mb": metrics.rss_peak_mb,
            "gpu_memory_peak_mb": metrics.gpu_memory_peak_mb,
            "gpu_utilization_mean_pct": metrics.gpu_utilization_mean_pct,
            "model": by.get("model"),
            "compute_type": by.get("compute_type"),
            "device": by.get("device"),
            "batch_size": by.get("batch_size"),
            "degradation": dg.MetadataValue.json(list(by.get("steps", ()))),
            "reused": self.kept.reused,
            "artifact": self.kept.artifact.folder,
        }


def _attempt_table(attempts: Sequence[Attempt]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "attempt": number,
                    "kind": attempt.kind,
                    "message": attempt.message,
                    "waited_s": round(attempt.waited_s, 1),
                }
            )
            for number, attempt in enumerate(attempts, 1)
        ]
    )


def _presentable(value: Any) -> Any:
    """A value as people read it: null for what is not there, three decimals at most."""
    if value is None:
        return dg.MetadataValue.null()
    return round(value, 3) if isinstance(value, float) else value
