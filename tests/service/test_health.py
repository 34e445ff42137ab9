"""Whether the service lives and takes work is told at once, whatever is in work."""

import json

import pytest
from serving import SAMPLES, run_server

pytestmark = pytest.mark.model

CALL = ("call.json", b'{"options": {"model_name": "tiny.en"}}', "application/json")


@pytest.fixture
def small(tmp_path, model_dir, tiny_weights):
    """A service with one place."""
    with run_server(tmp_path / "home", model_dir, YIVIDEO_SERVICE__MAX_REQUESTS="1") as running:
        yield running


def test_it_lives_and_is_not_ready_while_all_places_are_taken(small):
    with (
        small.client() as client,
        small.client() as other,
        (SAMPLES / "lighthouse-60s.mkv").open("rb") as file,
    ):
        assert client.get("/health/ready").json() == {
            "status": "ready",
            "reason": None,
            "model": None,
            "device": None,
            "loaded": False,
            "places": 1,
            "places_taken": 0,
        }
        with client.stream(
            "POST", "/v1/speech/transcribe/upload", files={"call": CALL, "sound": file}
        ) as answer:
            alive, ready = other.get("/health"), other.get("/health/ready")
            assert (alive.status_code, alive.json()["status"]) == (200, "ok")
            assert (ready.status_code, ready.json()["reason"]) == (503, "all places are taken")
            events = [json.loads(line)["event"] for line in answer.iter_lines()]
        assert events[-1] == "result"
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["loaded"], ready.json()["model"]) == (200, True, "tiny.en")
