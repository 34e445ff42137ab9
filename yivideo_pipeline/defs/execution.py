"""One stage in a run, from its first attempt to its end: the same for runs of one video and of several.

`Execution` takes the videos of a run in turns: it makes the stage, judges and records what was made, and
decides after a failure between another attempt, another process and the end. Where the two kinds of runs
differ, a subclass says how: `SingleRun` lets Dagster retry the step and fail it; `multi_run.MultiRun` takes
the video again after all others, and records each one's success and failure for itself.
"""

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import NoReturn

import dagster as dg

from yivideo_pipeline.defs.checks.catalogue import blocked_by, evaluate
from yivideo_pipeline.defs.metadata import Metadata, failure_metadata, materialization_metadata
from yivideo_pipeline.defs.recording import Recorder
from yivideo_pipeline.defs.runs import (
    USER_TRIGGERS,
    ask_for_fresh_process,
    is_first,
    is_over,
    selected_stages,
    tag_language,
    trigger_of,
)
from yivideo_pipeline.defs.stage import Stage, StageResources, StageResult
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.retry import RetryOptions, delays
from yivideo_pipeline.errors.tree import DeviceLost, DiskError, TaskCancelled, YivideoError
from yivideo_pipeline.history.samples import read_origin
from yivideo_pipeline.ledger.failures import Attempt
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.settings.sections import RetrySettings
from yivideo_pipeline.stages import LAST_STAGE

MakeStage = Callable[[Stage], StageResult]
"""Does a stage for one video."""
StepEvent = (
    dg.AssetMaterialization
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
    | dg.AssetCheckResult
    | dg.MaterializeResult
    | dg.Output
)
RETURN_S = 60.0
"""Another attempt waits for so long until what the models need answers: a service that was killed is started
again in a few seconds, on a busy machine in many."""
RELEASE_HINT = "It is quarantined now: once the cause is removed, `yivideo quarantine release` releases it"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Turn:
    """One attempt at a video: those before it, and when it may begin (of `time.monotonic`)."""

    key: str
    earlier: tuple[Attempt, ...] = ()
    not_before: float = 0.0

    @property
    def number(self) -> int:
        """The number of this attempt, the first being 1."""
        return len(self.earlier) + 1


@dataclass(frozen=True)
class TakenTurn:
    """A turn that was taken: its result with the metadata of its materialization, or why there is none."""

    turn: Turn
    stage: Stage
    outcome: tuple[StageResult, Metadata] | Exception


class Execution(ABC):
    """The execution of one stage in one run.

    Args:
        context: Of the stage's step.
        resources: The run's resources.
        make: Does the stage for one video.
    """

    def __init__(self, context: dg.AssetExecutionContext, resources: StageResources, make: MakeStage) -> None:
        self.context = context
        self.resources = resources
        self.stage_name = context.asset_key.to_user_string()
        self.settings = resources.launch.settings
        # Read anew, since its tags were set only now.
        self.recorder = Recorder(resources, read_origin(context.instance, context.run_id))
        self._make = make

    def run(self) -> Iterator[StepEvent]:
        """Execute the stage for every video of the run.

        Raises:
            dagster.DagsterExecutionInterruptedError: the run is not to go on.
            dagster.RetryRequested: Dagster is to run the step again.
            dagster.Failure: the step has failed for good.
        """
        turns = self.first_turns()
        while turns:
            later: list[Turn] = []
            with closing(self.attempts(turns)) as attempts:  # what is under way ends with the step
                for attempt in attempts:
                    yield from self._conclude(attempt, later)
            turns = later
        yield from self.finish()

    def attempt(self, turn: Turn, stopped: threading.Event | None = None) -> "TakenTurn":
        """Take one turn: make the stage and judge what was made. The run's events come later.

        Args:
            turn: The turn.
            stopped: Once it is set, the work ends where it next reports its progress.
        """
        time.sleep(max(0.0, turn.not_before - time.monotonic()))

        def require_wanted() -> None:
            if (stopped is not None and stopped.is_set()) or self.is_over():
                raise TaskCancelled("The run was stopped")

        stage = Stage(self.stage_name, turn.key, self.resources, self.context.log, require_wanted)
        try:
            require_wanted()
            self._wait_for_models(turn, require_wanted)
            self.begin(turn)
            with self.recorder.at_work(stage, self.deaths_allowed()):
                stage.report_progress(0.0)  # whoever watches sees the stage that runs, not the one before
                result = self._make(stage)
                result = self._judge(stage, result, require_wanted)
            metadata = materialization_metadata(result, turn.earlier)
            self.recorder.note_result(stage, result, metadata)
        except Exception as error:  # noqa: BLE001 - classified, and recorded or raised by `_conclude`
            return TakenTurn(turn, stage, error)
        return TakenTurn(turn, stage, (result, metadata))

    def _wait_for_models(self, turn: Turn, require_wanted: Callable[[], None]) -> None:
        """Wait before another attempt while a service is away without which it would fail again."""
        deadline = time.monotonic() + RETURN_S
        if turn.earlier and (missing := self.resources.speech.silent_service()):
            self.context.log.warning(f"{turn.key} waits up to {RETURN_S:.0f} s for {missing}")
            while time.monotonic() < deadline and self.resources.speech.silent_service():
                require_wanted()
                time.sleep(1.0)

    def _conclude(self, taken: "TakenTurn", later: list[Turn]) -> Iterator[StepEvent]:
        """Record what came of a turn, and yield its events; or put the video's next turn into `later`."""
        turn, stage = taken.turn, taken.stage
        if isinstance(taken.outcome, Exception):
            if self.is_over():
                raise dg.DagsterExecutionInterruptedError from taken.outcome
            found = classify(taken.outcome, video=turn.key, stage=self.stage_name)
            if next_turn := self._next_turn(stage, turn, found, taken.outcome):
                later.append(next_turn)
            else:
                yield from self._fail(stage, turn, found, taken.outcome)
            return
        result, metadata = taken.outcome
        yield from self.materialize(turn, result, metadata)
        if result.blocked:
            blocked = result.blocked.within(turn.key, self.stage_name)
            yield from self._fail(stage, turn, blocked, blocked)
        else:
            self.recorder.note_success(stage)

    def _judge(self, stage: Stage, result: StageResult, require_wanted: Callable[[], None]) -> StageResult:
        """Return a result with its checks, delivered unless one blocks it or the run is over."""
        checks = evaluate(stage.name, stage.partition_key, result.subject, self.settings.checks)
        blocked = blocked_by(stage.name, checks, self.settings.checks)
        require_wanted()
        delivered = result.deliver() if result.deliver and not blocked else result.metadata
        return replace(result, checks=checks, blocked=blocked, metadata=delivered)

    def _next_turn(self, stage: Stage, turn: Turn, error: YivideoError, cause: Exception) -> Turn | None:
        """Return the video's next turn after a failed attempt; None where that was the last.

        Raises:
            dagster.RetryRequested: Dagster is to begin the next turn.
            dagster.Failure: a fresh process is to begin it.
        """
        if ask_for_fresh_process(self.context, error):
            self.context.log.warning(f"{error}. The run is retried in a fresh process")
            metadata = failure_metadata(error, turn.number, quarantined=False)
            self.recorder.note_cost_of_failure(stage, metadata)
            raise as_failure(error, metadata) from cause
        wait_s = wait_after(self.settings.retry, turn.number)
        if wait_s is None or not error.retryable or isinstance(error, DeviceLost):
            return None
        self.context.log.warning(
            f"Attempt {turn.number} of {self.settings.retry.max_attempts} at {turn.key} failed ({error});"
            f" the next one in {wait_s:.1f} s or later"
        )
        failed = Attempt(error.kind, error.message, wait_s)
        return self.retry(replace(turn, earlier=(*turn.earlier, failed)), error, wait_s, cause)

    def _fail(self, stage: Stage, turn: Turn, error: YivideoError, cause: Exception) -> Iterator[StepEvent]:
        """Record that a video failed for good in this run."""
        quarantined = self.recorder.note_failure(stage, error, turn.number)
        metadata = failure_metadata(error, turn.number, quarantined=quarantined)
        self.recorder.note_cost_of_failure(stage, metadata)
        yield from self.fail(turn, error, metadata, cause)

    def attempts(self, turns: Sequence[Turn]) -> Generator["TakenTurn"]:
        """Take turns one after the other; yield what came of each, in order."""
        for turn in turns:
            yield self.attempt(turn)

    def note_launched(self, turn: Turn) -> None:
        """Tell the watch on the library of a run that a user asked for: it need not process the video too."""
        run = self.context.run
        if LAST_STAGE in selected_stages(run) and self.resources.launch.output_dir is None:
            watch = open_watch(self.settings, self.resources.ledger, self.resources.storage)
            watch.note_launched(turn.key)

    def is_users_launch(self) -> bool:
        """Return whether the run has just been launched by a user: it is no retry, and at its first stage."""
        run = self.context.run
        is_retry = run.parent_run_id is not None or self.context.retry_number > 0
        return not is_retry and is_first(run, self.stage_name) and trigger_of(run) in USER_TRIGGERS

    def is_over(self) -> bool:
        """Return whether the run is not to go on.

        Dagster interrupts a run by one signal, which is lost where it arrives in a callback of a library:
        PyAV drops what is raised while it reads a file. And nobody sends one to a run that was closed since
        its process seemed to be gone, and that has another in its place.
        """
        return self.resources.launch.listener.is_stopped() or is_over(self.context)

    @abstractmethod
    def first_turns(self) -> list[Turn]:
        """Return the first turn of each video."""

    @abstractmethod
    def deaths_allowed(self) -> int:
        """Return how many workers may have died at a video before it is given up."""

    @abstractmethod
    def begin(self, turn: Turn) -> None:
        """Prepare an attempt, before the stage reads its inputs."""

    @abstractmethod
    def retry(self, turn: Turn, error: YivideoError, wait_s: float, cause: Exception) -> Turn:
        """Return the next turn, to be taken after a wait; or raise what makes Dagster begin it."""

    @abstractmethod
    def materialize(self, turn: Turn, result: StageResult, metadata: Metadata) -> Iterator[StepEvent]:
        """Yield the events of a result."""

    @abstractmethod
    def fail(
        self, turn: Turn, error: YivideoError, metadata: Metadata, cause: Exception
    ) -> Iterator[StepEvent]:
        """Yield the events of a failure, or raise it."""

    @abstractmethod
    def finish(self) -> Iterator[StepEvent]:
        """Yield the events of the step as a whole, once every video had its turns."""


class SingleRun(Execution):
    """A stage in a run of one video: Dagster retries it, or fails it with its reason."""

    def first_turns(self) -> list[Turn]:
        """Return the one turn; the ledger has the attempts before it, since Dagster's steps forget them."""
        key = self.context.partition_key
        earlier = self.resources.ledger.attempts.of(key, self.stage_name, self.context.run_id)
        return [Turn(key, earlier)]

    def deaths_allowed(self) -> int:
        """Return the setting."""
        return self.settings.runs.quarantine_after

    def begin(self, turn: Turn) -> None:
        """Prepare a run that a user asked for.

        Workers that died at the video are forgotten: users know what it did.
        """
        if self.is_users_launch():
            self.resources.ledger.workers.forget(turn.key)
            self.note_launched(turn)

    def retry(self, turn: Turn, error: YivideoError, wait_s: float, cause: Exception) -> NoReturn:
        """Raise what makes Dagster run the step again; it says why, and the UI shows it."""
        self.resources.ledger.attempts.note(turn.key, self.stage_name, self.context.run_id, turn.earlier[-1])
        attempts = self.settings.retry.max_attempts
        request = dg.RetryRequested(max_retries=attempts - 1, seconds_to_wait=wait_s)
        request.add_note(
            f"Attempt {turn.number - 1} of {attempts} failed: {error}. The next one in {wait_s:.1f} s"
        )
        raise request from cause

    def materialize(self, turn: Turn, result: StageResult, metadata: Metadata) -> Iterator[StepEvent]:
        """Yield Dagster's result of the step, and those of its checks.

        Of results inside the step's, Dagster looks up the materialization twice.
        """
        if self.stage_name == "transcript":
            tag_language(self.context, result.artifact.document["language"])
        yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(result.data_version))
        yield from result.checks

    def fail(self, turn: Turn, error: YivideoError, metadata: Metadata, cause: Exception) -> NoReturn:
        """Raise the failure of the step."""
        traced = None if isinstance(error, DiskError) else cause
        log.error("%s of %s failed: %s", self.stage_name, turn.key, error, exc_info=traced)
        raise as_failure(error, metadata) from cause

    def finish(self) -> Iterator[StepEvent]:
        """Yield nothing: the step's result was its only event."""
        return iter(())


def wait_after(settings: RetrySettings, attempt: int) -> float | None:
    """Return the seconds to wait after a failed attempt, the first being 1; None where it was the last."""
    retry = RetryOptions(**settings.model_dump())
    wait_s = next(islice(delays(retry), attempt - 1, None), None)
    if wait_s is None:
        return None
    return min(wait_s * random.uniform(1 - retry.jitter, 1 + retry.jitter), retry.max_delay_s)


def as_failure(error: YivideoError, metadata: Metadata) -> dg.Failure:
    """Return what ends a step for good, with the error's message and `failure_metadata`."""
    hint = [RELEASE_HINT] if metadata["quarantined"] else []
    return dg.Failure(". ".join([str(error), *hint]), metadata=metadata, allow_retries=False)
