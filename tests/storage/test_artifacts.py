import json
import os
from uuid import uuid4

import pytest

from yivideo_pipeline.storage.artifacts import Storage


@pytest.fixture(params=["local", "remote"])
def storage(request, tmp_path):
    if request.param == "local":
        return Storage(tmp_path / "storage")
    return Storage(f"memory://{uuid4().hex}", tmp_path / "work")


def save(storage, content=b"sound", document=None, **made_by):
    with storage.scratch() as work:
        (work / "x.wav").write_bytes(content)
        return storage.save(
            "video1", "audio", "k1", document or {"a": "é"}, {"audio.wav": work / "x.wav"}, made_by
        )


def test_what_was_saved_is_found(storage):
    saved = save(storage, device="cpu")
    assert storage.find("video1", "audio", "k1") == saved
    assert saved.document == {"a": "é"}
    assert saved.made_by == {"device": "cpu"}
    assert storage.read(saved, "audio.wav") == b"sound"
    with storage.local_copy(saved, "audio.wav") as path:
        assert path.read_bytes() == b"sound"


def test_another_key_finds_nothing(storage):
    save(storage)
    assert storage.find("video1", "audio", "k2") is None
    assert storage.find("video2", "audio", "k1") is None


def test_the_content_depends_on_the_result_and_not_on_its_making(storage):
    first = save(storage, wall_s=1.0)
    assert save(storage, wall_s=2.0).content == first.content
    assert save(storage, content=b"other").content != first.content
    assert save(storage, document={"a": 2}).content != first.content


def test_an_artifact_that_lost_a_file_counts_as_missing(tmp_path, caplog):
    storage = Storage(tmp_path)
    saved = save(storage)
    (tmp_path / saved.folder / "audio.wav").unlink()
    assert storage.find("video1", "audio", "k1") is None
    assert "audio.wav" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"audio\.wav"):
        storage.read(saved, "audio.wav")


def test_files_without_a_manifest_are_nothing_yet(tmp_path):
    storage = Storage(tmp_path)
    saved = save(storage)
    (tmp_path / saved.folder / "manifest.json").unlink()
    assert storage.find("video1", "audio", "k1") is None


def test_a_partition_finds_what_its_stage_made_last(storage):
    saved = save(storage)
    assert storage.find_latest("talks/a.mp4", "audio") is None
    storage.record_latest("talks/a.mp4", saved)
    assert storage.find_latest("talks/a.mp4", "audio") == saved
    assert storage.find_latest("talks/b.mp4", "audio") is None
    assert storage.find_latest("talks/a.mp4", "video") is None


def test_a_name_with_undecodable_bytes_can_be_recorded(storage):
    name = os.fsdecode(b"/x/caf\xe9.en.srt")
    storage.record_delivery(name, "abc", "caf%E9.mp4")
    assert storage.find_delivery(name) == ("abc", "caf%E9.mp4")


def test_the_manifest_is_readable_json(tmp_path):
    saved = save(Storage(tmp_path))
    manifest = (tmp_path / saved.folder / "manifest.json").read_text("utf-8")
    assert "é" in manifest
    assert json.loads(manifest)["key"] == "k1"
