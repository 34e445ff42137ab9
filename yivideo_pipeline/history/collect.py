"""Brings the ledger's samples up to date with Dagster, reading only what is new there."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from yivideo_pipeline.history.events import entry_of, failure_of, failures_of, lost_run, sample_of
from yivideo_pipeline.ledger.samples import Sample, SampleLedger

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
