"""The engine around the model: order, progress, and the fallback when memory runs out.

The recognizer is a fake that fails with CTranslate2's own messages; all else is the real engine.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.speech.make_sound import decode_speech, make_passage, silence
from yivideo_pipeline.errors.tree import ConfigValidationError, DeviceLost, MemoryExhausted, SystemFault
from yivideo_pipeline.media.audio import Audio, write_wav
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.faster_whisper import FasterWhisperEngine
from yivideo_pipeline.speech.recognizer import Piece
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.whisper import Decoding

GPU_FULL = "CUDA failed with error out of memory"
HOST_FULL = "std::bad_alloc"
ON_GPU = DeviceConfig("cuda", "float16", batch_size=4, threads=2)
ON_CPU = DeviceConfig("cpu", "float32", batch_size=4, threads=2)
ENGLISH = SpeechOptions(language="en", batch_size=4)
CHUNKS = [Chunk((Span(start_s=30.0 * i, end_s=30.0 * i + 30),)) for i in range(13)]


@dataclass
class FakeRecognizer:
    """Recognizes one word a second of each chunk, named by the second; fails where `fail` does."""

    config: DeviceConfig
    fail: Callable[[DeviceConfig, list[Chunk]], None]
    done: list[Chunk]

    def detect_languages(self, pieces: list[Piece]) -> list[tuple[dict[str, float], None]]:
        return [({"en": 1.0}, None)] * len(pieces)

    def recognize(
        self, pieces: list[Piece], decoding: Decoding, *, fallback: bool = True
    ) -> list[list[Passage]]:
        return [[passage] for passage in self.recognize_chunks([piece.chunk for piece in pieces])]

    def recognize_chunks(self, chunks: list[Chunk]) -> list[Passage]:
        self.fail(self.config, chunks)
        self.done += chunks
        return [
            make_passage(
                [(f" s{chunk.start_s + i:.0f}", float(i), i + 1.0) for i in range(int(chunk.duration_s))],
                chunk.pieces,
            )
            for chunk in chunks
        ]


@dataclass
class EngineSetup:
    """An engine on a fake recognizer, and a record of what happened."""

    config: DeviceConfig
    fail: Callable[[DeviceConfig, list[Chunk]], None] = lambda config, chunks: None
    fail_load: Callable[[DeviceConfig], None] = lambda config: None
    loads: list[DeviceConfig] = field(default_factory=list)
    done: list[Chunk] = field(default_factory=list)

    def load(self, config: DeviceConfig) -> Any:
        self.loads.append(config)
        self.fail_load(config)
        return FakeRecognizer(config, self.fail, self.done)

    def engine(self, model_dir) -> FasterWhisperEngine:
        return FasterWhisperEngine(
            "fake-model", "r1", self.config, self.load, Aligners(model_dir, offline=True)
        )


def recognize(engine: FasterWhisperEngine, on_done=None) -> list[Passage]:
    def work(model: Any, group: list[Chunk]) -> list[Passage]:
        return model.recognize_chunks(group)

    return engine.batcher.map(CHUNKS, work, on_done)


def run_out(message: str, when: Callable[[DeviceConfig, list[Chunk]], bool]) -> Callable:
    def fail(config: DeviceConfig, chunks: list[Chunk]) -> None:
        if when(config, chunks):
            raise RuntimeError(message)

    return fail


@pytest.fixture
def speech(tmp_path) -> Audio:
    return decode_speech("lighthouse-60s.mkv", tmp_path)


@pytest.mark.parametrize("config", [ON_GPU, ON_CPU, DeviceConfig("cpu", "int8", 1, 1)])
def test_results_are_in_the_order_of_the_chunks_whoever_finishes_first(tmp_path, config):
    setup = EngineSetup(config)
    assert [passage.chunk for passage in recognize(setup.engine(tmp_path))] == CHUNKS
    assert sorted(setup.done, key=lambda chunk: chunk.start_s) == CHUNKS


def test_no_group_is_larger_than_the_batch(tmp_path):
    sizes = []
    setup = EngineSetup(ON_GPU, lambda config, chunks: sizes.append(len(chunks)))
    recognize(setup.engine(tmp_path))
    assert max(sizes) == 4
    assert sum(sizes) == len(CHUNKS)


def test_progress_rises_to_one(tmp_path, speech):
    reported = []
    EngineSetup(ON_CPU).engine(tmp_path).transcribe(
        speech, SpeechOptions(language="en", batch_size=1), reported.append
    )
    assert reported == sorted(reported)
    assert reported[-1] == pytest.approx(1.0)
    assert len(reported) > 1


def test_progress_moves_while_the_language_is_detected(tmp_path, speech):
    reported, before_words = [], []
    setup = EngineSetup(ON_CPU, lambda config, chunks: before_words.append(reported[-1]))
    setup.engine(tmp_path).transcribe(speech, SpeechOptions(batch_size=1), reported.append)
    assert before_words[0] == pytest.approx(0.3)
    assert reported == sorted(reported)
    assert reported[-1] == pytest.approx(1.0)


def test_words_are_reported_in_the_order_of_the_sound_whichever_part_is_done_first(tmp_path, speech):
    later_is_done = threading.Event()

    def delay_first_chunk(config: DeviceConfig, chunks: list[Chunk]) -> None:
        if chunks[0].start_s < 1:
            assert later_is_done.wait(10)
        else:
            later_is_done.set()

    reported = []
    engine = EngineSetup(DeviceConfig("cuda", "float16", 1, 2), delay_first_chunk).engine(tmp_path)
    transcript = engine.transcribe(
        speech, SpeechOptions(language="en", batch_size=1), on_words=reported.extend
    )
    assert [word.text for word in reported] == [word.text for word in transcript.words]


def test_the_language_alone_is_asked_without_recognizing_anything(tmp_path, speech):
    setup, reported = EngineSetup(ON_CPU), []
    assert setup.engine(tmp_path).detect_language(speech, reported.append) == ("en", 1.0)
    assert (setup.done, reported[-1]) == ([], 1.0)


def test_no_language_is_spoken_in_silence(tmp_path):
    sound = write_wav(tmp_path / "a.wav", silence(5))
    assert EngineSetup(ON_CPU).engine(tmp_path).detect_language(sound) == ("und", 0.0)


def test_a_transcript_says_which_model_made_it(tmp_path, speech):
    transcript = EngineSetup(ON_CPU).engine(tmp_path).transcribe(speech, ENGLISH)
    assert (transcript.model, transcript.revision, transcript.language) == ("fake-model", "r1", "en")
    assert transcript.duration_s == speech.duration_s


def test_a_model_that_knows_english_alone_is_not_asked_for_the_language(tmp_path, speech):
    transcript = EngineSetup(ON_CPU).engine(tmp_path).transcribe(speech, SpeechOptions(model_name="tiny.en"))
    assert (transcript.language, transcript.language_probability) == ("en", 1.0)


@pytest.mark.parametrize(("seconds", "reason"), [(0, "no sound"), (5, "no speech")])
def test_a_sound_without_speech_asks_nothing_of_the_model_and_says_why(tmp_path, seconds, reason):
    setup = EngineSetup(ON_CPU)
    transcript = setup.engine(tmp_path).transcribe(write_wav(tmp_path / "a.wav", silence(seconds)), ENGLISH)
    assert transcript.segments == ()
    assert reason in (transcript.empty_reason or "")
    assert setup.done == []


def test_memory_that_runs_out_halves_the_batch_then_the_precision_then_leaves_the_gpu(tmp_path, caplog):
    setup = EngineSetup(ON_GPU, run_out(GPU_FULL, lambda config, chunks: config.device == "cuda"))
    engine = setup.engine(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [passage.chunk for passage in recognize(engine)] == CHUNKS
    info = engine.describe()
    assert (info.device, info.compute_type, info.batch_size) == ("cpu", "int8", 4)
    assert info.steps == (
        "memory ran out with cuda, float16, batch 4; going on with cuda, float16, batch 2",
        "memory ran out with cuda, float16, batch 2; going on with cuda, float16, batch 1",
        "memory ran out with cuda, float16, batch 1; going on with cuda, int8_float16, batch 1",
        "memory ran out with cuda, int8_float16, batch 1; going on with cpu, int8, batch 4",
    )
    assert [record.getMessage() for record in caplog.records] == list(info.steps)


def test_a_call_with_a_larger_batch_than_the_model_was_loaded_with_halves_its_own(tmp_path):
    loaded = DeviceConfig("cuda", "float16", batch_size=1, threads=2)
    setup = EngineSetup(loaded, run_out(GPU_FULL, lambda config, chunks: len(chunks) > 3))
    engine = setup.engine(tmp_path)
    engine.transcribe(write_wav(tmp_path / "a.wav", silence(0)), SpeechOptions(batch_size=16))
    assert len(recognize(engine)) == len(CHUNKS)
    assert engine.describe().steps == (
        "memory ran out with cuda, float16, batch 16; going on with cuda, float16, batch 8",
        "memory ran out with cuda, float16, batch 8; going on with cuda, float16, batch 4",
        "memory ran out with cuda, float16, batch 4; going on with cuda, float16, batch 2",
    )


def test_a_smaller_batch_uses_the_model_that_is_loaded(tmp_path):
    setup = EngineSetup(ON_GPU, run_out(GPU_FULL, lambda config, chunks: len(chunks) > 1))
    engine = setup.engine(tmp_path)
    assert len(recognize(engine)) == len(CHUNKS)
    assert len(setup.loads) == 1
    assert engine.describe().batch_size == 1


def test_what_was_done_before_memory_ran_out_is_not_done_again(tmp_path):
    setup = EngineSetup(
        ON_GPU, run_out(GPU_FULL, lambda config, chunks: CHUNKS[9] in chunks and len(chunks) > 1)
    )
    reported = []
    recognize(setup.engine(tmp_path), lambda chunks, passages: reported.extend(chunks))
    assert sorted(setup.done, key=lambda chunk: chunk.start_s) == CHUNKS
    assert sorted(reported, key=lambda chunk: chunk.start_s) == CHUNKS


def test_what_a_second_worker_finishes_while_memory_runs_out_is_kept(tmp_path):
    failed = threading.Event()

    def fail(config: DeviceConfig, chunks: list[Chunk]) -> None:
        if CHUNKS[0] in chunks and not failed.is_set():
            failed.set()
            raise RuntimeError(HOST_FULL)
        assert failed.wait(10)

    setup = EngineSetup(ON_CPU, fail)
    recognize(setup.engine(tmp_path))
    assert sorted(setup.done, key=lambda chunk: chunk.start_s) == CHUNKS


def test_a_host_without_memory_takes_a_smaller_batch_then_int8_and_then_gives_up(tmp_path):
    setup = EngineSetup(ON_CPU, run_out(HOST_FULL, lambda config, chunks: True))
    engine = setup.engine(tmp_path)
    with pytest.raises(MemoryExhausted) as caught:
        recognize(engine)
    assert caught.value.device == "host"
    assert [config.compute_type for config in setup.loads] == ["float32", "int8"]
    assert (engine.describe().compute_type, engine.describe().batch_size) == ("int8", 1)


def test_of_what_is_in_flight_on_a_host_half_is_left_when_memory_runs_out(tmp_path):
    failures = [HOST_FULL]
    engine = EngineSetup(ON_CPU, run_out(HOST_FULL, lambda *_: bool(failures and failures.pop()))).engine(
        tmp_path
    )
    recognize(engine)
    assert engine.describe().steps == (
        "memory ran out with cpu, float32, batch 2; going on with cpu, float32, batch 1",
    ), "each of two workers had one chunk"


def test_later_videos_go_on_in_the_smaller_way(tmp_path):
    setup = EngineSetup(ON_GPU, run_out(GPU_FULL, lambda config, chunks: config.compute_type == "float16"))
    engine = setup.engine(tmp_path)
    recognize(engine)
    steps = engine.describe().steps
    recognize(engine)
    assert engine.describe().steps == steps
    assert [config.compute_type for config in setup.loads] == ["float16", "int8_float16"]


def test_a_model_that_does_not_fit_when_loaded_is_loaded_in_a_smaller_way(tmp_path):
    def fail_load(config: DeviceConfig) -> None:
        if config.compute_type == "float16":
            raise RuntimeError(GPU_FULL)

    engine = EngineSetup(ON_GPU, fail_load=fail_load).engine(tmp_path)
    assert engine.describe().compute_type == "int8_float16"
    assert len(engine.describe().steps) == 3
    assert len(recognize(engine)) == len(CHUNKS)


def test_a_model_that_fits_nowhere_is_an_error_at_once(tmp_path):
    def fail_load(config: DeviceConfig) -> None:
        raise RuntimeError(GPU_FULL if config.device == "cuda" else HOST_FULL)

    with pytest.raises(MemoryExhausted):
        EngineSetup(ON_GPU, fail_load=fail_load).engine(tmp_path)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("CUDA failed with error unspecified launch failure", DeviceLost), ("no idea", SystemFault)],
)
def test_other_errors_are_named_and_not_tried_again(tmp_path, message, kind):
    tried = []

    def fail(config: DeviceConfig, chunks: list[Chunk]) -> None:
        tried.append(chunks)
        raise RuntimeError(message)

    engine = EngineSetup(DeviceConfig("cpu", "int8", 1, 1), fail).engine(tmp_path)
    with pytest.raises(kind) as caught:
        recognize(engine)
    assert str(caught.value.__cause__) == message
    assert len(tried) == 1
    assert engine.describe().steps == ()


def test_a_device_without_a_precision_is_no_lack_of_memory(tmp_path):
    message = (
        "Requested float16 compute type, but the target device or backend do not support efficient float16"
    )

    def fail_load(config: DeviceConfig) -> None:
        raise ValueError(message)

    with pytest.raises(ConfigValidationError):
        EngineSetup(ON_CPU, fail_load=fail_load).engine(tmp_path)


def test_ctrl_c_ends_the_work_and_starts_nothing_further(tmp_path):
    tried = []

    def fail(config: DeviceConfig, chunks: list[Chunk]) -> None:
        tried.append(chunks)
        raise KeyboardInterrupt

    engine = EngineSetup(DeviceConfig("cpu", "int8", 1, 1), fail).engine(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        recognize(engine)
    assert len(tried) <= 2
    assert engine.describe().steps == ()


def test_two_threads_at_once_get_what_they_would_get_one_after_the_other(tmp_path, speech):
    engine = EngineSetup(ON_CPU).engine(tmp_path)
    alone = engine.transcribe(speech, ENGLISH)
    found = run_together(lambda: engine.transcribe(speech, ENGLISH), 4)
    assert found == [alone] * 4


def test_two_threads_that_run_out_of_memory_together_fall_back_once(tmp_path):
    both = threading.Barrier(2, timeout=10)

    def fail(config: DeviceConfig, chunks: list[Chunk]) -> None:
        if len(chunks) == 4 and CHUNKS[0] in chunks:
            both.wait()
            raise RuntimeError(GPU_FULL)

    engine = EngineSetup(ON_GPU, fail).engine(tmp_path)

    def work() -> list[Chunk]:
        return [passage.chunk for passage in recognize(engine)]

    assert run_together(work, 2) == [CHUNKS, CHUNKS]
    assert len(engine.describe().steps) == 1


def run_together(work: Callable, count: int) -> list:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count) as pool:
        return [future.result(60) for future in [pool.submit(work) for _ in range(count)]]
