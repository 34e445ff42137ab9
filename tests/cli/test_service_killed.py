"""The service killed in the middle of a run's transcript, under the real daemon."""

import signal
from contextlib import contextmanager

import dagster as dg
import httpx
import psutil
import pytest
from command import free_port
from test_crash import ENDED, Place

from tests.service.serving import run_server
from yivideo_pipeline.cli.supervisor import wait_until
from yivideo_pipeline.defs.instance import open_instance

pytestmark = pytest.mark.model

PATIENCE_S = 120
BROKE_OFF = "broke off in the middle of the work"
"""What a run says of a service that it was talking to."""


@contextmanager
def place_with(folder, model_dir, **more):
    """A place with `yivideo up` on it, ended at the end."""
    place = Place(folder, model_dir, **more)
    try:
        place.up()
        yield place
    finally:
        if place.program and place.program.poll() is None:
            place.program.send_signal(signal.SIGINT)
            place.program.communicate(timeout=PATIENCE_S)


def wait_until_it_transcribes(url: str, service: psutil.Process) -> None:
    """Wait until the service has worked on a request for a while."""

    def has_one() -> bool:
        ready = httpx.get(f"{url}/health/ready", trust_env=False, timeout=PATIENCE_S).json()
        return ready["places_taken"] > 0

    assert wait_until(has_one, PATIENCE_S)
    enough_s = service.cpu_times().user + 2
    assert wait_until(lambda: service.cpu_times().user > enough_s, PATIENCE_S)
    assert has_one(), "it is at work"


def wait_for_the_end(place: Place, run_id: str) -> str:
    """Wait until the run has ended; returns how."""
    assert wait_until(lambda: place.runs()[0]["status"] in ENDED, PATIENCE_S), place.runs()
    (run,) = place.runs()
    assert run["runId"] == run_id, "it is the same run that ends well"
    return run["status"]


def transcript_of(place: Place, run_id: str) -> tuple[list[str], dict[str, object]]:
    """Why the transcript was tried again, and the metadata of what was made at last."""
    with open_instance(place.home) as instance:
        logs = instance.all_logs(run_id)
    events = [log.dagster_event for log in logs if log.step_key == "transcript" and log.dagster_event]
    retries = [
        event.step_retry_data.error.to_string()
        for event in events
        if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY
    ]
    (made,) = [event for event in events if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION]
    return retries, {name: one.value for name, one in made.materialization.metadata.items()}


def test_without_the_service_the_run_goes_on_with_a_model_of_its_own_and_says_so(
    tmp_path, model_dir, tiny_weights
):
    with (
        run_server(tmp_path / "service", model_dir) as server,
        place_with(tmp_path, model_dir, YIVIDEO_SPEECH__SERVICE_URL=server.url) as place,
    ):
        run_id = place.launch()
        wait_until_it_transcribes(server.url, psutil.Process(server.process.pid))
        server.process.kill()
        assert wait_for_the_end(place, run_id) == "SUCCESS"
        (why,), told = transcript_of(place, run_id)
        assert BROKE_OFF in why or "does not answer" in why
        assert told["degradation"] == [
            f"the service at {server.url} did not answer; the model was loaded in the run itself"
        ]
        assert "lighthouse" in (place.videos / "talk.en.srt").read_text().lower()


def test_where_the_service_is_required_the_run_waits_until_it_is_back(tmp_path, model_dir, tiny_weights):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    required = {
        "YIVIDEO_SERVICE__PORT": str(port),
        "YIVIDEO_SPEECH__SERVICE_URL": url,
        "YIVIDEO_SPEECH__SERVICE_REQUIRED": "true",
    }
    with place_with(tmp_path, model_dir, **required) as place:
        run_id = place.launch()
        (service,) = [one for one in place.tree() if "serve" in one.cmdline()]
        wait_until_it_transcribes(url, service)
        service.kill()
        assert wait_for_the_end(place, run_id) == "SUCCESS"
        (why, *_), told = transcript_of(place, run_id)
        assert BROKE_OFF in why or "does not answer" in why
        assert told["degradation"] == []
        usage = httpx.get(f"{url}/api/v1/model/usage", trust_env=False, timeout=PATIENCE_S).json()
        assert usage["loads"] == 1, "by the service that was started in its place"
        assert "lighthouse" in (place.videos / "talk.en.srt").read_text().lower()
