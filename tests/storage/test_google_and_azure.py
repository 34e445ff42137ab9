"""Google's and Azure's object storage: the claims of S3's tests that depend on a driver."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest

from tests.cloud_emulators import (
    AzureContainer,
    CloudBucket,
    GoogleBucket,
    make_cloud_bucket,
    run_azurite,
    run_google_storage,
)
from tests.library.conftest import SAMPLE, SETTLE_S
from tests.media.media_files import Sound, tone, write_media
from tests.tcp_proxy import TcpProxy, run_proxy
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.media.decode import open_sound
from yivideo_pipeline.media.probe import content_hash, probe
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.uploads import store_upload
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.storage import remote_paths
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.file_store import FileStore
from yivideo_pipeline.storage.remote_paths import open_bytes, to_path
from yivideo_pipeline.storage.sidecars import deliver_file

# aiohttp says so of the parts of an upload, which are what they should be.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

BLOCK_BYTES = 128 * 1024


@pytest.fixture(scope="module", params=[AzureContainer, GoogleBucket], ids=["az", "gs"])
def server(request, tmp_path_factory) -> Generator[tuple[type[CloudBucket], int, TcpProxy]]:
    azure = request.param is AzureContainer
    started = run_azurite(tmp_path_factory.mktemp("azurite")) if azure else run_google_storage()
    with started as port, run_proxy(port) as proxy:
        yield request.param, port, proxy


@pytest.fixture
def cloud(server) -> Generator[CloudBucket]:
    with make_cloud_bucket(*server) as bucket:
        yield bucket


@pytest.fixture
def settings(cloud, tmp_path):
    """A library with a part of a bucket, and artifacts in the same one."""
    environment = {
        "YIVIDEO_HOME": str(tmp_path),
        "YIVIDEO_LIBRARY__ROOTS__CLOUD": f"{cloud.url}/library",
        "YIVIDEO_STORAGE__ROOT": f"{cloud.url}/library/made",
    }
    return load_settings(None, environment)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """24 s, of which the sound alone has 2 MB; its index is at the end."""
    sound = Sound(tone(24, rate_hz=44_100), rate_hz=44_100, codec="pcm_s16le")
    return write_media(tmp_path_factory.mktemp("video") / "talk.mov", [sound], video_s=24)


def test_artifacts(cloud, tmp_path):
    store = FileStore(f"{cloud.url}/home", tmp_path / "work")
    store.require_reachable()
    store.write("refs/a b.json", b"one")
    store.write("refs/a b.json", b"two")
    assert (store.read("refs/a b.json"), store.size("refs/a b.json")) == (b"two", 3)
    assert store.read("refs/none") is None and store.size("refs/none") is None
    assert cloud.keys() == ["home/refs/a b.json"]
    cloud.write("home/refs/b.json", b"1")
    assert store.read_folder("refs") == {"a b.json": b"two", "b.json": b"1"}
    cloud.write("home/refs/b.json", b"12")
    assert store.size("refs/b.json") == 2
    assert store.names() == ["refs/a b.json", "refs/b.json"]
    store.remove_folder("refs")
    assert cloud.keys() == []


def test_media(cloud, video, monkeypatch):
    monkeypatch.setattr(remote_paths, "BLOCK_BYTES", BLOCK_BYTES)
    data = video.read_bytes()
    cloud.write("2024/talk a.mov", data)
    remote = to_path(f"{cloud.url}/2024/talk a.mov")
    before = cloud.proxy.passed_bytes
    assert probe(remote) == probe(video)
    assert cloud.proxy.passed_bytes - before < len(data) / 2
    assert content_hash(remote) == content_hash(video)
    with open_sound(video) as local, open_sound(str(remote)) as streamed:
        assert streamed.audio.path.read_bytes() == local.audio.path.read_bytes()

    with open_bytes(remote) as file:
        assert file.read(10) == data[:10]
        cloud.write("2024/talk a.mov", bytes(len(data)))
        file.seek(len(data) - 1000)
        with pytest.raises(OSError):
            file.read(10)


def test_an_upload_in_parts_appears_whole_or_not_at_all(cloud, settings):
    video = b"0123456789abcdef" * 1024 * 1024  # more than one part

    async def pieces(breaks: bool) -> AsyncGenerator[bytes]:
        yield video[: 9 << 20]
        assert cloud.keys() == present
        if breaks:
            raise OSError("the client is gone")
        yield video[9 << 20 :]

    library = settings.library
    present: list[str] = []
    if cloud.scheme == "az":  # Google's emulator can't end an upload
        with pytest.raises(OSError, match="the client is gone"):
            asyncio.run(store_upload("talk.mp4", pieces(breaks=True), library))
        assert cloud.keys() == []
    assert asyncio.run(store_upload("talk.mp4", pieces(breaks=False), library)) == "talk.mp4"
    assert cloud.read("library/talk.mp4") == video
    present = ["library/talk.mp4"]
    with pytest.raises(Refused):
        asyncio.run(store_upload("talk.mp4", pieces(breaks=False), library))


def test_the_watch(cloud, settings):
    ledger = open_ledger(settings.home)
    storage = Storage(settings.storage.root, settings.home / "tmp")

    def scan(second: float):
        watch = open_watch(settings, ledger, storage)
        result = watch.scan(now=1_000_000 + second)
        watch.note_taken({item.key: item.stamp for item in result.take})
        return result

    key = "library/2024/会议 a.mp4"
    for name in (key, "library/b.txt", "library/.hidden/c.mp4", "library/made/v/audio.wav", "elsewhere.mp4"):
        cloud.write(name, SAMPLE.read_bytes())
    assert not scan(0).take
    [item] = scan(SETTLE_S).take
    assert (item.key, str(item.path)) == ("2024/会议 a.mp4", f"{cloud.url}/{key}")
    before = cloud.proxy.passed_bytes
    assert not scan(20).take
    assert cloud.proxy.passed_bytes - before < 20_000, "of an object that is known nothing is read"
    cloud.write(key, SAMPLE.read_bytes() + b"more")
    scan(30)
    assert [item.key for item in scan(40).take] == ["2024/会议 a.mp4"]
    cloud.remove()
    result = scan(50)
    assert {one.reason for one in result.decisions.values()} == {Reason.ROOT_GONE}
    assert [one.decision.detail for one in result.alerts] == [f"there is no bucket for {cloud.url}/library"]


def test_subtitles_lie_beside_the_object_and_never_over_another_s(cloud, settings):
    storage = Storage(settings.storage.root, settings.home / "tmp")
    video = to_path(f"{cloud.url}/library/2024/talk.mp4")

    def deliver(text: bytes) -> str:
        return str(deliver_file(storage, "cloud:2024/talk.mp4", video, ".en.srt", text).path)

    assert deliver(b"1") == deliver(b"2") == f"{cloud.url}/library/2024/talk.en.srt"
    assert cloud.read("library/2024/talk.en.srt") == b"2"
    cloud.write("library/2024/talk.en.srt", b"edited by hand")
    assert deliver(b"3") == f"{cloud.url}/library/2024/talk.mp4.en.srt"
    assert cloud.read("library/2024/talk.en.srt") == b"edited by hand"


def test_a_bucket_that_is_missing_is_named_and_not_made(cloud, tmp_path):
    url = f"{cloud.scheme}://there-is-no-such-bucket/x"
    store = FileStore(url, tmp_path)
    for use in (store.require_reachable, lambda: store.write("a", b"")):
        with pytest.raises(ConfigError, match=f"There is no bucket for {url}"):
            use()
