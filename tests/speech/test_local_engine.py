"""The engine around the model: order, progress, and giving way when memory runs out.

The model is a stand-in that fails in CTranslate2's own words; all else is the real engine.
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
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.speech.align import Aligners
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engines import LocalEngine
from yivideo_pipeline.speech.recognizer import Piece
from yivideo_pipeline.speech.runtime import Placement
from yivideo_pipeline.speech.types import Span

GPU_FULL = "CUDA failed with error out of memory"
HOST_FULL = "std::bad_alloc"
ON_GPU = Placement("cuda", "float16", batch_size=4, threads=2)
ON_CPU = Placement("cpu", "float32", batch_size=4, threads=2)
ENGLISH = SpeechOptions(language="en", batch_size=4)
CHUNKS = [Chunk((Span(start_s=30.0 * i, end_s=30.0 * i + 30),)) for i in range(13)]


@dataclass
class StandIn:
    """Says one word a second of each chunk, naming the second; fails where it is told to."""

    place: Placement
    fail: Callable[[Placement, list[Chunk]], None]
    done: list[Chunk]

    def encode(self, pieces: list[Piece]) -> list[Chunk]:
        return [piece.chunk for piece in pieces]

    def detect_languages(self, pieces: list[Piece]) -> list[tuple[dict[str, float], None]]:
        return [({"en": 1.0}, None)] * len(pieces)

    def recognize(
        self, encoded: list[Chunk], language: str, beam_size: int, task: Task = Task.TRANSCRIBE
    ) -> list[Passage | None]:
        self.fail(self.place, encoded)
        self.done += encoded
        return [
            make_passage(
                [(f" s{chunk.start_s + i:.0f}", float(i), i + 1.0) for i in range(int(chunk.duration_s))],
                chunk.pieces,
            )
            for chunk in encoded
        ]


@dataclass
class Bench:
    """An engine on a stand-in, and what happened to it."""

    place: Placement
    fail: Callable[[Placement, list[Chunk]], None] = lambda place, chunks: None
    fail_load: Callable[[Placement], None] = lambda place: None
    loads: list[Placement] = field(default_factory=list)
    done: list[Chunk] = field(default_factory=list)

    def load(self, place: Placement) -> Any:
        self.loads.append(place)
        self.fail_load(place)
        return StandIn(place, self.fail, self.done)

    def engine(self, model_dir) -> LocalEngine:
        return LocalEngine("stand-in", "r1", self.place, self.load, Aligners(model_dir, offline=True))


def recognize(engine: LocalEngine, on_done=None) -> list[Passage]:
    def work(model: Any, group: list[Chunk]) -> list[Passage]:
        return model.recognize(group, "en", 5)

    return engine.batcher.map(CHUNKS, work, on_done)


def run_out(message: str, when: Callable[[Placement, list[Chunk]], bool]) -> Callable:
    def fail(place: Placement, chunks: list[Chunk]) -> None:
        if when(place, chunks):
            raise RuntimeError(message)

    return fail


@pytest.fixture
def speech(tmp_path) -> Audio:
    return decode_speech("lighthouse-60s.mkv", tmp_path)


@pytest.mark.parametrize("place", [ON_GPU, ON_CPU, Placement("cpu", "int8", 1, 1)])
def test_results_are_in_the_order_of_the_chunks_whoever_finishes_first(tmp_path, place):
    bench = Bench(place)
    assert [passage.chunk for passage in recognize(bench.engine(tmp_path))] == CHUNKS
    assert sorted(bench.done, key=lambda chunk: chunk.start_s) == CHUNKS


def test_no_group_is_larger_than_the_batch(tmp_path):
    sizes = []
    bench = Bench(ON_GPU, lambda place, chunks: sizes.append(len(chunks)))
    recognize(bench.engine(tmp_path))
    assert max(sizes) == 4
    assert sum(sizes) == len(CHUNKS)


def test_progress_rises_to_one(tmp_path, speech):
    told = []
    Bench(ON_CPU).engine(tmp_path).transcribe(speech, SpeechOptions(language="en", batch_size=1), told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert len(told) > 1


def test_words_are_told_in_the_order_of_the_sound_whichever_part_is_done_first(tmp_path, speech):
    later_is_done = threading.Event()

    def hold_the_first(place: Placement, chunks: list[Chunk]) -> None:
        if chunks[0].start_s < 1:
            assert later_is_done.wait(10)
        else:
            later_is_done.set()

    told = []
    engine = Bench(Placement("cuda", "float16", 1, 2), hold_the_first).engine(tmp_path)
    transcript = engine.transcribe(speech, SpeechOptions(language="en", batch_size=1), heard=told.extend)
    assert [word.text for word in told] == [word.text for word in transcript.words]


def test_the_language_alone_is_asked_without_recognizing_anything(tmp_path, speech):
    bench, told = Bench(ON_CPU), []
    assert bench.engine(tmp_path).detect_language(speech, told.append) == ("en", 1.0)
    assert (bench.done, told[-1]) == ([], 1.0)


def test_no_language_is_spoken_in_silence(tmp_path):
    sound = write_wav(tmp_path / "a.wav", silence(5))
    assert Bench(ON_CPU).engine(tmp_path).detect_language(sound) == ("und", 0.0)


def test_a_transcript_says_which_model_made_it(tmp_path, speech):
    transcript = Bench(ON_CPU).engine(tmp_path).transcribe(speech, ENGLISH)
    assert (transcript.model, transcript.revision, transcript.language) == ("stand-in", "r1", "en")
    assert transcript.duration_s == speech.duration_s


def test_a_model_that_knows_english_alone_is_not_asked_for_the_language(tmp_path, speech):
    transcript = Bench(ON_CPU).engine(tmp_path).transcribe(speech, SpeechOptions(model_name="tiny.en"))
    assert (transcript.language, transcript.language_probability) == ("en", 1.0)


@pytest.mark.parametrize(("seconds", "reason"), [(0, "no sound"), (5, "no speech")])
def test_a_sound_without_speech_asks_nothing_of_the_model_and_says_why(tmp_path, seconds, reason):
    bench = Bench(ON_CPU)
    transcript = bench.engine(tmp_path).transcribe(write_wav(tmp_path / "a.wav", silence(seconds)), ENGLISH)
    assert transcript.segments == ()
    assert reason in (transcript.empty_reason or "")
    assert bench.done == []


def test_memory_that_runs_out_halves_the_batch_then_the_precision_then_leaves_the_gpu(tmp_path, caplog):
    bench = Bench(ON_GPU, run_out(GPU_FULL, lambda place, chunks: place.device == "cuda"))
    engine = bench.engine(tmp_path)
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


def test_a_smaller_batch_uses_the_model_that_is_loaded(tmp_path):
    bench = Bench(ON_GPU, run_out(GPU_FULL, lambda place, chunks: len(chunks) > 1))
    engine = bench.engine(tmp_path)
    assert len(recognize(engine)) == len(CHUNKS)
    assert len(bench.loads) == 1
    assert engine.describe().batch_size == 1


def test_what_was_done_before_memory_ran_out_is_not_done_again(tmp_path):
    bench = Bench(ON_GPU, run_out(GPU_FULL, lambda place, chunks: CHUNKS[9] in chunks and len(chunks) > 1))
    told = []
    recognize(bench.engine(tmp_path), lambda chunks, passages: told.extend(chunks))
    assert sorted(bench.done, key=lambda chunk: chunk.start_s) == CHUNKS
    assert sorted(told, key=lambda chunk: chunk.start_s) == CHUNKS


def test_what_a_second_worker_finishes_while_memory_runs_out_is_kept(tmp_path):
    failed = threading.Event()

    def fail(place: Placement, chunks: list[Chunk]) -> None:
        if CHUNKS[0] in chunks and not failed.is_set():
            failed.set()
            raise RuntimeError(HOST_FULL)
        assert failed.wait(10)

    bench = Bench(ON_CPU, fail)
    recognize(bench.engine(tmp_path))
    assert sorted(bench.done, key=lambda chunk: chunk.start_s) == CHUNKS


def test_a_host_without_memory_takes_a_smaller_batch_then_int8_and_then_gives_up(tmp_path):
    bench = Bench(ON_CPU, run_out(HOST_FULL, lambda place, chunks: True))
    engine = bench.engine(tmp_path)
    with pytest.raises(MemoryExhausted) as caught:
        recognize(engine)
    assert caught.value.device == "host"
    assert [place.compute_type for place in bench.loads] == ["float32", "int8"]
    assert (engine.describe().compute_type, engine.describe().batch_size) == ("int8", 1)


def test_later_videos_go_on_in_the_smaller_way(tmp_path):
    bench = Bench(ON_GPU, run_out(GPU_FULL, lambda place, chunks: place.compute_type == "float16"))
    engine = bench.engine(tmp_path)
    recognize(engine)
    steps = engine.describe().steps
    recognize(engine)
    assert engine.describe().steps == steps
    assert [place.compute_type for place in bench.loads] == ["float16", "int8_float16"]


def test_a_model_that_does_not_fit_when_loaded_is_loaded_in_a_smaller_way(tmp_path):
    def fail_load(place: Placement) -> None:
        if place.compute_type == "float16":
            raise RuntimeError(GPU_FULL)

    engine = Bench(ON_GPU, fail_load=fail_load).engine(tmp_path)
    assert engine.describe().compute_type == "int8_float16"
    assert len(engine.describe().steps) == 3
    assert len(recognize(engine)) == len(CHUNKS)


def test_a_model_that_fits_nowhere_is_an_error_at_once(tmp_path):
    def fail_load(place: Placement) -> None:
        raise RuntimeError(GPU_FULL if place.device == "cuda" else HOST_FULL)

    with pytest.raises(MemoryExhausted):
        Bench(ON_GPU, fail_load=fail_load).engine(tmp_path)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("CUDA failed with error unspecified launch failure", DeviceLost), ("no idea", SystemFault)],
)
def test_other_errors_are_named_and_not_tried_again(tmp_path, message, kind):
    tried = []

    def fail(place: Placement, chunks: list[Chunk]) -> None:
        tried.append(chunks)
        raise RuntimeError(message)

    engine = Bench(Placement("cpu", "int8", 1, 1), fail).engine(tmp_path)
    with pytest.raises(kind) as caught:
        recognize(engine)
    assert str(caught.value.__cause__) == message
    assert len(tried) == 1
    assert engine.describe().steps == ()


def test_a_device_that_lacks_a_precision_is_told_from_memory(tmp_path):
    said = "Requested float16 compute type, but the target device or backend do not support efficient float16"

    def fail_load(place: Placement) -> None:
        raise ValueError(said)

    with pytest.raises(ConfigValidationError):
        Bench(ON_CPU, fail_load=fail_load).engine(tmp_path)


def test_ctrl_c_ends_the_work_and_starts_nothing_further(tmp_path):
    tried = []

    def fail(place: Placement, chunks: list[Chunk]) -> None:
        tried.append(chunks)
        raise KeyboardInterrupt

    engine = Bench(Placement("cpu", "int8", 1, 1), fail).engine(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        recognize(engine)
    assert len(tried) <= 2
    assert engine.describe().steps == ()


def test_two_threads_at_once_get_what_they_would_get_one_after_the_other(tmp_path, speech):
    engine = Bench(ON_CPU).engine(tmp_path)
    alone = engine.transcribe(speech, ENGLISH)
    found = run_together(lambda: engine.transcribe(speech, ENGLISH), 4)
    assert found == [alone] * 4


def test_two_threads_that_run_out_of_memory_together_give_way_once(tmp_path):
    both = threading.Barrier(2, timeout=10)

    def fail(place: Placement, chunks: list[Chunk]) -> None:
        if len(chunks) == 4 and CHUNKS[0] in chunks:
            both.wait()
            raise RuntimeError(GPU_FULL)

    engine = Bench(ON_GPU, fail).engine(tmp_path)

    def work() -> list[Chunk]:
        return [passage.chunk for passage in recognize(engine)]

    assert run_together(work, 2) == [CHUNKS, CHUNKS]
    assert len(engine.describe().steps) == 1


def run_together(work: Callable, count: int) -> list:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count) as pool:
        return [future.result(60) for future in [pool.submit(work) for _ in range(count)]]
