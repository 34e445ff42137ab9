import time
from uuid import uuid4

import pytest

from yivideo_pipeline.storage.file_store import FileStore


@pytest.fixture(params=["local", "remote"])
def store(request, tmp_path):
    if request.param == "local":
        return FileStore(tmp_path / "storage")
    return FileStore(f"memory://{uuid4().hex}", tmp_path / "work")


def test_what_was_written_is_read(store):
    store.write("a/b.json", b"1")
    store.write("a/b.json", b"2")
    assert store.read("a/b.json") == b"2"
    assert store.exists("a/b.json")


def test_a_file_that_is_not_there_reads_as_none(store):
    assert store.read("a/b.json") is None
    assert not store.exists("a/b.json")


def test_a_local_copy_has_the_content(store):
    store.write("a/b.wav", b"sound")
    with store.local_copy("a/b.wav") as path:
        assert path.read_bytes() == b"sound"
        assert path.name == "b.wav"
    assert store.read("a/b.wav") == b"sound"


def test_a_folder_is_read_listed_and_removed_as_a_whole(store):
    assert (store.read_folder("a/b"), store.folders("a")) == ({}, {})
    for name in ("a/b/1", "a/b/2", "a/b/deeper/3", "a/c/4"):
        store.write(name, name.encode())
    assert store.read_folder("a/b") == {"1": b"a/b/1", "2": b"a/b/2"}
    assert sorted(store.folders("a")) == ["b", "c"]
    assert all(time.time() - written_at < 60 for written_at in store.folders("a").values())
    store.remove_folder("a/b")
    store.remove_folder("a/b")
    assert (store.read_folder("a/b"), list(store.folders("a"))) == ({}, ["c"])


def test_nothing_but_the_file_remains(tmp_path):
    store = FileStore(tmp_path)
    store.write("a/b.json", b"1")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "a/b.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    store = FileStore(tmp_path)
    store.write("a", b"old")
    with pytest.raises(IsADirectoryError), store.scratch() as work:
        (work / "folder").mkdir()
        store.put("a", work / "folder")
    assert store.read("a") == b"old"


def test_a_remote_root_needs_a_local_folder_to_work_in():
    with pytest.raises(ValueError, match="work in progress"):
        FileStore("memory://x")


def test_a_file_url_is_local(tmp_path):
    store = FileStore(f"file://{tmp_path}")
    assert store.folder == tmp_path
