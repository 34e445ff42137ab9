"""The model host with engines that are no real ones, and the watch of the settings file."""

import threading
from dataclasses import replace

import pytest

from tests.fake_speech import FakeEngine
from tests.service.server import PATIENCE_S
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.model_host import ConfigWatch, ModelHost
from yivideo_pipeline.settings.load import load_settings


@pytest.fixture
def home(tmp_path, monkeypatch, model_dir):
    monkeypatch.setenv("YIVIDEO_HOME", str(tmp_path))
    monkeypatch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(model_dir))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def host(home, monkeypatch):
    """The model host of a service in this process, and the fake engines that it has loaded."""
    made = []

    def load(options, *_args, **_more):
        made.append(FakeEngine(options))
        return made[-1]

    monkeypatch.setattr("yivideo_pipeline.service.model_host.load_engine", load)
    host = ModelHost(load_settings())
    yield host, made
    host.manager.close()


def use(host):
    with host.manager.lease(host.settings.speech.options):
        pass


def test_a_reload_says_what_differs_and_what_needs_a_load_or_a_restart(host, home, tiny_weights):
    host, made = host
    use(host)
    (home / "config.yml").write_text(
        "speech: {model_name: tiny.en}\nservice: {port: 1234, idle_unload_s: 60}\n"
        "notices: {webhook_url: 'https://example.org/secret'}\n"
    )
    found = host.reload()
    told = {change.field: (change.old, change.new, change.needs_reload) for change in found.changes}
    assert told["speech.model_name"][1:] == ("tiny.en", True)
    assert told["service.port"] == ("8788", "1234", False)
    assert told["service.idle_unload_s"] == ("1800", "60", False)
    assert told["notices.webhook_url"] == ("unset", "set", False)
    assert (found.needs_load, found.waiting) == (True, {"service.port"})
    assert host.settings.service.port == 8788
    use(host)
    assert len(made) == 2


def test_where_nothing_differs_nothing_is_loaded_unless_it_is_asked_for(host):
    host, made = host
    use(host)
    found = host.reload()
    assert (found.changes, found.needs_load, found.waiting) == ((), False, frozenset())
    use(host)
    assert len(made) == 1
    assert host.reload(force=True).needs_load
    use(host)
    assert len(made) == 2


def test_a_model_that_was_made_smaller_is_loaded_anew_as_it_was_meant(host, monkeypatch):
    host, made = host
    use(host)
    smaller = replace(made[0].describe(), steps=("memory ran out",))
    monkeypatch.setattr(made[0], "describe", lambda: smaller)
    assert host.reload().needs_load
    use(host)
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
            "batch_size: 9 is over",  # of threads over the cores it only warns
        ),
    ],
)
def test_settings_that_can_not_work_here_are_refused(host, home, text, said):
    host, made = host
    use(host)
    before = host.settings
    (home / "config.yml").write_text(text)
    with pytest.raises(ConfigValidationError) as refused:
        host.reload()
    assert said in str(refused.value)
    assert str(home) not in str(refused.value)
    assert host.rejected_config.lines == tuple(refused.value.message.splitlines())
    assert host.settings is before
    use(host)
    assert len(made) == 1


def test_another_home_waits_for_a_restart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "given.yml"
    config.write_text(f"home: {tmp_path / 'one'}")
    host = ModelHost(load_settings(config), config)
    config.write_text(f"home: {tmp_path / 'other'}\nlibrary: {{poll_s: 11}}")
    found = host.reload()
    assert [change.field for change in found.changes] == ["home", "library.poll_s"]
    assert found.waiting == {"home"}
    assert host.settings.home == tmp_path / "one"
    assert host.settings.storage.root == str(tmp_path / "one" / "artifacts")
    assert host.settings.cache.model_dir == tmp_path / "one" / "models"


@pytest.fixture
def quick_watch(monkeypatch):
    """A watch whose thread also sees soon what happened before it began to watch."""
    monkeypatch.setattr("yivideo_pipeline.service.model_host.POLL_S", 0.2)


def test_a_watch_notices_a_file_that_a_link_leads_to_in_another_folder(tmp_path, quick_watch):
    called = threading.Event()
    real, link = tmp_path / "real" / "a.yml", tmp_path / "seen" / "config.yml"
    real.parent.mkdir()
    link.parent.mkdir()
    real.write_text("a: 1")
    link.symlink_to(real)
    watch = ConfigWatch((link,), called.set)
    watch.start()
    real.write_text("a: 2")
    assert called.wait(PATIENCE_S)
    watch.stop()


def test_a_watch_notices_a_folder_that_comes_later(tmp_path, quick_watch):
    called = threading.Event()
    file = tmp_path / "later" / "config.yml"
    watch = ConfigWatch((file,), called.set)
    watch.start()
    file.parent.mkdir()
    file.write_text("a: 1")
    assert called.wait(PATIENCE_S)
    watch.stop()


def test_a_watch_outlives_what_goes_wrong_in_what_it_calls(tmp_path):
    called = threading.Semaphore(0)
    file = tmp_path / "config.yml"

    def fail():
        called.release()
        raise ValueError("a defect")

    watch = ConfigWatch((file,), fail)
    watch.start()
    for text in ("a: 1", "a: 2"):
        file.write_text(text)
        assert called.acquire(timeout=PATIENCE_S)
    watch.stop()
