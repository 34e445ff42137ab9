"""`model_name: auto` at the service: it decides for its machine, and runs ask it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from yivideo_pipeline.remote.client import RemoteSpeech, ServiceClient
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.settings.resolve import probe_hardware
from yivideo_pipeline.speech import model_choice
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.weights import find_weights

BASE = "base, chosen for a CPU with 16.0 GB of memory"


class HereInstead(LocalSpeech):
    """Stands for the models of the run's own process."""

    def choose(self, options: SpeechOptions) -> ModelChoice:
        return ModelChoice(options.model_copy(update={"model_name": "tiny"}), "chosen here")


@pytest.fixture
def memory_gb(monkeypatch) -> Callable[[float], None]:
    """Gives the machine so much memory."""
    real = probe_hardware()

    def set_memory(gb: float) -> None:
        machine = replace(real, memory_total_bytes=int(gb * 1e9), gpus=(), cuda_compute_types=frozenset())
        monkeypatch.setattr(model_choice, "probe_hardware", lambda: machine)

    set_memory(16)
    return set_memory


@pytest.fixture
def client(home, model_dir, base_weights, memory_gb, monkeypatch):
    """A service in this process that has base and tiny.en, reached by `ServiceClient` too."""
    monkeypatch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(model_dir))
    monkeypatch.setenv("YIVIDEO_HUB__OFFLINE", "true")
    monkeypatch.setenv("YIVIDEO_SPEECH__SERVICE_URL", "http://127.0.0.1:1")
    with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
        monkeypatch.setattr(ServiceClient, "open", lambda _self: nullcontext(client))
        monkeypatch.setattr(ServiceClient, "answers", lambda _self: True)
        yield client


@pytest.fixture
def run(client):
    """The speech models as a run has them."""
    settings = load_settings()
    return RemoteSpeech(settings, HereInstead(settings))


def test_a_run_asks_the_service_which_model_auto_is_there(run):
    choice = run.choose(SpeechOptions(language="de"))
    assert choice.sentence == BASE
    assert choice.options == SpeechOptions(model_name="base", language="de")


def test_the_revision_is_that_of_the_model_of_the_service(run, base_weights):
    assert run.revision(SpeechOptions()) == base_weights.revision


def test_a_run_decides_for_itself_once_the_service_does_not_answer(run, monkeypatch):
    monkeypatch.setattr(ServiceClient, "answers", lambda _self: False)
    assert run.choose(SpeechOptions()).sentence == "tiny, chosen here"


def test_a_named_model_is_not_asked_for(run, monkeypatch):
    monkeypatch.setattr(ServiceClient, "answers", lambda _self: pytest.fail("the service was asked"))
    named = SpeechOptions(model_name="large-v2", task=Task.TRANSLATE)
    assert run.choose(named) == ModelChoice(named)


def test_the_service_tells_its_choice(client):
    info = client.get("/api/v1/model/info").json()
    assert (info["configured"]["model_name"], info["choice"], info["loaded"]) == ("auto", BASE, False)
    assert [one["id"] for one in client.get("/v1/models").json()["data"]][:2] == ["base", "tiny.en"]
    assert client.get("/v1/models/auto").status_code == 200


def test_the_description_of_a_named_model_is_what_older_clients_know(client):
    answer = client.post("/v1/speech/describe", json={"options": {"model_name": "base"}})
    assert set(answer.json()) == {"warnings", "revision", "aligner"}


def test_the_choice_stays_until_the_settings_are_read_again(client, memory_gb):
    assert client.get("/api/v1/model/info").json()["choice"] == BASE
    memory_gb(1.5)
    assert client.get("/api/v1/model/info").json()["choice"] == BASE
    assert client.post("/api/v1/model/reload").json()["changes"] == []
    told = client.get("/api/v1/model/info").json()["choice"]
    assert told.startswith("base, chosen for a CPU with 1.5 GB of memory (base wants 2.0 GB")


def test_english_on_a_small_service_gets_the_english_model_that_it_has(client, memory_gb, model_dir):
    find_weights("tiny.en", model_dir, offline=True)
    memory_gb(1.5)
    described = client.post("/v1/speech/describe", json={"options": {"language": "en"}}).json()
    assert described["model_name"] == "tiny.en"
