"""The outcome of one video, which what only reads it gets without importing Dagster."""

from dataclasses import dataclass

from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.storage.remote_paths import AnyPath


@dataclass(frozen=True)
class Processed:
    """The outcome of one video, as its materializations report it.

    Values are None where the run did not get that far. `files` are the delivered subtitles, `reused` the
    stages whose result existed before; `tracks` says which of several audio tracks was taken; `interrupted`
    tells that the user stopped the run before the video was done, `resumed_s` how many seconds of its sound a
    killed run had recognized before. `wall_s` is the run's time; of a run of
    several videos, a share by their duration.
    """

    partition_key: str
    run_id: str
    wall_s: float
    failure: StageFailure | None
    files: tuple[AnyPath, ...] = ()
    language: str | None = None
    audio_s: float | None = None
    speech_s: float | None = None
    cues: int | None = None
    readability: float | None = None
    confidence: float | None = None
    empty_reason: str | None = None
    reused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tracks: str | None = None
    interrupted: bool = False
    resumed_s: float = 0.0

    @property
    def success(self) -> bool:
        """Whether the subtitles were delivered."""
        return self.failure is None and not self.interrupted
