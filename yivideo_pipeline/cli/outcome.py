"""What came of each video, as the command's summary."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from yivideo_pipeline.errors.tree import YivideoError

if TYPE_CHECKING:
    from yivideo_pipeline.defs.runner import Processed

Status = Literal["done", "failed", "interrupted", "not_started"]

MODEL_STAGES = {"transcript", "alignment"}


@dataclass(frozen=True)
class Failure:
    """Why a video has no subtitles; `kind` is the error's in `errors.tree`."""

    kind: str
    message: str
    hint: str
    stage: str | None = None

    @classmethod
    def of(cls, error: YivideoError) -> "Failure":
        """Describe an error that no stage reported."""
        return cls(error.kind, error.message, error.hint, error.context.stage)


@dataclass(frozen=True)
class Outcome:
    """What came of one video, or of a folder that could not be looked into."""

    path: Path
    status: Status
    processed: "Processed | None" = None
    failure: Failure | None = None

    @classmethod
    def of_run(cls, path: Path, processed: "Processed") -> "Outcome":
        """Take over what the pipeline reports."""
        failed = processed.failure
        if failed is None:
            return cls(path, "done", processed)
        return cls(path, "failed", processed, Failure(failed.kind, failed.message, failed.hint, failed.stage))

    @property
    def already_processed(self) -> bool:
        """Whether no model had to work: text and times were there from a run before."""
        return self.processed is not None and set(self.processed.reused) >= MODEL_STAGES

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound a second of work, loading among it; None where a model did nothing new."""
        run = self.processed
        if self.status != "done" or run is None or not run.audio_s or MODEL_STAGES & set(run.reused):
            return None
        return run.audio_s / run.wall_s

    def as_json(self) -> dict[str, Any]:
        """Return the same names for every video; null where there is nothing to say."""
        run = self.processed
        return {
            "path": str(self.path),
            "status": self.status,
            "partition_key": run and run.partition_key,
            "run_id": run and run.run_id,
            "language": run and run.language,
            "audio_s": run and run.audio_s,
            "speech_s": run and run.speech_s,
            "wall_s": run and run.wall_s,
            "rtfx": self.rtfx,
            "cues": run and run.cues,
            "quality": run and run.score,
            "files": [str(file) for file in run.files] if run else [],
            "reused": list(run.reused) if run else [],
            "already_processed": self.already_processed,
            "empty_reason": run and run.empty_reason,
            "warnings": list(run.warnings) if run else [],
            "error": self.failure and asdict(self.failure),
        }


def summarize(outcomes: Sequence[Outcome], wall_s: float, error: Failure | None = None) -> dict[str, Any]:
    """Return the summary of a whole command as JSON; `error` is what kept it from beginning."""
    counts = {status: sum(one.status == status for one in outcomes) for status in get_args(Status)}
    videos = [one.as_json() for one in outcomes]
    return {**counts, "wall_s": wall_s, "videos": videos, "error": error and asdict(error)}
