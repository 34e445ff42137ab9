"""A transcript goes on where another process was killed: the engine does again only what was not kept."""

from typing import Any

import numpy as np
import pytest

from tests.fake_checkpoint import Kept, Killed
from tests.speech.make_sound import decode_speech, make_passage
from tests.speech.test_faster_whisper import EngineSetup
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, write_wav
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech import vad, whisperx
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.align.text import WordTimings
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.checkpoint import Finished
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.types import Span, Transcript
from yivideo_pipeline.speech.whisperx import WhisperXEngine

ONE_WORKER = DeviceConfig("cpu", "int8", batch_size=1, threads=1)
OPTIONS = SpeechOptions(batch_size=1)


@pytest.fixture
def speech(tmp_path) -> Audio:
    """Two minutes of speech: four windows."""
    minute = decode_speech("lighthouse-60s.mkv", tmp_path).samples
    return write_wav(tmp_path / "long.wav", np.concatenate([minute, minute]))


@pytest.fixture
def killed(tmp_path, speech) -> Kept:
    """What is kept of a transcript whose process was killed after two windows."""
    checkpoint = Kept(dies_after=2)
    with pytest.raises(Killed):
        EngineSetup(ONE_WORKER).engine(tmp_path).transcribe(speech, OPTIONS, checkpoint=checkpoint)
    checkpoint.dies_after = float("inf")
    return checkpoint


def test_what_was_finished_is_not_done_again_and_the_result_is_the_same(tmp_path, speech, killed):
    whole, rest = EngineSetup(ONE_WORKER), EngineSetup(ONE_WORKER)
    undisturbed = whole.engine(tmp_path).transcribe(speech, OPTIONS)
    shares, words = [], []
    resumed = rest.engine(tmp_path).transcribe(speech, OPTIONS, shares.append, words.extend, killed)
    assert resumed == undisturbed
    assert len(rest.done) == len(whole.done) - 2
    share = 1 - sum(chunk.duration_s for chunk in rest.done) / sum(chunk.duration_s for chunk in whole.done)
    assert killed.resumed_s == pytest.approx(share * speech.duration_s)
    assert shares[0] == pytest.approx(share)
    assert [word.text for word in words] == [word.text for word in undisturbed.words], "old ones too"


def test_a_finished_transcript_needs_only_to_be_put_together(tmp_path, speech):
    checkpoint, again = Kept(), EngineSetup(ONE_WORKER)
    undisturbed = EngineSetup(ONE_WORKER).engine(tmp_path).transcribe(speech, OPTIONS, checkpoint=checkpoint)
    assert again.engine(tmp_path).transcribe(speech, OPTIONS, checkpoint=checkpoint) == undisturbed
    assert (again.done, checkpoint.resumed_s) == ([], pytest.approx(speech.duration_s))


def test_neither_voices_nor_the_language_are_searched_for_again(tmp_path, speech, killed, monkeypatch):
    def fail(*_):
        raise AssertionError("done before")

    engine = EngineSetup(ONE_WORKER).engine(tmp_path)
    monkeypatch.setattr(vad, "_cache", {})
    monkeypatch.setattr(vad, "_probabilities", fail)
    monkeypatch.setattr("tests.speech.test_faster_whisper.FakeRecognizer.detect_languages", fail)
    assert engine.transcribe(speech, OPTIONS, checkpoint=killed).language == "en"


def test_parts_of_other_windows_are_not_used(tmp_path, speech, killed):
    killed.entries = {name.replace("-", "9-"): text for name, text in killed.entries.items()}
    setup = EngineSetup(ONE_WORKER)
    setup.engine(tmp_path).transcribe(speech, OPTIONS, checkpoint=killed)
    assert (len(setup.done), killed.resumed_s) == (4, 0)


@pytest.mark.parametrize("text", ["null", "7", '"7"', "[7]", '[{"words": 1}]', '{"en": "?"}'])
def test_parts_that_can_not_be_read_are_made_again(tmp_path, speech, killed, text):
    killed.entries = dict.fromkeys(killed.entries, text)
    setup = EngineSetup(ONE_WORKER)
    assert setup.engine(tmp_path).transcribe(speech, OPTIONS, checkpoint=killed).language == "en"
    assert (len(setup.done), killed.resumed_s) == (4, 0)


def test_an_array_of_a_type_that_takes_any_memory_is_not_read(speech, killed):
    name = next(name for name in killed.entries if "window" in name)
    killed.entries[name] = killed.entries[name].replace('"bool"', '"U900000000"')
    ends = [one.split("-") for one in name.split()[2:]]
    chunk = Chunk(tuple(Span(start_s=float(start), end_s=float(end)) for start, end in ends))
    assert Finished(killed, speech).passages("window", [chunk]) == {}


def test_with_whisperx_a_finished_block_is_not_done_again(tmp_path, speech, monkeypatch):
    blocks = []

    class Model:
        """In place of WhisperX's pipeline."""

        def transcribe(self, audio, block, decoding, batch_size, report):
            blocks.append(block)
            return [make_passage([(f" s{block.start_s:.0f}", 0.0, 1.0)], block.pieces)]

    def load(_config: DeviceConfig) -> Any:
        return Model()

    def transcribe(checkpoint: Kept) -> Transcript:
        engine = WhisperXEngine("m", "r", ONE_WORKER, load, Aligners(tmp_path, offline=True))
        return engine.transcribe(speech, SpeechOptions(language="en"), checkpoint=checkpoint)

    monkeypatch.setattr(whisperx, "BLOCK_S", 50.0)
    checkpoint = Kept()
    undisturbed = transcribe(checkpoint)
    *_, lost = (name for name in checkpoint.entries if "block" in name)
    del checkpoint.entries[lost]
    assert transcribe(checkpoint) == undisturbed
    assert blocks[-1] == blocks[-2] and len(blocks) == len(set(blocks)) + 1
    assert 0 < checkpoint.resumed_s < speech.duration_s


def test_a_sound_of_a_minute_leaves_no_checkpoint(tmp_path):
    minute = decode_speech("lighthouse-60s.mkv", tmp_path).samples[: 60 * SAMPLE_RATE_HZ]
    speech, checkpoint = write_wav(tmp_path / "short.wav", minute), Kept()
    EngineSetup(ONE_WORKER).engine(tmp_path).transcribe(speech, OPTIONS, checkpoint=checkpoint)
    assert checkpoint.entries == {}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_passage_is_read_to_the_last_bit(speech, kind):
    checkpoint, values = Kept(), np.random.default_rng(1).random((3, 2)).astype(kind)
    chunk = Chunk((Span(start_s=0.1, end_s=1 / 3), Span(start_s=2.0, end_s=3.3)))
    timed = WordTimings((" a", "é", "\ud800"), values, values[:, 0] / 3, np.array([True, False, True]))
    passage = Passage(chunk, timed, -1 / 3, 1e-9, "yue")
    Finished(checkpoint, speech).keep_passages("window", [chunk], [[passage]])
    (read,) = Finished(checkpoint, speech).passages("window", [chunk])[chunk]
    assert (read.chunk, read.avg_logprob, read.no_speech_prob) == (chunk, -1 / 3, 1e-9)
    assert read.language == "yue"
    assert read.timed.words == timed.words
    for name in ("times", "confidences", "timed"):
        before, after = getattr(timed, name), getattr(read.timed, name)
        assert before.dtype == after.dtype
        assert before.tobytes() == after.tobytes()
