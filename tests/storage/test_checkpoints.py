"""Checkpoints in a storage: found by another process, never trusted when damaged, removed in the end."""

import logging
import os
import time

import pytest

from yivideo_pipeline.storage.checkpoints import KEPT_S, ROOT, StoredCheckpoint, sweep_checkpoints
from yivideo_pipeline.storage.file_store import FileStore

FIRST = {"window 1": [0.1, None, "é"], "window 2": []}


@pytest.fixture(params=["local", "bucket"])
def files(request, tmp_path):
    if request.param == "local":
        return FileStore(tmp_path / "storage")
    return FileStore(f"{request.getfixturevalue('bucket').url}/home", tmp_path / "work")


def test_another_worker_finds_all_that_was_kept(files):
    dead = StoredCheckpoint(files, "video-transcript-1")
    dead.save(FIRST)
    dead.save({"window 3": 3})
    assert StoredCheckpoint(files, "video-transcript-1").load() == {**FIRST, "window 3": 3}
    assert StoredCheckpoint(files, "video-transcript-2").load() == {}


DAMAGES = {
    "torn": lambda data: data[:-9],
    "changed": lambda data: data.replace(b"0.1", b"0.2"),
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_part_counts_as_not_done_and_is_told_once(files, caplog, damage):
    checkpoint = StoredCheckpoint(files, "a")
    checkpoint.save(FIRST)
    (name, data), *_ = files.read_folder(f"{ROOT}/a").items()
    files.write(f"{ROOT}/a/{name}", damage(data))
    checkpoint.save({"window 3": 3})
    assert StoredCheckpoint(files, "a").load() == {"window 3": 3}
    assert [record.getMessage() for record in caplog.records] == [
        "checkpoints/a: 1 file is damaged and not used; their part of the transcript is made again"
    ]


def test_nothing_is_left_once_the_transcript_is_stored(files):
    dead, other = StoredCheckpoint(files, "a"), StoredCheckpoint(files, "b")
    dead.save(FIRST)
    other.save(FIRST)
    again = StoredCheckpoint(files, "a")
    again.load()
    again.remove()
    assert list(files.folders(ROOT)) == ["b"]


def test_a_checkpoint_that_nobody_has_gone_on_with_for_a_week_is_removed_by_the_next_transcript(tmp_path):
    files = FileStore(tmp_path)
    for key in ("stale", "young", "done"):
        StoredCheckpoint(files, key).save(FIRST)
    old = time.time() - KEPT_S - 60
    os.utime(tmp_path / ROOT / "stale", (old, old))
    done = StoredCheckpoint(files, "done")
    done.load()
    done.remove()
    assert list(files.folders(ROOT)) == ["young"]


def test_the_time_of_the_last_part_decides(files):
    StoredCheckpoint(files, "a").save(FIRST)
    sweep_checkpoints(files, time.time() - 60)
    assert list(files.folders(ROOT)) == ["a"]
    sweep_checkpoints(files, time.time() + 60)
    assert list(files.folders(ROOT)) == []


def test_a_storage_that_takes_nothing_is_told_once_and_fails_nothing(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    files = FileStore(tmp_path)
    monkeypatch.setattr(files, "write", refuse)
    checkpoint = StoredCheckpoint(files, "a")
    with caplog.at_level(logging.WARNING):
        checkpoint.save(FIRST)
        checkpoint.save(FIRST)
    checkpoint.remove()
    assert [record.getMessage() for record in caplog.records] == [
        f"No checkpoints can be kept in {tmp_path}: [Errno 28] No space left on device"
    ]
