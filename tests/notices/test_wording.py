"""Notices name what failed, why, and what to do; the same trouble has the same fingerprint."""

import dataclasses

from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger.failures import Failed, Quarantined
from yivideo_pipeline.notices.message import LISTED, tell_failed_run, tell_quarantined

UI = "http://ui.example:3000/"
FULL = Failed("今天.mp4", "audio", "root", "disk", "The disk is full", "Make room", 3, 1.0)
DAMAGED = Failed("b.mp4", "video", "root", "media_unreadable", "It can't be read", "", 1, 2.0)


def test_one_failure_stands_in_the_subject_with_all_of_it_below():
    notice = tell_failed_run("run-2", [FULL], UI)
    assert notice.subject == "今天.mp4 failed at audio: The disk is full"
    assert notice.body == ("今天.mp4", "  audio: disk, 3 attempts", "  The disk is full", "  Make room")
    assert notice.url == "http://ui.example:3000/runs/run-2"
    assert (notice.kind, notice.severity) == ("run_failure", Severity.HIGH)


def test_many_failures_are_one_notice():
    notice = tell_failed_run("run-2", [FULL, DAMAGED], UI)
    assert notice.subject == "2 videos failed in a run"
    assert "b.mp4" in notice.body and "  video: media_unreadable" in notice.body


def test_a_long_list_is_cut():
    failures = [dataclasses.replace(DAMAGED, key=f"{n}.mp4") for n in range(LISTED + 5)]
    body = tell_failed_run("run-2", failures, UI).body
    assert body[-1] == "and 5 more"
    assert f"{LISTED}.mp4" not in body


def test_the_machines_trouble_is_the_same_for_every_video():
    other = dataclasses.replace(FULL, key="other.mp4", message="No space left")
    assert tell_failed_run("1", [FULL], UI).fingerprint == tell_failed_run("2", [other], UI).fingerprint


def test_a_damaged_video_is_a_trouble_of_its_own():
    other = dataclasses.replace(DAMAGED, key="other.mp4")
    assert tell_failed_run("1", [DAMAGED], UI).fingerprint == tell_failed_run("2", [DAMAGED], UI).fingerprint
    assert tell_failed_run("1", [DAMAGED], UI).fingerprint != tell_failed_run("1", [other], UI).fingerprint


def test_a_video_set_aside_is_told_with_the_way_back():
    notice = tell_quarantined([Quarantined("b.mp4", DAMAGED, 5.0, 10, 20)], UI)
    assert notice.subject == "b.mp4 was set aside: It can't be read"
    assert "`yivideo quarantine release b.mp4`" in notice.body[-1]
    assert notice.url == "http://ui.example:3000/runs/root"


def test_a_video_set_aside_again_is_news():
    first, again = (tell_quarantined([Quarantined("b.mp4", DAMAGED, at, 10, 20)], UI) for at in (5.0, 6.0))
    assert first.fingerprint != again.fingerprint


def test_many_videos_set_aside_are_one_notice():
    entries = [Quarantined(key, DAMAGED, 5.0, 10, 20) for key in ("a.mp4", "b.mp4", "c.mp4")]
    assert tell_quarantined(entries, UI).subject == "3 videos set aside"
