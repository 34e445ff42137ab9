import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from yivideo_pipeline.storage.file_store import FileStore, scratch_folder


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


def test_the_folder_of_a_killed_writer_is_swept(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from yivideo_pipeline.storage.file_store import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1])) as work:\n"
        "    (work / 'half').write_text('x'); print(work, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        left = Path(writer.stdout.readline().decode().strip())
        with scratch_folder(tmp_path):
            assert (left / "half").is_file(), "the writer is alive"
        os.kill(writer.pid, signal.SIGKILL)
    with scratch_folder(tmp_path) as mine:
        assert not left.exists()
        assert mine.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_folder_is_removed_when_the_work_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
