"""What people are to be told: notices that wait until every channel has sent them."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger.database import tables

log = logging.getLogger(__name__)

GIVE_UP_AFTER_S = 3 * 86_400
"""Older news is not sent any more, by no channel."""
FIRST_WAIT_S = 60
LONGEST_WAIT_S = 900
"""Waits between two rounds of attempts at one notice: they double from the first to the longest."""

NoticeKind = Literal["run_failure", "quarantine", "library_gone", "asks", "digest", "alert", "test"]

_notices = Table(
    "notices",
    tables,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("body", JSON, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("url", String),
    Column("at", Float, nullable=False),
    Column("held_back", Integer, nullable=False, server_default="0"),
    Index("notices_by_fingerprint", "fingerprint", "at"),
    Index("notices_by_time", "at"),
)
_deliveries = Table(
    "notice_deliveries",
    tables,
    Column("notice_id", ForeignKey("notices.id"), primary_key=True),
    Column("channel", String, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Float),
    Column("next_at", Float, nullable=False),
    Column("reason", String, nullable=False),
    Column("channel_down", Boolean, nullable=False),
)


@dataclass(frozen=True)
class Notice:
    """Something that a person should know.

    Args:
        kind: What it is about.
        subject: One line that says what happened.
        body: Lines of plain text: the details, and what to do.
        fingerprint: The same for the same trouble, which is told once in a while only.
        severity: How much it matters.
        url: Where to read more.
        at: When it happened, in Unix seconds; by default now.

    Secrets are taken out of the texts, and what no database or mail can hold is replaced.
    """

    kind: NoticeKind
    subject: str
    body: tuple[str, ...]
    fingerprint: str
    severity: Severity = Severity.HIGH
    url: str | None = None
    at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        object.__setattr__(self, "subject", " ".join(_clean(self.subject).split()))
        object.__setattr__(self, "body", tuple(line for text in self.body for line in _lines(text)))
        object.__setattr__(self, "fingerprint", _clean(self.fingerprint))


@dataclass(frozen=True)
class Waiting:
    """A notice that a channel has not sent yet."""

    id: int
    notice: Notice
    attempts: int


class Outbox:
    """The notices, and what each channel has done about them; for any number of processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def post(self, notice: Notice, repeat_after_s: float) -> bool:
        """Put a notice out to be sent, unless the same was not long ago.

        How many were held back stands in the next one that is let through.

        Args:
            notice: What to tell.
            repeat_after_s: For so long after a notice another of its fingerprint is held back.

        Returns:
            Whether it will be sent.
        """
        recent = (
            select(func.max(_notices.c.id))
            .where(_notices.c.fingerprint == notice.fingerprint)
            .where(_notices.c.at > notice.at - repeat_after_s)
            .scalar_subquery()
        )
        hold_back = update(_notices).where(_notices.c.id == recent)
        with self._engine.begin() as connection:
            # The update comes first: it takes the lock, so that of two processes one alone posts.
            held = connection.execute(hold_back.values(held_back=_notices.c.held_back + 1))
            if held.rowcount:
                return False
            more = _held_back_before(connection, notice.fingerprint)
            connection.execute(
                insert(_notices).values(
                    kind=notice.kind,
                    subject=notice.subject,
                    body=[*notice.body, *more],
                    fingerprint=notice.fingerprint,
                    severity=str(notice.severity),
                    url=notice.url,
                    at=notice.at,
                )
            )
        return True

    def waiting(self, channel: str, now: float, limit: int = 100) -> list[Waiting]:
        """Return what a channel should send now, the oldest first.

        Nothing while the channel rests, since it was down. One that is new is told of the last days too.
        """
        unsent = _unsent(channel).where(_notices.c.at > now - GIVE_UP_AFTER_S)
        resting = unsent.where(_deliveries.c.channel_down, _deliveries.c.next_at > now)
        due = or_(_deliveries.c.next_at.is_(None), _deliveries.c.next_at <= now)
        query = unsent.where(due).order_by(_notices.c.at, _notices.c.id).limit(limit)
        with self._engine.connect() as connection:
            if connection.execute(resting.limit(1)).first():
                return []
            return [_waiting(row) for row in connection.execute(query)]

    def mark_sent(self, waiting: Waiting, channel: str, now: float) -> None:
        """Note that a channel has sent a notice: it never sends it again."""
        self._note(waiting, channel, {"sent_at": now, "next_at": now, "reason": "", "channel_down": False})

    def mark_failed(
        self, waiting: Waiting, channel: str, reason: str, now: float, channel_down: bool
    ) -> None:
        """Note that a channel could not send a notice; it is tried again later, but not for ever.

        Args:
            waiting: What it was.
            channel: Which channel.
            reason: Why.
            now: Unix seconds.
            channel_down: Whether other notices would have failed too, so that all of them wait.
        """
        wait_s = min(FIRST_WAIT_S * 2 ** min(waiting.attempts, 10), LONGEST_WAIT_S)
        news = {"next_at": now + wait_s, "reason": _clean(reason), "channel_down": channel_down}
        self._note(waiting, channel, {"sent_at": None, **news})
        if now + wait_s >= waiting.notice.at + GIVE_UP_AFTER_S:
            log.error(
                "Gave up sending a notice by %s at attempt %d: %s (%s)",
                channel, waiting.attempts + 1, waiting.notice.subject, redact(reason),
            )  # fmt: skip

    def _note(self, waiting: Waiting, channel: str, news: dict[str, Any]) -> None:
        known = {"notice_id": waiting.id, "channel": channel}
        news = {"attempts": waiting.attempts + 1, **news}
        entry = insert(_deliveries).values(**known, **news).on_conflict_do_update(list(known), set_=news)
        with self._engine.begin() as connection:
            connection.execute(entry)


def _held_back_before(connection: Connection, fingerprint: str) -> tuple[str, ...]:
    """Say how many were held back since the last notice of this fingerprint."""
    last = (
        select(_notices.c.at, _notices.c.held_back)
        .where(_notices.c.fingerprint == fingerprint)
        .order_by(_notices.c.id.desc())
        .limit(1)
    )
    row = connection.execute(last).first()
    if row is None or not row.held_back:
        return ()
    since = datetime.fromtimestamp(row.at, UTC)
    return (f"{row.held_back} more like this since {since:%Y-%m-%d %H:%M} UTC",)


def _unsent(channel: str) -> Select:
    own = and_(_deliveries.c.notice_id == _notices.c.id, _deliveries.c.channel == channel)
    attempts = func.coalesce(_deliveries.c.attempts, 0).label("attempts")
    joined = select(_notices, attempts).select_from(_notices.outerjoin(_deliveries, own))
    return joined.where(_deliveries.c.sent_at.is_(None))


def _waiting(row: Row) -> Waiting:
    notice = Notice(
        row.kind, row.subject, tuple(row.body), row.fingerprint, Severity(row.severity), row.url, row.at
    )
    return Waiting(row.id, notice, row.attempts)


def _lines(text: str) -> Iterator[str]:
    yield from (_clean(text).splitlines() or [""])


def _clean(text: str) -> str:
    # A file name that is no UTF-8 comes as lone surrogates, which can't be written anywhere.
    return redact(text.encode("utf-8", "replace").decode("utf-8"))
