"""Imports samples that the ledger's first version had not yet copied from Dagster's event log.

That version did not record what a stage cost when it ended, but copied it from the log when it was asked
for. Its migration leaves the flag `import_events`, with how far each source had been read; here the rest is
read, once. When homes of that version are not supported any more, this module can go, with its two callers.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from yivideo_pipeline.history import lost_work
from yivideo_pipeline.history.samples import failed_sample, made_sample, origin_of
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.samples import RunOrigin, Sample
from yivideo_pipeline.stages import STAGES

FLAG = "import_events"
PAGE = 500
"""Events that are read and kept at once."""
OVERLAP = timedelta(minutes=1)
"""Runs changed so long before the last one that was read are read again: a change may become visible late."""

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
    origins = _origins(instance, places.get("runs"))
    for samples in _pages(instance, places, origins):
        # Later ones recorded themselves.
        ledger.samples.record(*(one for one in samples if earliest < one.at <= flag.since))
        on_page()
    if "runs" in places and ledger.flags.get(lost_work.FLAG) is None:
        ledger.flags.replace(lost_work.FLAG, places["runs"])  # the runs that failed are found there
    ledger.flags.clear(FLAG)


def _origins(instance: dg.DagsterInstance, place: str | None) -> Origins:
    """Return the runs that may have events that were not read."""
    since = datetime.fromisoformat(place) - OVERLAP if place else datetime.fromtimestamp(0, UTC)
    wanted, origins, cursor = dg.RunsFilter(updated_after=since), {}, None
    while page := instance.get_run_records(wanted, limit=PAGE, cursor=cursor, ascending=True):
        origins |= {record.dagster_run.run_id: origin_of(record) for record in page}
        cursor = page[-1].dagster_run.run_id
    return origins


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


def _origin(run_id: str, origins: Origins) -> RunOrigin:
    return origins.get(run_id) or RunOrigin(run_id, run_id)
