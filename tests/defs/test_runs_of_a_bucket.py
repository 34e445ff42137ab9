"""A video in a bucket goes through all stages, and its subtitles lie beside it."""

import pytest

from tests.defs.pipeline import SAMPLE, Pipeline
from yivideo_pipeline.settings.load import load_settings


@pytest.fixture
def pipeline(bucket, tmp_path):
    environment = {
        "YIVIDEO_HOME": str(tmp_path),
        "YIVIDEO_LIBRARY__ROOTS__INBOX": str(tmp_path / "inbox"),
        "YIVIDEO_LIBRARY__ROOTS__CLOUD": f"{bucket.url}/library",
        "YIVIDEO_STORAGE__ROOT": f"{bucket.url}/artifacts",
        "YIVIDEO_SPEECH__LANGUAGE": "en",
    }
    made = Pipeline(load_settings(None, environment))
    yield made
    made.instance.dispose()


def test_subtitles_lie_beside_the_object_and_never_over_another_s(bucket, pipeline, tmp_path):
    bucket.write("library/2024/talk.mp4", SAMPLE.read_bytes())
    done = pipeline.run("cloud:2024/talk.mp4")
    assert done.failure is None
    text = bucket.read("library/2024/talk.en.srt")
    assert b"-->" in text
    assert not list((tmp_path / "tmp").glob("work-*")), "no copy of the video or its sound is left"

    bucket.write("library/2024/talk.en.srt", b"edited by hand")
    assert pipeline.run("cloud:2024/talk.mp4").failure is None
    assert bucket.read("library/2024/talk.en.srt") == b"edited by hand"
    assert bucket.read("library/2024/talk.mp4.en.srt") == text


def test_an_object_that_is_gone_is_said_by_its_key(bucket, pipeline):
    done = pipeline.run("cloud:none.mp4")
    assert done.failure is not None
    assert "There is no file cloud:none.mp4" in done.failure.message
