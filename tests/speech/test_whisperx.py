"""WhisperX's own pipeline behind the engine protocol, on real sound and weights where it is installed."""

import os
import socket
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from yivideo_pipeline.errors.tree import ConfigValidationError, MemoryExhausted
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, write_wav
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.whisperx import BLOCK_S, WhisperXEngine, plan_blocks

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
HAS_WHISPERX = find_spec("whisperx") is not None
OPTIONS = SpeechOptions(
    model_name="tiny.en", use_faster_whisper=False, device="cpu", compute_type="int8", batch_size=2
)


def decode(video, folder):
    return decode_audio(video, folder / "sound.wav", probe(video).audio_streams[0]).audio


@pytest.fixture(scope="module")
def engine(model_dir):
    """The engine on tiny.en, loaded with the network out of reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(socket.socket, "connect", _no_network)
        yield load_engine(OPTIONS, model_dir, offline=True)


def _no_network(self, address):
    raise AssertionError(f"something connects to {address}")


@pytest.fixture(scope="module")
def spoken(engine, tmp_path_factory):
    """The one-minute sample, recognized and aligned; and what progress was told."""
    reported = []
    audio = decode(SAMPLES / "lighthouse-60s.mkv", tmp_path_factory.mktemp("sound"))
    transcript = engine.transcribe(audio, OPTIONS, reported.append)
    return audio, engine.align(audio, transcript, OPTIONS), reported


@pytest.mark.whisperx
@pytest.mark.model
def test_whisperx_recognizes_the_sample(spoken):
    _, transcript, _ = spoken
    text = "".join(word.text for word in transcript.words).lower()
    expected = (SAMPLES / "lighthouse-60s.txt").read_text(encoding="utf-8").lower()

    wanted = set(expected.replace(".", " ").replace(",", " ").split())
    found = set(text.replace(".", " ").replace(",", " ").split())
    assert len(wanted & found) >= 0.9 * len(wanted)
    assert (transcript.language, transcript.language_probability) == ("en", 1.0)
    assert transcript.empty_reason is None


@pytest.mark.whisperx
@pytest.mark.model
def test_every_word_has_a_time_in_order_inside_the_sound(spoken):
    audio, transcript, _ = spoken
    words = transcript.words
    assert {word.source for word in words} <= {"attention", "interpolated"}
    assert all(word.start_s < word.end_s for word in words)
    assert all(before.end_s <= word.start_s for before, word in pairwise(words))
    assert words[0].start_s >= audio.offset_s
    assert words[-1].end_s <= audio.offset_s + audio.duration_s


@pytest.mark.whisperx
@pytest.mark.model
def test_words_stand_where_the_detector_hears_speech(spoken):
    _, transcript, _ = spoken

    def is_heard(word):
        middle = (word.start_s + word.end_s) / 2
        return any(span.start_s - 0.2 <= middle <= span.end_s + 0.2 for span in transcript.speech_spans)

    assert all(map(is_heard, transcript.words))


@pytest.mark.whisperx
@pytest.mark.model
def test_the_engine_says_what_it_is_and_how_far_it_is(engine, spoken):
    _, transcript, reported = spoken
    info = engine.describe()
    assert (info.backend, info.model, info.device, info.compute_type) == (
        "whisperx",
        "tiny.en",
        "cpu",
        "int8",
    )
    assert (transcript.model, transcript.revision) == (info.model, info.revision)
    assert reported == sorted(reported)
    assert reported[-1] == pytest.approx(1.0)


@pytest.mark.whisperx
@pytest.mark.model
def test_silence_and_no_sound_at_all_are_empty_with_a_reason(engine, tmp_path):
    for seconds, reason in ((3, "no speech was heard"), (0, "there is no sound")):
        audio = write_wav(tmp_path / f"{seconds}.wav", np.zeros(seconds * SAMPLE_RATE_HZ, np.int16))
        transcript = engine.transcribe(audio, OPTIONS)
        assert transcript.words == ()
        assert reason in transcript.empty_reason


@pytest.mark.whisperx
@pytest.mark.model
def test_language_beam_and_batch_can_change_from_call_to_call(engine, tmp_path):
    audio = decode(SAMPLES / "harbour-15s.mp4", tmp_path)
    for changes in (
        {"language": "en", "beam_size": 1, "batch_size": 1},
        {"language": "auto", "beam_size": 3, "batch_size": 4},
    ):
        transcript = engine.transcribe(audio, OPTIONS.model_copy(update=changes))
        assert engine.describe().batch_size == changes["batch_size"]
        assert transcript.language == "en"
        assert "fishing boats" in "".join(word.text for word in transcript.words)


@pytest.mark.whisperx
@pytest.mark.model
def test_nothing_is_said_on_the_console(engine, tmp_path, capfd):
    audio = decode(SAMPLES / "harbour-15s.mp4", tmp_path)
    engine.transcribe(audio, OPTIONS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.whisperx
@pytest.mark.model
def test_pyannotes_telemetry_is_switched_off(engine):
    assert os.environ["PYANNOTE_METRICS_ENABLED"] == "false"


@pytest.mark.skipif(HAS_WHISPERX, reason="WhisperX is installed")
@pytest.mark.model
def test_without_whisperx_the_error_says_what_to_do(model_dir):
    with pytest.raises(ConfigValidationError, match=r"use_faster_whisper: .*make install-whisperx"):
        load_engine(OPTIONS, model_dir, offline=True)


def test_a_load_without_enough_memory_falls_back_and_reports_it(tmp_path):
    tried = []

    def load(place):
        tried.append(str(place))
        if place.compute_type != "int8":
            raise RuntimeError("CUDA failed with error out of memory")
        return object()

    engine = WhisperXEngine("m", "r", DeviceConfig("cuda", "float16", 2, 2), load, Aligners(tmp_path))

    assert tried == [
        "cuda, float16, batch 2",
        "cuda, float16, batch 1",
        "cuda, int8_float16, batch 1",
        "cpu, int8, batch 4",
    ]
    info = engine.describe()
    assert (info.device, info.compute_type, info.batch_size) == ("cpu", "int8", 2)
    assert len(info.steps) == 3


def test_a_load_that_finds_memory_nowhere_fails(tmp_path):
    def load(place):
        raise MemoryError

    with pytest.raises(MemoryExhausted):
        WhisperXEngine("m", "r", DeviceConfig("cpu", "int8", 2, 2), load, Aligners(tmp_path))


def test_long_sound_is_given_in_stretches_that_hold_every_piece_once():
    pieces = [Span(start_s=at, end_s=at + 20.0) for at in range(0, 3600, 25)]
    chunks = [Chunk((piece,)) for piece in pieces]

    stretches = plan_blocks(chunks)

    assert [piece for stretch in stretches for piece in stretch.pieces] == pieces
    assert all(stretch.duration_s <= BLOCK_S for stretch in stretches)
    assert len(stretches) == 6
