"""Media in a bucket is read by ranges, and nothing else is read for it, whatever it says."""

from pathlib import Path

import pytest
from upath import UPath

from tests.media.media_files import Sound, cut, tone, write_media
from yivideo_pipeline.errors.tree import RefusedMedia, TruncatedMedia, UnreadableMedia
from yivideo_pipeline.media.decode import open_sound
from yivideo_pipeline.media.images import poster_jpeg
from yivideo_pipeline.media.probe import content_hash, probe
from yivideo_pipeline.storage import remote_paths
from yivideo_pipeline.storage.remote_paths import to_path

BLOCK_BYTES = 256 * 1024


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """24 s, of which the sound alone has 2 MB; its index is at the end."""
    sound = Sound(tone(24, rate_hz=44_100), rate_hz=44_100, codec="pcm_s16le")
    return write_media(tmp_path_factory.mktemp("video") / "talk.mov", [sound], video_s=24)


@pytest.fixture
def remote(bucket, video, monkeypatch):
    """The same video in a bucket, read in small blocks, so that a small file will do."""
    monkeypatch.setattr(remote_paths, "BLOCK_BYTES", BLOCK_BYTES)
    bucket.write("2024/talk a.mov", video.read_bytes())
    bucket.served()
    return to_path(f"{bucket.url}/2024/talk a.mov")


def test_a_probe_takes_a_few_ranges_and_no_whole_copy(bucket, remote, video):
    assert probe(remote) == probe(video)
    fetched = [one for one in bucket.served() if one.method == "GET" and "talk" in one.path]
    assert all(one.range for one in fetched)
    assert sum(one.size_bytes for one in fetched) < video.stat().st_size / 2


def test_sound_is_decoded_as_from_a_disk_and_read_once(bucket, remote, video):
    with open_sound(video) as local, open_sound(str(remote)) as streamed:
        assert streamed.audio.path.read_bytes() == local.audio.path.read_bytes()
        assert streamed.warnings == local.warnings == ()
    size = video.stat().st_size
    fetched = [one.size_bytes for one in bucket.served() if one.range]
    assert max(fetched) <= 2 * BLOCK_BYTES + 4096
    assert sum(fetched) < 2 * size, "the probe, the sound, and a few boxes for the end"


def test_hash_and_poster_are_those_of_the_file(remote, video):
    assert content_hash(remote) == content_hash(video)
    assert poster_jpeg(remote) == poster_jpeg(video)


def test_a_truncated_object_is_told_as_a_truncated_file_is(bucket, remote, video, tmp_path):
    short = tmp_path / "short.mkv"
    write_media(short, [Sound(tone(4))], video_s=4)
    cut(short, 0.6)
    bucket.write("short.mkv", short.read_bytes())
    with open_sound(f"{bucket.url}/short.mkv") as streamed, open_sound(short) as local:
        assert streamed.truncated_at_s == local.truncated_at_s is not None
    bucket.write("headless.mov", video.read_bytes()[:100_000])
    with pytest.raises(TruncatedMedia):
        probe(to_path(f"{bucket.url}/headless.mov"))


@pytest.mark.parametrize(
    "target", ["other.mp4", "s3://{bucket}/other.mp4", "file:///etc/passwd", "{http}/other.mp4"]
)
def test_a_playlist_in_a_bucket_makes_nothing_else_be_read(bucket, remote, video, target):
    bucket.write("other.mp4", video.read_bytes())
    line = target.format(bucket=bucket.name, http=bucket.storage.environment["AWS_ENDPOINT_URL"])
    bucket.write("list.mp4", f"#EXTM3U\n#EXTINF:2,\n{line}\n#EXT-X-ENDLIST\n".encode())
    bucket.served()
    with pytest.raises(RefusedMedia, match="playlist"):
        probe(to_path(f"{bucket.url}/list.mp4"))
    assert {one.path.rpartition("/")[2] for one in bucket.served()} <= {"list.mp4", "", bucket.name}


def test_what_is_no_video_is_said_as_of_a_file(bucket, remote):
    with pytest.raises(UnreadableMedia, match="no such file"):
        probe(to_path(f"{bucket.url}/none.mp4"))
    bucket.write("empty.mp4", b"")
    with pytest.raises(UnreadableMedia, match="empty"):
        probe(to_path(f"{bucket.url}/empty.mp4"))
    with pytest.raises(UnreadableMedia, match="folder"):
        probe(to_path(f"{bucket.url}/2024"))


def test_an_object_that_is_replaced_while_it_is_read_is_not_mixed_with_the_new_one(bucket, remote, video):
    with remote_paths.open_bytes(remote) as file:
        assert file.read(10) == video.read_bytes()[:10]
        bucket.write("2024/talk a.mov", bytes(video.stat().st_size))
        file.seek(video.stat().st_size - 1000)
        with pytest.raises(OSError):
            file.read(10)


def test_names_are_paths_or_objects():
    assert to_path("/videos/a.mp4").is_absolute() and not isinstance(to_path("a.mp4"), UPath)
    assert to_path("s3://bucket/a.mp4").name == "a.mp4"


def test_only_object_storage_is_opened_by_an_address():
    for name in ("http://127.0.0.1/a.mp4", "ftp://host/a.mp4", "file:///a.mp4", "memory://a.mp4"):
        assert isinstance(to_path(name), Path)
    assert str(to_path(Path("s3://bucket/a.mp4"))) == "s3://bucket/a.mp4", "as a command line gives it"
