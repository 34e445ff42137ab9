"""Notices to people: they wait here until every channel has sent them."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    Connection,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    Select,
    Text,
    TypeDecorator,
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger.database import Base, insert_missing, table_of, upsert
from yivideo_pipeline.ledger.postgres import take_turn

log = logging.getLogger(__name__)

GIVE_UP_AFTER_S = 3 * 86_400
"""Older notices are not sent any more, by no channel."""
FIRST_WAIT_S = 60
LONGEST_WAIT_S = 900
"""Waits between two rounds of attempts at one notice: they double from the first to the longest."""

NoticeKind = Literal["run_failure", "quarantine", "library_gone", "asks", "digest", "alert", "test"]


class _Lines(TypeDecorator[tuple[str, ...]]):
    """A tuple of lines, kept as a JSON list."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...]:
        return tuple(value)


class _SeverityName(TypeDecorator[Severity]):
    """A severity, kept as its name."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Severity:
        return Severity(value)


class Notice(Base):
    """Something that a person should know.

    Args:
        kind: What it is about.
        subject: One line that says what happened.
        body: Lines of plain text: the details, and what to do.
        fingerprint: The same for the same trouble, which is reported once in a while only.
        severity: How much it matters.
        url: Where to read more.
        at: When it happened, in Unix seconds; by default now.

    `held_back` counts the notices of the same fingerprint that were held back after it. Secrets are taken out
    of the texts, and what no database or mail can hold is replaced.
    """

    __tablename__ = "notices"
    __table_args__ = (
        Index("notices_by_fingerprint", "fingerprint", "at"),
        Index("notices_by_time", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False, compare=False)
    kind: Mapped[NoticeKind] = mapped_column(Text)
    subject: Mapped[str]
    body: Mapped[tuple[str, ...]] = mapped_column(_Lines)
    fingerprint: Mapped[str]
    severity: Mapped[Severity] = mapped_column(_SeverityName, default=Severity.HIGH)
    url: Mapped[str | None] = mapped_column(default=None)
    at: Mapped[float] = mapped_column(default_factory=time.time)
    held_back: Mapped[int] = mapped_column(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        self.subject = " ".join(_clean(self.subject).split())
        self.body = tuple(line for text in self.body for line in _lines(text))
        self.fingerprint = _clean(self.fingerprint)


class NoticeDelivery(Base):
    """What a channel has done about a notice; times are Unix seconds."""

    __tablename__ = "notice_deliveries"

    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    sent_at: Mapped[float | None]
    next_at: Mapped[float]
    reason: Mapped[str]
    channel_down: Mapped[bool]


@dataclass(frozen=True)
class PendingNotice:
    """A notice that a channel has not sent yet, after so many attempts."""

    notice: Notice
    attempts: int

    @property
    def id(self) -> int:
        """The notice's number."""
        return self.notice.id


class Outbox:
    """The notices, and what each channel has done about them; for any number of processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def post(self, notice: Notice, repeat_after_s: float) -> bool:
        """Put a notice out to be sent, unless the same was not long ago.

        How many were held back stands in the next one that is let through.

        Args:
            notice: What to report.
            repeat_after_s: For so long after a notice another of its fingerprint is held back.

        Returns:
            Whether it will be sent.
        """
        recent = (
            select(func.max(Notice.id))
            .where(Notice.fingerprint == notice.fingerprint)
            .where(Notice.at > notice.at - repeat_after_s)
            .scalar_subquery()
        )
        hold_back = update(table_of(Notice)).where(Notice.id == recent)
        with self._engine.begin() as connection:
            take_turn(connection, f"notice {notice.fingerprint}")
            # The update comes first: it takes SQLite's lock, so that of two processes one alone posts.
            if connection.execute(hold_back.values(held_back=Notice.held_back + 1)).rowcount:
                return False
            body = (*notice.body, *_held_back_before(connection, notice.fingerprint))
            insert_missing(
                connection,
                [
                    Notice(
                        notice.kind, notice.subject, body, notice.fingerprint,
                        notice.severity, notice.url, notice.at,
                    )
                ],
            )  # fmt: skip
        return True

    def waiting(self, channel: str, now: float, limit: int = 100) -> list[PendingNotice]:
        """Return what a channel should send now, the oldest first.

        Nothing while the channel rests, since it was down. A new channel gets the last days' notices too.
        """
        unsent = _unsent(channel).where(Notice.at > now - GIVE_UP_AFTER_S)
        resting = unsent.where(NoticeDelivery.channel_down, NoticeDelivery.next_at > now)
        due = or_(NoticeDelivery.next_at.is_(None), NoticeDelivery.next_at <= now)
        query = unsent.where(due).order_by(Notice.at, Notice.id).limit(limit)
        with Session(self._engine) as session:
            if session.execute(resting.limit(1)).first():
                return []
            return [PendingNotice(notice, attempts) for notice, attempts in session.execute(query)]

    def mark_sent(self, pending: PendingNotice, channel: str, now: float) -> None:
        """Note that a channel has sent a notice: it never sends it again."""
        self._note(
            NoticeDelivery(
                notice_id=pending.id, channel=channel, attempts=pending.attempts + 1,
                sent_at=now, next_at=now, reason="", channel_down=False,
            )
        )  # fmt: skip

    def mark_failed(
        self, pending: PendingNotice, channel: str, reason: str, now: float, channel_down: bool
    ) -> None:
        """Note that a channel could not send a notice; it is retried later, but not for ever.

        Args:
            pending: What it was.
            channel: Which channel.
            reason: Why.
            now: Unix seconds.
            channel_down: Whether other notices would have failed too, so that all of them wait.
        """
        wait_s = min(FIRST_WAIT_S * 2 ** min(pending.attempts, 10), LONGEST_WAIT_S)
        self._note(
            NoticeDelivery(
                notice_id=pending.id, channel=channel, attempts=pending.attempts + 1,
                sent_at=None, next_at=now + wait_s, reason=_clean(reason), channel_down=channel_down,
            )
        )  # fmt: skip
        if now + wait_s >= pending.notice.at + GIVE_UP_AFTER_S:
            log.error(
                "Gave up sending a notice by %s at attempt %d: %s (%s)",
                channel, pending.attempts + 1, pending.notice.subject, redact(reason),
            )  # fmt: skip

    def _note(self, delivery: NoticeDelivery) -> None:
        with self._engine.begin() as connection:
            upsert(connection, [delivery])


def _held_back_before(connection: Connection, fingerprint: str) -> tuple[str, ...]:
    """Return a line on how many were held back since the last notice of this fingerprint, if any."""
    last = select(Notice.at, Notice.held_back).where(Notice.fingerprint == fingerprint)
    row = connection.execute(last.order_by(Notice.id.desc()).limit(1)).first()
    if row is None or not row.held_back:
        return ()
    since = datetime.fromtimestamp(row.at, UTC)
    return (f"{row.held_back} more like this since {since:%Y-%m-%d %H:%M} UTC",)


def _unsent(channel: str) -> Select:
    own = and_(NoticeDelivery.notice_id == Notice.id, NoticeDelivery.channel == channel)
    joined = select(Notice, func.coalesce(NoticeDelivery.attempts, 0)).outerjoin(NoticeDelivery, own)
    return joined.where(NoticeDelivery.sent_at.is_(None))


def _lines(text: str) -> Iterator[str]:
    yield from (_clean(text).splitlines() or [""])


def _clean(text: str) -> str:
    # A file name that is no UTF-8 comes as lone surrogates, which can't be written anywhere.
    return redact(text.encode("utf-8", "replace").decode("utf-8"))
