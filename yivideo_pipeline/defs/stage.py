"""One stage of one video: what it works with, the work itself, and what comes of it.

Each stage finds what was made before of the same input by the same options, and makes it only where there is
none: `Stage.work` is the place for that. What the stage has in the end is a `StageResult`.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.cache_keys import cache_key, deciding_options, weights_asked
from yivideo_pipeline.defs.checks.base import Subject
from yivideo_pipeline.defs.documents import decode_sound
from yivideo_pipeline.defs.launch import Launch, SpeechResource
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import CheckFailed, TaskError
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.machine.gpu import open_first_gpu
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.probe import StreamInfo
from yivideo_pipeline.remote.client import RemoteEngine
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.engine import EngineInfo, SpeechEngine
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import SMALL_BYTES, Artifact, Storage, is_copy, stage_key
from yivideo_pipeline.storage.checkpoints import StoredCheckpoint
from yivideo_pipeline.storage.remote_paths import AnyPath
from yivideo_pipeline.telemetry.measure import StageMetrics, TimeShares, measure

SOUND = "audio.wav"
REPORT_EVERY_S = 1.0
"""Seconds between two notes of a stage's progress in the ledger; each is a commit, and a look at the run."""

_cpu, _time = TimeShares(), TimeShares(time.perf_counter)


@dataclass(frozen=True)
class StageResult:
    """What a stage has of one video, made now or found, and what is reported of it.

    Attributes:
        artifact: The stored result.
        reused: Whether it was made before.
        metrics: The cost of making it, or of finding it.
        work_s: Its time; of stages that worked side by side, each has an equal share.
        metadata: What the asset reports about the result; None becomes null.
        subject: What the checks look at.
        audio_s: Seconds of sound that were worked on, for the speed; None where there were none.
        version: Its data version, where that is not the hash of its content.
        deliver: Delivers the files to the user, once no check stands against them; returns the metadata
            with what came of that.
        checks: The results of the checks.
        blocked: The error of the checks that block, where one failed.
    """

    artifact: Artifact
    reused: bool
    metrics: StageMetrics
    work_s: float
    metadata: Mapping[str, Any]
    subject: Subject
    audio_s: float | None = None
    version: str = ""
    deliver: Callable[[], Mapping[str, Any]] | None = None
    checks: Sequence[dg.AssetCheckResult] = ()
    blocked: CheckFailed | None = None

    @property
    def data_version(self) -> str:
        """The version by which Dagster tells whether the stages after it are stale."""
        return self.version or self.artifact.content

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound per second of work; None where the result was only found."""
        if self.reused or not self.audio_s or not self.work_s:
            return None
        return self.audio_s / self.work_s


@dataclass(frozen=True)
class StageResources:
    """The resources that all stages work with; `background` tells that no user waits for this run."""

    storage: Storage
    library: Library
    speech: SpeechResource
    launch: Launch
    ledger: Ledger
    background: bool = False


class StageWork:
    """The work of a stage on one video, inside `Stage.work`.

    Args:
        storage: Keeps the result.
        place: The content hash of the video, the stage's name and its key.
        stack: Ends with the work.

    Attributes:
        checkpoint: Keeps parts of the result until it is saved.
        reused: Whether the result was made before.
    """

    def __init__(self, storage: Storage, place: tuple[str, str, str], stack: ExitStack) -> None:
        self.checkpoint = StoredCheckpoint(storage.files, "-".join(place))
        self._storage = storage
        self._place = place
        self._stack = stack
        self._damage: list[str] = []
        self._artifact = storage.find(*place, read_up_to_bytes=SMALL_BYTES, on_damage=self._damage.append)
        self.reused = self._artifact is not None
        self._metrics: StageMetrics | None = None
        self.work_s = 0.0

    @cached_property
    def folder(self) -> Path:
        """An empty local folder for the result's files."""
        return self._stack.enter_context(self._storage.scratch())

    @property
    def is_due(self) -> bool:
        """Whether there is no result yet, so that it has to be made and saved."""
        return self._artifact is None

    @property
    def artifact(self) -> Artifact:
        """The stored result.

        Raises:
            RuntimeError: it was not saved.
        """
        if self._artifact is None:
            raise RuntimeError(f"The stage {self._place[1]} has saved no result")
        return self._artifact

    @property
    def document(self) -> dict[str, Any]:
        """The result, as JSON."""
        return self.artifact.document

    @property
    def metrics(self) -> StageMetrics:
        """The cost of the work, once it has ended.

        Raises:
            RuntimeError: it has not.
        """
        if self._metrics is None:
            raise RuntimeError(f"The stage {self._place[1]} has not ended")
        return self._metrics

    def save(
        self, document: Mapping[str, Any], files: Sequence[str] = (), engine: EngineInfo | None = None
    ) -> None:
        """Store the result.

        Args:
            document: The result, as JSON.
            files: Names of the files in the work's folder that belong to it.
            engine: The engine that made it, where one did.
        """
        paths = {name: self.folder / name for name in files}
        made_by = {} if engine is None else asdict(engine)
        self._artifact = self._storage.save(*self._place, document, paths, made_by)
        self.checkpoint.remove()

    def end(self, metrics: StageMetrics, work_s: float) -> None:
        """Note the cost of the work, and its share of the time."""
        self._metrics = metrics
        self.work_s = work_s

    def result(
        self,
        metadata: Mapping[str, Any],
        subject: Subject,
        *,
        audio_s: float | None = None,
        version: str = "",
        deliver: Callable[[], Mapping[str, Any]] | None = None,
    ) -> StageResult:
        """Return what the stage has, described; the arguments are those of `StageResult`."""
        delivered = None if deliver is None else lambda: self._tell_damage(deliver())
        told = self._tell_damage(metadata)
        return StageResult(
            self.artifact, self.reused, self.metrics, self.work_s, told, subject, audio_s, version, delivered
        )

    def _tell_damage(self, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the metadata with a warning of what was made again because it was damaged."""
        if not self._damage:
            return metadata
        names = (what.rpartition("/")[2] for what in self._damage)
        again = (f"The stored result of {self._place[1]} was made again: its {name}" for name in names)
        told = [*metadata["warnings"].value, *again]
        return {**metadata, "warnings": dg.MetadataValue.json(told)}


class Stage:
    """One stage of one video, while it runs.

    Args:
        name: The stage's name.
        partition_key: The video's.
        resources: The run's resources.
        log: The run's log.
        require_wanted: Raises TaskCancelled once the work is to end; it is called now and then.
    """

    def __init__(
        self,
        name: str,
        partition_key: str,
        resources: StageResources,
        log: dg.DagsterLogManager,
        require_wanted: Callable[[], None],
    ) -> None:
        self.name = name
        self.partition_key = partition_key
        self.resources = resources
        self._log = log
        self._require_wanted = require_wanted
        self._cost_elsewhere: StageMetrics | None = None
        # A stage that ends sooner needs no note of its progress.
        self._next_report_at = time.monotonic() + REPORT_EVERY_S

    @property
    def speech_options(self) -> SpeechOptions:
        """The options of recognition and alignment, as this launch asks for them."""
        return self.resources.launch.speech_options()

    @property
    def subtitle_options(self) -> SubtitleOptions:
        """The options of the subtitles, as this launch asks for them."""
        return self.resources.launch.subtitle_options()

    @property
    def path(self) -> AnyPath:
        """The video's file or object.

        Raises:
            DiskError: it does not exist.
        """
        return self.resources.library.path_of(self.partition_key)

    def report_progress(self, fraction: float) -> None:
        """Report the done share to the listener and, now and then, to the ledger; TaskCancelled ends it."""
        self.resources.launch.listener.on_progress(self.partition_key, self.name, fraction)
        if (now := time.monotonic()) >= self._next_report_at:
            self._next_report_at = now + REPORT_EVERY_S
            self._require_wanted()
            self.resources.ledger.workers.report(self.partition_key, fraction)

    def find(self, stage: str) -> Artifact | None:
        """Return what another stage made last for this video, if it still exists."""
        return self.resources.storage.find_latest(self.partition_key, stage)

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
        speech, find_revision = self.speech_options, self.resources.speech.revision
        return self._decided_by(
            speech, weights_asked(speech, find_revision) if self.name == "transcript" else ""
        )

    def choose_model(self, inputs: Mapping[str, str]) -> tuple[ModelChoice, dict[str, Any]]:
        """Return the model of the transcript, and with its weights all that decides the result.

        A video that has a transcript keeps the model that `auto` chose for it, whatever it would choose now.

        Args:
            inputs: Content hash of each input, by name.
        """
        asked, made = self.speech_options, self.find("transcript")
        if asked.model_name == AUTO_MODEL and made is not None and made.made_by.get("chosen"):
            kept = asked.model_copy(update={"model_name": made.made_by["model"]})
            decides = self._decided_by(kept, made.made_by["revision"])
            if made.key == stage_key(self.name, STAGES[self.name].code_version, inputs, decides):
                return ModelChoice(kept, made.made_by["chosen"]), decides
        choice = self.resources.speech.choose(asked)
        return choice, self._decided_by(choice.options, self.resources.speech.revision(choice.options))

    def _decided_by(self, speech: SpeechOptions, revision: str) -> dict[str, Any]:
        return deciding_options(self.name, speech, self.subtitle_options, revision)

    def cache_key(self) -> str:
        """Return the key of the stage's code and deciding options."""
        return cache_key(self.name, self.deciding_options)

    def is_chosen(self) -> bool:
        """Return whether the launch asks for another result than the settings do."""
        settings = self.resources.launch.settings
        # By the model's name, since finding the revision of a model that is not used may download it.
        asked, default = (
            deciding_options(self.name, speech, subtitles, f"{speech.model_name}@{speech.model_revision}")
            for speech, subtitles in (
                (self.speech_options, self.subtitle_options),
                (settings.speech.options, settings.subtitles),
            )
        )
        return asked != default

    @contextmanager
    def work(
        self, video_hash: str, inputs: Mapping[str, str], options: Mapping[str, Any] | None = None
    ) -> Generator[StageWork]:
        """Measure the stage's work; what was made of the same input by the same options is found first.

        Args:
            video_hash: Content hash of the video.
            inputs: Content hash of each input, by name.
            options: All else that decides the result; by default `deciding_options`.

        Yields:
            The work. Where it `is_due`, the caller makes the result and saves it.
        """
        storage, interval_s = self.resources.storage, self.resources.launch.settings.telemetry.interval_s
        decides = self.deciding_options if options is None else options
        key = stage_key(self.name, STAGES[self.name].code_version, inputs, decides)
        place = (video_hash, self.name, key)
        # Of two runs on one content, on whichever hosts, the second finds what the first makes.
        leases, on_wait = self.resources.ledger.leases, lambda _holder: self._require_wanted()
        with (
            nullcontext() if storage.has(*place) else leases.hold("/".join(place), on_wait),
            _time.share() as own_s,
            _cpu.share() as cpu_clock,
            measure(open_first_gpu(), interval_s, cpu_clock) as measurement,
            ExitStack() as stack,
        ):
            work = StageWork(storage, place, stack)
            yield work
            work_s = own_s()
        cost = measurement.summary()
        work.end(cost.including(self._cost_elsewhere) if self._cost_elsewhere else cost, work_s)
        storage.record_latest(self.partition_key, work.artifact)
        self._log.info(
            f"{self.name} of {self.partition_key} {'reused from' if work.reused else 'made as'}"
            f" {work.artifact.folder} in {work.metrics.wall_s:.2f} s{work.checkpoint.note}"
        )
        self.report_progress(1.0)

    @contextmanager
    def engine(self, options: SpeechOptions) -> Generator[SpeechEngine]:
        """Lend the speech models; a run in the background lets others go first."""
        with self.resources.speech.engine(options, background=self.resources.background) as engine:
            yield engine
            if isinstance(engine, RemoteEngine):
                self._cost_elsewhere = engine.cost

    @contextmanager
    def decoded(self, audio: Artifact) -> Generator[Audio]:
        """Lend the sound that the audio stage decoded, as a local file; what is damaged is decoded again.

        Raises:
            DiskError: it is damaged, and can't be decoded as it was.
        """
        storage, offset_s = self.resources.storage, audio.document["offset_s"]
        with storage.local_copy(audio, SOUND) as path:
            if is_copy(audio, SOUND, path):
                yield Audio(path, offset_s)
                return
        self._log.warning(f"The audio of {self.partition_key} is damaged on disk: it is decoded again")
        with storage.scratch() as folder:
            stream = StreamInfo.model_validate(audio.document["stream"])
            decode_sound(self.path, folder / SOUND, stream, self.report_progress)
            storage.restore(audio, SOUND, folder / SOUND)
        with storage.local_copy(audio, SOUND) as path:
            yield Audio(path, offset_s)
