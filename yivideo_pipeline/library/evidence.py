"""What speaks for and against one file: looked up when it is asked for, and remembered."""

import json
from dataclasses import replace
from pathlib import Path

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.decision import Decision, Why
from yivideo_pipeline.library.existing import Folder, Sidecar
from yivideo_pipeline.library.facts import MediaFacts, read_facts
from yivideo_pipeline.storage.artifacts import Storage


class Evidence:
    """The inside of a file, and the subtitles beside it.

    Args:
        record: What is noted of the file.
        root: The root that it lies in.
        below: Its path below the root.
        folder: The names beside it.
        storage: Knows which subtitles we wrote ourselves.
        may_open: Whether the file may be opened.

    `record` holds afterwards what was found out, for the next time.
    """

    def __init__(
        self, record: FileRecord, root: Path, below: str, folder: Folder, storage: Storage, may_open: bool
    ) -> None:
        self.record = record
        self._root = root
        self._below = below
        self._folder = folder
        self._storage = storage
        self._may_open = may_open

    @property
    def _path(self) -> Path:
        return self._root / self._below

    def facts(self) -> MediaFacts | Decision:
        """Return what is inside; a decision where it can't be opened now."""
        if self.record.facts:
            return MediaFacts.model_validate_json(self.record.facts)
        if not self._may_open:
            return Decision(Why.QUEUED)
        try:
            facts = read_facts(self._path)
        except YivideoError as error:
            return Decision(Why.OBSCURED, error.message)
        if self._stamp_now() != self.record.stamp:
            return Decision(Why.SETTLING)  # it changed since it was listed: the facts are of neither state
        self.record = replace(self.record, facts=facts.model_dump_json())
        return facts

    def sidecars(self) -> list[Sidecar]:
        """Return the subtitles beside it, but for those that we wrote for this very video."""
        known = set(json.loads(self.record.foreign or "[]"))
        sidecars = self._folder.sidecars_of(self._path.name)
        foreign = [one for one in sidecars if one.name in known or not self._is_ours(one)]
        names = [one.name for one in foreign]
        if names and not known.issuperset(names):
            self.record = replace(self.record, foreign=json.dumps(names))
        return foreign

    def _stamp_now(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None  # it vanished, or its share did: the next look tells which
        return Stamp(found.st_size, found.st_mtime_ns)

    def _is_ours(self, sidecar: Sidecar) -> bool:
        delivery = self._storage.delivery(self._path.with_name(sidecar.name))
        return delivery is not None and delivery[1] == self.record.key
