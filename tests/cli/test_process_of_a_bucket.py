"""`yivideo process` on videos in a bucket, with the subtitles in another place of it."""

from pathlib import Path

import pytest

from tests.cli.command import SAMPLES, run, settings, summary
from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.finished import state_of
from yivideo_pipeline.cli.preflight import find_videos
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.storage.remote_paths import to_path

HARBOUR = (SAMPLES / "harbour-15s.mp4").read_bytes()


@pytest.mark.model
def test_objects_are_found_below_a_url_and_their_subtitles_lie_where_they_should(
    bucket, tmp_path, model_dir, tiny_weights
):
    for key in ("films/a.mp4", "films/deep/b.mp4", "films/.hidden.mp4"):
        bucket.write(key, HARBOUR)
    bucket.write("films/notes.txt", b"no video")
    environment = settings(tmp_path / "home", model_dir)
    videos, one = f"{bucket.url}/films/", f"{bucket.url}/films/a.mp4"

    made = summary(run(environment, "process", one, videos, "--output-dir", f"{bucket.url}/subs", "--json"))
    assert [video["path"] for video in made["videos"]] == [one, f"{bucket.url}/films/deep/b.mp4"]
    assert [video["status"] for video in made["videos"]] == ["done", "done"]
    assert made["by_name"]["a.mp4"]["files"] == [f"{bucket.url}/subs/a.en.srt"]
    assert made["by_name"]["a.mp4"]["partition_key"] == one, "it lies in no library root"
    assert b"-->" in bucket.read("subs/b.en.srt")
    written = [key for key in set(bucket.keys()) if key.endswith(".srt")]
    assert sorted(written) == ["subs/a.en.srt", "subs/b.en.srt"]

    bucket.served()
    again = summary(run(environment, "process", one, "--output-dir", f"{bucket.url}/subs", "--json"))
    assert again["by_name"]["a.mp4"]["already_processed"]
    assert {request.method for request in bucket.served()} <= {"HEAD", "GET"}, "nothing is written again"


def test_what_is_not_there_is_named_and_no_key_is_shown(bucket, tmp_path):
    def find(url: str) -> None:
        find_videos([Path(url)], (".mp4",), ())

    bucket.write("films/notes.txt", b"no video")
    for url in (f"{bucket.url}/none.mp4", "s3://there-is-no-such-bucket/a.mp4"):
        with pytest.raises(WrongUsage, match=f"There is no {url}"):
            find(url)
    with pytest.raises(WrongUsage, match=f"There is no video in {bucket.url}/films"):
        find(f"{bucket.url}/films")
    with pytest.raises(ConfigError, match="Keys don't belong in an address") as caught:
        find("s3://name:secret@bucket/a.mp4")
    assert "secret" not in str(caught.value)


def test_an_object_that_was_replaced_is_another_even_in_the_same_second(bucket):
    video = to_path(f"{bucket.url}/a.mp4")
    bucket.write("a.mp4", b"first")
    before = state_of(video)
    bucket.write("a.mp4", b"other")
    assert before
    assert state_of(video) not in (before, None)
