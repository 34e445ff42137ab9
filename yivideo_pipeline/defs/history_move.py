"""Moves Dagster's history from SQLite's files into PostgreSQL: runs, events, ticks, partitions, backfills.

SQLite has a file of events for each run, and the events that are looked up over all runs a second time in one
index; PostgreSQL has one table. An event has the number there that its place in that table gives it, so what
names an event by its number in the index (inputs of a materialization, what a check judged, places up to
which something was read) gets the new number.

Why private names: Dagster has no such move, and to store each event by its interface would take minutes for a
hundred videos. Test: tests/cli/test_migrate.py. When it breaks: compare the tables below with
`dagster/_core/storage/*/schema.py`; homes that have moved already are not concerned.
"""

import re
from array import array
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from sqlalchemy import Connection, Row, Table, create_engine, insert, select

from yivideo_pipeline.ledger.postgres import continue_numbers

_FILES = {
    "history/runs.db": RunStorageSqlMetadata,
    "history/runs/index.db": SqlEventLogStorageMetadata,
    "schedules/schedules.db": ScheduleStorageSqlMetadata,
}
_OWN = {"secondary_indexes", "instance_info", "daemon_heartbeats", Events.name}
"""Tables that are not copied: each database has its own; events are put together from all files."""
_INDEXED = {one.value for one in (*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS)}
"""Types of the events that stand in the index too."""
_NUMBER = re.compile(
    r'(\\*"(?:storage_id|latest_storage_id|record_id|dagster/input_event_pointer/[^"\\]*)\\*": \\*"?)(\d+)'
)
"""An event's number within a document, which may itself be a text within another."""
_POINTER, _CONSUMER = "dagster/input_event_pointer/", "EVENT_LOG_CONSUMER_CURSOR-"
_NUMBERS = {"event_id", "evaluation_event_storage_id", "materialization_event_storage_id"}
"""Columns that hold an event's number."""
_CHUNK = 1000

OnRun = Callable[[], None]


def tables_of_history() -> list[Table]:
    """Return the tables that a move fills; in an instance that was never used they are empty."""
    tables = [table for metadata in _FILES.values() for table in metadata.sorted_tables]
    return [table for table in tables if table.name not in _OWN] + [Events]


def count_runs(folder: Path) -> int:
    """Return how many runs have a file of events in an instance's folder."""
    return sum(1 for _ in _event_files(folder))


def move_history(folder: Path, target: Connection, on_run: OnRun) -> Counter[str]:
    """Copy the history of an instance's folder into Dagster's empty tables, in the caller's transaction.

    Args:
        folder: The instance's, which no program uses meanwhile.
        target: Of the database, which has Dagster's tables.
        on_run: Called after each run's file of events.

    Returns:
        How many rows were copied, by table.
    """
    copied: Counter[str] = Counter()
    numbers = _Numbers()
    for rows in _chunks(_merge_events(folder, on_run)):
        target.execute(insert(Events), [numbers.give(row) for row in rows])
        copied[Events.name] += len(rows)
    for name, metadata in _FILES.items():
        if not (folder / name).exists():
            continue
        with _open(folder / name) as source:
            for table in metadata.sorted_tables:
                if table.name in _OWN:
                    continue
                for rows in _chunks(source.execute(select(table))):
                    target.execute(insert(table), [numbers.change(table.name, row._asdict()) for row in rows])
                    copied[table.name] += len(rows)
    continue_numbers(target, tables_of_history())
    return copied


class _Numbers:
    """Gives events their new numbers, in the order in which they come, and finds those of old ones."""

    def __init__(self) -> None:
        self._last = 0
        self._old, self._new = array("q"), array("q")

    def give(self, event: tuple[int | None, Row]) -> dict[str, Any]:
        """Return an event as a row with its new number; the index's number of it is remembered."""
        number, row = event
        self._last += 1
        if number is not None:
            self._old.append(number)
            self._new.append(self._last)
        return {**row._asdict(), "id": self._last, "event": self._renumber(row.event)}

    def change(self, table: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return a row of another table with new numbers in place of old ones."""
        for name, value in values.items():
            if name in _NUMBERS and value is not None:
                values[name] = self._find(value)
            elif isinstance(value, str):
                values[name] = self._renumber(value)
        if table == "asset_keys":
            values["cached_status_data"] = None  # Dagster makes it again
        is_place = str(values.get("key")).startswith((_POINTER, _CONSUMER))
        if table in ("asset_event_tags", "kvs") and is_place and str(values["value"]).isdecimal():
            values["value"] = str(self._find(int(values["value"])))
        return values

    def _renumber(self, text: str) -> str:
        if not any(name in text for name in ("storage_id", "record_id", _POINTER)):
            return text
        return _NUMBER.sub(lambda found: f"{found[1]}{self._find(int(found[2]))}", text)

    def _find(self, old: int) -> int:
        """Return the new number of an event; of one that was deleted, that of the last one before it."""
        place = bisect_right(self._old, old)
        return self._new[place - 1] if place else 0


def _merge_events(folder: Path, on_run: OnRun) -> Iterator[tuple[int | None, Row]]:
    """Yield all events with their number in the index, if any: in its order, and each run's in its own."""
    events = folder / "history" / "runs"
    files = {file.stem if file.stem != ".db" else "": file for file in _event_files(folder)}
    open_runs: dict[str, deque[Row]] = {}
    index = events / "index.db"
    if index.exists():
        with _open(index) as connection:
            for row in connection.execute(select(Events).order_by(Events.c.id)):
                if row.run_id in files:
                    open_runs[row.run_id] = deque(_read_events(files.pop(row.run_id)))
                    on_run()
                run = open_runs.get(row.run_id, deque())
                yield from _take_until(run, row)
                yield row.id, row
                if not any(left.dagster_event_type in _INDEXED for left in run):
                    yield from ((None, left) for left in open_runs.pop(row.run_id, ()))
    for run in open_runs.values():
        yield from ((None, left) for left in run)
    for file in files.values():  # of runs that the index does not know
        yield from ((None, left) for left in _read_events(file))
        on_run()


def _take_until(run: deque[Row], wanted: Row) -> Iterator[tuple[None, Row]]:
    """Take a run's events up to one, which is dropped; none where the run's file lacks it."""
    if not any(event.event == wanted.event for event in run):
        return
    while (event := run.popleft()).event != wanted.event:
        yield None, event


def _read_events(file: Path) -> list[Row]:
    with _open(file) as connection:
        return list(connection.execute(select(Events).order_by(Events.c.id)))


def _event_files(folder: Path) -> Iterable[Path]:
    """Return the files of events: one a run, and one without a name for events of no run."""
    files = (folder / "history" / "runs").glob("*.db")
    unnamed = folder / "history" / "runs" / ".db"
    return [file for file in {*files, unnamed} if file.name != "index.db" and file.exists()]


@contextmanager
def _open(file: Path) -> Generator[Connection]:
    engine = create_engine(f"sqlite:///{file}")
    try:
        with engine.connect() as connection:
            yield connection.execution_options(yield_per=_CHUNK)
    finally:
        engine.dispose()


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
