"""Imports samples that the ledger's first version had not yet copied from Dagster's event log.

That version did not record what a stage cost when it ended, but copied it from the log when it was asked
for. Its migration leaves the flag `import_events`, with how far each source had been read; here the rest is
read, once. When homes of that version are not supported any more, this module can go, with its two callers.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from yivideo_pipeline.history.samples import failed_sample, made_sample, origin_of
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.samples import RunOrigin, Sample
from yivideo_pipeline.stages import PARTITION_TAG, STAGES

FLAG = "import_events"
PAGE = 500
"""Events that are read and kept at once."""
OVERLAP = timedelta(minutes=1)
"""Runs so far before the last one read are read again: what is written at once may become visible late."""

Origins = Mapping[str, RunOrigin]


def import_events(
    instance: dg.DagsterInstance, ledger: Ledger, on_page: Callable[[], None] = lambda: None
) -> None:
    """Import what happened before the ledger was migrated, where that is still to be done.

    Samples that are there already stay as they are, so an interrupted import may begin anew.

    Args:
        instance: Whose events and runs are read.
        ledger: Where the samples are kept.
        on_page: Called after each page of events. What it raises ends the import, which begins anew the next
            time.
    """
    flag = ledger.flags.get(FLAG)
    if flag is None:
        return
    places = json.loads(flag.value)
    earliest = float(places.get("cleared", 0))  # the user wanted all before it forgotten
    records = list(_runs(instance, places.get("runs")))
    origins = {record.dagster_run.run_id: origin_of(record) for record in records}
    for samples in _pages(instance, places, origins):
        ledger.samples.record(*(one for one in samples if earliest < one.at <= flag.since))
        on_page()
    for record in records:
        failures = _failures_of(record, instance)
        ledger.samples.record(*(one for one in failures if earliest < one.at <= flag.since))
    ledger.flags.clear(FLAG)


def _runs(instance: dg.DagsterInstance, place: str | None) -> Iterator[dg.RunRecord]:
    since = datetime.fromisoformat(place) - OVERLAP if place else datetime.fromtimestamp(0, UTC)
    cursor = None
    while page := instance.get_run_records(
        dg.RunsFilter(updated_after=since), limit=PAGE, cursor=cursor, ascending=True
    ):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _pages(
    instance: dg.DagsterInstance, places: Mapping[str, str], origins: Origins
) -> Iterator[list[Sample]]:
    """Yield the samples of all stages' events, a page of events at a time."""
    sources = (
        ("materializations", instance.fetch_materializations, _made),
        ("observations", instance.fetch_observations, _failed),
    )
    for stage in STAGES:
        for what, fetch, sample_of in sources:
            place = places.get(f"{what} of {stage}")
            start = int(place.split(" ")[0]) if place else None
            wanted = dg.AssetRecordsFilter(dg.AssetKey(stage), after_storage_id=start)
            cursor, has_more = None, True
            while has_more:
                page = fetch(wanted, limit=PAGE, cursor=cursor, ascending=True)
                cursor, has_more = page.cursor, page.has_more
                yield [sample for record in page.records if (sample := sample_of(record, origins))]


def _made(record: dg.EventLogRecord, origins: Origins) -> Sample | None:
    """Return what a stage's materialization says; None where the user reported it by hand."""
    made = record.asset_materialization
    if made is None or made.partition is None or "wall_s" not in made.metadata:
        return None
    stage = made.asset_key.to_user_string()
    return made_sample(
        _origin(record.run_id, origins), stage, made.partition, record.timestamp, made.metadata
    )


def _failed(record: dg.EventLogRecord, origins: Origins) -> Sample | None:
    """Return the failure of one video among others in a run, which an observation reports; else None."""
    seen = record.event_log_entry.asset_observation
    if seen is None or seen.partition is None or "kind" not in seen.metadata:
        return None
    stage = seen.asset_key.to_user_string()
    origin = _origin(record.run_id, origins)
    return failed_sample(origin, stage, seen.partition, record.timestamp, seen.metadata)


def _failures_of(record: dg.RunRecord, instance: dg.DagsterInstance) -> Sequence[Sample]:
    """Return what failed in a failed run of one video: its steps; or the run, where no step says why."""
    run, origin = record.dagster_run, origin_of(record)
    key = run.tags.get(PARTITION_TAG)
    if run.status != dg.DagsterRunStatus.FAILURE or key is None:
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


def _origin(run_id: str, origins: Origins) -> RunOrigin:
    return origins.get(run_id) or RunOrigin(run_id, run_id)
