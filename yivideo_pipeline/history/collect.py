"""Brings the ledger's samples up to date with Dagster, reading only what is new there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from yivideo_pipeline.ledger.samples import RunEntry, Sample, SampleLedger
from yivideo_pipeline.stages import BACKFILL_TAG, MODEL_TAG, PARTITION_TAG, TRIGGER_TAG

# PART history/events.py: Dagster's events and runs, turned into the ledger's samples.

MEASURED = {field.name for field in fields(Sample)} - {
    "run_id", "stage", "key", "success", "at", "warnings", "kind", "message", "hint",
}  # fmt: skip
"""What a sample takes from the metadata of a materialization, under the same name."""


def sample_of(record: dg.EventLogRecord) -> Sample | None:
    """Return what a stage's materialization says; None where it is none of ours or of no video.

    Somebody may report a materialization by hand: it has no `wall_s`.
    """
    made = record.asset_materialization
    if made is None or made.partition is None or "wall_s" not in made.metadata:
        return None
    told = values_of(made.metadata)
    measured = {name: told.get(name) for name in MEASURED}
    if measured["duration_s"] is None and told.get("rtfx"):
        measured["duration_s"] = told["rtfx"] * told["wall_s"]  # the alignment does not name it
    warnings = "\n".join(told.get("warnings") or ()) or None
    stage = made.asset_key.to_user_string()
    return Sample(record.run_id, stage, made.partition, True, record.timestamp, **measured, warnings=warnings)


def failure_of(record: dg.EventLogRecord) -> Sample | None:
    """Return the failure of one video among others in a run, which an observation says; else None."""
    seen = record.event_log_entry.asset_observation
    if seen is None or seen.partition is None or "kind" not in seen.metadata:
        return None
    stage = seen.asset_key.to_user_string()
    return _failure(record.run_id, stage, seen.partition, record.timestamp, values_of(seen.metadata))


def failures_of(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[Sample]:
    """Return what failed in a failed run of one video: its steps; or the run, where no step says why.

    Runs of several videos tell of each by an observation, see `failure_of`.
    """
    key = run.tags.get(PARTITION_TAG)
    if key is None:
        return []
    failures = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        data = event.step_failure_data
        told = values_of(data.user_failure_data.metadata) if data.user_failure_data else {}
        told.setdefault("message", data.error.message.strip() if data.error else "")
        failures.append(_failure(run.run_id, event.step_key or "", key, entry.timestamp, told))
    return failures


def lost_run(run: dg.DagsterRun, ended_at: float) -> Sample | None:
    """Return the failure of a run of one video that ended without a step having failed: its process died."""
    key = run.tags.get(PARTITION_TAG)
    told = {"kind": "worker", "message": "The run ended in the middle of its work", "attempts": 1}
    return None if key is None else _failure(run.run_id, "", key, ended_at, told)


def entry_of(record: dg.RunRecord) -> RunEntry:
    """Return what is kept of a run."""
    run = record.dagster_run
    return RunEntry(
        run_id=run.run_id,
        root_id=run.root_run_id or run.run_id,
        job=run.job_name,
        status=run.status.value,
        created_at=record.create_timestamp.timestamp(),
        started_at=record.start_time,
        ended_at=record.end_time,
        key=run.tags.get(PARTITION_TAG),
        trigger=run.tags.get(TRIGGER_TAG),
        model=run.tags.get(MODEL_TAG),
        backfill_id=run.tags.get(BACKFILL_TAG),
    )


def values_of(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    """Return plain values by name; null is None."""
    return {name: value.value for name, value in metadata.items()}


def _failure(run_id: str, stage: str, key: str, at: float, told: Mapping[str, Any]) -> Sample:
    return Sample(
        run_id,
        stage,
        key,
        False,
        at,
        attempts=told.get("attempts"),
        kind=told.get("kind") or "unknown",
        message=told.get("message"),
        hint=told.get("hint"),
    )


PAGE = 500
"""Events read and kept at once: an interrupted reading goes on from there."""
OVERLAP = timedelta(minutes=1)
"""Runs so far before the last one read are read again: what is written at once may become visible late."""

Reader = Callable[[dg.EventLogRecord], Sample | None]


class _Replaced(Exception):
    """The last event that was read is not in the log any more."""


def collect(
    instance: dg.DagsterInstance,
    ledger: SampleLedger,
    stages: Sequence[str],
    on_page: Callable[[], None] = lambda: None,
) -> None:
    """Add all that happened since the last time; a few milliseconds where nothing did.

    What Dagster forgets stays in the ledger, unless it is the very last event that was read: then the log
    was wiped or is another one, and all is read anew.

    Args:
        instance: Whose events and runs are read.
        ledger: Where they are kept.
        stages: The assets, all partitioned by video.
        on_page: Called after each page of events. What it raises ends the reading, which goes on from there
            the next time.
    """
    try:
        _read_all(instance, ledger, stages, on_page)
    except _Replaced:
        ledger.forget()
        _read_all(instance, ledger, stages, on_page)


def _read_all(
    instance: dg.DagsterInstance, ledger: SampleLedger, stages: Sequence[str], on_page: Callable[[], None]
) -> None:
    sources = (
        ("materializations", instance.fetch_materializations, sample_of),
        ("observations", instance.fetch_observations, failure_of),
    )
    for stage in stages:
        for what, fetch, read in sources:
            for _ in _read_events(fetch, ledger, stage, f"{what} of {stage}", read):
                on_page()
    _read_runs(instance, ledger)


def _read_events(
    fetch: Callable, ledger: SampleLedger, stage: str, source: str, read: Reader
) -> Iterator[None]:
    """Keep page after page of a source; yields after each."""
    known = ledger.place(source)
    # The last known event is read once more, to see that it still is the same.
    start = int(known.split(" ")[0]) - 1 if known else None
    wanted = dg.AssetRecordsFilter(dg.AssetKey(stage), after_storage_id=start)
    cursor, has_more = None, True
    while has_more:
        page = fetch(wanted, limit=PAGE, cursor=cursor, ascending=True)
        cursor, has_more, records = page.cursor, page.has_more, page.records
        if known:
            if not records or _place_of(records[0]) != known:
                raise _Replaced
            known, records = None, records[1:]
        if records:
            samples = [sample for sample in map(read, records) if sample]
            ledger.add(source, _place_of(records[-1]), samples)
        yield


def _place_of(record: dg.EventLogRecord) -> str:
    return f"{record.storage_id} {record.run_id} {record.timestamp}"


def _read_runs(instance: dg.DagsterInstance, ledger: SampleLedger) -> None:
    known = ledger.place("runs")
    since = datetime.fromisoformat(known) if known else datetime.fromtimestamp(0, UTC)
    latest = since
    for page in _pages(instance, since - OVERLAP):
        failures = [failure for record in page for failure in _failures(record, instance)]
        latest = max(latest, *(record.update_timestamp for record in page))
        # Pages are in the order of the runs' making, not of their change: none but the last moves the place.
        ledger.add_runs([entry_of(record) for record in page], failures)
    ledger.move("runs", latest.isoformat())


def _pages(instance: dg.DagsterInstance, since: datetime) -> Iterator[Sequence[dg.RunRecord]]:
    cursor = None
    while page := instance.get_run_records(
        dg.RunsFilter(updated_after=since), limit=PAGE, cursor=cursor, ascending=True
    ):
        yield page
        cursor = page[-1].dagster_run.run_id


def _failures(record: dg.RunRecord, instance: dg.DagsterInstance) -> list[Sample]:
    run = record.dagster_run
    if run.status != dg.DagsterRunStatus.FAILURE:
        return []
    failures = failures_of(run, instance)
    lost = None if failures else lost_run(run, record.end_time or record.update_timestamp.timestamp())
    return failures or ([lost] if lost else [])
