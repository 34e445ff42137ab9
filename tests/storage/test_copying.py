"""Artifacts and edits at another root: all of them, also after an interruption."""

from uuid import uuid4

import pytest

from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.copying import copy_files
from yivideo_pipeline.storage.file_store import FileStore


@pytest.fixture(params=["folder", "remote"])
def target(request, tmp_path):
    root = tmp_path / "target" if request.param == "folder" else f"memory://{uuid4().hex}"
    return FileStore(root, tmp_path / "work")


@pytest.fixture
def source(tmp_path):
    """A store with a video's sound and an edit."""
    storage = Storage(tmp_path / "source")
    with storage.scratch() as work:
        (work / "audio.wav").write_bytes(b"sound" * 100)
        artifact = storage.save("hash", "audio", "key", {"offset_s": 0}, {"audio.wav": work / "audio.wav"})
    storage.record_latest("talk.mp4", artifact)
    return storage.files


def test_all_is_found_at_the_other_root_and_left_at_the_first(source, target):
    names, seen = source.names(), []
    assert copy_files(source, target, lambda: seen.append(1)) == len(names) == len(seen)
    assert sorted(target.names()) == sorted(source.names()) == sorted(names)
    assert all(target.read(name) == source.read(name) for name in names)


def test_what_an_interrupted_copy_left_is_completed(source, target):
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_files(source, target, stop)
    assert not any(name.endswith("manifest.json") for name in target.names()), "no half artifact is one"
    copied = copy_files(source, target, lambda: None)
    assert sorted(target.names()) == sorted(source.names())
    assert copied < len(source.names()) + 1
    assert copy_files(source, target, lambda: None) < copied, "sound is not copied again"


def test_what_changes_in_place_is_copied_again(source, target):
    copy_files(source, target, lambda: None)
    source.write("edits/hash/en/current.json", b"one")
    copy_files(source, target, lambda: None)
    source.write("edits/hash/en/current.json", b"two")
    copy_files(source, target, lambda: None)
    assert target.read("edits/hash/en/current.json") == b"two"
