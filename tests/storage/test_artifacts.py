import json
import os
from pathlib import Path
from uuid import uuid4

import pytest

from yivideo_pipeline.errors.tree import DiskError
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


def test_a_file_of_another_size_counts_as_missing(tmp_path, caplog):
    storage = Storage(tmp_path)
    saved = save(storage)
    (tmp_path / saved.folder / "audio.wav").write_bytes(b"soun")
    assert storage.find("video1", "audio", "k1") is None
    assert "audio.wav is damaged" in caplog.text


def test_content_of_the_right_size_is_compared_where_it_is_read(storage):
    saved = save(storage)
    storage.files.write(f"{saved.folder}/audio.wav", b"noise")
    assert storage.find("video1", "audio", "k1") == saved
    assert not storage.is_intact(saved, "audio.wav")
    with pytest.raises(DiskError, match=r"audio\.wav is damaged"):
        storage.read(saved, "audio.wav")
    told = []
    assert storage.find("video1", "audio", "k1", read_up_to_bytes=5, on_damage=told.append) is None
    assert told == [f"{saved.folder}/audio.wav is damaged"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"a": "é"', '"a": "e"'),
        lambda text: text.replace('"document"', '"dokument"'),
        lambda text: "[]",
        lambda text: "\x00" * len(text),
    ],
    ids=["cut", "empty", "another letter", "another name", "a list", "zeros"],
)
def test_a_damaged_manifest_counts_as_missing_until_it_is_saved_again(storage, damage, caplog):
    saved = save(storage)
    name = f"{saved.folder}/manifest.json"
    storage.files.write(name, damage(storage.files.read(name).decode()).encode())
    assert storage.find("video1", "audio", "k1") is None
    assert "manifest.json is damaged: it counts as missing" in caplog.text
    assert storage.find("video1", "audio", "k1", on_damage=str) is None
    assert save(storage) == storage.find("video1", "audio", "k1")


def test_a_damaged_record_of_what_was_made_last_counts_as_missing(storage):
    saved = save(storage)
    storage.record_latest("talk.mp4", saved)
    (record,) = [name for name in _names(storage, "refs") if name.endswith("audio.json")]
    storage.files.write(record, b'{"partition_key": "ta')
    assert storage.find_latest("talk.mp4", "audio") is None


def test_what_was_made_again_as_it_was_takes_the_place_of_what_is_damaged(storage):
    saved = save(storage)
    storage.files.write(f"{saved.folder}/audio.wav", b"noise")
    with storage.scratch() as work:
        (work / "again.wav").write_bytes(b"sound")
        storage.restore(saved, "audio.wav", work / "again.wav")
    assert storage.read(saved, "audio.wav") == b"sound"


def test_what_can_t_be_made_again_as_it_was_is_not_found_any_more(storage):
    saved = save(storage)
    with storage.scratch() as work, pytest.raises(DiskError, match="Process the video again"):
        (work / "again.wav").write_bytes(b"other")
        storage.restore(saved, "audio.wav", work / "again.wav")
    assert storage.find("video1", "audio", "k1") is None


def _names(storage, folder: str) -> list[str]:
    root = storage.files.root
    return [str(path.relative_to(root)) for path in (root / folder).rglob("*.json")]


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


def test_a_record_that_says_the_same_is_not_written_again(tmp_path):
    storage = Storage(tmp_path)
    storage.record_delivery(Path("/x/talk.srt"), "abc", "talk.mp4")
    (record,) = (tmp_path / "refs").glob("*/*.json")
    written = record.stat().st_ino
    storage.record_delivery(Path("/x/talk.srt"), "abc", "talk.mp4")
    assert record.stat().st_ino == written
    storage.record_delivery(Path("/x/talk.srt"), "def", "talk.mp4")
    assert storage.find_delivery(Path("/x/talk.srt")) == ("def", "talk.mp4")


def test_a_name_with_undecodable_bytes_can_be_recorded(storage):
    name = os.fsdecode(b"/x/caf\xe9.en.srt")
    storage.record_delivery(name, "abc", "caf%E9.mp4")
    assert storage.find_delivery(name) == ("abc", "caf%E9.mp4")


def test_the_manifest_is_readable_json(tmp_path):
    saved = save(Storage(tmp_path))
    manifest = (tmp_path / saved.folder / "manifest.json").read_text("utf-8")
    assert "é" in manifest
    assert json.loads(manifest)["key"] == "k1"
