"""The manager under threads that really race; weak references show which engines still exist."""

import gc
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.fake_speech import FakeEngine
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    MemoryExhausted,
    ModelBusy,
    ModelError,
    ModelLoadError,
    UnreadableMedia,
    YivideoError,
)
from yivideo_pipeline.media.audio import Audio, write_wav
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import Device, SpeechOptions
from yivideo_pipeline.speech.engine import Checkpoint, OnWords, Progress, ResidentEngine
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import Weights
from yivideo_pipeline.speech.whisper import Whisper

PATIENCE_S = 30
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
SAMPLE, LONG_SAMPLE = SAMPLES / "harbour-15s.mp4", SAMPLES / "lighthouse-60s.mkv"
TINY = SpeechOptions(model_name="tiny")
BASE = SpeechOptions(model_name="base")
SMALL = SpeechOptions(model_name="small")


class Loader:
    """Makes fake engines; records their options, and how many of them existed at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.alive: weakref.WeakSet[FakeEngine] = weakref.WeakSet()
        self.most_alive = 0
        self.errors: list[BaseException] = []
        self.may_finish = threading.Event()
        self.may_finish.set()

    def __call__(self, options: SpeechOptions) -> ResidentEngine:
        self.asked.append(options.model_name)
        assert self.may_finish.wait(PATIENCE_S)
        if self.errors:
            raise self.errors.pop(0)
        engine = FakeEngine(options)
        self.alive.add(engine)
        self.most_alive = max(self.most_alive, len(self.alive))
        return engine


class Lessee:
    """A thread that leases, and keeps the lease until `end`."""

    def __init__(self, pool: ThreadPoolExecutor, manager: ModelManager, options: SpeechOptions) -> None:
        self.has_lease = threading.Event()
        self.may_end = threading.Event()
        self._work: Future[str] = pool.submit(self._lease, manager, options)

    def _lease(self, manager: ModelManager, options: SpeechOptions) -> str:
        with manager.lease(options) as engine:
            self.has_lease.set()
            assert self.may_end.wait(PATIENCE_S)
            return engine.describe().model

    def begin(self) -> "Lessee":
        assert self.has_lease.wait(PATIENCE_S)
        return self

    def end(self) -> str:
        self.may_end.set()
        return self._work.result(PATIENCE_S)

    def error(self) -> BaseException | None:
        return self._work.exception(PATIENCE_S)


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def manager(loader: Loader) -> Iterator[ModelManager]:
    manager = ModelManager(loader)
    yield manager
    manager.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def wait_for_queue(manager: ModelManager, count: int) -> None:
    wait_until(lambda: manager.health_check().waiting == count)


def make_sound(folder: Path, seconds: float = 3.0) -> Audio:
    return write_wav(folder / "sound.wav", np.full(round(seconds * 16_000), 3000, np.int16))


def test_nothing_is_loaded_before_the_first_lease(manager: ModelManager, loader: Loader) -> None:
    assert not manager.health_check().loaded
    assert manager.info() is None
    assert loader.asked == []


def test_a_model_stays_loaded_from_one_lease_to_the_next(manager: ModelManager, loader: Loader) -> None:
    for _ in range(3):
        with manager.lease(TINY) as engine:
            assert engine.describe().model == "tiny"
    assert loader.asked == ["tiny"]


def test_threads_that_come_at_once_load_once_and_use_it_side_by_side(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    start, together = threading.Barrier(8), threading.Barrier(8)

    def use() -> int:
        start.wait(PATIENCE_S)
        with manager.lease(TINY):
            together.wait(PATIENCE_S)
            return manager.health_check().leases

    used = [future.result(PATIENCE_S) for future in [pool.submit(use) for _ in range(8)]]
    assert max(used) == 8
    assert loader.asked == ["tiny"]


def test_options_of_a_single_call_do_not_reload(manager: ModelManager, loader: Loader) -> None:
    for options in (TINY, TINY.model_copy(update={"beam_size": 1, "language": "en", "batch_size": 2})):
        with manager.lease(options):
            pass
    assert loader.asked == ["tiny"]


@pytest.mark.parametrize(
    "change", [{"compute_type": "float32"}, {"use_faster_whisper": False}, {"faster_whisper_threads": 1}]
)
def test_options_that_are_fixed_at_the_load_reload(
    manager: ModelManager, loader: Loader, change: dict
) -> None:
    for options in (TINY, SpeechOptions(model_name="tiny", **change)):
        with manager.lease(options):
            pass
    assert loader.asked == ["tiny", "tiny"]
    assert loader.most_alive == 1


def test_changed_settings_reload_by_themselves(loader: Loader) -> None:
    settings = [TINY]
    manager = ModelManager(loader, options=lambda: settings[0])
    with manager.lease() as engine:
        assert engine.describe().model == "tiny"
    settings[0] = BASE
    with manager.lease() as engine:
        assert engine.describe().model == "base"
    manager.close()


def test_users_of_the_old_model_finish_first_and_it_is_gone_before_the_new_one_loads(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    old = [Lessee(pool, manager, TINY).begin() for _ in range(3)]
    new = Lessee(pool, manager, BASE)
    wait_for_queue(manager, 1)
    assert [lessee.end() for lessee in old[:2]] == ["tiny", "tiny"]
    assert loader.asked == ["tiny"]
    assert old[2].end() == "tiny"
    assert new.begin().end() == "base"
    assert loader.asked == ["tiny", "base"]
    assert loader.most_alive == 1


def test_the_old_model_is_gone_though_a_variable_still_names_its_lease(
    manager: ModelManager, loader: Loader
) -> None:
    with manager.lease(TINY) as old:
        pass
    with manager.lease(BASE) as new:
        assert loader.most_alive == 1
    with pytest.raises(ModelError, match="lease of the model has ended"):
        old.describe()
    with pytest.raises(ModelError, match="lease of the model has ended"):
        new.describe()


def test_leases_of_the_old_model_do_not_overtake_a_waiting_reload(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    first = Lessee(pool, manager, TINY).begin()
    reload = Lessee(pool, manager, BASE)
    wait_for_queue(manager, 1)
    late = Lessee(pool, manager, TINY)
    wait_for_queue(manager, 2)
    assert not late.has_lease.is_set()
    first.end()
    reload.begin()
    assert not late.has_lease.is_set()
    assert reload.end() == "base"
    assert late.end() == "tiny"
    assert loader.asked == ["tiny", "base", "tiny"]


def test_a_thread_leases_its_model_again_though_a_reload_waits(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    with manager.lease(TINY):
        reload = Lessee(pool, manager, BASE)
        wait_for_queue(manager, 1)
        with manager.lease(TINY) as again:
            assert again.describe().model == "tiny"
            assert manager.health_check().leases == 2
        assert not reload.has_lease.is_set()
    assert reload.end() == "base"


def test_a_thread_is_refused_another_model_than_it_has(manager: ModelManager, loader: Loader) -> None:
    with manager.lease(TINY) as engine:
        with pytest.raises(ModelBusy, match="model_name base"), manager.lease(BASE):
            pass
        assert engine.describe().model == "tiny"
    assert loader.asked == ["tiny"]
    with manager.lease(BASE) as engine:
        assert engine.describe().model == "base"


def test_a_failed_load_is_raised_for_all_that_wait_and_the_next_lease_loads_again(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    loader.may_finish.clear()
    loader.errors.append(RuntimeError("File model.bin is incomplete: failed to read a buffer"))
    lessees = [Lessee(pool, manager, TINY) for _ in range(5)]
    wait_for_queue(manager, 5)
    loader.may_finish.set()
    errors = [lessee.error() for lessee in lessees]
    assert all(isinstance(error, ModelLoadError) for error in errors)
    assert len({id(error) for error in errors}) == 5
    assert loader.asked == ["tiny"]
    with manager.lease(TINY) as engine:
        assert engine.describe().model == "tiny"


def test_a_failed_load_does_not_affect_requests_for_another_model(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    loader.may_finish.clear()
    loader.errors.append(MemoryExhausted("The GPU's memory is exhausted", device="gpu"))
    failing = Lessee(pool, manager, SMALL)
    wait_for_queue(manager, 1)
    other = Lessee(pool, manager, TINY)
    wait_for_queue(manager, 2)
    loader.may_finish.set()
    assert isinstance(failing.error(), MemoryExhausted)
    assert other.end() == "tiny"


def test_an_interrupted_load_is_left_to_the_next_request(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    loader.may_finish.clear()
    loader.errors.append(KeyboardInterrupt())
    lessees = [Lessee(pool, manager, TINY) for _ in range(2)]
    wait_for_queue(manager, 2)
    for lessee in lessees:
        lessee.may_end.set()
    loader.may_finish.set()
    assert sorted(type(lessee.error()).__name__ for lessee in lessees) == ["KeyboardInterrupt", "NoneType"]
    assert loader.asked == ["tiny", "tiny"]


def test_health_is_reported_while_a_model_loads(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    loader.may_finish.clear()
    lessee = Lessee(pool, manager, TINY)
    wait_for_queue(manager, 1)
    assert not manager.health_check().loaded
    with pytest.raises(ModelBusy, match="in use"):
        manager.unload()
    loader.may_finish.set()
    assert lessee.end() == "tiny"


def test_unload_gives_the_model_back_and_the_next_lease_loads_again(
    manager: ModelManager, loader: Loader
) -> None:
    with manager.lease(TINY):
        pass
    manager.unload()
    assert len(loader.alive) == 0
    assert not manager.health_check().loaded
    with manager.lease(TINY):
        pass
    assert loader.asked == ["tiny", "tiny"]


def test_unload_where_nothing_is_loaded_does_nothing(manager: ModelManager) -> None:
    manager.unload()
    assert manager.usage().unloads == 0


def test_unload_is_refused_while_the_model_is_leased(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    lessee = Lessee(pool, manager, TINY).begin()
    with pytest.raises(ModelBusy, match="1 lease,"):
        manager.unload()
    assert lessee.end() == "tiny"
    manager.unload()
    assert len(loader.alive) == 0


@pytest.mark.parametrize("drain", [False, True])
def test_unload_in_a_lease_of_its_own_is_refused_at_once(manager: ModelManager, drain: bool) -> None:
    with manager.lease(TINY), pytest.raises(ModelBusy, match="This thread itself"):
        manager.unload(drain=drain)


def test_a_draining_unload_waits_and_later_leases_load_again(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    lessee = Lessee(pool, manager, TINY).begin()
    unload = pool.submit(manager.unload, drain=True)
    wait_for_queue(manager, 1)
    late = Lessee(pool, manager, TINY)
    wait_for_queue(manager, 2)
    assert not unload.done()
    lessee.end()
    unload.result(PATIENCE_S)
    assert late.end() == "tiny"
    assert loader.asked == ["tiny", "tiny"]
    assert loader.most_alive == 1


def test_a_drain_that_takes_too_long_gives_up_and_blocks_no_lease(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    lessee = Lessee(pool, manager, TINY).begin()
    with pytest.raises(ModelBusy):
        manager.unload(drain=True, timeout_s=0.01)
    with manager.lease(TINY):
        pass
    lessee.end()
    assert loader.asked == ["tiny"]


def test_an_idle_model_is_unloaded_by_itself(loader: Loader) -> None:
    manager = ModelManager(loader, idle_unload_s=0.01)
    gone = threading.Event()
    with manager.lease(TINY):
        (engine,) = loader.alive
        weakref.finalize(engine, gone.set)
        del engine
    assert gone.wait(PATIENCE_S)
    wait_until(lambda: manager.usage().unloads == 1)
    manager.close()


def test_the_idle_time_ends_with_a_new_lease_and_with_the_manager(loader: Loader) -> None:
    manager = ModelManager(loader, idle_unload_s=3600)

    def timers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "model-idle"]

    with manager.lease(TINY):
        assert timers() == []
    (first,) = timers()
    with manager.lease(TINY):
        first.join(PATIENCE_S)
        assert timers() == []
    (second,) = timers()
    manager.close()
    second.join(PATIENCE_S)
    assert timers() == []
    assert loader.asked == ["tiny"]


def test_a_new_idle_time_holds_for_a_model_that_is_idle_already(loader: Loader) -> None:
    manager = ModelManager(loader)
    with manager.lease(TINY):
        pass
    assert manager.health_check().loaded
    manager.unload_after(0.01)
    wait_until(lambda: manager.usage().unloads == 1)
    manager.close()


def test_a_renewed_model_is_loaded_for_the_next_lease_while_those_of_now_keep_theirs(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    lessee = Lessee(pool, manager, TINY).begin()
    manager.renew()
    following = Lessee(pool, manager, TINY)
    wait_for_queue(manager, 1)
    assert loader.asked == ["tiny"]
    assert lessee.end() == "tiny"
    following.begin()
    assert loader.asked == ["tiny", "tiny"]
    assert loader.most_alive == 1
    assert following.end() == "tiny"


def test_a_thread_that_leases_keeps_its_model_though_it_is_renewed(
    manager: ModelManager, loader: Loader
) -> None:
    with manager.lease(TINY):
        manager.renew()
        with manager.lease(TINY):
            assert loader.asked == ["tiny"]


def test_a_close_that_takes_too_long_says_so(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    lessee = Lessee(pool, manager, TINY).begin()
    with pytest.raises(ModelBusy, match="1 lease"):
        manager.close(timeout_s=0.01)
    assert lessee.end() == "tiny"


def test_a_closed_manager_waits_for_its_leases_and_refuses_others(
    loader: Loader, pool: ThreadPoolExecutor
) -> None:
    manager = ModelManager(loader, idle_unload_s=3600)
    lessee = Lessee(pool, manager, TINY).begin()
    waiting = Lessee(pool, manager, BASE)
    wait_for_queue(manager, 1)
    closing = pool.submit(manager.close)
    assert isinstance(waiting.error(), ModelError)
    assert not closing.done()
    assert lessee.end() == "tiny"
    closing.result(PATIENCE_S)
    assert len(loader.alive) == 0
    with pytest.raises(ModelError, match="closed"), manager.lease(TINY):
        pass
    assert loader.asked == ["tiny"]


def test_usage_adds_up_loads_leases_and_sound(loader: Loader, tmp_path: Path) -> None:
    now = [100.0]

    def load(options: SpeechOptions) -> ResidentEngine:
        now[0] += 4
        return loader(options)

    manager = ModelManager(load, clock=lambda: now[0])
    sound = make_sound(tmp_path, seconds=3)
    for options in (TINY, TINY, BASE):
        with manager.lease(options) as engine:
            engine.transcribe(sound, options)
            now[0] += 10
    manager.unload()
    loader.errors.append(ModelLoadError("The weights are cut off"))
    with pytest.raises(ModelLoadError), manager.lease(TINY):
        pass
    usage = manager.usage()
    assert (usage.loads, usage.failed_loads, usage.reloads, usage.unloads) == (2, 1, 1, 1)
    assert (usage.leases, usage.leased_s, usage.loading_s, usage.audio_s) == (3, 30, 8, 9)
    assert usage.last_used_at is not None
    manager.close()


def test_health_names_the_model_and_its_leases(manager: ModelManager) -> None:
    with manager.lease(TINY):
        health = manager.health_check()
    assert (health.healthy, health.loaded, health.model, health.device) == (True, True, "tiny", "cpu")
    assert (health.leases, health.waiting, health.last_error) == (1, 0, None)


def test_health_is_poor_from_a_failed_load_to_the_next_that_succeeds(
    manager: ModelManager, loader: Loader
) -> None:
    loader.errors.append(ModelLoadError("The weights are cut off", "Fetch the model again"))
    with pytest.raises(ModelLoadError), manager.lease(TINY):
        pass
    health = manager.health_check()
    assert not health.healthy
    assert health.last_error == "The weights are cut off. Fetch the model again"
    with manager.lease(TINY):
        assert manager.health_check().healthy


class BrokenEngine(FakeEngine):
    """Raises the given error."""

    def __init__(self, options: SpeechOptions, error: YivideoError) -> None:
        super().__init__(options)
        self.error = error

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        raise self.error


@pytest.mark.parametrize(
    ("error", "healthy"), [(UnreadableMedia("no sound"), True), (MemoryExhausted("no memory"), False)]
)
def test_health_is_poor_after_faults_of_the_machine_but_not_of_the_file(
    tmp_path: Path, error: YivideoError, healthy: bool
) -> None:
    manager = ModelManager(lambda options: BrokenEngine(options, error))
    with pytest.raises(type(error)), manager.lease(TINY) as engine:
        engine.transcribe(make_sound(tmp_path), TINY)
    assert manager.health_check().healthy is healthy
    manager.close()


def test_a_batch_over_what_a_cpu_takes_is_refused_though_nothing_is_loaded_for_it(
    manager: ModelManager, tmp_path: Path
) -> None:
    sound = make_sound(tmp_path)
    with manager.lease(TINY) as engine:
        assert engine.transcribe(sound, TINY.model_copy(update={"batch_size": 8})).segments
        with pytest.raises(ConfigValidationError, match="batch_size: 9 is over 8"):
            engine.transcribe(sound, TINY.model_copy(update={"batch_size": 9}))
    assert manager.health_check().healthy


def test_a_lease_ends_when_its_block_fails(manager: ModelManager) -> None:
    with pytest.raises(ZeroDivisionError), manager.lease(TINY):
        _ = 1 / 0
    assert manager.health_check().leases == 0
    manager.unload()


def test_a_lease_may_end_in_another_thread_than_it_began(
    manager: ModelManager, pool: ThreadPoolExecutor
) -> None:
    stack = ExitStack()
    stack.enter_context(manager.lease(TINY))
    pool.submit(stack.close).result(PATIENCE_S)
    assert manager.health_check().leases == 0
    manager.unload()


def test_whatever_threads_ask_for_each_gets_its_model_and_one_is_there_at_a_time(
    manager: ModelManager, loader: Loader, pool: ThreadPoolExecutor
) -> None:
    start = threading.Barrier(8)

    def use(seed: int) -> None:
        choose = random.Random(seed)
        start.wait(PATIENCE_S)
        for _ in range(8):
            options = choose.choice((TINY, BASE, SMALL))
            with manager.lease(options) as engine, manager.lease(options) as again:
                assert engine.describe().model == again.describe().model == options.model_name
            if choose.random() < 0.25:
                manager.unload(drain=True)

    for future in [pool.submit(use, seed) for seed in range(8)]:
        future.result(PATIENCE_S)
    assert loader.most_alive == 1
    assert manager.usage().leases == 8 * 8 * 2
    assert (manager.health_check().leases, manager.health_check().waiting) == (0, 0)


@pytest.mark.model
def test_a_real_model_transcribes_is_unloaded_and_gone(
    tiny_weights: Weights, model_dir: Path, tmp_path: Path
) -> None:
    engines: list[weakref.ref[ResidentEngine]] = []

    def load(options: SpeechOptions) -> ResidentEngine:
        engine = load_engine(options, model_dir, offline=True)
        engines.append(weakref.ref(engine))
        return engine

    sound = decode_audio(SAMPLE, tmp_path / "whole.wav", choose_audio_stream(probe(SAMPLE), "en")).audio
    start = write_wav(tmp_path / "start.wav", sound.read(0, 8 * 16_000))
    options = SpeechOptions(model_name=tiny_weights.model_name, language="en", device=Device.CPU)
    others = find_models()
    manager = ModelManager(load)
    with manager.lease(options) as engine:
        transcript = engine.transcribe(start, options)
    assert "fishing boats" in "".join(segment.text for segment in transcript.segments)
    (model,) = find_models() - others
    assert engines[0]() is not None
    manager.unload()
    assert engines[0]() is None
    assert model not in find_models()
    assert manager.usage().audio_s == 8
    manager.close()


@pytest.mark.model
def test_a_changed_batch_size_is_used_without_a_reload(
    tiny_weights: Weights, model_dir: Path, tmp_path: Path
) -> None:
    whole = decode_audio(
        LONG_SAMPLE, tmp_path / "whole.wav", choose_audio_stream(probe(LONG_SAMPLE), "en")
    ).audio
    sound = write_wav(tmp_path / "start.wav", whole.read(0, 20 * 16_000))
    manager = ModelManager(lambda options: load_engine(options, model_dir, offline=True))
    for batch_size in (8, 1):
        options = SpeechOptions(
            model_name=tiny_weights.model_name, language="en", device=Device.CPU, batch_size=batch_size
        )
        with manager.lease(options) as engine:
            transcript = engine.transcribe(sound, options)
            assert engine.describe().batch_size == batch_size
        assert "lighthouse" in "".join(segment.text for segment in transcript.segments).lower()
    assert manager.usage().loads == 1
    manager.close()


def find_models() -> set[int]:
    return {id(found) for found in gc.get_objects() if type(found) is Whisper}


def test_a_note_of_the_lease_comes_before_the_engines_steps(manager: ModelManager) -> None:
    with manager.lease(TINY, note="the service did not answer") as engine:
        assert engine.describe().steps == ("the service did not answer",)
    with manager.lease(TINY) as engine:
        assert engine.describe().steps == ()


@pytest.mark.parametrize(("errors", "loads"), [([], 1), ([ModelLoadError("broken")], 2)])
def test_a_model_is_loaded_ahead_once_and_a_failure_is_left_to_who_needs_it(home, errors, loads) -> None:
    loader = Loader()
    loader.errors = [*errors]
    loader.may_finish.clear()
    speech = LocalSpeech(load_settings(), manager := ModelManager(loader))
    speech.prepare(TINY)
    speech.prepare(TINY)
    loader.may_finish.set()
    wait_until(lambda: "prepare" not in {thread.name for thread in threading.enumerate()})
    assert loader.asked == ["tiny"]
    with speech.engine(TINY) as engine:
        assert engine.describe().model == "tiny"
    speech.prepare(TINY)
    assert loader.asked == ["tiny"] * loads
    manager.close()
