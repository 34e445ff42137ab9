"""Workflows from their creation to their end, by the real service on a real Dagster."""

import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.service.server import wait_until
from tests.service.workflow_stack import KEY, Stack, run_stack
from yivideo_pipeline.ledger import open_ledger

pytestmark = pytest.mark.model

CHAIN = ["ffmpeg.extract_audio", "whisperx.generate_subtitles"]
STAGES = ["video", "audio", "transcript", "alignment", "subtitles"]
RUN = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { runId tags { key value } } } }"


def request_for(path, *, chain=CHAIN, subtitles=None, **more):
    """The contract's request, on this machine's files, cores and the smallest model."""
    whisperx = {"language": "en", "model_name": "tiny.en", "batch_size": 8, "use_faster_whisper": True}
    params = {"whisperx_config": {**whisperx, "faster_whisper_threads": 1}, "subtitles": subtitles or {}}
    return {
        "video_path": str(path),
        "workflow_config": {"workflow_chain": chain},
        "output_params": params,
        **more,
    }


@pytest.fixture(scope="module")
def stack(tmp_path_factory, model_dir, tiny_weights):
    with run_stack(tmp_path_factory.mktemp("workflows"), model_dir) as running:
        yield running


@pytest.fixture(scope="module")
def created(stack: Stack):
    """The answers to the contract's request and to one for a file that is no video; both run side by side."""
    (stack.asked / "notes.mp4").write_text("this is no video\n" * 100)
    talk = request_for(stack.video("talk.mp4"), subtitles={"formats": ["srt", "vtt"]})
    return stack.create(talk), stack.create(request_for(stack.asked / "notes.mp4"))


@pytest.fixture(scope="module")
def talk(stack: Stack, created):
    """What the contract's request was answered, and how it ended."""
    return created[0], stack.wait(created[0]["workflow_id"])


@pytest.fixture(scope="module")
def broken(stack: Stack, created):
    """The status of a workflow of a file that is no video, at its end."""
    return stack.wait(created[1]["workflow_id"])


def test_the_contracts_request_is_taken_and_comes_to_its_end(talk):
    created, status = talk
    assert created["video"] == "asked/talk.mp4"
    assert created["stages"] == STAGES
    assert status["state"] == "succeeded", status
    assert status["progress"] == 1.0
    assert status["attempts"] == 1
    assert status["error"] is None
    assert [(stage["name"], stage["state"], stage["attempts"]) for stage in status["stages"]] == [
        (name, "succeeded", 1) for name in STAGES
    ]
    assert status["seconds"] >= sum(stage["seconds"] for stage in status["stages"])


def test_its_subtitles_can_be_fetched_in_the_formats_asked_for(stack: Stack, talk):
    created, status = talk
    assert status["links"] == created["links"]
    assert set(status["links"]["subtitles"]) == {"srt", "vtt"}
    srt = stack.ask("GET", status["links"]["subtitles"]["srt"])
    assert "welcome to the old town" in srt.text
    assert srt.headers["content-disposition"] == "attachment; filename*=UTF-8''talk.en.srt"
    assert srt.content == (stack.asked / "talk.en.srt").read_bytes()
    assert stack.ask("GET", status["links"]["subtitles"]["vtt"]).text.startswith("WEBVTT")
    other = stack.ask("GET", f"/v1/workflows/{status['workflow_id']}/subtitles/ass")
    assert other.status_code == 404
    assert "were not made as ass" in other.json()["error"]["message"]


def test_its_run_says_who_asked_and_waits_behind_nobody(stack: Stack, talk):
    created, _ = talk
    run_id = created["links"]["dagster_run"].rpartition("/")[2]
    run = stack.graphql(RUN, run=run_id)["runOrError"]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["yivideo/trigger"] == "gateway"
    assert tags["yivideo/workflow"] == created["workflow_id"]
    assert "dagster/priority" not in tags


def test_a_file_that_is_no_video_fails_with_its_reason_and_what_to_do(broken):
    assert broken["state"] == "failed"
    assert broken["stage"] == "video"
    assert broken["error"]["stage"] == "video"
    assert broken["error"]["kind"] == "media_unreadable"
    assert broken["error"]["message"]
    states = {stage["name"]: stage["state"] for stage in broken["stages"]}
    assert states.pop("video") == "failed"
    assert set(states.values()) <= {"pending", "skipped"}


def test_what_failed_can_be_tried_again_and_stays_the_same_workflow(stack: Stack, broken, talk):
    workflow = broken["workflow_id"]
    (stack.asked / "notes.mp4").write_bytes((stack.asked / "talk.mp4").read_bytes())
    retried = stack.ask("POST", f"/v1/workflows/{workflow}/retry")
    assert retried.status_code == 202, retried.text
    assert retried.json()["attempts"] == 2
    status = stack.wait(workflow)
    assert status["state"] == "succeeded", status
    assert status["error"] is None
    again = stack.ask("POST", f"/v1/workflows/{workflow}/retry")
    assert again.status_code == 409
    assert "is succeeded" in again.json()["error"]["message"]


def test_a_cancelled_workflow_stops_and_stays_cancelled(stack: Stack):
    created = stack.create(request_for(stack.video("long.mkv", "lighthouse-60s.mkv")))
    workflow = created["workflow_id"]
    asked = stack.ask("POST", f"/v1/workflows/{workflow}/cancel")
    assert asked.status_code == 202, asked.text
    assert asked.json()["state"] in ("cancelling", "cancelled")
    status = stack.wait(workflow)
    assert status["state"] == "cancelled"
    assert stack.ask("POST", f"/v1/workflows/{workflow}/cancel").json()["state"] == "cancelled"
    assert not (stack.asked / "long.en.srt").exists()


def test_what_has_ended_can_not_be_cancelled(stack: Stack, talk):
    refused = stack.ask("POST", f"/v1/workflows/{talk[0]['workflow_id']}/cancel")
    assert refused.status_code == 409
    assert refused.json()["error"]["message"] == "The workflow has succeeded already"


def test_the_same_request_under_the_same_key_is_launched_once(stack: Stack, talk):
    key = {"Idempotency-Key": "monday's talk"}
    video = stack.video("once.mp4")
    asked = request_for(video, chain=["yivideo.video"])
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stack.create(asked, **key), range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert stack.wait(answers[0]["workflow_id"])["attempts"] == 1
    video.unlink()
    assert stack.create(asked, **key) == answers[0]
    other = {**asked, "workflow_config": {"workflow_chain": ["yivideo.audio"]}}
    refused = stack.ask("POST", "/v1/workflows", json=other, headers=key)
    assert refused.status_code == 409
    assert "belongs to another request" in refused.json()["error"]["message"]


def test_a_part_of_the_chain_is_made_with_what_lies_before_it(stack: Stack, talk):
    created = stack.create(request_for("asked/talk.mp4", chain=["yivideo.transcript"]))
    assert created["stages"] == ["video", "audio", "transcript"]
    assert created["links"]["subtitles"] == {}
    status = stack.wait(created["workflow_id"])
    assert status["state"] == "succeeded"
    assert [stage["name"] for stage in status["stages"]] == ["video", "audio", "transcript"]
    fetched = stack.ask("GET", f"/v1/workflows/{created['workflow_id']}/subtitles/srt")
    assert fetched.status_code == 404


def test_workflows_are_listed_page_by_page_by_state_and_by_video(stack: Stack, talk, broken):
    def all_of(**filters):
        found, cursor = [], None
        while True:
            page = stack.ask("GET", "/v1/workflows", params={"limit": 2, **filters, **(cursor or {})}).json()
            assert len(page["workflows"]) <= 2
            found += page["workflows"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    everything = all_of()
    ids = [one["workflow_id"] for one in everything]
    assert len(ids) == len(set(ids)) >= 3
    assert [one["created_at"] for one in everything] == sorted(
        (one["created_at"] for one in everything), reverse=True
    )
    assert {talk[0]["workflow_id"], broken["workflow_id"]} <= set(ids)
    cancelled = [one["workflow_id"] for one in everything if one["state"] == "cancelled"]
    assert [one["workflow_id"] for one in all_of(state="cancelled")] == cancelled
    of_the_file = all_of(video=str(stack.asked / "notes.mp4"))
    assert [one["workflow_id"] for one in of_the_file] == [broken["workflow_id"]]


class Receiver(ThreadingHTTPServer):
    """Keeps what it is told; refuses the first time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Told)
        self.told: list[tuple[str, bytes]] = []


class Told(BaseHTTPRequestHandler):
    def do_POST(self):
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.headers["X-Yivideo-Signature"], body))
        self.send_response(500 if len(self.server.told) == 1 else 200)
        self.end_headers()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_killed_service_forgets_no_workflow_and_nobody_who_waits_for_its_end(stack: Stack, talk, receiver):
    url = f"http://127.0.0.1:{receiver.server_port}/done?token=of-ours"
    created = stack.create(request_for("asked/talk.mp4", callback_url=url))
    stack.kill_service()
    with pytest.raises(httpx.ConnectError):
        stack.status(created["workflow_id"])
    stack.serve()
    assert stack.wait(created["workflow_id"])["state"] == "succeeded"

    wait_until(lambda: receiver.told)  # and answered by 500
    stack.kill_service()
    stack.serve()
    wait_until(lambda: len(receiver.told) == 2)
    told = [json.loads(body) for _, body in receiver.told]
    assert told[0] == told[1] == stack.status(created["workflow_id"])
    for signature, body in receiver.told:
        assert signature == "sha256=" + hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert "of-ours" not in (stack.home / "logs" / "yivideo.log").read_text()
    ledger = open_ledger(stack.home).callbacks
    wait_until(lambda: not ledger.is_any_open())
    assert len(receiver.told) == 2


def test_a_workflow_that_nobody_created_is_not_found(stack: Stack):
    for workflow in ("0" * 32, "223"):
        for method, path in (("GET", "status/{}"), ("GET", "{}/subtitles/srt"), ("POST", "{}/cancel")):
            answer = stack.ask(method, "/v1/workflows/" + path.format(workflow))
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == "There is no such workflow"
