"""A run that loses the network to the service that has its model, in the middle of the transcript."""

import threading
import time

import numpy as np
import pytest

from tests.cli.up.running_services import speech
from tests.defs.pipeline import Pipeline
from tests.media.media_files import Sound, write_media
from tests.tcp_proxy import run_proxy
from tests.waiting import wait_for
from yivideo_pipeline.remote import client
from yivideo_pipeline.remote.client import choose_speech
from yivideo_pipeline.service.jobs import HEARTBEAT_S
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.sections import RetrySettings

pytestmark = pytest.mark.model


@pytest.fixture
def split(server, home, monkeypatch):
    """A pipeline whose service is behind a proxy, and the proxy."""
    monkeypatch.setattr(client, "SILENCE_S", HEARTBEAT_S + 3)
    with run_proxy(int(server.url.rpartition(":")[2])) as proxy:
        settings = load_settings(
            environ={
                "YIVIDEO_HOME": str(home),
                "YIVIDEO_SPEECH__SERVICE_URL": proxy.url,
                "YIVIDEO_SPEECH__SERVICE_REQUIRED": "true",
                "YIVIDEO_SPEECH__MODEL_NAME": "tiny.en",
            }
        )
        retry = RetrySettings(max_attempts=2, base_delay_s=0, jitter=0)
        pipeline = Pipeline(settings.model_copy(update={"retry": retry}))
        pipeline.use_speech(choose_speech(settings))
        yield pipeline, proxy
        pipeline.instance.dispose()


def test_the_run_notices_it_and_goes_on_from_there_once_the_network_is_back(split):
    pipeline, proxy = split
    write_media(pipeline.inbox / "talk.mkv", [Sound(np.tile(speech(), 3))])
    mended_at: list[float] = []

    def has_failed() -> bool:
        runs = pipeline.instance.get_runs()
        return bool(pipeline.resources["ledger"].attempts.of("talk.mkv", "transcript", runs[0].run_id))

    def lose_and_find_the_network() -> None:
        wait_for(lambda: any(name == "transcript" and done > 0.3 for name, done in pipeline.progress), 0.01)
        proxy.cut()
        wait_for(has_failed, 0.05)
        proxy.mend()
        mended_at.append(time.monotonic())

    network = threading.Thread(target=lose_and_find_the_network)
    network.start()
    done = pipeline.run("talk.mkv")
    network.join()
    print(f"done {time.monotonic() - mended_at[0]:.1f} s after the network was back")
    assert done.failure is None
    assert pipeline.metadata("transcript", "talk.mkv")["attempts"].value == 2
    assert 0 < done.resumed_s < 180, "what was finished before is not done again"
    assert (pipeline.inbox / "talk.en.srt").exists()
