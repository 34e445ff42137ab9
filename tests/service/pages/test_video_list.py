"""The list of videos: states, reasons, search, order, pages, and how it is read from the ledger."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import event, insert

from yivideo_pipeline.errors.tree import MemoryExhausted
from yivideo_pipeline.history.run_queue import VideoRun
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import RunOrigin, Sample
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.service.pages.video_list import (
    PAGE_SIZE,
    VideoList,
    VideoQuery,
    VideoRow,
    find_keys,
    list_videos,
    reason_of,
)


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path)


def page_of(ledger: Ledger, *asked, **named) -> VideoList:
    return list_videos(ledger.engine, VideoQuery(*asked, **named))


def only_row(ledger: Ledger) -> VideoRow:
    (row,) = page_of(ledger).rows
    return row


def make(
    ledger: Ledger, key: str, at: float = 100.0, run: str = "run", audio_s: float = 61.0, **rated
) -> None:
    ledger.materializations.note(
        Materialization(key, "subtitles", "k", "r", False, "hash", at, run, False, audio_s=audio_s)
    )
    measured: dict[str, Any] = {"score": 88.0, "confidence": 0.9, "language": "zh", **rated}
    ledger.samples.record(
        Sample(run_id=run, root_id=run, stage="subtitles", key=key, success=True, at=at, **measured)
    )


def see(ledger: Ledger, key: str, why: Reason, detail: str = "") -> None:
    ledger.files.write([FileRecord(key, "inbox", 1, 1, 5.0, 5.0, why.name, detail)])


def test_a_processed_video_is_listed_with_its_length_language_readability_and_confidence(ledger):
    make(ledger, "a.mp4")
    row = only_row(ledger)
    video = row.known
    assert row.state == "done"
    assert (video.made_at, video.audio_s, video.language, video.score) == (100.0, 61.0, "zh", 88.0)
    assert video.confidence == 0.9


def test_of_several_materializations_the_latest_is_listed(ledger):
    make(ledger, "a.mp4")
    make(ledger, "a.mp4", 200.0, "other", score=99.0, language="en")
    assert (only_row(ledger).known.score, only_row(ledger).known.language) == (99.0, "en")


def test_a_failure_comes_before_what_was_made_and_goes_with_the_next_success(ledger):
    make(ledger, "a.mp4")
    for run, message in (("run", "Memory ran out"), ("later", "It ran out again")):
        error = MemoryExhausted(message, "Take less")
        ledger.failures.note_failure("a.mp4", "transcript", run, error, 3)
    row = only_row(ledger)
    assert row.state == "failed"
    assert (row.known.failed_message, row.known.failed_hint) == ("It ran out again", "Take less")
    ledger.failures.note_success("a.mp4")
    assert only_row(ledger).state == "done"


def test_a_quarantined_video_says_why_and_is_unknown_after_its_release(ledger):
    failed = ledger.failures.note_failure("a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    ledger.failures.quarantine("a.mp4", failed, 1, 1)
    assert only_row(ledger).state == "quarantined"
    assert only_row(ledger).known.failed_message == "Memory ran out"
    ledger.failures.release(["a.mp4"])
    assert not page_of(ledger).rows


@pytest.mark.parametrize(
    ("root", "place", "state"),
    [
        ("another", 3, "waiting"),  # a person asked for it once more
        ("run", 3, "waiting"),  # the retry of the run in which it failed
        ("run", None, "waiting"),  # that has begun
        ("shared", None, "failed"),  # it has had its turn in a run that goes on
    ],
)
def test_what_failed_and_has_a_run_again_waits_for_its_next_try(ledger, root, place, state):
    for key in ("a.mp4", "b.mp4"):
        failed_in = root if root == "shared" else "run"
        ledger.failures.note_failure(key, "audio", failed_in, MemoryExhausted("Memory ran out"), 1)
    runs = {"a.mp4": VideoRun("shared" if root == "shared" else "retry", root, ("a.mp4",), (), place, True)}
    listed = list_videos(ledger.engine, VideoQuery(order="name"), runs)
    assert [row.state for row in listed.rows] == [state, "failed"]
    assert listed.counts[state] == (2 if state == "failed" else 1)
    assert (find_keys(ledger.engine, VideoQuery(state="waiting"), 9, runs) == ["a.mp4"]) == (
        state == "waiting"
    )


@pytest.mark.parametrize("why", [Reason.FORGOTTEN, Reason.SUBTITLED])
def test_what_was_forgotten_or_skipped_waits_once_a_person_asks_for_it(ledger, why):
    see(ledger, "a.mp4", why)
    run = VideoRun("run", "run", ("a.mp4",), (), None, True)
    listed = list_videos(ledger.engine, VideoQuery(), {"a.mp4": run})
    assert [row.state for row in listed.rows] == ["waiting"]


def test_work_under_way_comes_before_all_else(ledger):
    ledger.failures.note_failure("a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    ledger.workers.begin("a.mp4", "alignment", RunOrigin("run", "run"))
    assert (only_row(ledger).state, only_row(ledger).known.stage) == ("running", "alignment")
    ledger.workers.end("a.mp4")
    assert only_row(ledger).state == "failed"


@pytest.mark.parametrize(
    ("why", "made", "state"),
    [
        (Reason.NEW, False, "waiting"),
        (Reason.TAKEN, False, "waiting"),
        (Reason.SETTLING, False, "waiting"),
        (Reason.CHANGED, True, "waiting"),
        (Reason.TAKEN, True, "done"),
        (Reason.SUBTITLED, True, "done"),
        (Reason.SUBTITLED, False, "skipped"),
        (Reason.NO_SOUND, False, "skipped"),
        (Reason.ROOT_GONE, False, "skipped"),
        (Reason.ROOT_GONE, True, "done"),
        (Reason.GONE, True, "deleted"),
        (Reason.RETIRED, False, "deleted"),
    ],
)
def test_the_watchs_decision_gives_the_state(ledger, why, made, state):
    see(ledger, "a.mp4", why, "special")
    if made:
        make(ledger, "a.mp4")
    row = only_row(ledger)
    assert row.state == state
    reason, detail = reason_of(row.known)
    assert reason is (None if why is Reason.TAKEN else why)
    assert detail == ("" if why is Reason.TAKEN else "special")


def test_a_decision_of_an_older_version_gives_the_same_state(ledger):
    make(ledger, "a.mp4")
    ledger.files.write([FileRecord("a.mp4", "inbox", 1, 1, 5.0, 5.0, "CHANGED_ASIDE")])
    assert only_row(ledger).state == "waiting"


def test_a_video_that_no_watch_has_seen_is_listed_once(ledger):
    make(ledger, "/elsewhere/a.mp4")
    ledger.failures.note_failure("/elsewhere/a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    assert only_row(ledger).folder == "/elsewhere"


def test_names_are_shown_whatever_bytes_they_have(ledger):
    see(ledger, "shows/100%25 caf%E9%0A.mp4", Reason.TAKEN)
    row = only_row(ledger)
    assert (row.folder, row.name) == ("shows", "100% caf\ufffd\n.mp4")
    row.name.encode()


def test_the_search_knows_no_case_and_sees_folders(ledger):
    for key in ("Shows/ÄRGER.mp4", "shows/b_100%25.mp4", "c.mp4"):
        see(ledger, key, Reason.TAKEN)
    assert [row.name for row in page_of(ledger, "ärger").rows] == ["ÄRGER.mp4"]
    assert page_of(ledger, "SHOWS").total == 2
    assert [row.name for row in page_of(ledger, "_100%").rows] == ["b_100%.mp4"]
    assert page_of(ledger, "%.mp4").total == 1, "neither % nor _ stands for other characters"


def test_counts_are_of_all_that_the_search_finds_whatever_the_filter(ledger):
    make(ledger, "a")
    see(ledger, "b", Reason.NEW)
    see(ledger, "c", Reason.NEW)
    listed = page_of(ledger, state="done")
    assert listed.counts == Counter(done=1, waiting=2)
    assert (listed.total, [row.known.key for row in listed.rows]) == (1, ["a"])


@pytest.mark.parametrize(
    ("order", "keys"),
    [("readability", "bca"), ("length", "cba"), ("made", "bca"), ("changed", "abc"), ("name", "abc")],
)
def test_what_is_unknown_comes_last_in_any_order(ledger, order, keys):
    ledger.files.write([FileRecord("a", "inbox", 1, 1, 9.0, 9.0, "NEW")])
    make(ledger, "b", 5.0, score=50.0, audio_s=10.0)
    make(ledger, "c", 4.0, score=90.0, audio_s=20.0)
    assert "".join(row.known.key for row in page_of(ledger, order=order).rows) == keys


def test_a_page_beyond_the_last_is_the_last(ledger):
    assert page_of(ledger).pages == 1
    for number in range(PAGE_SIZE + 1):
        see(ledger, f"{number:03}", Reason.TAKEN)
    listed = page_of(ledger, order="name", page=99)
    assert (listed.page, listed.pages, [row.known.key for row in listed.rows]) == (2, 2, ["050"])


def test_the_number_of_queries_does_not_grow_with_the_library(ledger):
    asked = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    see(ledger, "0.mp4", Reason.TAKEN)
    page_of(ledger)
    few = [one for one in asked if one.startswith("SELECT")]
    ledger.files.write([FileRecord(f"{n}.mp4", "inbox", 1, 1, 1.0, 1.0, "TAKEN") for n in range(2000)])
    failures = [
        {"key": f"{n}.mp4", "run_id": "r", "stage": "audio", "kind": "memory", "message": "", "hint": "",
         "attempts": 1, "at": 1.0, "overcome": False}
        for n in range(2000)
    ]  # fmt: skip
    with ledger.engine.begin() as connection:
        connection.execute(insert(StageFailure), failures)
    asked.clear()
    listed = page_of(ledger)
    assert (listed.total, listed.counts, len(listed.rows)) == (2000, Counter(failed=2000), PAGE_SIZE)
    assert len([one for one in asked if one.startswith("SELECT")]) == len(few) == 5


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_videos_that_the_watch_has_never_seen_are_listed_beside_the_others(tmp_path, request, kind):
    url = request.getfixturevalue("postgres").make_database() if kind == "postgres" else None
    ledger = open_ledger(tmp_path, url)
    for key in ("a'b.mp4", "视频.mp4", "seen.mp4"):
        make(ledger, key)
    see(ledger, "seen.mp4", Reason.TAKEN)
    see(ledger, "new.mp4", Reason.SETTLING)
    listed = page_of(ledger, order="name")
    assert {row.known.key: row.state for row in listed.rows} == {
        "a'b.mp4": "done",
        "视频.mp4": "done",
        "seen.mp4": "done",
        "new.mp4": "waiting",
    }
    assert listed.counts == Counter(done=3, waiting=1)
    ledger.engine.dispose()
