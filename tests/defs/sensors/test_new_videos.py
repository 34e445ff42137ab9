"""The sensor under the real daemon's ticks, on real files; nothing takes runs from the queue."""

import os
import time
from pathlib import Path
from shutil import copyfile

import dagster as dg
import pytest
from sqlalchemy.orm import Session

from tests.defs.sensors.sensor_daemon import Tick, daemon
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.sensors import new_videos
from yivideo_pipeline.errors.tree import ModelInferenceError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.workers import Death
from yivideo_pipeline.stages import VIDEOS

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "samples" / "harbour-15s.mp4"


class Library:
    """An inbox, the sensor on it, and what came of its ticks."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, tick: Tick) -> None:
        self.inbox = home / "inbox"
        self.inbox.mkdir()
        self.instance = instance
        self.ledger = open_ledger(home)
        self._tick = tick
        self._ticks = 0

    def add(self, *names: str) -> None:
        for name in names:
            copyfile(SAMPLE, self.inbox / name)

    def tick(self) -> str:
        """Tick once; returns the reason where nothing was asked for."""
        self._tick(later_s=60 * self._ticks)
        self._ticks += 1
        (sensor,) = [one for one in self.instance.all_instigator_state() if one.name == new_videos.NAME]
        last = self.instance.get_ticks(sensor.instigator_origin_id, sensor.selector_id, limit=1)[0]
        assert last.error is None, last.error
        return last.skip_reason or ""

    @property
    def runs(self) -> list[str]:
        """The partition of each run, oldest first."""
        return [run.tags["dagster/partition"] for run in reversed(self.instance.get_runs())]

    @property
    def partitions(self) -> set[str]:
        return set(self.instance.get_dynamic_partitions(VIDEOS))


@pytest.fixture
def library(home, monkeypatch, request):
    monkeypatch.setenv("YIVIDEO_LIBRARY__SETTLE_S", "0")
    monkeypatch.setenv("YIVIDEO_LIBRARY__DELETED", getattr(request, "param", "keep"))
    with open_instance(home) as instance, daemon(instance) as tick:
        yield Library(home, instance, tick)


def test_a_new_video_becomes_a_partition_and_a_run_behind_those_of_users(library):
    library.add("talk.mp4")
    library.tick()
    assert library.partitions == {"talk.mp4"}
    (run,) = library.instance.get_runs()
    assert (run.job_name, run.status) == ("process_video", dg.DagsterRunStatus.QUEUED)
    assert (run.tags["yivideo/trigger"], run.tags["dagster/priority"]) == ("sensor", "-1")


def test_a_tick_waits_for_a_file_that_is_about_to_have_stood_still(library, monkeypatch):
    monkeypatch.setenv("YIVIDEO_LIBRARY__SETTLE_S", "0.05")
    library.add("talk.mp4")
    library.tick()
    assert library.runs == ["talk.mp4"]


def test_a_large_library_is_not_scanned_at_every_tick(library, monkeypatch):
    monkeypatch.setattr(new_videos, "rest_after", lambda cpu_s, wall_s: 3600.0)
    library.tick()
    library.add("talk.mp4")
    assert library.tick() == "A scan of this library takes long: one of the next ticks makes it"
    assert library.runs == []


@pytest.mark.parametrize(
    ("cpu_s", "wall_s", "rest_s"), [(0.2, 1.5, 0.0), (0.8, 0.8, 7.2), (0.1, 6.0, 12.0), (3.0, 4.0, 27.0)]
)
def test_scans_leave_most_of_a_core_and_of_a_slow_disk_to_others(cpu_s, wall_s, rest_s):
    assert new_videos.rest_after(cpu_s, wall_s) == pytest.approx(rest_s)


def test_what_was_submitted_is_known_and_not_submitted_again(library):
    library.add("a.mp4", "b.mp4")
    library.tick()
    assert library.ledger.files.find("a.mp4").taken is None, "its run is not there before the tick is over"
    assert library.tick() == "Nothing to be made. 2 known"
    assert library.ledger.files.find("a.mp4").taken is not None
    library.tick()
    assert sorted(library.runs) == ["a.mp4", "b.mp4"]


def test_a_video_whose_run_never_came_about_is_submitted_again(library):
    library.add("a.mp4", "b.mp4")
    library.tick()
    lost = next(run for run in library.instance.get_runs() if run.tags["dagster/partition"] == "b.mp4")
    library.instance.delete_run(lost.run_id)
    library.tick()
    assert sorted(library.runs) == ["a.mp4", "b.mp4"]


def test_a_video_that_was_changed_in_place_is_made_again(library):
    library.add("talk.mp4")
    library.tick()
    library.tick()
    os.utime(library.inbox / "talk.mp4", (1, 1))
    library.tick()
    assert library.runs == ["talk.mp4"] * 2
    assert library.partitions == {"talk.mp4"}


@pytest.mark.parametrize("library", ["archive"], indirect=True)
def test_the_partition_of_a_deleted_video_is_taken_out_where_that_is_the_policy(library):
    library.add("gone.mp4", "kept.mp4")
    library.tick()
    library.tick()
    before = (library.inbox / "gone.mp4").rename(library.inbox.parent / "elsewhere.mp4")
    library.tick()
    library.tick()
    assert library.partitions == {"kept.mp4"}
    library.tick()
    assert library.ledger.files.find("gone.mp4").retired_at is not None

    before.rename(library.inbox / "gone.mp4")
    library.tick()
    assert library.partitions == {"gone.mp4", "kept.mp4"}
    assert sorted(library.runs) == ["gone.mp4", "gone.mp4", "kept.mp4"], "the very same file is made anew"


def test_the_partition_of_a_deleted_video_is_kept_otherwise(library):
    library.add("gone.mp4", "kept.mp4")
    library.tick()
    library.tick()
    (library.inbox / "gone.mp4").unlink()
    library.tick()
    library.tick()
    assert library.partitions == {"gone.mp4", "kept.mp4"}


def test_a_file_that_is_no_video_does_not_keep_the_others_from_being_taken(library):
    library.add("good.mp4")
    (library.inbox / "bad.mp4").write_text("this is no video\n" * 100)
    (library.inbox / "coming.mp4.part").write_bytes(b"\0" * 5000)
    library.tick()
    assert library.runs == ["good.mp4"]
    assert library.tick() == "Nothing to be made. 2 skipped (1 temporary, 1 unreadable), 1 known"


@pytest.mark.parametrize("library", ["archive"], indirect=True)
def test_a_library_that_is_gone_is_reported_and_nothing_is_retired(library):
    library.add("a.mp4", "b.mp4")
    library.tick()
    library.tick()
    library.inbox.rename(library.inbox.with_name("unplugged"))
    assert "Library root 'inbox': Its root does not exist" in library.tick()
    library.tick()
    assert library.partitions == {"a.mp4", "b.mp4"}
    (waiting,) = library.ledger.outbox.waiting("mail", now=time.time())
    assert waiting.notice.kind == "library_gone"


def test_a_video_that_was_released_from_quarantine_is_made_again(library):
    library.add("talk.mp4")
    library.tick()
    library.tick()
    failures, seen = library.ledger.failures, library.ledger.files.find("talk.mp4")
    failed = failures.note_failure("talk.mp4", "transcript", "run-1", ModelInferenceError("No"), attempts=3)
    failures.quarantine("talk.mp4", failed, seen.size_bytes, seen.mtime_ns)
    assert library.tick() == "Nothing to be made. 1 skipped (1 quarantined)"
    failures.release(["talk.mp4"])
    library.ledger.files.forget(["talk.mp4"])
    library.tick()
    assert library.runs == ["talk.mp4"] * 2


def test_a_video_whose_last_retry_was_killed_is_quarantined_without_another_run(library):
    library.add("killer.mp4", "twice.mp4")
    library.tick()
    library.tick()
    times = {"killer.mp4": 3, "twice.mp4": 2}
    with Session(library.ledger.engine) as session, session.begin():
        session.add_all(
            Death(key, "transcript", f"run {key}", number) for key in times for number in range(times[key])
        )
    assert library.tick() == "Nothing to be made. 1 skipped (1 quarantined), 1 known"
    ((key, entry),) = library.ledger.failures.quarantined().items()
    assert (key, entry.kind, entry.stage) == ("killer.mp4", "worker_killed", "transcript")
    assert "killed 3 times" in entry.message
    library.tick()
    assert sorted(library.runs) == ["killer.mp4", "twice.mp4"]


def test_a_great_library_does_not_fill_the_queue(library, monkeypatch):
    monkeypatch.setattr(new_videos, "AT_ONCE", 3)
    library.add(*(f"{number}.mp4" for number in range(5)))
    library.tick()
    assert len(library.runs) == 3
    assert library.tick() == "Nothing to be made. 2 waiting (2 queued), 3 known"
    library.instance.report_run_canceled(library.instance.get_runs()[0])
    library.tick()
    assert len(library.runs) == 4
