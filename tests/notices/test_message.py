"""Notices name what failed, why, and what to do; the same problem has the same fingerprint."""

import dataclasses

from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.notices.message import LISTED, failed_run_notice, quarantine_notice

UI = "http://ui.example:3000/"
FULL = StageFailure("今天.mp4", "audio", "root", "disk", "The disk is full", "Make room", 3, 1.0)
DAMAGED = StageFailure("b.mp4", "video", "root", "media_unreadable", "It can't be read", "", 1, 2.0)


def test_one_failure_is_the_subject_with_its_details_below():
    notice = failed_run_notice("run-2", [FULL], UI)
    assert notice.subject == "今天.mp4 failed at audio: The disk is full"
    assert notice.body == ("今天.mp4", "  audio: disk, 3 attempts", "  The disk is full", "  Make room")
    assert notice.url == "http://ui.example:3000/runs/run-2"
    assert (notice.kind, notice.severity) == ("run_failure", Severity.HIGH)


def test_many_failures_are_one_notice():
    notice = failed_run_notice("run-2", [FULL, DAMAGED], UI)
    assert notice.subject == "2 videos failed in a run"
    assert "b.mp4" in notice.body and "  video: media_unreadable" in notice.body


def test_a_long_list_is_cut():
    failures = [dataclasses.replace(DAMAGED, key=f"{n}.mp4") for n in range(LISTED + 5)]
    body = failed_run_notice("run-2", failures, UI).body
    assert body[-1] == "and 5 more"
    assert f"{LISTED}.mp4" not in body


def test_a_fault_of_the_machine_is_the_same_problem_for_every_video():
    other = dataclasses.replace(FULL, key="other.mp4", message="No space left")
    assert failed_run_notice("1", [FULL], UI).fingerprint == failed_run_notice("2", [other], UI).fingerprint


def test_a_damaged_video_is_a_problem_of_its_own():
    other = dataclasses.replace(DAMAGED, key="other.mp4")
    assert (
        failed_run_notice("1", [DAMAGED], UI).fingerprint == failed_run_notice("2", [DAMAGED], UI).fingerprint
    )
    assert (
        failed_run_notice("1", [DAMAGED], UI).fingerprint != failed_run_notice("1", [other], UI).fingerprint
    )


def test_a_quarantined_video_is_reported_with_the_way_to_release_it():
    notice = quarantine_notice([Quarantined.of(DAMAGED, 5.0, 10, 20)], UI)
    assert notice.subject == "b.mp4 was quarantined: It can't be read"
    assert "`yivideo quarantine release b.mp4`" in notice.body[-1]
    assert notice.url == "http://ui.example:3000/runs/root"


def test_a_video_that_is_quarantined_again_is_a_new_notice():
    first, again = (quarantine_notice([Quarantined.of(DAMAGED, at, 10, 20)], UI) for at in (5.0, 6.0))
    assert first.fingerprint != again.fingerprint


def test_many_quarantined_videos_are_one_notice():
    entries = [
        Quarantined.of(dataclasses.replace(DAMAGED, key=key), 5.0, 10, 20)
        for key in ("a.mp4", "b.mp4", "c.mp4")
    ]
    assert quarantine_notice(entries, UI).subject == "3 videos quarantined"
