"""The service killed in the middle of a run's transcript, under the real daemon."""

from pathlib import Path

import dagster as dg
import httpx
import numpy as np
import psutil
import pytest

from tests.cli.command import free_port, settings
from tests.cli.up.running_services import RunningServices, speech
from tests.media.media_files import Sound, write_media
from tests.service.server import run_server
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.defs.instance import open_instance

pytestmark = pytest.mark.model

BROKE_OFF = "broke off in the middle of the work"
"""What a run reports of a service that was working for it."""


@pytest.fixture
def video(tmp_path) -> Path:
    """A video of two minutes in a folder of its own."""
    (tmp_path / "videos").mkdir()
    return write_media(tmp_path / "videos" / "talk.mkv", [Sound(np.tile(speech(), 2))])


def make_environment(folder: Path, model_dir: Path, **more: str) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / "config.yml").write_text("speech: {service_url: null}")
    return settings(home, model_dir, YIVIDEO_SPEECH__BATCH_SIZE="1", **more)


def wait_until_it_transcribes(url: str, service: psutil.Process) -> None:
    """Wait until the service has worked on a request for a while."""

    def has_a_request() -> bool:
        ready = httpx.get(f"{url}/health/ready", trust_env=False, timeout=TIMEOUT_S).json()
        return ready["places_taken"] > 0

    wait_for(has_a_request)
    enough_s = service.cpu_times().user + 2
    wait_for(lambda: service.cpu_times().user > enough_s, poll_s=0.1)
    assert has_a_request(), "it is at work"


def assert_the_same_run_succeeds(services: RunningServices, run_id: str) -> None:
    assert services.wait_for_end(run_id) == "SUCCESS"
    (run,) = services.runs()
    assert run["runId"] == run_id


def transcript_of(services: RunningServices, run_id: str) -> tuple[list[str], dict[str, object]]:
    """Why the transcript was retried, and the metadata of what was made at last."""
    with open_instance(services.home) as instance:
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
    tmp_path, video, model_dir, tiny_weights
):
    with (
        run_server(tmp_path / "service", model_dir) as server,
        RunningServices(
            make_environment(tmp_path, model_dir, YIVIDEO_SPEECH__SERVICE_URL=server.url)
        ) as services,
    ):
        run_id = services.launch(video)
        wait_until_it_transcribes(server.url, psutil.Process(server.process.pid))
        server.process.kill()
        assert_the_same_run_succeeds(services, run_id)
        (reason,), metadata = transcript_of(services, run_id)
        assert BROKE_OFF in reason or "does not answer" in reason
        assert metadata["degradation"] == [
            f"the service at {server.url} did not answer; the model was loaded in the run itself"
        ]
        assert "lighthouse" in video.with_name("talk.en.srt").read_text().lower()


def test_where_the_service_is_required_the_run_waits_until_it_is_back(
    tmp_path, video, model_dir, tiny_weights
):
    port = free_port()
    required = {
        "YIVIDEO_SERVICE__PORT": str(port),
        "YIVIDEO_SPEECH__SERVICE_URL": f"http://127.0.0.1:{port}",
        "YIVIDEO_SPEECH__SERVICE_REQUIRED": "true",
    }
    with RunningServices(make_environment(tmp_path, model_dir, **required)) as services:
        run_id = services.launch(video)
        service = services.wait_for_child("serve")
        wait_until_it_transcribes(services.service_url, service)
        service.kill()
        assert_the_same_run_succeeds(services, run_id)
        (reason, *_), metadata = transcript_of(services, run_id)
        assert BROKE_OFF in reason or "does not answer" in reason
        assert metadata["degradation"] == []
        usage = httpx.get(
            f"{services.service_url}/api/v1/model/usage", trust_env=False, timeout=TIMEOUT_S
        ).json()
        assert usage["loads"] == 1, "by the service that was started in its place"
        assert "lighthouse" in video.with_name("talk.en.srt").read_text().lower()
