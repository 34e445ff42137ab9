"""A batch size is honoured from call to call by the weights that are loaded."""

from pathlib import Path

import pytest

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, write_wav
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.settings.options import Device, SpeechOptions
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.runtime import Placement
from yivideo_pipeline.speech.weights import Weights

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "lighthouse-60s.mkv"


@pytest.fixture
def sound(tmp_path: Path) -> Audio:
    whole = decode_audio(SAMPLE, tmp_path / "whole.wav", choose_audio_stream(probe(SAMPLE), "en")).audio
    return write_wav(tmp_path / "start.wav", whole.read(0, 20 * SAMPLE_RATE_HZ))


@pytest.mark.model
def test_a_changed_batch_size_is_used_without_a_reload(
    tiny_weights: Weights, model_dir: Path, sound: Audio
) -> None:
    manager = ModelManager(lambda options: load_engine(options, model_dir, offline=True))
    for batch_size in (8, 1):
        options = SpeechOptions(
            model_name=tiny_weights.model_name, language="en", device=Device.CPU, batch_size=batch_size
        )
        with manager.lease(options) as engine:
            said = engine.transcribe(sound, options)
            assert engine.describe().batch_size == batch_size
        assert "lighthouse" in "".join(segment.text for segment in said.segments).lower()
    assert manager.usage().loads == 1
    manager.close()


def test_a_place_takes_a_calls_batch_but_no_more_than_memory_has_left_it() -> None:
    place = Placement("cuda", "float16", batch_size=4, threads=4)
    assert place.with_batch(16, given_way=False).batch_size == 16
    assert place.with_batch(16, given_way=True).batch_size == 4
    assert place.with_batch(2, given_way=True).batch_size == 2
