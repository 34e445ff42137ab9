"""What is waiting or at work, and how much sound there is in it."""

from typing import Any

import pytest

from yivideo_pipeline.errors.tree import TruncatedMedia
from yivideo_pipeline.ledger.backlog import read_backlog
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.ledger.materializations import Materialization

SIZE = 1_000_000_000


def noted(key: str, **state: Any) -> FileRecord:
    return FileRecord(key, "inbox", SIZE, 1, first_seen=1.0, steady_since=10.0, **state)


@pytest.fixture
def make(ledger):
    def make(key: str, stage: str, at: float, audio_s: float | None = None) -> None:
        made = Materialization(key, stage, "k", "r", False, "h", at, "run", False, audio_s=audio_s)
        ledger.materializations.note(made)

    return make


def test_what_was_taken_and_has_no_subtitles_of_its_present_content_is_open(ledger, make):
    assert read_backlog(ledger.engine) == (0, 0.0)
    keys = ("done", "changed", "decoded", "new", "failed", "aside", "gone")
    ledger.files.write([noted(key, missing_since=5.0 if key == "gone" else None) for key in keys])
    ledger.files.write([noted("too young")])
    ledger.files.note_taken({key: Stamp(SIZE, 1) for key in keys if key != "gone"})
    make("done", "subtitles", at=11.0, audio_s=600.0)
    make("changed", "subtitles", at=9.0, audio_s=600.0)
    make("decoded", "audio", at=11.0, audio_s=300.0)
    failed = ledger.failures.note_failure("failed", "audio", "run", TruncatedMedia("broken", ""), attempts=1)
    ledger.failures.quarantine("aside", failed, SIZE, 1)

    videos, audio_s = read_backlog(ledger.engine)
    assert videos == 3
    assert audio_s == pytest.approx(600 + 300 + 500), "the new one's length is guessed: 500 s a gigabyte"
