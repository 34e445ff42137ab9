"""`/v1/speech` of the real service, by its client `remote.client`, the engine of Dagster's runs."""

import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from starlette.testclient import TestClient

from benchmarks.ports import free_port
from tests.fake_checkpoint import Kept, Killed
from tests.service.server import KEY, SAMPLES, Server, wait_until
from tests.speech.make_sound import decode_speech, join_sounds
from yivideo_pipeline.errors.tree import (
    ConfigError,
    ModelLoadError,
    RefusedMedia,
    ServiceUnreachable,
    TaskCancelled,
)
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.remote.client import RemoteEngine, RemoteSpeech, ServiceClient
from yivideo_pipeline.remote.protocol import error_of
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech import weight_sources
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.local_speech import LocalSpeech

pytestmark = pytest.mark.model

OPTIONS = SpeechOptions(model_name="tiny.en", batch_size=4)


@pytest.fixture(scope="module")
def sound(server: Server) -> Audio:
    """A decoded sound where the service may read it."""
    source = SAMPLES / "harbour-15s.mp4"
    folder = server.home / "tmp" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    return decode_audio(source, folder / "audio.wav", choose_audio_stream(probe(source), "auto")).audio


@pytest.fixture(scope="module")
def here(sound, model_dir):
    return load_engine(OPTIONS, model_dir, offline=True).transcribe(sound, OPTIONS)


def test_the_service_hears_what_this_process_hears(server, sound, here):
    shares, words = [], []
    engine = RemoteEngine(ServiceClient(server.url))
    assert engine.transcribe(sound, OPTIONS, shares.append, words.extend) == here
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert [word.text for word in words] == [word.text for word in here.words]
    assert engine.describe().model == "tiny.en"
    assert server.url in engine.describe().backend
    assert engine.cost is not None
    assert engine.cost.cpu_s > 0
    assert engine.cost.rss_peak_mb > 100, "of the service, which has the model"


def test_a_sound_that_the_service_may_not_read_is_sent_along(server, sound, here, tmp_path):
    elsewhere = Audio(shutil.copyfile(sound.path, tmp_path / "a.wav"), sound.offset_s)
    assert RemoteEngine(ServiceClient(server.url)).transcribe(elsewhere, OPTIONS) == here
    assert not list((server.home / "tmp").glob("work-*")), "nothing of the upload is left"


def test_words_are_aligned_there_too(server, sound, here):
    aligned = RemoteEngine(ServiceClient(server.url)).align(sound, here, OPTIONS)
    assert aligned.words == here.words
    assert aligned.aligner == "attention"


def test_a_long_transcript_can_be_sent_along(server, sound, here, tmp_path):
    elsewhere = Audio(shutil.copyfile(sound.path, tmp_path / "a.wav"), sound.offset_s)
    long = here.model_copy(update={"segments": here.segments * 300})
    assert len(long.model_dump_json()) > 1_000_000
    assert RemoteEngine(ServiceClient(server.url)).align(elsewhere, long, OPTIONS).words == long.words


def test_an_answer_names_no_folder_of_ours(server):
    options = {"model_name": "owner/name-that-is-not-here"}
    with server.client() as client:
        answer = client.post("/v1/speech/describe", json={"options": options})
    assert answer.status_code >= 400
    assert answer.json()["error"]["message"]
    assert "/tmp" not in answer.text
    assert str(server.home) not in answer.text


def test_options_are_described(server):
    described = ServiceClient(server.url).describe(OPTIONS, "en")
    assert described.aligner == "attention"
    assert described.revision


def test_many_requests_at_once_hear_the_same(server, sound, here):
    with ThreadPoolExecutor(8) as pool:
        futures = [
            pool.submit(RemoteEngine(ServiceClient(server.url)).transcribe, sound, OPTIONS) for _ in range(8)
        ]
        assert [future.result() for future in futures] == [here] * 8


def test_an_error_there_is_the_same_error_here(server, tmp_path):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(RefusedMedia):
        RemoteEngine(ServiceClient(server.url)).transcribe(Audio(playlist), OPTIONS)


def test_who_stops_listening_frees_the_slot(server, sound):
    def stop(fraction: float) -> None:
        raise TaskCancelled("enough")

    with pytest.raises(TaskCancelled):
        RemoteEngine(ServiceClient(server.url)).transcribe(sound, OPTIONS, stop)
    with server.client() as client:
        wait_until(lambda: client.get("/health/ready").json()["places_taken"] == 0)


def test_a_run_that_was_killed_goes_on_at_the_service_with_what_it_had_received(server, sound, tmp_path):
    minute = decode_speech("lighthouse-60s.mkv", tmp_path)
    long = join_sounds(tmp_path / "long.wav", sound.samples, minute.samples)
    engine, checkpoint = RemoteEngine(ServiceClient(server.url)), Kept(dies_after=1)
    with pytest.raises(Killed):
        engine.transcribe(long, OPTIONS, checkpoint=checkpoint)
    checkpoint.dies_after = float("inf")
    resumed = engine.transcribe(long, OPTIONS, checkpoint=checkpoint)
    assert 0 < checkpoint.resumed_s < long.duration_s
    assert engine.transcribe(long, OPTIONS, checkpoint=checkpoint) == resumed, (
        "all of it from what was received"
    )
    assert checkpoint.resumed_s == pytest.approx(long.duration_s)


def test_a_full_service_is_waited_for(one_slot_server, sound, here):
    engine = RemoteEngine(ServiceClient(one_slot_server.url))
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(engine.transcribe, sound, OPTIONS) for _ in range(4)]
        assert [future.result() for future in futures] == [here] * 4


def test_a_service_that_is_not_there_is_said_so():
    service = ServiceClient(f"http://127.0.0.1:{free_port()}")
    assert not service.answers()
    with pytest.raises(ServiceUnreachable, match="yivideo serve"):
        service.describe(OPTIONS)


def test_a_service_that_dies_in_the_middle_is_said_so(sound):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_and_die() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(
                    b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n16\r\n{"event": "waiting"}\n\n\r\n'
                )

        thread = threading.Thread(target=answer_and_die)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(ServiceUnreachable):
            RemoteEngine(ServiceClient(f"http://127.0.0.1:{port}")).transcribe(sound, OPTIONS)
        thread.join()


def test_a_wrong_key_is_a_setting_to_correct(locked_server, sound):
    assert ServiceClient(locked_server.url, KEY).describe(OPTIONS).revision
    with pytest.raises(ConfigError, match="API_KEY"):
        RemoteEngine(ServiceClient(locked_server.url, "wrong")).transcribe(sound, OPTIONS)
    assert KEY not in repr(ServiceClient(locked_server.url, KEY))


@pytest.mark.parametrize(("kind", "is_retried"), [(ServiceUnreachable, True), (ModelLoadError, False)])
def test_a_hub_that_the_service_can_not_reach_is_tried_again(home, monkeypatch, kind, is_retried):
    monkeypatch.setattr(weight_sources, "find_problem", lambda *_given: kind("The hub's reason"))
    with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
        monkeypatch.setattr(ServiceClient, "open", lambda _self: nullcontext(client))
        with pytest.raises(kind, match="The hub's reason") as caught:
            ServiceClient("http://127.0.0.1").describe(SpeechOptions(model_name="small"))
    assert caught.value.retryable == is_retried


def test_every_kind_of_error_comes_back_as_itself():
    for kind in ("memory", "device_lost", "config_validation", "media_no_audio", "service"):
        assert error_of(kind, "message", "hint").kind == kind
    assert error_of("internal", "message", "hint").message == "message"


def test_runs_that_do_without_the_service_load_their_models_one_after_the_other(
    home, model_dir, tiny_weights, monkeypatch
):
    monkeypatch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(model_dir))
    monkeypatch.setenv("YIVIDEO_SPEECH__SERVICE_URL", f"http://127.0.0.1:{free_port()}")
    settings = load_settings()
    first, second = (RemoteSpeech(settings, LocalSpeech(settings)) for _ in range(2))

    def describe() -> EngineInfo:
        with second.engine(OPTIONS) as engine:
            return engine.describe()

    with ThreadPoolExecutor(1) as pool:
        with first.engine(OPTIONS):
            waiting = pool.submit(describe)
            with pytest.raises(TimeoutError):
                waiting.result(1)
        assert "did not answer" in waiting.result().steps[0]
