"""The part that every stage has in common: look before making, measure, keep, describe."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.failures import classified_failures
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.stages import CODE_VERSIONS
from yivideo_pipeline.errors.retry import RetryOptions
from yivideo_pipeline.errors.tree import TaskError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.stage_keys import stage_key
from yivideo_pipeline.telemetry.measure import measure
from yivideo_pipeline.telemetry.metrics import StageMetrics
from yivideo_pipeline.telemetry.nvml import Nvml, open_nvml


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


class Stage:
    """One stage of one video, while its asset is being materialized."""

    def __init__(self, context: dg.AssetExecutionContext, storage: Storage, launch: Launch) -> None:
        self.name = context.asset_key.to_user_string()
        self.partition_key = context.partition_key
        self._context = context
        self._storage = storage
        self._launch = launch

    def progress(self, fraction: float) -> None:
        """Tell how much of the stage is done, 0 to 1."""
        self._launch.listener.tell(self.name, fraction)

    def input(self, stage: str, of: Artifact | None = None) -> Artifact:
        """Return what an upstream stage made last for this video.

        Args:
            stage: The upstream stage.
            of: An artifact that must be of the same content: the file may have been replaced since.

        Raises:
            TaskError: the stage made nothing yet, or made it of another content.
        """
        artifact = self._storage.recall(self.partition_key, stage)
        if artifact is None:
            raise TaskError(f"There is no {stage} of this video yet", f"Materialize {stage} first")
        if of is not None and of.video_hash != artifact.video_hash:
            raise TaskError(
                f"{stage} was made before the video changed, {of.stage} after it",
                f"Materialize {stage} again first",
            )
        return artifact

    def make_once(
        self,
        video_hash: str,
        inputs: Mapping[str, str],
        options: Mapping[str, Any],
        make: Callable[[Path], Made],
    ) -> Kept:
        """Return what was made of the same input by the same options; else make it and keep it.

        Args:
            video_hash: Content hash of the video.
            inputs: Content hash of each thing that `make` reads.
            options: All else that decides the result.
            make: Does the work; given an empty folder for its files.
        """
        key = stage_key(self.name, CODE_VERSIONS[self.name], inputs, options)
        with measure(_gpu(), self._launch.settings.telemetry.interval_s) as measurement:
            artifact = self._storage.find(video_hash, self.name, key)
            reused = artifact is not None
            if artifact is None:
                artifact = self._make(video_hash, key, make)
        kept = Kept(artifact, reused, measurement.summary())
        self._storage.remember(self.partition_key, artifact)
        verb = "reused from" if reused else "made as"
        self._context.log.info(f"{self.name} {verb} {artifact.folder} in {kept.metrics.wall_s:.2f} s")
        self.progress(1.0)
        return kept

    def _make(self, video_hash: str, key: str, make: Callable[[Path], Made]) -> Artifact:
        with self._storage.scratch() as folder:
            made = make(folder)
            by = {} if made.engine is None else asdict(made.engine)
            return self._storage.save(video_hash, self.name, key, made.document, made.files, by)

    def describe(
        self,
        kept: Kept,
        facts: Mapping[str, Any],
        audio_s: float | None = None,
        data_version: str | None = None,
    ) -> dg.MaterializeResult:
        """Report the materialization: what every stage measures, and the facts of this one.

        Args:
            kept: What the stage has.
            facts: Metadata about the result; None becomes null.
            audio_s: Seconds of sound that were worked on, for the speed.
            data_version: What the result's version is; by default the hash of its content.
        """
        # What the asset is about stands first, its picture among it; what it cost comes after.
        metadata = {**facts, **self._measured(kept, audio_s)}
        return dg.MaterializeResult(
            metadata={name: _presentable(value) for name, value in metadata.items()},
            data_version=dg.DataVersion(data_version or kept.artifact.content),
        )

    def _measured(self, kept: Kept, audio_s: float | None) -> dict[str, Any]:
        metrics, by = kept.metrics, kept.artifact.made_by
        # The speed of finding what was made before says nothing.
        worked_s = None if kept.reused or not audio_s else metrics.wall_s
        return {
            "wall_s": metrics.wall_s,
            "cpu_s": metrics.cpu_s,
            "rtfx": audio_s / worked_s if audio_s and worked_s else None,
            "rss_peak_mb": metrics.rss_peak_mb,
            "gpu_memory_peak_mb": metrics.gpu_memory_peak_mb,
            "gpu_utilization_mean_pct": metrics.gpu_utilization_mean_pct,
            "model": by.get("model"),
            "compute_type": by.get("compute_type"),
            "device": by.get("device"),
            "batch_size": by.get("batch_size"),
            "degradation": dg.MetadataValue.json(list(by.get("steps", ()))),
            "attempts": self._context.retry_number + 1,
            "reused": kept.reused,
            "artifact": kept.artifact.folder,
        }


@contextmanager
def stage_of(context: dg.AssetExecutionContext, storage: Storage, launch: Launch) -> Generator[Stage]:
    """Lend the stage that is being materialized; what goes wrong inside is classified."""
    retry = RetryOptions(**launch.settings.retry.model_dump())
    with classified_failures(context, context.asset_key.to_user_string(), retry):
        yield Stage(context, storage, launch)


@contextmanager
def sound_of(storage: Storage, audio: Artifact) -> Generator[Audio]:
    """Lend the decoded sound that the audio stage made, as a local file."""
    with storage.local_copy(audio, "audio.wav") as path:
        yield Audio(path, audio.document["offset_s"])


@cache
def _gpu() -> Nvml | None:
    return open_nvml()


def _presentable(value: Any) -> Any:
    """A value as people read it: null for what is not there, three decimals at most."""
    if value is None:
        return dg.MetadataValue.null()
    return round(value, 3) if isinstance(value, float) else value
