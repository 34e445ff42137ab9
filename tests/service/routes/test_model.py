"""`/api/v1/model` of the real service: info, usage, reloads, unloads, and a settings file that changes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service.server import KEY, make_long_sound, run_server, wait_until
from tests.speech.make_sound import decode_speech, join_sounds
from yivideo_pipeline.settings.options import SpeechOptions

pytestmark = pytest.mark.model

GOOD = "speech:\n  batch_size: 4\n"
SOUND_S = 6


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A few seconds of speech in a folder of the library."""
    folder = tmp_path_factory.mktemp("library")
    samples = decode_speech("harbour-15s.mp4", tmp_path_factory.mktemp("decoded")).samples
    return join_sounds(folder / "short.wav", samples[: SOUND_S * 16_000]).path


@pytest.fixture(scope="module")
def own(home, sound, model_dir, tiny_weights):
    """A service of these tests' own, whose settings they change; there is no file of them at first."""
    with run_server(
        home,
        model_dir,
        YIVIDEO_SERVICE__API_KEY=KEY,
        YIVIDEO_LIBRARY__ROOTS__SOUNDS=str(sound.parent),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(own):
    with own.client(headers={"X-API-Key": KEY}) as client:
        yield client


@pytest.fixture
def config(home):
    return home / "config.yml"


def transcribe(client, sound):
    """Have a short sound transcribed; returns the last event."""
    call = {"sound": {"path": str(sound)}, "options": {"model_name": "tiny.en"}}
    return client.post("/v1/speech/transcribe", json=call).text.splitlines()[-1]


def info(client):
    return client.get("/api/v1/model/info").json()


def test_nothing_is_loaded_before_somebody_asks(client):
    told = info(client)
    assert (told["loaded"], told["model"], told["leases"]) == (False, None, 0)
    assert told["configured"]["model_name"] == "tiny.en"
    assert told["memory"]["rss_mb"] > 0
    assert client.post("/api/v1/model/unload").json() == {"unloaded": False}


def test_what_is_loaded_is_told_and_what_it_was_used_for(client, sound):
    assert '"event":"result"' in transcribe(client, sound)
    told, usage = info(client), client.get("/api/v1/model/usage").json()
    assert (told["loaded"], told["model"], told["backend"], told["steps"]) == (
        True,
        "tiny.en",
        "faster-whisper",
        [],
    )
    assert told["revision"]
    assert (usage["loads"], usage["leases"], usage["unloads"]) == (1, 1, 0)
    assert usage["audio_s"] == pytest.approx(SOUND_S, abs=0.1)


def test_a_new_file_is_taken_up_by_itself(client, config):
    config.write_text(GOOD)
    wait_until(lambda: info(client)["configured"]["batch_size"] == 4)


def test_a_file_that_is_renamed_into_place_is_taken_up(client, config):
    new = config.with_name("config.yml.new")
    new.write_text("speech:\n  batch_size: 2\n")
    new.rename(config)
    wait_until(lambda: info(client)["configured"]["batch_size"] == 2)


def test_a_file_that_can_not_be_is_refused_and_the_old_settings_stay(own, client, config):
    config.write_text("speech:\n  batch_size: many\n  modl_name: tiny\n")
    wait_until(lambda: info(client)["refused_config"])
    told = info(client)
    assert told["configured"]["batch_size"] == 2
    lines = told["refused_config"]["lines"]
    assert [line.partition(":")[0] for line in lines] == [
        "config.yml line 2, speech.batch_size",
        "config.yml line 3, speech.modl_name",
    ]
    assert "Settings rejected, the old ones stay: config.yml line 2" in own.read_log()
    answer = client.post("/api/v1/model/reload")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].splitlines() == lines
    assert str(own.home) not in answer.text


def test_an_emptied_file_is_the_defaults_and_a_removed_one_too(client, config):
    config.write_text("")
    wait_until(lambda: info(client)["configured"]["batch_size"] == SpeechOptions().batch_size)
    assert info(client)["refused_config"] is None
    config.write_text(GOOD)
    wait_until(lambda: info(client)["configured"]["batch_size"] == 4)
    config.unlink()
    wait_until(lambda: info(client)["configured"]["batch_size"] == SpeechOptions().batch_size)


def test_no_request_fails_while_the_model_is_loaded_anew(client, sound):
    before = client.get("/api/v1/model/usage").json()["loads"]
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(transcribe, client, sound) for _ in range(8)]
        for _ in range(3):
            assert client.post("/api/v1/model/reload?force=true").json()["needs_load"]
        assert all('"event":"result"' in future.result() for future in futures)
    assert client.get("/api/v1/model/usage").json()["loads"] > before


def test_a_model_in_use_is_unloaded_only_once_it_is_not(client, sound, tmp_path):
    # One chunk a batch: there is progress long before the end.
    call = ("call.json", b'{"options": {"model_name": "tiny.en", "batch_size": 1}}', "application/json")
    with (
        make_long_sound(tmp_path, minutes=1).open("rb") as file,
        client.stream("POST", "/v1/speech/transcribe/upload", files={"call": call, "sound": file}) as answer,
    ):
        lines = answer.iter_lines()
        while '"progress"' not in next(lines):
            pass
        refused = client.post("/api/v1/model/unload")
        assert (refused.status_code, refused.json()["error"]["kind"]) == (409, "model_busy")
        assert "drain=true" in refused.json()["error"]["hint"]
        assert client.post("/api/v1/model/unload?drain=true").json() == {"unloaded": True}
        *_, last = lines
    assert '"event":"result"' in last
    assert not info(client)["loaded"]
    assert '"event":"result"' in transcribe(client, sound)
