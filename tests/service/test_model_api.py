"""Model management of the real service: what is told, reloads, unloads, and a settings file that changes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fakes import FakeEngine
from serving import PATIENCE_S, SAMPLES, long_sound, run_server

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.model_host import ConfigWatch, ModelHost
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions

pytestmark = pytest.mark.model

GOOD = "speech:\n  batch_size: 4\n"
VIDEO = SAMPLES / "harbour-15s.mp4"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def own(home, model_dir, tiny_weights):
    """A service of these tests' own, whose settings they change; there is no file of them at first."""
    with run_server(
        home,
        model_dir,
        YIVIDEO_SERVICE__API_KEY="a-key-of-enough-characters",
        YIVIDEO_LIBRARY__ROOTS__SAMPLES=str(SAMPLES),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(own):
    with own.client(headers={"X-API-Key": "a-key-of-enough-characters"}) as client:
        yield client


@pytest.fixture
def config(home):
    return home / "config.yml"


def transcribe(client):
    """Have a short video transcribed; returns the last event."""
    call = {"sound": {"path": str(VIDEO)}, "options": {"model_name": "tiny.en"}}
    return client.post("/v1/speech/transcribe", json=call).text.splitlines()[-1]


def info(client):
    return client.get("/api/v1/model/info").json()


def until(is_so):
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_nothing_is_loaded_before_somebody_asks(client):
    told = info(client)
    assert (told["loaded"], told["model"], told["leases"]) == (False, None, 0)
    assert told["configured"]["model_name"] == "tiny.en"
    assert told["memory"]["rss_mb"] > 0
    assert client.post("/api/v1/model/unload").json() == {"unloaded": False}


def test_what_is_loaded_is_told_and_what_it_was_used_for(client):
    assert '"event":"result"' in transcribe(client)
    told, usage = info(client), client.get("/api/v1/model/usage").json()
    assert (told["loaded"], told["model"], told["backend"], told["steps"]) == (
        True,
        "tiny.en",
        "faster-whisper",
        [],
    )
    assert told["revision"]
    assert (usage["loads"], usage["leases"], usage["unloads"]) == (1, 1, 0)
    assert usage["audio_s"] == pytest.approx(16.8, abs=0.1)


def test_a_new_file_is_taken_up_by_itself(client, config):
    config.write_text(GOOD)
    until(lambda: info(client)["configured"]["batch_size"] == 4)


def test_a_file_that_is_renamed_into_place_is_taken_up(client, config):
    new = config.with_name("config.yml.new")
    new.write_text("speech:\n  batch_size: 2\n")
    new.rename(config)
    until(lambda: info(client)["configured"]["batch_size"] == 2)


def test_a_file_that_can_not_be_is_refused_and_the_old_settings_stay(own, client, config):
    config.write_text("speech:\n  batch_size: many\n  modl_name: tiny\n")
    until(lambda: info(client)["refused_config"])
    told = info(client)
    assert told["configured"]["batch_size"] == 2
    lines = told["refused_config"]["lines"]
    assert [line.partition(":")[0] for line in lines] == [
        "config.yml line 2, speech.batch_size",
        "config.yml line 3, speech.modl_name",
    ]
    assert (
        "Settings refused, the old ones stay: config.yml line 2"
        in (own.home / "logs/yivideo.log").read_text()
    )
    answer = client.post("/api/v1/model/reload")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].splitlines() == lines
    assert str(own.home) not in answer.text


def test_an_emptied_file_is_the_defaults_and_a_removed_one_too(client, config):
    config.write_text("")
    until(lambda: info(client)["configured"]["batch_size"] == SpeechOptions().batch_size)
    assert info(client)["refused_config"] is None
    config.write_text(GOOD)
    until(lambda: info(client)["configured"]["batch_size"] == 4)
    config.unlink()
    until(lambda: info(client)["configured"]["batch_size"] == SpeechOptions().batch_size)


def test_no_request_fails_while_the_model_is_loaded_anew(client):
    before = client.get("/api/v1/model/usage").json()["loads"]
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(transcribe, client) for _ in range(8)]
        for _ in range(3):
            assert client.post("/api/v1/model/reload?force=true").json()["needs_load"]
        assert all('"event":"result"' in future.result() for future in futures)
    assert client.get("/api/v1/model/usage").json()["loads"] > before


def test_a_model_in_use_is_unloaded_only_once_it_is_not(client, tmp_path):
    call = ("call.json", b'{"options": {"model_name": "tiny.en"}}', "application/json")
    with (
        long_sound(tmp_path, minutes=4).open("rb") as file,
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
    assert '"event":"result"' in transcribe(client)


@pytest.fixture
def models(home_of_own, monkeypatch):
    """The models of a service in this process, whose engines are no real ones."""
    made = []

    def load(options, *_args, **_more):
        made.append(FakeEngine(options))
        return made[-1]

    monkeypatch.setattr("yivideo_pipeline.service.model_host.load_engine", load)
    models = ModelHost(load_settings())
    yield models, made
    models.manager.close()


@pytest.fixture
def home_of_own(tmp_path, monkeypatch, model_dir):
    monkeypatch.setenv("YIVIDEO_HOME", str(tmp_path))
    monkeypatch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(model_dir))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def use(models):
    with models.manager.lease(models.settings.speech.options):
        pass


def test_a_reload_says_what_differs_and_what_needs_a_load_or_a_restart(models, home_of_own, tiny_weights):
    models, made = models
    use(models)
    (home_of_own / "config.yml").write_text(
        "speech: {model_name: tiny.en}\nservice: {port: 1234, idle_unload_s: 60}\n"
        "notices: {webhook_url: 'https://example.org/secret'}\n"
    )
    found = models.reload()
    told = {change.field: (change.old, change.new, change.needs_reload) for change in found.changes}
    assert told["speech.model_name"][1:] == ("tiny.en", True)
    assert told["service.port"] == ("8788", "1234", False)
    assert told["service.idle_unload_s"] == ("1800", "60", False)
    assert told["notices.webhook_url"] == ("unset", "set", False)
    assert (found.needs_load, found.needs_restart) == (True, True)
    assert models.settings.service.port == 8788
    use(models)
    assert len(made) == 2


def test_where_nothing_differs_nothing_is_loaded_unless_it_is_asked_for(models):
    models, made = models
    use(models)
    found = models.reload()
    assert (found.changes, found.needs_load, found.needs_restart) == ((), False, False)
    use(models)
    assert len(made) == 1
    assert models.reload(force=True).needs_load
    use(models)
    assert len(made) == 2


def test_a_model_that_was_made_smaller_is_loaded_anew_as_it_was_meant(models, monkeypatch):
    models, made = models
    use(models)
    smaller = replace(made[0].describe(), steps=("memory ran out",))
    monkeypatch.setattr(made[0], "describe", lambda: smaller)
    assert models.reload().needs_load
    use(models)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speech: {device: cuda}", "device: no GPU can be used"),
        ("speech: {batch_size: 64, device: cpu}", "batch_size: 64 is over 8, the most on a CPU"),
        ("speech: {model_name: /no/such/model}", "/no/such/model"),
        ("speech: [", "config.yml line 1"),
        (
            "speech: {faster_whisper_threads: 32, batch_size: 9, device: cpu}",
            "faster_whisper_threads: 32 is over",
        ),
    ],
)
def test_settings_that_can_not_work_here_are_refused(models, home_of_own, text, said):
    models, made = models
    use(models)
    before = models.settings
    (home_of_own / "config.yml").write_text(text)
    with pytest.raises(ConfigValidationError) as refused:
        models.reload()
    assert said in str(refused.value)
    assert str(home_of_own) not in str(refused.value)
    assert models.rejected_config.lines == tuple(refused.value.message.splitlines())
    assert models.settings is before
    use(models)
    assert len(made) == 1


def test_another_home_waits_for_a_restart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "given.yml"
    config.write_text(f"home: {tmp_path / 'one'}")
    models = ModelHost(load_settings(config), config)
    config.write_text(f"home: {tmp_path / 'other'}\nlibrary: {{poll_s: 11}}")
    found = models.reload()
    assert [change.field for change in found.changes] == ["home", "library.poll_s"]
    assert found.needs_restart
    assert models.settings.home == tmp_path / "one"
    assert models.settings.storage.root == str(tmp_path / "one" / "artifacts")
    assert models.settings.cache.model_dir == tmp_path / "one" / "models"


def test_a_watch_hears_of_a_file_that_a_link_leads_to_in_another_folder(tmp_path):
    heard = threading.Event()
    real, link = tmp_path / "real" / "a.yml", tmp_path / "seen" / "config.yml"
    real.parent.mkdir()
    link.parent.mkdir()
    real.write_text("a: 1")
    link.symlink_to(real)
    watch = ConfigWatch((link,), heard.set)
    watch.start()
    real.write_text("a: 2")
    assert heard.wait(PATIENCE_S)
    watch.stop()


def test_a_watch_hears_of_a_folder_that_comes_later(tmp_path):
    heard = threading.Event()
    file = tmp_path / "later" / "config.yml"
    watch = ConfigWatch((file,), heard.set)
    watch.start()
    file.parent.mkdir()
    file.write_text("a: 1")
    assert heard.wait(PATIENCE_S)
    watch.stop()


def test_a_watch_outlives_what_goes_wrong_in_what_it_calls(tmp_path):
    heard = threading.Semaphore(0)
    file = tmp_path / "config.yml"

    def fail():
        heard.release()
        raise ValueError("a defect")

    watch = ConfigWatch((file,), fail)
    watch.start()
    for text in ("a: 1", "a: 2"):
        file.write_text(text)
        assert heard.acquire(timeout=PATIENCE_S)
    watch.stop()
