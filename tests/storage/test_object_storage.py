"""Artifacts in a bucket, over S3's own protocol."""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from s3fs.errors import translate_boto_error

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.file_store import FileStore

PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes; by default s3fs's parts are ten times as large."""


@pytest.fixture
def store(bucket, tmp_path):
    return FileStore(f"{bucket.url}/home", tmp_path / "work")


def test_what_was_written_is_read_and_nothing_else_is_there(bucket, store):
    store.write("refs/a b.json", b"one")
    store.write("refs/a b.json", b"two")
    assert (store.read("refs/a b.json"), store.size("refs/a b.json")) == (b"two", 3)
    assert store.read("refs/none") is None and store.size("refs/none") is None
    assert bucket.keys() == ["home/refs/a b.json"]


def test_a_small_file_is_one_request_and_appears_whole(bucket, store):
    bucket.served()
    store.write("refs/one.json", b"one")
    assert [one.method for one in bucket.served()] == ["PUT"]


def test_a_large_file_is_uploaded_in_parts_and_read_back(bucket, store, monkeypatch):
    fs, size = store.root.fs, 2 * PART_BYTES + 1
    monkeypatch.setattr(fs, "put_file", partial(fs.put_file, chunksize=PART_BYTES))
    with store.scratch() as work:
        (work / "audio.wav").write_bytes(bytes(size))
        bucket.served()
        store.put("audio.wav", work / "audio.wav")
    methods = [one.method for one in bucket.served()]
    assert methods.count("PUT") == 3, "the parts"
    assert methods[0] == methods[-1] == "POST", "an upload is begun, and completed"
    with store.local_copy("audio.wav") as copy:
        assert copy.stat().st_size == size


def test_another_machine_s_writes_are_seen_at_once(bucket, store, tmp_path):
    assert not store.exists("refs/one.json")
    assert store.read_folder("refs") == {}
    bucket.write("home/refs/one.json", b"1")
    assert store.exists("refs/one.json")
    assert store.read_folder("refs") == {"one.json": b"1"}
    bucket.write("home/refs/one.json", b"12")
    assert store.size("refs/one.json") == 2


def test_of_writers_of_one_name_one_wins_whole(bucket, store):
    texts = [bytes([letter]) * 1000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: store.write("refs/one", text), texts))
    assert bucket.read("home/refs/one") in texts


def test_a_bucket_that_is_busy_for_a_moment_is_asked_again(bucket, store):
    bucket.storage.refused = 2
    store.write("refs/one.json", b"one")
    assert bucket.storage.refused == 0
    bucket.storage.refused = 2
    assert store.read("refs/one.json") == b"one"
    assert bucket.storage.refused == 0


def test_an_artifact_is_found_from_a_bucket(bucket, tmp_path):
    storage = Storage(bucket.url, tmp_path / "work")
    with storage.scratch() as work:
        (work / "out.srt").write_text("1")
        made = storage.save("ab" * 32, "subtitles", "key", {"cues": 1}, {"out.srt": work / "out.srt"})
    found = Storage(bucket.url, tmp_path / "other").find("ab" * 32, "subtitles", "key", read_up_to_bytes=100)
    assert found == made
    bucket.write(f"{made.folder}/out.srt", b"2")
    assert storage.find("ab" * 32, "subtitles", "key", read_up_to_bytes=100) is None


def test_a_bucket_that_is_missing_is_named_and_not_made(bucket, tmp_path):
    store = FileStore("s3://there-is-no-such-bucket/x", tmp_path)
    for use in (store.require_reachable, lambda: store.write("a", b"")):
        with pytest.raises(ConfigError, match="There is no bucket for s3://there-is-no-such-bucket/x"):
            use()
    assert "there-is-no-such-bucket" not in str(bucket.client.list_buckets())


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), ServiceUnreachable),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:9"), ServiceUnreachable),
        (translate_boto_error(ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")), ServiceUnreachable),
        (NoCredentialsError(), ConfigError),
    ],
)
def test_what_passes_is_told_from_what_is_wrong_in_the_settings(error, meant):
    assert type(classify(error)) is meant


@pytest.mark.parametrize(
    ("url", "hint"),
    [("gs://bucket/x", "pip install 'yivideo-pipeline[gcs]'"), ("what://bucket/x", "Use a folder, or s3")],
)
def test_a_url_without_a_driver_is_refused_with_what_to_do(url, hint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "gs", raising=False)
    with pytest.raises(ConfigError) as caught:
        FileStore(url, tmp_path)
    assert caught.value.hint.startswith(hint)
