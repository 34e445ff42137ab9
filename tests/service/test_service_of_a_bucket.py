"""The service where the library lies in a bucket: its pages, uploads, player, and requests for its videos."""

import dagster as dg
import pytest
from fastapi.testclient import TestClient

from tests.cli.command import SAMPLES
from tests.fake_speech import FakeSpeech
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.service.allowed_paths import require_output_folder, resolve_video
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.library import UPLOAD_PATH
from yivideo_pipeline.settings.load import load_settings

MB = 1024 * 1024


@pytest.fixture
def settings(bucket, home):
    root = f"{bucket.url}/library"
    return load_settings(None, {"YIVIDEO_HOME": str(home), "YIVIDEO_LIBRARY__ROOTS__CLOUD": root})


@pytest.fixture
def client(settings):
    with TestClient(create_app(settings, None, False), base_url="http://127.0.0.1") as client:
        yield client


def test_what_the_page_uploads_lies_in_the_bucket_whole_and_under_its_own_name(bucket, client):
    for page in ("/", "/library"):
        shown = client.get(page)
        assert shown.status_code == 200
        assert f"{bucket.url}/library" in shown.text
    video = b"0123456789abcdef" * MB  # more than one part
    stored = client.put(UPLOAD_PATH, params={"name": "a/talk.mp4"}, content=video)
    assert (stored.status_code, stored.json()) == (201, {"key": "talk.mp4"})
    assert bucket.read("library/talk.mp4") == video

    refused = client.put(UPLOAD_PATH, params={"name": "talk.mp4"}, content=b"another")
    assert refused.status_code == 409
    assert bucket.read("library/talk.mp4") == video


@pytest.mark.parametrize("size_bytes", [MB, 9 * MB])
def test_an_upload_that_breaks_off_or_comes_second_leaves_nothing(bucket, client, size_bytes):
    def breaks_off():
        yield bytes(size_bytes)
        raise OSError("the client is gone")

    with pytest.raises(OSError, match="the client is gone"):
        client.put(UPLOAD_PATH, params={"name": "half.mp4"}, content=breaks_off())

    def overtaken():
        yield bytes(size_bytes)
        bucket.write("library/half.mp4", b"was faster")

    assert client.put(UPLOAD_PATH, params={"name": "half.mp4"}, content=overtaken()).status_code == 409
    assert bucket.read("library/half.mp4") == b"was faster"
    assert not bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads")


def test_the_player_gets_the_object_in_parts(bucket, client, settings):
    video = (SAMPLES / "harbour-15s.mp4").read_bytes()
    bucket.write("library/talk.mp4", video)
    with dg.DagsterInstance.ephemeral() as instance:
        processor = Processor(instance, build_resources(settings, FakeSpeech()))
        assert processor.process("talk.mp4").success
    assert client.get("/api/v1/review/talk.mp4").json()["media"]["is_there"]
    bucket.served()

    url = "/api/v1/review/talk.mp4/media"
    whole = client.get(url)
    assert (whole.status_code, whole.content) == (200, video)
    assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("video/mp4", "bytes")
    tag = whole.headers["etag"]
    for asked, part in {"0-9": video[:10], "100-": video[100:], "-25": video[-25:]}.items():
        answer = client.get(url, headers={"Range": f"bytes={asked}", "If-Range": tag})
        assert (answer.status_code, answer.content) == (206, part)
    assert answer.headers["content-range"] == f"bytes {len(video) - 25}-{len(video) - 1}/{len(video)}"
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert client.get(url, headers=headers).content == video, "no part of another version is mixed in"
    for beyond in ("99999999-", "-0", "9-3"):
        assert client.get(url, headers={"Range": f"bytes={beyond}"}).status_code == 416
    shown = client.head(url)
    assert (int(shown.headers["content-length"]), shown.content) == (len(video), b"")

    bucket.write("library/talk.mp4", b"another video")
    assert client.get(url).status_code == 404
    assert client.get("/api/v1/review/talk.mp4").json()["media"]["is_there"] is False


def test_a_request_names_objects_of_the_library_alone(bucket, settings):
    bucket.write("library/2024/talk.mp4", b"video")
    bucket.write("secret.mp4", b"video")

    def resolve(name: str) -> str:
        return resolve_video(name, settings.library.roots, settings.allowed_folders)

    assert resolve("2024/talk.mp4") == "2024/talk.mp4"
    assert resolve(f"{bucket.url}/library/2024/talk.mp4") == "2024/talk.mp4"
    for name, status in (
        ("2024/none.mp4", 404),
        ("2024", 404),
        ("../secret.mp4", 422),
        (f"{bucket.url}/secret.mp4", 403),
        (f"{bucket.url}/library/../secret.mp4", 422),
        (f"{bucket.url}/library", 422),
        (f"/{bucket.name}/secret.mp4", 403),
    ):
        with pytest.raises(Refused) as caught:
            resolve(name)
        assert caught.value.status == status, name


def test_subtitles_are_asked_for_in_the_library_alone(bucket, settings):
    require_output_folder(f"{bucket.url}/library/subs", settings.allowed_folders)
    for name in (f"{bucket.url}/subs", f"{bucket.url}/library/../subs", "s3://another/subs", "/srv"):
        with pytest.raises(Refused) as caught:
            require_output_folder(name, settings.allowed_folders)
        assert caught.value.status == 403, name
