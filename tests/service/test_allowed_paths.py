"""Which files and model folders a request can name, against the real service."""

import json
import os

import pytest

from tests.service.server import KEY, SAMPLES

pytestmark = pytest.mark.model


@pytest.fixture
def ask_for(locked_server):
    """Ask for what is said in a file; returns the status and the error."""

    def ask(path):
        with locked_server.client(headers={"X-API-Key": KEY}) as client:
            call = json.dumps({"sound": {"path": str(path)}, "options": {"model_name": "tiny.en"}})
            answer = client.post(
                "/v1/speech/transcribe", content=call, headers={"Content-Type": "application/json"}
            )
        return answer.status_code, answer.json()["error"] if answer.status_code != 200 else answer.text

    return ask


@pytest.fixture(scope="module")
def media(locked_server):
    return locked_server.home.parent / "media"


def test_a_file_under_an_allowed_folder_is_taken_also_by_a_link_in_it(media, ask_for):
    (media / "deep").mkdir()
    video = media / "deep" / "video.mp4"
    video.write_bytes((SAMPLES / "harbour-15s.mp4").read_bytes())
    (media / "link.mp4").symlink_to(video)
    for path in (video, media / "link.mp4", media / "deep" / ".." / "link.mp4"):
        status, text = ask_for(path)
        assert status == 200, text
        assert '"event":"result"' in text


def test_outside_nobody_learns_whether_a_file_exists(locked_server, media, ask_for):
    (media / "out.mp4").symlink_to(SAMPLES / "harbour-15s.mp4")
    (media / "gone.mp4").symlink_to("/no/such/file")
    (media / "ring.mp4").symlink_to(media / "ring.mp4")
    (media / "folder").symlink_to(SAMPLES)
    beside = locked_server.home.parent / "media-of-others"
    beside.mkdir()
    (beside / "video.mp4").write_bytes(b"")
    asked = [
        SAMPLES / "harbour-15s.mp4",
        "/no/such/file",
        media / ".." / "home" / "logs" / "yivideo.log",
        media / ".." / "home" / "logs" / "no.log",
        media / "out.mp4",
        media / "gone.mp4",
        media / "ring.mp4",
        media / "folder" / "harbour-15s.mp4",
        media / "folder" / "no.mp4",
        beside / "video.mp4",
        "/proc/self/environ",
        locked_server.home / "config.yml",
    ]
    answers = [ask_for(path) for path in asked]
    assert {status for status, _ in answers} == {403}
    assert len({(error["kind"], error["message"], error["hint"]) for _, error in answers}) == 1


@pytest.mark.parametrize("path", ["video.mp4", "", "../video.mp4", "file:///etc/passwd", "/a\0b"])
def test_what_is_no_whole_path_is_refused(ask_for, path):
    status, error = ask_for(path)
    assert (status, error["kind"]) == (422, "invalid_request")


def test_a_folder_or_what_is_gone_in_an_allowed_folder_is_not_found(media, ask_for):
    assert ask_for(media)[0] == 404
    assert ask_for(media / "gone-too.mp4")[0] == 404


def test_a_pipe_in_an_allowed_folder_is_called_one_and_is_not_waited_for(media, ask_for):
    os.mkfifo(media / "pipe.mp4")
    status, error = ask_for(media / "pipe.mp4")
    assert (status, error["message"]) == (404, "This is a pipe (FIFO), not a file")


def test_what_can_be_no_name_of_a_file_is_not_there(media, ask_for):
    assert ask_for(media / ("x" * 5000))[0] in (403, 404)
    assert ask_for(f"{media}/\ud800.mp4")[0] in (403, 404)


@pytest.mark.parametrize("way", ["path", "nothing", "upload"])
def test_a_folder_as_model_is_refused_whether_it_is_there_or_not(server, tmp_path, way):
    def ask(client, folder):
        call = {"options": {"model_name": str(folder)}}
        if way == "upload":
            parts = {"call": ("call.json", json.dumps(call)), "sound": ("sound.wav", b"")}
            return client.post("/v1/speech/transcribe/upload", files=parts)
        sound = {"sound": {"path": "/nowhere"}} if way == "path" else {}
        return client.post("/v1/speech/transcribe", json=call | sound)

    with server.client() as client:
        there, missing = (ask(client, tmp_path / name) for name in (".", "missing"))
    assert (there.status_code, missing.status_code) == (422, 422)
    told, other = (answer.json()["error"] | {"id": ""} for answer in (there, missing))
    assert told == other
    assert str(tmp_path) not in told["message"]
