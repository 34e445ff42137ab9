"""Whether the service is alive and ready, which it reports at once, whatever is in progress."""

import json

import pytest

from tests.service.server import SAMPLES

pytestmark = pytest.mark.model

CALL = ("call.json", b'{"options": {"model_name": "tiny.en"}}', "application/json")


def test_it_lives_and_is_not_ready_while_all_slots_are_taken(one_slot_server):
    with (
        one_slot_server.client() as client,
        one_slot_server.client() as other,
        (SAMPLES / "lighthouse-60s.mkv").open("rb") as file,
    ):
        client.post("/api/v1/model/unload?drain=true")
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
            assert (ready.status_code, ready.json()["reason"]) == (503, "all slots are taken")
            events = [json.loads(line)["event"] for line in answer.iter_lines()]
        assert events[-1] == "result"
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["loaded"], ready.json()["model"]) == (200, True, "tiny.en")


def test_it_is_not_ready_where_a_database_is_none(one_slot_server):
    file = one_slot_server.home / "dagster" / "history" / "runs.db"
    file.parent.mkdir(parents=True)
    file.write_text("this is no database")
    with one_slot_server.client() as client:
        ready = client.get("/health/ready")
        file.unlink()
        assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
        assert "runs.db is damaged" in ready.json()["reason"]
        assert client.get("/health/ready").status_code == 200
