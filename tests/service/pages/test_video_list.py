"""The list of videos: states, reasons, search, order, pages, and how it is read from the ledger."""

from collections import Counter

import pytest
from sqlalchemy import event, insert

from yivideo_pipeline.errors.tree import MemoryExhausted
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import RunOrigin, Sample
from yivideo_pipeline.ledger.videos import KnownVideo, known_videos
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.service.pages.video_list import (
    PAGE_SIZE,
    VideoQuery,
    list_videos,
    reason_of,
    row_of,
    state_of,
)

NOTHING = KnownVideo("a.mp4", *(None,) * 14)


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path)


def make(ledger: Ledger, key: str, at: float = 100.0) -> None:
    ledger.materializations.note(
        Materialization(key, "subtitles", "k", "r", False, "hash", at, "run", False, audio_s=61.0)
    )
    record(ledger, "run", key, at, score=88.0, confidence=0.9, language="zh")


def record(ledger: Ledger, run: str, key: str, at: float, **measured) -> None:
    ledger.samples.record(
        Sample(run_id=run, root_id=run, stage="subtitles", key=key, success=True, at=at, **measured)
    )


def see(ledger: Ledger, key: str, why: Reason, detail: str = "") -> None:
    ledger.files.write([FileRecord(key, "inbox", 1, 1, 5.0, 5.0, why.name, detail)])


def known(ledger: Ledger) -> dict[str, KnownVideo]:
    return {video.key: video for video in known_videos(ledger.engine)}


def test_a_processed_video_is_listed_with_its_length_language_readability_and_confidence(ledger):
    make(ledger, "a.mp4")
    (video,) = known_videos(ledger.engine)
    assert state_of(video) == "done"
    assert (video.made_at, video.audio_s, video.language, video.score) == (100.0, 61.0, "zh", 88.0)
    assert video.confidence == 0.9


def test_of_several_materializations_the_latest_is_listed(ledger):
    make(ledger, "a.mp4")
    record(ledger, "other", "a.mp4", 200.0, score=99.0, language="en")
    assert known(ledger)["a.mp4"].score == 99.0
    assert known(ledger)["a.mp4"].language == "en"


def test_a_failure_comes_before_what_was_made_and_goes_with_the_next_success(ledger):
    make(ledger, "a.mp4")
    ledger.failures.note_failure(
        "a.mp4", "transcript", "run", MemoryExhausted("Memory ran out", "Take less"), 3
    )
    video = known(ledger)["a.mp4"]
    assert state_of(video) == "failed"
    assert (video.failed_message, video.failed_hint) == ("Memory ran out", "Take less")
    ledger.failures.note_success("a.mp4")
    assert state_of(known(ledger)["a.mp4"]) == "done"


def test_a_quarantined_video_says_why_and_is_unknown_after_its_release(ledger):
    failed = ledger.failures.note_failure("a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    ledger.failures.quarantine("a.mp4", failed, 1, 1)
    assert state_of(known(ledger)["a.mp4"]) == "quarantined"
    assert known(ledger)["a.mp4"].failed_message == "Memory ran out"
    ledger.failures.release(["a.mp4"])
    assert "a.mp4" not in known(ledger)


def test_work_under_way_comes_before_all_else(ledger):
    ledger.failures.note_failure("a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    ledger.workers.begin("a.mp4", "alignment", RunOrigin("run", "run"))
    video = known(ledger)["a.mp4"]
    assert (state_of(video), video.stage) == ("running", "alignment")
    ledger.workers.end("a.mp4")
    assert state_of(known(ledger)["a.mp4"]) == "failed"


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
    video = known(ledger)["a.mp4"]
    assert state_of(video) == state
    reason, detail = reason_of(video)
    assert reason is (None if why is Reason.TAKEN else why)
    assert detail == ("" if why is Reason.TAKEN else "special")


def test_names_are_shown_whatever_bytes_they_have():
    row = row_of(NOTHING._replace(key="shows/100%25 caf%E9%0A.mp4"))
    assert (row.folder, row.name) == ("shows", "100% caf\ufffd\n.mp4")
    row.name.encode()


def test_the_search_knows_no_case_and_sees_folders():
    videos = [NOTHING._replace(key=key) for key in ("Shows/ÄRGER.mp4", "shows/b.mp4", "c.mp4")]
    assert [row.name for row in list_videos(videos, VideoQuery("ärger")).rows] == ["ÄRGER.mp4"]
    assert list_videos(videos, VideoQuery("SHOWS")).total == 2
    assert list_videos(videos, VideoQuery("%")).total == 0


def test_counts_are_of_all_that_the_search_finds_whatever_the_filter():
    videos = [NOTHING._replace(key="a", made_at=1.0), NOTHING._replace(key="b"), NOTHING._replace(key="c")]
    listed = list_videos(videos, VideoQuery(state="done"))
    assert listed.counts == Counter(done=1, waiting=2)
    assert [row.known.key for row in listed.rows] == ["a"]


@pytest.mark.parametrize(
    ("order", "keys"),
    [("readability", "bca"), ("length", "cba"), ("made", "bca"), ("changed", "abc"), ("name", "abc")],
)
def test_what_is_unknown_comes_last_in_any_order(order, keys):
    videos = [
        NOTHING._replace(key="a", first_seen=9.0),
        NOTHING._replace(key="b", score=50.0, made_at=5.0, audio_s=10.0),
        NOTHING._replace(key="c", score=90.0, made_at=4.0, audio_s=20.0),
    ]
    assert "".join(row.known.key for row in list_videos(videos, VideoQuery(order=order)).rows) == keys


def test_a_page_beyond_the_last_is_the_last():
    videos = [NOTHING._replace(key=f"{number:03}") for number in range(PAGE_SIZE + 1)]
    listed = list_videos(videos, VideoQuery(order="name", page=99))
    assert (listed.page, listed.pages, len(listed.rows)) == (2, 2, 1)
    assert list_videos([], VideoQuery()).pages == 1


def test_the_number_of_queries_does_not_grow_with_the_library(ledger):
    asked = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    known_videos(ledger.engine)
    few = len(asked)
    ledger.files.write([FileRecord(f"{n}.mp4", "inbox", 1, 1, 1.0, 1.0, "TAKEN") for n in range(2000)])
    failures = [
        {"key": f"{n}.mp4", "run_id": "r", "stage": "audio", "kind": "memory", "message": "", "hint": "",
         "attempts": 1, "at": 1.0, "overcome": False}
        for n in range(2000)
    ]  # fmt: skip
    with ledger.engine.begin() as connection:
        connection.execute(insert(StageFailure), failures)
    asked.clear()
    assert len(known_videos(ledger.engine)) == 2000
    assert len([one for one in asked if one.startswith("SELECT")]) == few == 2
