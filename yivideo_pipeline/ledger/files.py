"""What the watch knows of each file of the library, and of the roots themselves."""

import json
from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Engine,
    Text,
    TypeDecorator,
    bindparam,
    case,
    delete,
    false,
    select,
    true,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, insert_missing, read_all, table_of, upsert

FORGOTTEN = "FORGOTTEN"
"""What `FileRecord.why` says of a file that a user forgot."""
_CHUNK = 1000


class Stamp(NamedTuple):
    """What tells one state of a file from another without opening it."""

    size_bytes: int
    mtime_ns: int


class FileRecord(Base):
    """One file, as it was seen last. Times are Unix seconds.

    Attributes:
        key: Its partition key.
        root: The library root that it lies in, by name.
        size_bytes: Its size.
        mtime_ns: Its time of modification.
        first_seen: When it was seen first.
        steady_since: When it was first seen with this size and time.
        why: The last decision on it, as the watch names it.
        detail: What is particular about that decision.
        facts: What was found inside it, as JSON; empty where it was not opened in this state.
        foreign: Names of the subtitles beside it that are known not to be ours, as JSON; or empty.
        offered_size_bytes: Its size when it was last offered to be processed; None: never, or it was taken.
        offered_mtime_ns: Likewise.
        taken_size_bytes: Its size when it was last taken; None: never.
        taken_mtime_ns: Likewise.
        missing_since: When it was first missed; None: it is there.
        retired_at: When its partition was deleted because the file was.
    """

    __tablename__ = "files"

    key: Mapped[str] = mapped_column(primary_key=True)
    root: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    first_seen: Mapped[float]
    steady_since: Mapped[float]
    why: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")
    facts: Mapped[str] = mapped_column(default="")
    foreign: Mapped[str] = mapped_column(default="")
    offered_size_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    offered_mtime_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)
    taken_size_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    taken_mtime_ns: Mapped[int | None] = mapped_column(BigInteger, default=None)
    missing_since: Mapped[float | None] = mapped_column(default=None)
    retired_at: Mapped[float | None] = mapped_column(default=None)

    @property
    def stamp(self) -> Stamp:
        """Its state when it was seen last."""
        known = vars(self)  # asked for each file at each scan: the mapped attributes take four times as long
        return Stamp(known["size_bytes"], known["mtime_ns"])

    @property
    def taken(self) -> Stamp | None:
        """The state in which it was taken; None where it never was."""
        return self._stamp("taken_size_bytes", "taken_mtime_ns")

    @property
    def offered(self) -> Stamp | None:
        """The state in which it was offered, where it is not known yet that it was taken."""
        return self._stamp("offered_size_bytes", "offered_mtime_ns")

    def _stamp(self, size_name: str, mtime_name: str) -> Stamp | None:
        known = vars(self)
        size_bytes, mtime_ns = known.get(size_name), known.get(mtime_name)
        return None if size_bytes is None or mtime_ns is None else Stamp(size_bytes, mtime_ns)


class _JsonSet(TypeDecorator[frozenset[str]]):
    """A set of texts, kept as a sorted JSON list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(sorted(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> frozenset[str]:
        return frozenset(json.loads(value))


class RootRecord(Base):
    """One library root, as it was when it could last be read.

    `mounts` are the folders, relative to the root, on which a disk or share was mounted; "" is the root.
    """

    __tablename__ = "roots"

    name: Mapped[str] = mapped_column(primary_key=True)
    videos: Mapped[int]
    seen_at: Mapped[float]
    mounts: Mapped[frozenset[str]] = mapped_column(_JsonSet, default=frozenset())


class FileLedger:
    """Remembers files and roots between two scans."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self) -> dict[str, FileRecord]:
        """Return all files by key, in one query."""
        with self._engine.connect() as connection:
            return {record.key: record for record in read_all(connection, FileRecord)}

    def compare(self, present: Mapping[str, Stamp]) -> tuple[dict[str, FileRecord], set[str]]:
        """Return the keys of those present files with which nothing has happened, and all other records.

        Nothing has happened with a file that was taken, is noted as taken, and is there in the same state. Of
        a large library that is nearly every file: they are compared as bare rows, in a fifth of the time.

        Args:
            present: The state of each file that is there, by key.
        """
        state = FileRecord.key, FileRecord.size_bytes, FileRecord.mtime_ns
        with self._engine.connect() as connection:
            # In this order: a file that is noted as taken meanwhile is among both.
            records = {record.key: record for record in read_all(connection, FileRecord, ~_IS_SETTLED)}
            unchanged, others = set(), []
            for key, size_bytes, mtime_ns in connection.execute(select(*state).where(_IS_SETTLED)):
                if key in records:
                    continue
                if present.get(key) == (size_bytes, mtime_ns):
                    unchanged.add(key)
                else:
                    others.append(key)
            for start in range(0, len(others), _CHUNK):
                is_one = FileRecord.key.in_(others[start : start + _CHUNK])
                records |= {record.key: record for record in read_all(connection, FileRecord, is_one)}
        return records, unchanged

    def find(self, key: str) -> FileRecord | None:
        """Return one file; None where it was never seen."""
        with Session(self._engine) as session:
            return session.get(FileRecord, key)

    def offered(self) -> dict[str, Stamp]:
        """Return what was offered and not confirmed since, by key, in the state it had."""
        columns = FileRecord.key, FileRecord.offered_size_bytes, FileRecord.offered_mtime_ns
        with self._engine.connect() as connection:
            rows = connection.execute(select(*columns).where(FileRecord.offered_size_bytes.is_not(None)))
            return {row.key: Stamp(row.offered_size_bytes, row.offered_mtime_ns) for row in rows}

    def roots(self) -> dict[str, RootRecord]:
        """Return all roots that were ever seen, by name."""
        with Session(self._engine) as session:
            return {root.name: root for root in session.scalars(select(RootRecord))}

    def write(
        self,
        records: Iterable[FileRecord] = (),
        roots: Iterable[RootRecord] = (),
        forgotten: Collection[str] = (),
    ) -> None:
        """Write what a scan changed, all of it or nothing; `forgotten` keys are deleted.

        In which state a known file was taken stays as it is: that may be noted during the scan.
        """
        records, roots = list(records), list(roots)
        if records or roots or forgotten:
            with self._engine.begin() as connection:
                upsert(connection, records, kept=("taken_size_bytes", "taken_mtime_ns"))
                upsert(connection, roots)
                _forget(connection, forgotten)

    def add(self, record: FileRecord) -> None:
        """Write a file that no scan has seen yet; one that is known stays as it is."""
        with self._engine.begin() as connection:
            insert_missing(connection, [record])

    def note_taken(self, stamps: Mapping[str, Stamp]) -> None:
        """Note in which state files were taken: they are known from now on."""
        over = ("offered_size_bytes", "offered_mtime_ns", "missing_since", "retired_at")
        self._update(
            {"of": key, "taken_size_bytes": size_bytes, "taken_mtime_ns": mtime_ns, **dict.fromkeys(over)}
            for key, (size_bytes, mtime_ns) in stamps.items()
        )

    def note_retired(self, keys: Iterable[str], now: float) -> None:
        """Note that the partitions of deleted files were deleted too."""
        self._update({"of": key, "retired_at": now} for key in keys)

    def note_forgotten(self, key: str) -> None:
        """Note that a user forgot a file: it counts as taken in its present state; unknown ones stay so."""
        statement = update(table_of(FileRecord)).where(FileRecord.key == key)
        present = FileRecord.size_bytes, FileRecord.mtime_ns
        with self._engine.begin() as connection:
            connection.execute(
                statement.values(
                    why=FORGOTTEN,
                    detail="",
                    taken_size_bytes=present[0],
                    taken_mtime_ns=present[1],
                    offered_size_bytes=None,
                    offered_mtime_ns=None,
                )
            )

    def forget(self, keys: Collection[str]) -> None:
        """Forget files: if they are there they are new at the next scan, and taken again."""
        with self._engine.begin() as connection:
            _forget(connection, keys)

    def _update(self, changes: Iterable[dict[str, Any]]) -> None:
        """Set columns of the rows whose keys are `of`; all have the same columns."""
        if not (changes := list(changes)):
            return
        names = changes[0].keys() - {"of"}
        statement = update(table_of(FileRecord)).where(FileRecord.key == bindparam("of"))
        with self._engine.begin() as connection:
            # In the order in which `upsert` has them: two transactions then never wait for each other.
            changes.sort(key=itemgetter("of"))
            connection.execute(statement.values({name: bindparam(name) for name in names}), changes)


_IS_SETTLED = case(
    (
        (FileRecord.why == "TAKEN")
        & (FileRecord.taken_size_bytes == FileRecord.size_bytes)
        & (FileRecord.taken_mtime_ns == FileRecord.mtime_ns)
        & FileRecord.missing_since.is_(None)
        & FileRecord.retired_at.is_(None),
        true(),
    ),
    else_=false(),
)
"""Whether a file was there in the state in which it was taken, and that was noted."""


def _forget(connection: Connection, keys: Collection[str]) -> None:
    if keys:
        statement = delete(table_of(FileRecord)).where(FileRecord.key == bindparam("gone"))
        connection.execute(statement, [{"gone": key} for key in keys])
