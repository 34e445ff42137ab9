"""What a GPU's models do otherwise, on the CPU: the loaded model is only told that it is on a GPU."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import ctranslate2
import numpy as np
import pytest

from tests.speech.make_sound import decode_speech
from yivideo_pipeline.speech import loading
from yivideo_pipeline.speech.align.letters import LetterAligner
from yivideo_pipeline.speech.align.phrases import PhraseAligner
from yivideo_pipeline.speech.align.torch_decoder import TorchDecoder
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.loading import choose_attention
from yivideo_pipeline.speech.local_engine import DetectedSpeech, find_speech
from yivideo_pipeline.speech.recognizer import Recognizer
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.weights import Weights
from yivideo_pipeline.speech.whisper import Decoding, load_whisper

pytestmark = pytest.mark.model


def load_as(device: str, weights: Weights, folder: Path) -> Recognizer:
    """A recognizer for a device, whose model computes on the CPU."""
    view, aligner_of = choose_attention(weights, folder, device)
    whisper = load_whisper(view, DeviceConfig("cpu", "float32", batch_size=4, threads=2))
    whisper.device = device
    return Recognizer(whisper, aligner_of(whisper))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> DetectedSpeech:
    """Two pieces of different length: a GPU encodes and aligns both at once."""
    audio = decode_speech("harbour-15s.mp4", tmp_path_factory.mktemp("sound"))
    found = find_speech(audio)
    (piece,) = found.pieces
    first = replace(piece, chunk=Chunk(found.spans[:1]))
    assert first.chunk.duration_s < piece.chunk.duration_s / 2
    return replace(found, pieces=(first, piece))


def recognize(recognizer: Recognizer, speech: DetectedSpeech) -> tuple[list[str], np.ndarray]:
    """The words of all pieces, and their times."""
    passages = recognizer.recognize(list(speech.pieces), Decoding("en", beam_size=1))
    timed = [passage.timed for some in passages for passage in some]
    return [word for one in timed for word in one.words], np.concatenate([one.times for one in timed])


def test_a_gpu_without_torch_has_the_words_of_a_cpu_and_times_near_its_times(
    speech: DetectedSpeech, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "can_use_torch", lambda: False)
    on_cpu, on_gpu = (load_as(device, tiny_weights, tmp_path) for device in ("cpu", "cuda"))
    assert isinstance(on_cpu.aligner, PhraseAligner)
    assert isinstance(on_gpu.aligner, LetterAligner)
    own_words, own_times = recognize(on_gpu, speech)
    words, times = recognize(on_cpu, speech)
    assert own_words == words
    assert np.quantile(np.abs(own_times - times), 0.9) < 0.1


@pytest.mark.whisperx
def test_a_gpu_with_torch_has_the_times_of_a_cpu(
    speech: DetectedSpeech, tiny_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "can_use_torch", lambda: True)
    monkeypatch.setattr(loading, "TorchDecoder", partial(TorchDecoder, device="cpu"))
    recognizers = [load_as(device, tiny_weights, tmp_path) for device in ("cpu", "cuda")]
    (words, times), (own_words, own_times) = (recognize(one, speech) for one in recognizers)
    assert own_words == words
    assert np.quantile(np.abs(own_times - times), 0.9) <= 0.02


def test_what_a_gpu_holds_in_bfloat16_can_be_read(tiny_weights: Weights, tmp_path: Path) -> None:
    recognizer = load_as("cuda", tiny_weights, tmp_path)
    values = np.array([[0.5, -2.0]], np.float32)
    view = ctranslate2.StorageView.from_array(values).to(ctranslate2.DataType.bfloat16)
    np.testing.assert_array_equal(recognizer.whisper.on_host(view), values)


class Lengths:
    """In place of a model: it encodes a sound as its number of samples, and keeps how many came at once."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def encode(self, sounds: list[np.ndarray]) -> np.ndarray:
        self.groups.append(len(sounds))
        return np.array([[[len(sound)]] for sound in sounds])

    def on_host(self, view: np.ndarray) -> np.ndarray:
        return view

    def stack(self, rows: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(rows)


def test_what_was_encoded_for_the_language_is_joined_with_the_rest_which_is_encoded_at_once(
    speech: DetectedSpeech,
) -> None:
    whisper, (short, long) = Lengths(), speech.pieces
    known = replace(long, row=np.array([[[-1]]]))
    view = Recognizer(cast(Any, whisper), cast(Any, None)).encode([known, short, long, known]).view
    lengths = [len(piece.chunk.read(piece.audio)) for piece in (short, long)]
    assert view.ravel().tolist() == [-1, *lengths, -1]
    assert whisper.groups == [2]
