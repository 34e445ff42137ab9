"""Records work whose end no stage recorded: its process died, or its run failed outside of all stages."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from yivideo_pipeline.history.samples import failed_sample, origin_of
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.samples import Sample
from yivideo_pipeline.stages import PARTITION_TAG

FLAG = "lost_runs"
"""Says up to which change of a run (ISO time) failed runs were looked at."""
PAGE = 500


def record_lost_work(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    """Record what was lost since the last time; a few milliseconds where nothing was.

    Stages whose worker died are known to the ledger, failed runs to Dagster alone: one that was never
    launched, or could not load what a stage reads. Runs of several videos say of each what failed.

    Args:
        ledger: Where samples are recorded.
        instance: Whose runs are looked at.
    """
    ledger.workers.bury_dead()
    flag = ledger.flags.get(FLAG)
    since = latest = datetime.fromisoformat(flag.value) if flag else datetime.fromtimestamp(0, UTC)
    for page in _failed_runs(instance, since):
        known = ledger.samples.failed_runs([record.dagster_run.run_id for record in page])
        lost = [record for record in page if record.dagster_run.run_id not in known]
        ledger.samples.record(*(sample for record in lost for sample in _failures_of(record, instance)))
        latest = max(latest, *(record.update_timestamp for record in page))
    if latest > since:  # not before the last page: they are in the order in which the runs were made
        ledger.flags.replace(FLAG, latest.isoformat())


def _failed_runs(instance: dg.DagsterInstance, since: datetime) -> Iterator[Sequence[dg.RunRecord]]:
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    cursor = None
    while page := instance.get_run_records(wanted, limit=PAGE, cursor=cursor, ascending=True):
        yield page
        cursor = page[-1].dagster_run.run_id


def _failures_of(record: dg.RunRecord, instance: dg.DagsterInstance) -> list[Sample]:
    """Return what failed in a run of one video: its steps; or the run, where no step says why."""
    run, origin = record.dagster_run, origin_of(record)
    key = run.tags.get(PARTITION_TAG)
    if key is None:
        return []
    failures = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        data = event.step_failure_data
        message = data.error.message.strip() if data.error else ""
        metadata = {"message": message, **(data.user_failure_data.metadata if data.user_failure_data else {})}
        failures.append(failed_sample(origin, event.step_key or "", key, entry.timestamp, metadata))
    if failures:
        return failures
    ended_at = record.end_time or record.update_timestamp.timestamp()
    lost = {"kind": "worker", "message": "The run ended in the middle of its work", "attempts": 1}
    return [failed_sample(origin, "", key, ended_at, lost)]
