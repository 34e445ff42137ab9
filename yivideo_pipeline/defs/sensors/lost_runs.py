"""The sensor for failed runs that nobody else takes care of: no video is forgotten.

Dagster launches a run whose process died again, but asks for that once: if the code server or the database
does not answer at that moment, the retry is given up. Here it is asked for until it is there. And of a run
that is not launched again, whose stages could not record why they ended, the videos get a reason.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import may_be_retried
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.runs import failure_of_step, is_retried, root_of
from yivideo_pipeline.defs.ticks import Tick, open_tick
from yivideo_pipeline.errors.tree import WorkerKilled
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.stages import LAST_STAGE

NAME = "retry_lost_runs"
WATCH_S = 10
"""Seconds between two ticks."""
GRACE = timedelta(seconds=10)
"""Dagster looks every 5 s for runs that it launches again."""

_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


def build_lost_run_sensor() -> dg.SensorDefinition:
    """Build the sensor; it runs by itself."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=WATCH_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks Dagster once more for a retry that got lost, and notes why a run's videos failed"
        " where its stages could not",
    )
    def retry_lost_runs(
        context: dg.SensorEvaluationContext, launch: Launch, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SkipReason:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        now = datetime.now(UTC)
        since = datetime.fromisoformat(context.cursor) if context.cursor else now
        looked_up_to, lines = settle_failed_runs(context.instance, tick, since, now)
        for line in lines:
            context.log.info(line)
        context.update_cursor(looked_up_to.isoformat())
        return dg.SkipReason("; ".join(lines) or "No run is lost")

    return retry_lost_runs


def settle_failed_runs(
    instance: dg.DagsterInstance, tick: Tick, since: datetime, now: datetime
) -> tuple[datetime, list[str]]:
    """Look at the runs that have failed since the last tick.

    Args:
        instance: Where the runs are.
        tick: What the sensor works with; in a dry run nothing is changed.
        since: Up to which change of a run all are settled.
        now: The time.

    Returns:
        What `since` is for the next tick, and a line for each thing that was done.
    """
    lines, looked_up_to, waiting = [], since, []
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    for record in instance.get_run_records(failed, ascending=True):
        run, changed_at = record.dagster_run, record.update_timestamp.replace(tzinfo=UTC)
        looked_up_to = max(looked_up_to, changed_at)
        if is_retried(instance, run):
            continue
        if not may_be_retried(instance, run):
            lines += _note_forgotten(instance, tick.ledger, record)
            continue
        waiting.append(changed_at)
        if now - changed_at >= GRACE:
            lines.append(f"Run {run.run_id}: its retry got lost and is asked for once more")
            if not tick.is_dry:
                # Dagster's daemon goes by the event of the failure.
                instance.report_run_failed(run, "The retry of this run got lost; it is asked for once more")
    return min([looked_up_to, *(at - timedelta(microseconds=1) for at in waiting)]), lines


def _note_forgotten(instance: dg.DagsterInstance, ledger: Ledger, record: dg.RunRecord) -> Iterator[str]:
    """Note why a run's videos failed, of those of which no stage has; yields a line for each."""
    run = record.dagster_run
    known = ledger.failures.failed_in(root_of(run))
    for key in sorted(_unmade(instance, run.run_id) - known.keys()):
        made = ledger.materializations.of(key).get(LAST_STAGE)
        if made and made.made_at >= record.create_timestamp.replace(tzinfo=UTC).timestamp():
            continue  # by another run
        steps = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        if steps:
            ledger.failures.note(failure_of_step(key, steps[-1].get_dagster_event(), root_of(run)))
        else:
            attempts = 1 + int(run.tags.get("dagster/retry_number", 0))
            ledger.failures.note_failure(key, "", root_of(run), _lost(instance, run, attempts), attempts)
        yield f"{key}: its run {run.run_id} failed for good, and no stage has said why"


def _unmade(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """Return the videos of which a run has not made all that it had planned."""
    planned, made = set(), set()
    for entry in instance.all_logs(run_id, of_type={_PLANNED, _MADE}):
        event = entry.get_dagster_event()
        chosen = planned if event.event_type == _PLANNED else made
        chosen.add((event.asset_key, event.partition))
    return {key for _, key in planned - made if key is not None}


def _lost(instance: dg.DagsterInstance, run: dg.DagsterRun, attempts: int) -> WorkerKilled:
    ends = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    said = (ends[0].get_dagster_event().message or "").partition("\n")[0] if ends else ""
    return WorkerKilled(
        f"The run ended {plural(attempts, 'time')} in the middle of its work",
        f"Launch it again, by `yivideo backfill --failed` for instance. Dagster says: {said}",
    )
