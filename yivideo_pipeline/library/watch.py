"""The watch on the library: scans all roots and decides what is done with which file.

No file is lost and none is taken twice, at whatever moment the process dies: a file counts as taken only when
the caller that takes it confirms that (`note_taken`); until then every scan returns it again.
"""

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.failures import FailureLedger, Quarantined
from yivideo_pipeline.ledger.files import FORGOTTEN, FileLedger, FileRecord, Stamp
from yivideo_pipeline.library.bucket import BucketListing
from yivideo_pipeline.library.decisions import Case, Decision, Policy, Reason, decide
from yivideo_pipeline.library.existing import Folder, MediaFacts, Sidecar, read_facts
from yivideo_pipeline.library.ignore import NameRules, absolute_roots, own_folders, rules_of_roots
from yivideo_pipeline.library.outcome import Explanation, LibraryItem, ScanResult, WatchAlert
from yivideo_pipeline.library.scan import FoundFile, Listing, LocalListing, Survey, files_by_key
from yivideo_pipeline.machine.garbage import building
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import is_outside, key_of, place_of
from yivideo_pipeline.storage.remote_paths import AnyPath, read_stamp

OPEN_FOR_S = 10.0
"""A scan opens files for so long; the next scan opens the others. A sensor's tick may last 60 s."""
_TAKEN = Decision(Reason.TAKEN)
_REASONS = dict(Reason.__members__)  # by all their names, those of older versions too


def open_watch(settings: Settings, ledger: Ledger, storage: Storage) -> "Watch":
    """Return the watch on the library of the settings."""
    policy = Policy(settings.library, settings.speech.options.written_language)
    return Watch(policy, ledger.files, ledger.failures, storage, own_folders(settings))


class Watch:
    """Scans the library's roots.

    Args:
        policy: The settings that decide.
        files: What is remembered of files.
        failures: Which videos are quarantined.
        storage: Knows which subtitles yivideo wrote.
        own: yivideo's own folders, which are not searched.
        listings: Lists each root, by its name; by default as the folder or bucket that it is.
    """

    def __init__(
        self,
        policy: Policy,
        files: FileLedger,
        failures: FailureLedger,
        storage: Storage,
        own: Collection[AnyPath] = (),
        listings: Mapping[str, Listing] | None = None,
    ) -> None:
        self._policy = policy
        self._files = files
        self._failures = failures
        self._storage = storage
        self._roots = absolute_roots(policy.library)
        self._rules = rules_of_roots(policy.library, own)
        self._listings = listings or {
            name: _listing_of(root, self._rules[name]) for name, root in self._roots.items()
        }

    @building()
    def scan(self, now: float | None = None, limit: int = 50) -> ScanResult:
        """Scan all roots, decide on each file, and remember what was seen.

        Args:
            now: Unix seconds; by default the clock's.
            limit: How many videos may be returned to be taken.
        """
        survey, quarantined = self._survey(now)
        deadline = time.monotonic() + OPEN_FOR_S
        decisions = dict.fromkeys(survey.unchanged, _TAKEN)
        changes: dict[str, Decision] = {}
        updated: dict[str, FileRecord] = {}
        taken = 0
        for key in _first_seen_first(survey):
            may_open = taken < limit and time.monotonic() < deadline
            decision, record = self._decide(survey, key, quarantined.get(key), may_open)
            if _is_taking(decision):
                if taken == limit:
                    decision = Decision(Reason.QUEUED)
                else:
                    taken += 1
            decisions[key] = decision
            if not _is_noted(decision, survey.records.get(key)):
                changes[key] = decision
            record = _note(record, decision, survey.now)
            if record is not survey.records.get(key):
                updated[key] = record
        forgotten = [key for key, decision in decisions.items() if decision.reason is Reason.NO_FILE]
        self._files.write(updated.values(), survey.roots_seen(), forgotten)
        return self._summarize(survey, {**survey.records, **updated}, decisions, changes)

    def explain(self, path: AnyPath, now: float | None = None) -> Explanation:
        """Return what the next scan will do with one file, and why; nothing is remembered.

        Args:
            path: The file, absolute or relative to the working folder; it need not exist.
            now: Unix seconds; by default the clock's.
        """
        try:
            key = key_of(path, self._roots)
        except ValueError:
            return Explanation(None, Decision(Reason.NO_REGULAR_FILE))
        if is_outside(key):
            return Explanation(None, Decision(Reason.OUTSIDE))
        survey, all_quarantined = self._survey(now, key)
        record, quarantined = survey.records.get(key), all_quarantined.get(key)
        if key in survey.found or record:
            decision, _ = self._decide(survey, key, quarantined, may_open=True)
            return Explanation(key, decision, record, quarantined)
        root, relative = place_of(key, self._roots)
        reason_not_found = (
            self._rules[root].check_path(relative.as_posix())
            or survey.troubles.get(root)
            or self._listings[root].look_up(relative.as_posix())
        )
        return Explanation(key, reason_not_found or Decision(Reason.SETTLING), None, quarantined)

    def coming(self, now: float | None = None) -> list[str]:
        """Return the videos that scans from now on take, as far as that is known without opening them.

        Nothing is remembered.

        Args:
            now: Unix seconds; by default the clock's.
        """
        survey, quarantined = self._survey(now)
        decided = {
            key: self._decide(survey, key, quarantined.get(key), may_open=False)[0]
            for key in _first_seen_first(survey)
        }
        waits = (Reason.QUEUED, Reason.SETTLING)
        return [key for key, one in decided.items() if _is_taking(one) or one.reason in waits]

    def note_taken(self, stamps: Mapping[str, Stamp]) -> None:
        """Note that files were taken in the state in which they were returned.

        Those that were quarantined in an earlier state are released. A run may have failed since the file was
        taken: what was quarantined in this very state stays so.
        """
        self._files.note_taken(stamps)
        quarantined = {key: found for key in stamps if (found := self._failures.find_quarantined(key))}
        earlier = [
            key for key, found in quarantined.items() if (found.size_bytes, found.mtime_ns) != stamps[key]
        ]
        self._failures.release(earlier)

    def note_launched(self, key: str, now: float | None = None) -> None:
        """Note that a user has a video processed: as long as its file stays the same, no scan returns it.

        Args:
            key: The video's partition key; ignored where no scan would find its file.
            now: Unix seconds; by default the clock's.
        """
        try:
            root, relative = place_of(key, self._roots)
        except ValueError:  # of a root that is no longer there
            return
        name = relative.as_posix()
        if self._rules[root].check_path(name) or self._listings[root].look_up(name):
            return  # what no scan finds would count as deleted
        stamp = _stamp_of(self._roots[root] / relative)
        if stamp is None:
            return
        now = time.time() if now is None else now
        known = self._files.find(key)
        if known and known.why == FORGOTTEN:
            self._files.forget([key])
        self._files.add(FileRecord(key, root, *stamp, first_seen=now, steady_since=now))
        self.note_taken({key: stamp})

    def note_retired(self, keys: Iterable[str], now: float | None = None) -> None:
        """Note that the partitions of deleted files were removed."""
        self._files.note_retired(keys, time.time() if now is None else now)

    def _survey(
        self, now: float | None, examined: str | None = None
    ) -> tuple[Survey, dict[str, Quarantined]]:
        """List all roots, and compare them with the ledger; `examined` is never among the unchanged files."""
        now = time.time() if now is None else now
        scans = {name: listing.scan() for name, listing in self._listings.items()}
        found, quarantined = files_by_key(scans, self._roots), self._failures.quarantined()
        present = {
            key: file.stamp for key, file in found.items() if key != examined and key not in quarantined
        }
        records, unchanged = self._files.compare(present)
        seen = self._files.roots()
        survey = Survey(now, self._roots, self._rules, scans, found, unchanged, records, seen)
        return survey, quarantined

    def _decide(
        self, survey: Survey, key: str, quarantined: Quarantined | None, may_open: bool
    ) -> tuple[Decision, FileRecord]:
        """Decide on one file; the record holds what was found out on the way."""
        file = survey.found.get(key)
        record = _observe(survey, key, file, self._policy.library.settle_s)
        if file is None:
            case = Case(survey.now, None, record, quarantined, obstacle=survey.obstacle(key))
            return decide(case, self._policy), record
        root = self._roots[file.root]
        inspection = Inspection(record, root, file.path, survey.folder_of(file), self._storage, may_open)
        case = Case(
            survey.now,
            file.stamp,
            record,
            quarantined,
            twin=None if record.taken else survey.twin(file.stamp),
            sidecars=inspection.sidecars,
            facts=inspection.facts,
        )
        return decide(case, self._policy), inspection.record

    def _summarize(
        self,
        survey: Survey,
        records: Mapping[str, FileRecord],
        decisions: Mapping[str, Decision],
        changes: Mapping[str, Decision],
    ) -> ScanResult:
        others = {key: decision for key, decision in decisions.items() if decision is not _TAKEN}
        counts = Counter(decision.reason for decision in others.values())
        counts[Reason.TAKEN] += len(decisions) - len(others)
        for scan in survey.scans.values():
            counts.update(scan.skipped)
            counts[Reason.INACCESSIBLE] += len(scan.inaccessible)
        items = {"take": [], "take_again": [], "retire": []}
        held: Counter[tuple[str, Decision]] = Counter()
        for key, decision in others.items():
            if decision.action in items:
                items[decision.action].append(self._item(survey, records[key], decision))
            elif decision.action == "hold":
                held[survey.missing[key][0], decision] += 1
        for root, trouble in survey.troubles.items():
            held[root, trouble] += 0
        settling = [records[key].steady_since for key, one in others.items() if one.reason is Reason.SETTLING]
        return ScanResult(
            take=tuple(items["take"] + items["take_again"]),
            retire=tuple(items["retire"]),
            decisions=decisions,
            changes=changes,
            counts=+counts,
            alerts=tuple(WatchAlert(root, decision, number) for (root, decision), number in held.items()),
            settled_in_s=min(settling) + self._policy.library.settle_s - survey.now if settling else None,
        )

    def _item(self, survey: Survey, record: FileRecord, decision: Decision) -> LibraryItem:
        since = record.missing_since or record.steady_since
        file = survey.found.get(record.key)
        root, relative = (file.root, file.path) if file else survey.missing[record.key]
        return LibraryItem(record.key, root, self._roots[root] / relative, record.stamp, decision, since)


class Inspection:
    """Looks up what speaks for or against one file, when it is asked for.

    Afterwards `record` holds what was found out, for the next scan.

    Args:
        record: What is known of the file.
        root: Its library root.
        relative: Its path relative to the root.
        folder: The names beside it.
        storage: Knows which subtitles yivideo wrote.
        may_open: Whether the file may be opened.
    """

    def __init__(
        self,
        record: FileRecord,
        root: AnyPath,
        relative: str,
        folder: Folder,
        storage: Storage,
        may_open: bool,
    ) -> None:
        self.record = record
        self._root = root
        self._relative = relative
        self._folder = folder
        self._storage = storage
        self._may_open = may_open

    @cached_property
    def _path(self) -> AnyPath:
        return self._root / self._relative  # takes longer than all else that most files need

    def facts(self) -> MediaFacts | Decision:
        """Return what is inside the file; a decision where it can't be opened now."""
        if self.record.facts:
            return MediaFacts.model_validate_json(self.record.facts)
        if not self._may_open:
            return Decision(Reason.QUEUED)
        try:
            facts = read_facts(self._path)
        except YivideoError as error:
            return Decision(Reason.INACCESSIBLE, error.message)
        if _stamp_of(self._path) != self.record.stamp:
            return Decision(Reason.SETTLING)  # it changed after it was listed: the facts are of neither state
        self.record = replace(self.record, facts=facts.model_dump_json())
        return facts

    def sidecars(self) -> list[Sidecar]:
        """Return the subtitles beside the file, except those that yivideo wrote for this very video."""
        known = set(json.loads(self.record.foreign or "[]"))
        sidecars = self._folder.sidecars_of(self._relative.rpartition("/")[2])
        foreign = [one for one in sidecars if one.name in known or not self._is_own(one)]
        names = [one.name for one in foreign]
        if names and not known.issuperset(names):
            self.record = replace(self.record, foreign=json.dumps(names))
        return foreign

    def _is_own(self, sidecar: Sidecar) -> bool:
        delivery = self._storage.find_delivery(self._path.with_name(sidecar.name))
        return delivery is not None and delivery[1] == self.record.key


def _listing_of(root: AnyPath, rules: NameRules) -> Listing:
    return LocalListing(root, rules) if isinstance(root, Path) else BucketListing(root, rules)


def _stamp_of(path: AnyPath) -> Stamp | None:
    try:
        return Stamp(*read_stamp(path))
    except OSError:
        return None  # the file vanished, or its share did: the next scan finds out


def _first_seen_first(survey: Survey) -> list[str]:
    """Return the files that have to be decided on."""
    records = survey.records

    def order(key: str) -> tuple[float, str]:
        return (records[key].first_seen if key in records else survey.now, key)

    return sorted([*(survey.found.keys() - survey.unchanged), *survey.missing], key=order)


def _observe(survey: Survey, key: str, file: FoundFile | None, settle_s: float) -> FileRecord:
    """Return the record of a file, updated by what this scan saw of it."""
    record, now = survey.records.get(key), survey.now
    if file is None:
        record = survey.records[key]
        if record.missing_since is not None and record.missing_since > now:  # the clock was set back
            record = replace(record, missing_since=now)
        return record
    if record is None:
        return FileRecord(key, file.root, *file.stamp, first_seen=now, steady_since=now)
    if record.stamp != file.stamp:
        size_bytes, mtime_ns = file.stamp
        record = replace(
            record, size_bytes=size_bytes, mtime_ns=mtime_ns, steady_since=now, facts="", foreign=""
        )
    if record.steady_since > now:
        record = replace(record, steady_since=now)
    if record.missing_since is not None and now - record.missing_since < settle_s:
        record = replace(record, missing_since=None)
    return record


def _note(record: FileRecord, decision: Decision, now: float) -> FileRecord:
    """Note the decision on a file; the very same record is returned where nothing changed."""
    if decision.reason is Reason.MISSED and record.missing_since is None:
        record = replace(record, missing_since=now)
    if _is_taking(decision) and record.offered != record.stamp:
        record = replace(record, offered_size_bytes=record.size_bytes, offered_mtime_ns=record.mtime_ns)
    if not _is_noted(decision, record):
        record = replace(record, why=decision.reason.name, detail=decision.detail)
    return record


def _is_noted(decision: Decision, record: FileRecord | None) -> bool:
    if record is None or record.detail != decision.detail:
        return False
    return _REASONS.get(record.why) is decision.reason


def _is_taking(decision: Decision) -> bool:
    return decision.action in ("take", "take_again")
