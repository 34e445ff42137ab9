"""The library's list: states, reasons, search, order, pages, and how it is read."""

from collections import Counter

import pytest
from sqlalchemy import event, insert

from yivideo_pipeline.errors.tree import MemoryExhausted, YivideoError
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.failures import FAILURES
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.ledger.materializations import Made
from yivideo_pipeline.ledger.samples import Sample
from yivideo_pipeline.ledger.videos import KnownVideo, known_videos
from yivideo_pipeline.library.decisions import Why
from yivideo_pipeline.service.pages.library import PAGE, Wanted, list_videos, reason_of, row_of, state_of
from yivideo_pipeline.service.pages.library_words import LIBRARY
from yivideo_pipeline.service.pages.words import KINDS

NOTHING = KnownVideo("a.mp4", *(None,) * 13)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(open_ledger(tmp_path))


def make(ledger: Ledger, key: str, at: float = 100.0) -> None:
    ledger.made.note(Made(key, "subtitles", "k", "r", False, "hash", at, "run", False, audio_s=61.0))
    ledger.samples.add("test", "1", [Sample("run", "subtitles", key, True, at, score=88.0, language="zh")])


def see(ledger: Ledger, key: str, why: Why, detail: str = "") -> None:
    ledger.files.write([FileRecord(key, "inbox", 1, 1, 5.0, 5.0, why.name, detail)])


def known(ledger: Ledger) -> dict[str, KnownVideo]:
    return {video.key: video for video in known_videos(ledger.engine)}


def test_a_made_video_is_told_with_its_length_language_and_score(ledger):
    make(ledger, "a.mp4")
    (video,) = known_videos(ledger.engine)
    assert state_of(video) == "done"
    assert (video.made_at, video.audio_s, video.language, video.score) == (100.0, 61.0, "zh", 88.0)


def test_of_several_makings_the_latest_is_told(ledger):
    make(ledger, "a.mp4")
    ledger.samples.add(
        "test", "2", [Sample("other", "subtitles", "a.mp4", True, 200.0, score=99.0, language="en")]
    )
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


def test_a_video_that_is_set_aside_says_why_and_is_no_more_after_its_release(ledger):
    failed = ledger.failures.note_failure("a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    ledger.failures.quarantine("a.mp4", failed, 1, 1)
    assert state_of(known(ledger)["a.mp4"]) == "aside"
    assert known(ledger)["a.mp4"].failed_message == "Memory ran out"
    ledger.failures.release(["a.mp4"])
    assert "a.mp4" not in known(ledger)


def test_what_somebody_is_at_comes_before_all_else(ledger):
    ledger.failures.note_failure("a.mp4", "audio", "run", MemoryExhausted("Memory ran out"), 3)
    ledger.workers.begin("a.mp4", "alignment", "run")
    video = known(ledger)["a.mp4"]
    assert (state_of(video), video.stage) == ("running", "alignment")
    ledger.workers.end("a.mp4")
    assert state_of(known(ledger)["a.mp4"]) == "failed"


@pytest.mark.parametrize(
    ("why", "made", "state"),
    [
        (Why.NEW, False, "waiting"),
        (Why.TAKEN, False, "waiting"),
        (Why.SETTLING, False, "waiting"),
        (Why.CHANGED, True, "waiting"),
        (Why.TAKEN, True, "done"),
        (Why.SUBTITLED, True, "done"),
        (Why.SUBTITLED, False, "passed"),
        (Why.NO_SOUND, False, "passed"),
        (Why.ROOT_GONE, False, "passed"),
        (Why.ROOT_GONE, True, "done"),
        (Why.GONE, True, "gone"),
        (Why.RETIRED, False, "gone"),
    ],
)
def test_the_watchs_decision_gives_the_state(ledger, why, made, state):
    see(ledger, "a.mp4", why, "special")
    if made:
        make(ledger, "a.mp4")
    video = known(ledger)["a.mp4"]
    assert state_of(video) == state
    name, detail = reason_of(video)
    assert name in LIBRARY
    assert detail == ("" if why is Why.TAKEN else "special")


def test_every_reason_and_text_is_there_in_both_languages():
    assert all(f"why.{why.name}" in LIBRARY for why in Why)
    assert all(english and chinese for english, chinese in LIBRARY.values())


def test_names_are_shown_whatever_bytes_they_have():
    row = row_of(NOTHING._replace(key="shows/100%25 caf%E9%0A.mp4"))
    assert (row.folder, row.name) == ("shows", "100% caf\ufffd\n.mp4")
    row.name.encode()


def test_the_search_knows_no_case_and_sees_folders():
    videos = [NOTHING._replace(key=key) for key in ("Shows/ÄRGER.mp4", "shows/b.mp4", "c.mp4")]
    assert [row.name for row in list_videos(videos, Wanted("ärger")).rows] == ["ÄRGER.mp4"]
    assert list_videos(videos, Wanted("SHOWS")).total == 2
    assert list_videos(videos, Wanted("%")).total == 0


def test_counts_are_of_all_that_the_search_finds_whatever_the_filter():
    videos = [NOTHING._replace(key="a", made_at=1.0), NOTHING._replace(key="b"), NOTHING._replace(key="c")]
    shelf = list_videos(videos, Wanted(state="done"))
    assert shelf.counts == Counter(done=1, waiting=2)
    assert [row.known.key for row in shelf.rows] == ["a"]


@pytest.mark.parametrize(
    ("order", "keys"),
    [("quality", "bca"), ("length", "cba"), ("made", "bca"), ("changed", "abc"), ("name", "abc")],
)
def test_what_is_unknown_comes_last_in_any_order(order, keys):
    videos = [
        NOTHING._replace(key="a", first_seen=9.0),
        NOTHING._replace(key="b", score=50.0, made_at=5.0, audio_s=10.0),
        NOTHING._replace(key="c", score=90.0, made_at=4.0, audio_s=20.0),
    ]
    assert "".join(row.known.key for row in list_videos(videos, Wanted(order=order)).rows) == keys


def test_a_page_beyond_the_last_is_the_last():
    videos = [NOTHING._replace(key=f"{number:03}") for number in range(PAGE + 1)]
    shelf = list_videos(videos, Wanted(order="name", page=99))
    assert (shelf.page, shelf.pages, len(shelf.rows)) == (2, 2, 1)
    assert list_videos([], Wanted()).pages == 1


def test_the_number_of_questions_to_the_ledger_does_not_grow_with_the_library(ledger):
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
        connection.execute(insert(FAILURES), failures)
    asked.clear()
    assert len(known_videos(ledger.engine)) == 2000
    assert len([one for one in asked if one.startswith("SELECT")]) == few == 2


def test_every_kind_of_error_has_a_name_in_chinese():
    ours = {kind for kind in _all_kinds(YivideoError) if kind.__module__ == YivideoError.__module__}
    kinds = {kind.kind for kind in ours} - {"unknown", "task", "model_busy"}
    assert {f"kind.{kind}" for kind in kinds} <= KINDS.keys()


def _all_kinds(tree: type[YivideoError]) -> set[type[YivideoError]]:
    return {tree}.union(*(_all_kinds(kind) for kind in tree.__subclasses__()))
