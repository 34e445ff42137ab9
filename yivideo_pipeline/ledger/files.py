"""What the watch knows of each file of the library, and of the roots themselves."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    Integer,
    Table,
    Text,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables

FILES = Table(
    "files",
    tables,
    Column("key", Text, primary_key=True),
    Column("root", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("first_seen", Float, nullable=False),
    Column("steady_since", Float, nullable=False),
    Column("why", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("foreign", Text, nullable=False),
    Column("offered_size_bytes", BigInteger),
    Column("offered_mtime_ns", BigInteger),
    Column("taken_size_bytes", BigInteger),
    Column("taken_mtime_ns", BigInteger),
    Column("missing_since", Float),
    Column("retired_at", Float),
)
ROOTS = Table(
    "roots",
    tables,
    Column("name", Text, primary_key=True),
    Column("videos", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("mounts", Text, nullable=False),
)


class Stamp(NamedTuple):
    """What tells one state of a file from another without opening it."""

    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FileRecord:
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
        offered_size_bytes: Its size when it was last handed out to be taken; None: never, or it was taken.
        offered_mtime_ns: Likewise.
        taken_size_bytes: Its size when it was last taken; None: never.
        taken_mtime_ns: Likewise.
        missing_since: When it was first missed; None: it is there.
        retired_at: When its partition was taken out because the file was deleted.
    """

    key: str
    root: str
    size_bytes: int
    mtime_ns: int
    first_seen: float
    steady_since: float
    why: str = ""
    detail: str = ""
    facts: str = ""
    foreign: str = ""
    offered_size_bytes: int | None = None
    offered_mtime_ns: int | None = None
    taken_size_bytes: int | None = None
    taken_mtime_ns: int | None = None
    missing_since: float | None = None
    retired_at: float | None = None

    @property
    def stamp(self) -> Stamp:
        """Its state when it was seen last."""
        return Stamp(self.size_bytes, self.mtime_ns)

    @property
    def taken(self) -> Stamp | None:
        """The state in which it was taken; None where it never was."""
        if self.taken_size_bytes is None or self.taken_mtime_ns is None:
            return None
        return Stamp(self.taken_size_bytes, self.taken_mtime_ns)

    @property
    def offered(self) -> Stamp | None:
        """The state in which it was handed out, where nobody has said yet that it was taken."""
        if self.offered_size_bytes is None or self.offered_mtime_ns is None:
            return None
        return Stamp(self.offered_size_bytes, self.offered_mtime_ns)


_COLUMNS = tuple(column.name for column in FILES.columns)
_values = attrgetter(*_COLUMNS)


@dataclass(frozen=True)
class RootRecord:
    """One library root, as it was when it could last be looked at.

    `mounts` are the folders, relative to the root, on which a disk or share was mounted; "" is the root.
    """

    name: str
    videos: int
    seen_at: float
    mounts: frozenset[str] = frozenset()


class FileLedger:
    """Remembers files and roots between two looks.

    Args:
        engine: As `database.open_ledger` opens it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self) -> dict[str, FileRecord]:
        """Return all files by key, in one query."""
        with self._engine.connect() as connection:
            return {row[0]: FileRecord(*row) for row in connection.execute(select(FILES))}

    def find(self, key: str) -> FileRecord | None:
        """Return one file; None where it was never seen."""
        with self._engine.connect() as connection:
            row = connection.execute(select(FILES).where(FILES.c.key == key)).first()
            return FileRecord(*row) if row else None

    def offered(self) -> dict[str, Stamp]:
        """Return what was handed out to be taken and not confirmed since, by key, in the state it had."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(FILES).where(FILES.c.offered_size_bytes.is_not(None)))
            return {row.key: Stamp(row.offered_size_bytes, row.offered_mtime_ns) for row in rows}

    def roots(self) -> dict[str, RootRecord]:
        """Return all roots that were ever seen, by name."""
        with self._engine.connect() as connection:
            return {
                row.name: RootRecord(row.name, row.videos, row.seen_at, frozenset(json.loads(row.mounts)))
                for row in connection.execute(select(ROOTS))
            }

    def write(
        self,
        records: Iterable[FileRecord] = (),
        roots: Iterable[RootRecord] = (),
        forgotten: Collection[str] = (),
    ) -> None:
        """Write what a look changed, all of it or nothing; `forgotten` keys are taken out."""
        files = [dict(zip(_COLUMNS, _values(record), strict=True)) for record in records]
        seen = [{**asdict(root), "mounts": json.dumps(sorted(root.mounts))} for root in roots]
        if not (files or seen or forgotten):
            return
        with self._engine.begin() as connection:
            for table, rows in ((FILES, files), (ROOTS, seen)):
                if rows:
                    statement = insert(table)
                    others = {c.name: c for c in statement.excluded if c.name not in table.primary_key}
                    connection.execute(statement.on_conflict_do_update(set_=others), rows)
            self._forget(connection, forgotten)

    def note_taken(self, stamps: Mapping[str, Stamp]) -> None:
        """Note in which state files were taken: they are known from now on."""
        self._update(
            "taken_size_bytes taken_mtime_ns offered_size_bytes offered_mtime_ns missing_since retired_at",
            [(key, *stamp, None, None, None, None) for key, stamp in stamps.items()],
        )

    def note_retired(self, keys: Iterable[str], now: float) -> None:
        """Note that the partitions of deleted files were taken out."""
        self._update("retired_at", [(key, now) for key in keys])

    def forget(self, keys: Collection[str]) -> None:
        """Forget files: if they are there they are new at the next look, and taken again."""
        with self._engine.begin() as connection:
            self._forget(connection, keys)

    def _forget(self, connection, keys: Collection[str]) -> None:  # noqa: ANN001 - as below
        if keys:
            statement = delete(FILES).where(FILES.c.key == bindparam("gone"))
            connection.execute(statement, [{"gone": key} for key in keys])

    def _update(self, columns: str, rows: list[tuple]) -> None:
        if not rows:
            return
        names = columns.split()
        statement = update(FILES).where(FILES.c.key == bindparam("of"))
        statement = statement.values({name: bindparam(f"new_{name}") for name in names})
        keyed = ["of", *(f"new_{name}" for name in names)]
        with self._engine.begin() as connection:
            connection.execute(statement, [dict(zip(keyed, row, strict=True)) for row in rows])
