"""What the attempts at a stage and its end mean to the ledger, for runs of one video and of several alike.

It records what is worked on, what was made and at which cost, what failed, and which videos are quarantined:
nothing takes those up by itself until their file changes or a user releases them.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager

from yivideo_pipeline.defs.metadata import Metadata, failure_metadata
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.stage import Stage, StageResources, StageResult
from yivideo_pipeline.errors.tree import (
    ConfigError,
    DiskError,
    MediaError,
    ModelLoadError,
    ServiceUnreachable,
    TaskCancelled,
    WorkerKilled,
    YivideoError,
)
from yivideo_pipeline.history.samples import failed_sample, made_sample
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.stages import LAST_STAGE
from yivideo_pipeline.storage.remote_paths import read_stamp

NOT_THE_VIDEOS_FAULT = (ConfigError, DiskError, ModelLoadError, ServiceUnreachable, TaskCancelled)
"""They fail every video alike: if they counted, a full disk would quarantine the whole library."""
NO_RUN = ""
"""Stands for the run of a failure that needed none."""


def note_refusal(ledger: Ledger, library: Library, key: str, error: MediaError, trigger: str) -> None:
    """Record that a video was refused before any run, as a run would that fails at it: it is quarantined.

    Args:
        ledger: Where it is recorded.
        library: Knows the video's file.
        key: The video's key.
        error: Why it can't be transcribed, with the stage that would fail.
        trigger: What asked for the video.
    """
    failure = ledger.failures.note_failure(key, error.context.stage or "video", NO_RUN, error, attempts=1)
    ledger.failures.quarantine(key, failure, *_stamp_of(library, key))
    metadata = failure_metadata(error, 1, quarantined=True)
    origin = RunOrigin(NO_RUN, NO_RUN, trigger=trigger)
    ledger.samples.record(failed_sample(origin, failure.stage, key, failure.at, metadata))


def quarantine_killers(ledger: Ledger, library: Library, after: int) -> list[str]:
    """Quarantine the videos that have killed so many workers; return those that were not yet.

    A stage does so when it finds that out at its begin; but where Dagster has no retries left, none begins.
    """
    known = ledger.failures.quarantined()
    deaths = {key: count for key, count in ledger.workers.deaths().items() if count >= after}
    killers = [key for key in deaths if key not in known]
    for key in killers:
        last = ledger.workers.last_death(key)
        failure = ledger.failures.note_failure(
            key, last.stage, last.run_id, _killed(deaths[key]), attempts=deaths[key]
        )
        ledger.failures.quarantine(key, failure, *_stamp_of(library, key))
    return killers


def _killed(deaths: int) -> WorkerKilled:
    return WorkerKilled(
        f"The worker was killed {plural(deaths, 'time')} while it worked on this video",
        "Lack of memory often ends so: see the system's log, then use a smaller model or a machine with more"
        " memory",
    )


def _stamp_of(library: Library, key: str) -> tuple[int, int]:
    """Return size and time of a video's file; both are 0 where there is none."""
    try:
        return read_stamp(library.path_of(key))
    except (DiskError, MediaError, OSError):
        return 0, 0


class Recorder:
    """Records the stages of one run in the ledger.

    Args:
        resources: The run's resources.
        run: The run. Failures belong to its root, the first of the runs that retry each other.
    """

    def __init__(self, resources: StageResources, run: RunOrigin) -> None:
        self._ledger = resources.ledger
        self._library = resources.library
        self._quarantine_after = resources.launch.settings.runs.quarantine_after
        self._run = run

    @contextmanager
    def at_work(self, stage: Stage, deaths_allowed: int) -> Generator[None]:
        """Record that this process works on a video; what a killed process leaves is counted as its death.

        Raises:
            WorkerKilled: so many workers have died at the video that it is given up.
        """
        workers = self._ledger.workers
        deaths = workers.begin(stage.partition_key, stage.name, self._run)
        try:
            if deaths >= deaths_allowed:
                raise _killed(deaths)
            yield
        finally:
            workers.end(stage.partition_key)

    def note_result(self, stage: Stage, result: StageResult, metadata: Metadata) -> None:
        """Record what a stage has made or found, and at which cost.

        Args:
            stage: The stage.
            result: What it has.
            metadata: Of the materialization.
        """
        now, made_by = time.time(), result.artifact.made_by
        self._ledger.materializations.note(
            Materialization(
                stage.partition_key,
                stage.name,
                stage_key=result.artifact.key,
                recipe=stage.cache_key(),
                chosen=stage.is_chosen(),
                video_hash=result.artifact.video_hash,
                made_at=now,
                run_id=self._run.run_id,
                reused=result.reused,
                audio_s=result.audio_s,
                measured_at=None if result.reused else now,
                wall_s=None if result.reused else result.metrics.wall_s,
                rtfx=result.rtfx,
                model=made_by.get("model"),
                compute_type=made_by.get("compute_type"),
                device=made_by.get("device"),
                revision=made_by.get("revision"),
            )
        )

        self._ledger.samples.record(made_sample(self._run, stage.name, stage.partition_key, now, metadata))

    def note_success(self, stage: Stage) -> None:
        """Record that a stage succeeded; the last one ends the video's failures and its quarantine."""
        key = stage.partition_key
        self._ledger.attempts.forget(key, stage.name)
        self._ledger.failures.forgive(key, self._run.root_id)
        if stage.name == LAST_STAGE:
            self._ledger.failures.note_success(key)

    def note_cost_of_failure(self, stage: Stage, metadata: Metadata) -> None:
        """Record in the statistics that a stage failed in this run; the metadata are the failure's."""
        sample = failed_sample(self._run, stage.name, stage.partition_key, time.time(), metadata)
        self._ledger.samples.record(sample)

    def note_failure(self, stage: Stage, error: YivideoError, attempts: int) -> bool:
        """Record that a stage failed for good in this run; return whether the video is quarantined now."""
        key, failures = stage.partition_key, self._ledger.failures
        self._ledger.attempts.forget(key, stage.name)
        failure = failures.note_failure(key, stage.name, self._run.root_id, error, attempts)
        if not self._is_quarantine_due(key, error):
            return failures.find_quarantined(key) is not None
        failures.quarantine(key, failure, *_stamp_of(self._library, key))
        return True

    def _is_quarantine_due(self, key: str, error: YivideoError) -> bool:
        if isinstance(error, MediaError):  # it does not get better by itself
            return True
        if isinstance(error, NOT_THE_VIDEOS_FAULT):
            return False
        after = self._quarantine_after
        return (
            self._ledger.failures.streak(key) >= after or self._ledger.workers.deaths().get(key, 0) >= after
        )
