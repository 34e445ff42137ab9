from yivideo_pipeline.errors.tree import MemoryExhausted, UnreadableMedia
from yivideo_pipeline.ledger import open_ledger


def fail(ledger, key: str, run_id: str, stage: str = "transcript"):
    return ledger.failures.note_failure(key, stage, run_id, MemoryExhausted("Full", "Use less"), 3)


def test_a_failure_is_remembered_with_its_reason(ledger):
    failed = fail(ledger, "a.mp4", "run1")
    assert ledger.failures.last("a.mp4") == failed
    assert (failed.kind, failed.message, failed.hint, failed.attempts) == ("memory", "Full", "Use less", 3)
    assert ledger.failures.failed_in("run1") == {"a.mp4": failed}
    assert ledger.failures.failed_in("run2") == {}
    assert ledger.failures.last("b.mp4") is None


def test_the_latest_failure_is_the_last(ledger):
    fail(ledger, "a.mp4", "run1", "audio")
    fail(ledger, "a.mp4", "run2", "alignment")
    assert ledger.failures.last("a.mp4").stage == "alignment"


def test_a_run_that_is_tried_again_counts_once(ledger):
    fail(ledger, "a.mp4", "run1", "audio")
    fail(ledger, "a.mp4", "run1", "alignment")
    assert ledger.failures.streak("a.mp4") == 1
    assert ledger.failures.failed_in("run1")["a.mp4"].stage == "alignment"


def test_a_success_ends_a_streak_and_leaves_what_the_runs_said(ledger):
    fail(ledger, "a.mp4", "run1")
    fail(ledger, "b.mp4", "run1")
    ledger.failures.note_success("a.mp4")
    assert ledger.failures.streak("a.mp4") == 0
    assert ledger.failures.last("a.mp4") is None
    assert ledger.failures.streak("b.mp4") == 1
    assert set(ledger.failures.failed_in("run1")) == {"a.mp4", "b.mp4"}
    fail(ledger, "a.mp4", "run2")
    assert ledger.failures.streak("a.mp4") == 1


def test_what_went_well_in_the_same_run_after_all_is_no_failure_of_it(ledger):
    fail(ledger, "a.mp4", "run1")
    ledger.failures.forgive("a.mp4", "run1")
    assert ledger.failures.failed_in("run1") == {}


def test_a_quarantined_video_is_found_with_its_reason_and_file(ledger):
    failed = ledger.failures.note_failure("a.mp4", "video", "run1", UnreadableMedia("No video"), 1)
    ledger.failures.quarantine("a.mp4", failed, 17, 2**62)
    entry = ledger.failures.find_quarantined("a.mp4")
    assert (entry.failure, entry.size_bytes, entry.mtime_ns) == (failed, 17, 2**62)
    assert ledger.failures.quarantined() == {"a.mp4": entry}
    assert ledger.failures.find_quarantined("b.mp4") is None


def test_the_latest_quarantined_comes_first(ledger):
    for key in ("a.mp4", "b.mp4"):
        ledger.failures.quarantine(key, fail(ledger, key, "run1"), 1, 1)
    assert list(ledger.failures.quarantined()) == ["b.mp4", "a.mp4"]


def test_released_a_video_begins_anew(ledger):
    ledger.failures.quarantine("a.mp4", fail(ledger, "a.mp4", "run1"), 1, 1)
    assert ledger.failures.release(["a.mp4", "b.mp4"]) == ["a.mp4"]
    assert ledger.failures.find_quarantined("a.mp4") is None
    assert ledger.failures.streak("a.mp4") == 0
    assert ledger.failures.release(["a.mp4"]) == []


def test_any_key_can_be_kept(ledger):
    key = "%0A 100% 中文 'q'.mp4"
    ledger.failures.quarantine(key, fail(ledger, key, "run1"), 1, 1)
    assert ledger.failures.release([key]) == [key]


def test_another_process_sees_what_was_noted(ledger, home, database):
    fail(ledger, "a.mp4", "run1")
    other = open_ledger(home, database)
    assert other.failures.streak("a.mp4") == 1
    other.engine.dispose()
