"""The part that every stage has in common: look before making, measure, keep."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.cache_keys import deciding_options, recipe_of
from yivideo_pipeline.defs.checks.base import Subject
from yivideo_pipeline.defs.resources import Launch, Library, SpeechResource
from yivideo_pipeline.errors.tree import TaskError
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.failures import Attempt
from yivideo_pipeline.machine.gpu import open_first_gpu
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions, SubtitleOptions
from yivideo_pipeline.speech.engine import EngineInfo, SpeechEngine
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.stage_keys import stage_key
from yivideo_pipeline.telemetry.measure import StageMetrics, measure

# PART defs/results.py: What a stage hands over when it is done with a video, and what is told of it.


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


TELL_EVERY_S = 1.0
"""So often the ledger is told how far a stage is; each time is a commit."""


@dataclass(frozen=True)
class Tools:
    """The resources that all stages work with; `background` is whether nobody waits for this run."""

    storage: Storage
    library: Library
    speech: SpeechResource
    launch: Launch
    ledger: Ledger
    background: bool = False


class Stage:
    """One stage of one video, while it is being made.

    Args:
        name: The stage's name.
        partition_key: The video's.
        tools: The run's resources.
        log: The run's log.
    """

    def __init__(self, name: str, partition_key: str, tools: Tools, log: dg.DagsterLogManager) -> None:
        self.name = name
        self.partition_key = partition_key
        self.tools = tools
        self._log = log
        self._tell_again_at = time.monotonic() + TELL_EVERY_S  # what is over sooner needs no telling

    @property
    def speech_options(self) -> SpeechOptions:
        """What is recognized, how: as the launch asks for it."""
        return self.tools.launch.speech_options()

    @property
    def subtitle_options(self) -> SubtitleOptions:
        """How words become cues: as the launch asks for it."""
        return self.tools.launch.subtitle_options()

    @property
    def path(self) -> Path:
        """The video's file.

        Raises:
            DiskError: it is not there.
        """
        return self.tools.library.path_of(self.partition_key)

    def progress(self, fraction: float) -> None:
        """Tell how much of the stage is done, 0 to 1: who launched it here, and who looks from elsewhere."""
        self.tools.launch.listener.tell(self.name, fraction)
        if (now := time.monotonic()) >= self._tell_again_at:
            self._tell_again_at = now + TELL_EVERY_S
            self.tools.ledger.workers.report(self.partition_key, fraction)

    def find(self, stage: str) -> Artifact | None:
        """Return what another stage made last for this video, if it is still there."""
        return self.tools.storage.find_latest(self.partition_key, stage)

    def input(self, stage: str, of: Artifact | None = None) -> Artifact:
        """Return what an upstream stage made last for this video.

        Args:
            stage: The upstream stage.
            of: An artifact that must be of the same content: the file may have been replaced since.

        Raises:
            TaskError: the stage made nothing yet, or made it of another content.
        """
        artifact = self.find(stage)
        if artifact is None:
            raise TaskError(f"There is no {stage} of this video yet", f"Materialize {stage} first")
        if of is not None and of.video_hash != artifact.video_hash:
            raise TaskError(
                f"{stage} was made before the video changed, {of.stage} after it",
                f"Materialize {stage} again first",
            )
        return artifact

    @cached_property
    def deciding_options(self) -> dict[str, Any]:
        """The options that decide the result, as the launch asks for them."""
        speech = self.speech_options
        revision = self.tools.speech.revision(speech) if self.name == "transcript" else ""
        return deciding_options(self.name, speech, self.subtitle_options, revision)

    def recipe(self) -> str:
        """Name the stage's code and deciding options."""
        return recipe_of(self.name, self.deciding_options)

    def is_chosen(self) -> bool:
        """Tell whether the launch asks for another result than the settings do."""
        settings = self.tools.launch.settings
        # A model is told by its name here: to look up the revision of one that is not used may download it.
        asked, default = (
            deciding_options(self.name, speech, subtitles, speech.model_name)
            for speech, subtitles in (
                (self.speech_options, self.subtitle_options),
                (settings.speech.options, settings.subtitles),
            )
        )
        return asked != default

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
        key = stage_key(self.name, STAGES[self.name].code_version, inputs, options)
        with measure(open_first_gpu(), self.tools.launch.settings.telemetry.interval_s) as measurement:
            artifact = self.tools.storage.find(video_hash, self.name, key)
            reused = artifact is not None
            if artifact is None:
                artifact = self._make(video_hash, key, make)
        kept = Kept(artifact, reused, measurement.summary())
        self.tools.storage.record_latest(self.partition_key, artifact)
        verb = "reused from" if reused else "made as"
        self._log.info(
            f"{self.name} of {self.partition_key} {verb} {artifact.folder} in {kept.metrics.wall_s:.2f} s"
        )
        self.progress(1.0)
        return kept

    def _make(self, video_hash: str, key: str, make: Callable[[Path], Made]) -> Artifact:
        with self.tools.storage.scratch() as folder:
            made = make(folder)
            by = {} if made.engine is None else asdict(made.engine)
            return self.tools.storage.save(video_hash, self.name, key, made.document, made.files, by)

    def engine(self, options: SpeechOptions) -> AbstractContextManager[SpeechEngine]:
        """Lend the speech models; a run that nobody waits for lets others go first."""
        return self.tools.speech.engine(options, background=self.tools.background)

    @contextmanager
    def sound(self, audio: Artifact) -> Generator[Audio]:
        """Lend the decoded sound that the audio stage made, as a local file."""
        with self.tools.storage.local_copy(audio, "audio.wav") as path:
            yield Audio(path, audio.document["offset_s"])
