"""The watch on the library: looks at all roots, and says what is to be done with which file.

Nothing is lost and nothing is taken twice when the process dies at any moment: a file counts as taken only
when whoever takes it says so (`note_taken`); until then each look hands it out again.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from yivideo_pipeline.ledger.failures import FailureLedger, Quarantined
from yivideo_pipeline.ledger.files import FileLedger, FileRecord, Stamp
from yivideo_pipeline.library.decisions import Case, Decision, Policy, Why, decide
from yivideo_pipeline.library.outcome import Alert, Answer, Evidence, Item, Look
from yivideo_pipeline.library.scan import Listing, LocalListing, Place, Survey, absolute_roots, rules_of_roots
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of, place_of

OPEN_FOR_S = 10.0
"""A look opens files for so long; the others are opened by the next. A sensor's tick may last 60 s."""


class Watch:
    """Looks at the library's roots.

    Args:
        settings: All settings; `library` and the spoken language decide.
        files: What is remembered of files.
        failures: Which videos are set aside.
        storage: Knows which subtitles we wrote ourselves.
        listings: How each root is listed, by name; by default as a local folder.
    """

    def __init__(
        self,
        settings: Settings,
        files: FileLedger,
        failures: FailureLedger,
        storage: Storage,
        listings: Mapping[str, Listing] | None = None,
    ) -> None:
        self._roots = absolute_roots(settings)
        self._policy = Policy(settings.library, settings.speech.options.written_language)
        self._files = files
        self._failures = failures
        self._storage = storage
        self._rules = rules_of_roots(settings)
        self._listings = listings or {
            name: LocalListing(root, self._rules[name]) for name, root in self._roots.items()
        }

    def look(self, now: float | None = None, limit: int = 50) -> Look:
        """Look at all roots, decide on each file, and remember what was seen.

        Args:
            now: Unix seconds; by default the clock's.
            limit: How many videos may be handed out to be taken.
        """
        survey, quarantined = self._survey(now)
        deadline = time.monotonic() + OPEN_FOR_S
        decisions: dict[str, Decision] = {}
        news: dict[str, Decision] = {}
        changed: dict[str, FileRecord] = {}
        taken = 0
        for key in _in_turn(survey):
            may_open = taken < limit and time.monotonic() < deadline
            decision, record = self._judge(survey, key, quarantined.get(key), may_open)
            if _is_taking(decision):
                if taken == limit:
                    decision = Decision(Why.QUEUED)
                else:
                    taken += 1
            decisions[key] = decision
            if not _is_noted(decision, survey.records.get(key)):
                news[key] = decision
            record = _note(record, decision, survey.now)
            if record is not survey.records.get(key):
                changed[key] = record
        forgotten = [key for key, decision in decisions.items() if decision.why is Why.NO_FILE]
        self._files.write(changed.values(), survey.roots_seen(), forgotten)
        return self._sum_up(survey, {**survey.records, **changed}, decisions, news)

    def why(self, path: Path, now: float | None = None) -> Answer:
        """Say what the next look will do with one file, and why; nothing is remembered.

        Args:
            path: The file, absolute or relative to the working folder; it need not exist.
            now: Unix seconds; by default the clock's.
        """
        try:
            key = key_of(path, self._roots)
        except ValueError:
            return Answer(None, Decision(Why.NO_REGULAR_FILE))
        if key.startswith("/"):
            return Answer(None, Decision(Why.OUTSIDE))
        survey, quarantined = self._survey(now)
        record, aside = survey.records.get(key), quarantined.get(key)
        if key in survey.found or record:
            return Answer(key, self._judge(survey, key, aside, may_open=True)[0], record, aside)
        root, below = place_of(key, self._roots)
        decision = (
            self._rules[root].pass_path(below.as_posix())
            or survey.troubles.get(root)
            or self._listings[root].look_up(below.as_posix())
        )
        return Answer(key, decision or Decision(Why.SETTLING), None, aside)

    def note_taken(self, stamps: Mapping[str, Stamp]) -> None:
        """Note that files were taken in the state in which they were handed out.

        What was set aside in an earlier state leaves quarantine. A run may have failed since it was taken:
        what was set aside in this very state stays there.
        """
        self._files.note_taken(stamps)
        aside = {key: found for key in stamps if (found := self._failures.find_quarantined(key))}
        earlier = [key for key, found in aside.items() if (found.size_bytes, found.mtime_ns) != stamps[key]]
        self._failures.release(earlier)

    def note_retired(self, keys: Iterable[str], now: float | None = None) -> None:
        """Note that the partitions of deleted files were taken out."""
        self._files.note_retired(keys, time.time() if now is None else now)

    def _survey(self, now: float | None) -> tuple[Survey, dict[str, Quarantined]]:
        now = time.time() if now is None else now
        scans = {name: listing.scan() for name, listing in self._listings.items()}
        survey = Survey(now, self._roots, self._rules, scans, self._files.read(), self._files.roots())
        return survey, self._failures.quarantined()

    def _judge(
        self, survey: Survey, key: str, quarantined: Quarantined | None, may_open: bool
    ) -> tuple[Decision, FileRecord]:
        """Decide on one file; the record holds what was found out on the way."""
        place = survey.found.get(key)
        record = _observe(survey, key, place, self._policy.library.settle_s)
        if place is None:
            case = Case(survey.now, None, record, quarantined, obstacle=survey.obstacle(key))
            return decide(case, self._policy), record
        root, below, stamp = place
        evidence = Evidence(
            record, self._roots[root], below, survey.folder_of(place), self._storage, may_open
        )
        case = Case(
            survey.now,
            stamp,
            record,
            quarantined,
            twin=None if record.taken else survey.twin(stamp),
            sidecars=evidence.sidecars,
            facts=evidence.facts,
        )
        return decide(case, self._policy), evidence.record

    def _sum_up(
        self,
        survey: Survey,
        records: Mapping[str, FileRecord],
        decisions: Mapping[str, Decision],
        news: Mapping[str, Decision],
    ) -> Look:
        counts = Counter(decision.why for decision in decisions.values())
        for scan in survey.scans.values():
            counts.update(scan.passed)
            counts[Why.OBSCURED] += len(scan.obscured)
        items = {"take": [], "take_again": [], "retire": []}
        hidden: Counter[tuple[str, Decision]] = Counter()
        for key, decision in decisions.items():
            if decision.action in items:
                items[decision.action].append(self._item(survey, records[key], decision))
            elif decision.action == "hold":
                hidden[survey.missing[key][0], decision] += 1
        for root, trouble in survey.troubles.items():
            hidden[root, trouble] += 0
        return Look(
            take=tuple(items["take"] + items["take_again"]),
            retire=tuple(items["retire"]),
            decisions=decisions,
            news=news,
            counts=+counts,
            alerts=tuple(Alert(root, decision, number) for (root, decision), number in hidden.items()),
        )

    def _item(self, survey: Survey, record: FileRecord, decision: Decision) -> Item:
        since = record.missing_since or record.steady_since
        place = survey.found.get(record.key)
        root, below = (place.root, place.path) if place else survey.missing[record.key]
        return Item(record.key, root, self._roots[root] / below, record.stamp, decision, since)


def _in_turn(survey: Survey) -> list[str]:
    """Return all keys, first seen first."""
    records = survey.records

    def turn(key: str) -> tuple[float, str]:
        return (records[key].first_seen if key in records else survey.now, key)

    return sorted([*survey.found, *survey.missing], key=turn)


def _observe(survey: Survey, key: str, place: Place | None, settle_s: float) -> FileRecord:
    """Return what is noted of a file, with what this look saw of it."""
    record, now = survey.records.get(key), survey.now
    if place is None:
        record = survey.records[key]
        if record.missing_since is not None and record.missing_since > now:  # the clock was put back
            record = replace(record, missing_since=now)
        return record
    if record is None:
        return FileRecord(key, place.root, *place.stamp, first_seen=now, steady_since=now)
    if record.stamp != place.stamp:
        size_bytes, mtime_ns = place.stamp
        record = replace(
            record, size_bytes=size_bytes, mtime_ns=mtime_ns, steady_since=now, facts="", foreign=""
        )
    if record.steady_since > now:
        record = replace(record, steady_since=now)
    if record.missing_since is not None and now - record.missing_since < settle_s:
        record = replace(record, missing_since=None)
    return record


def _note(record: FileRecord, decision: Decision, now: float) -> FileRecord:
    """Note what was decided on a file; the very same record where nothing is new."""
    if decision.why is Why.MISSED and record.missing_since is None:
        record = replace(record, missing_since=now)
    if _is_taking(decision) and record.offered != record.stamp:
        record = replace(record, offered_size_bytes=record.size_bytes, offered_mtime_ns=record.mtime_ns)
    if not _is_noted(decision, record):
        record = replace(record, why=decision.why.name, detail=decision.detail)
    return record


def _is_noted(decision: Decision, record: FileRecord | None) -> bool:
    return record is not None and (record.why, record.detail) == (decision.why.name, decision.detail)


def _is_taking(decision: Decision) -> bool:
    return decision.action in ("take", "take_again")
