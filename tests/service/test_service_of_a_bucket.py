"""The service where the library lies in a bucket: its pages, uploads, and requests for its videos."""

import pytest
from fastapi.testclient import TestClient

from yivideo_pipeline.service.allowed_paths import resolve_video
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.library import UPLOAD_PATH
from yivideo_pipeline.settings.load import load_settings


@pytest.fixture
def settings(bucket, home):
    root = f"{bucket.url}/library"
    return load_settings(None, {"YIVIDEO_HOME": str(home), "YIVIDEO_LIBRARY__ROOTS__CLOUD": root})


def test_the_pages_name_the_bucket_and_uploads_are_sent_there(bucket, settings):
    with TestClient(create_app(settings, None, False), base_url="http://127.0.0.1") as client:
        for page in ("/", "/library"):
            shown = client.get(page)
            assert shown.status_code == 200
            assert f"{bucket.url}/library" in shown.text
        refused = client.put(UPLOAD_PATH, params={"name": "a.mp4"}, content=b"x")
        assert refused.status_code == 409
        assert f"Upload to {bucket.url}/library" in refused.text
    assert bucket.keys() == []


def test_a_request_names_a_video_by_its_key_and_nothing_else_of_the_bucket(bucket, settings):
    bucket.write("library/2024/talk.mp4", b"video")
    bucket.write("secret.mp4", b"video")

    def resolve(name: str) -> str:
        return resolve_video(name, settings.library.roots, settings.allowed_folders)

    assert resolve("2024/talk.mp4") == "2024/talk.mp4"
    for name, status in (
        ("2024/none.mp4", 404),
        ("2024", 404),
        ("../secret.mp4", 422),
        (f"{bucket.url}/secret.mp4", 422),
        (f"/{bucket.name}/secret.mp4", 403),
    ):
        with pytest.raises(Refused) as caught:
            resolve(name)
        assert caught.value.status == status, name
