"""Notices wait until they are sent, each channel for itself, and the same one is not told all the time."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.outbox import GIVE_UP_AFTER_S, LONGEST_WAIT_S, Notice, Outbox

DAY_S = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def outbox(ledger):
    return ledger.outbox


def trouble(at: float = NOW, fingerprint: str = "talk.mp4:disk", **changes) -> Notice:
    return Notice("run_failure", "talk.mp4 failed", ("The disk is full",), fingerprint, at=at, **changes)


def subjects(outbox: Outbox, channel: str = "webhook", now: float = NOW) -> list[str]:
    return [one.notice.subject for one in outbox.waiting(channel, now)]


def test_a_posted_notice_waits_as_it_was_written(outbox):
    notice = Notice(
        "quarantine", "今天.mp4 is set aside", ("a", "b"), "f", Severity.LOW, "http://ui/runs/1", NOW
    )
    assert outbox.post(notice, DAY_S)
    (waiting,) = outbox.waiting("mail", NOW)
    assert waiting.notice == notice
    assert waiting.attempts == 0


def test_the_oldest_notice_goes_first(outbox):
    for at, subject in ((NOW, "second"), (NOW - 5, "first")):
        outbox.post(Notice("asks", subject, (), subject, at=at), DAY_S)
    assert subjects(outbox) == ["first", "second"]


def test_the_same_trouble_is_held_back_and_counted_in_the_next_notice(outbox):
    assert outbox.post(trouble(), DAY_S)
    for hour in range(1, 13):
        assert not outbox.post(trouble(NOW + hour * 3600), DAY_S)
    assert outbox.post(trouble(NOW + DAY_S), DAY_S)
    bodies = [one.notice.body for one in outbox.waiting("mail", NOW + DAY_S)]
    assert bodies == [
        ("The disk is full",),
        ("The disk is full", "12 more like this since 2027-01-15 08:00 UTC"),
    ]


def test_other_trouble_is_not_held_back(outbox):
    assert outbox.post(trouble(), DAY_S)
    assert outbox.post(trouble(fingerprint="talk.mp4:memory"), DAY_S)


def test_of_many_at_once_one_alone_posts(home, database):
    def post(_: int) -> bool:
        ledger = open_ledger(home, database)
        posted = ledger.outbox.post(trouble(), DAY_S)
        ledger.engine.dispose()
        return posted

    open_ledger(home, database).engine.dispose()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(post, range(32))) == 1


def test_what_one_channel_sent_still_waits_for_the_other(outbox):
    outbox.post(trouble(), DAY_S)
    outbox.mark_sent(outbox.waiting("webhook", NOW)[0], "webhook", NOW)
    assert subjects(outbox, "webhook") == []
    assert subjects(outbox, "mail") == ["talk.mp4 failed"]


def test_a_failed_notice_waits_longer_from_time_to_time(outbox):
    outbox.post(trouble(), DAY_S)
    now, waits = NOW, []
    for _ in range(9):
        outbox.mark_failed(outbox.waiting("mail", now)[0], "mail", "refused", now, channel_down=False)
        pause = next(s for s in range(0, 7200, 60) if outbox.waiting("mail", now + s))
        waits.append(pause)
        now += pause
    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == LONGEST_WAIT_S
    assert outbox.waiting("mail", now)[0].attempts == 9


def test_one_refused_notice_does_not_keep_the_others(outbox):
    for name in ("first", "second"):
        outbox.post(Notice("asks", name, (), name, at=NOW), DAY_S)
    outbox.mark_failed(outbox.waiting("mail", NOW)[0], "mail", "too long", NOW, channel_down=False)
    assert subjects(outbox, "mail") == ["second"]


def test_a_channel_that_is_down_rests_with_all_its_notices(outbox):
    for name in ("first", "second"):
        outbox.post(Notice("asks", name, (), name, at=NOW), DAY_S)
    outbox.mark_failed(outbox.waiting("mail", NOW)[0], "mail", "no answer", NOW, channel_down=True)
    assert subjects(outbox, "mail", NOW + 59) == []
    assert subjects(outbox, "webhook", NOW + 59) == ["first", "second"]
    assert subjects(outbox, "mail", NOW + 60) == ["first", "second"]


def test_a_notice_that_can_not_be_sent_for_days_is_given_up_with_a_word(outbox, caplog):
    outbox.post(trouble(), DAY_S)
    last = NOW + GIVE_UP_AFTER_S - 10
    with caplog.at_level(logging.ERROR):
        reason = "refused for https://me:geheim@h.example"
        outbox.mark_failed(outbox.waiting("mail", last)[0], "mail", reason, last, channel_down=True)
    assert "Gave up sending a notice by mail at attempt 1: talk.mp4 failed" in caplog.text
    assert "geheim" not in caplog.text
    assert outbox.waiting("mail", NOW + GIVE_UP_AFTER_S + LONGEST_WAIT_S) == []


def test_a_secret_in_a_notice_is_masked():
    notice = Notice("asks", "token=abc refused", ("at https://me:geheim@h.example/x",), "f")
    assert (notice.subject, notice.body) == ("token=*** refused", ("at https://***@h.example/x",))


def test_a_name_that_is_no_text_can_be_told(outbox):
    notice = Notice("asks", "talk\udcff.mp4\nfailed", ("one\ntwo \udcff", ""), "talk\udcff.mp4", at=NOW)
    assert outbox.post(notice, DAY_S)
    assert outbox.waiting("mail", NOW)[0].notice.subject == "talk?.mp4 failed"
    assert outbox.waiting("mail", NOW)[0].notice.body == ("one", "two ?", "")
