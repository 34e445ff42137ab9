"""A model is calibrated from its own weights, and timed by that from then on."""

from pathlib import Path

import pytest

from yivideo_pipeline.cli.calibrate import CHECK, SAMPLES, calibrate_model, read_sample
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.resolve import probe_hardware
from yivideo_pipeline.speech.align.calibration import calibrate, measure
from yivideo_pipeline.speech.align.decoder import Decoder
from yivideo_pipeline.speech.align.phrases import PHRASE_PROFILES, PhraseAligner
from yivideo_pipeline.speech.align.profiles import find_profile, keep_profile
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.weights import Weights
from yivideo_pipeline.speech.whisper import load_whisper


@pytest.mark.model
def test_heads_found_on_a_sample_time_its_words(tiny_weights: Weights, tmp_path: Path) -> None:
    decoder = Decoder(tiny_weights.folder / "model.bin")
    whisper = load_whisper(tiny_weights.folder, DeviceConfig("cpu", "int8", 1, probe_hardware().cores))
    sample = read_sample(SAMPLES / CHECK, tmp_path)
    profile = calibrate(whisper, decoder, [sample], lambda _step: None)
    found = measure(whisper, PhraseAligner(whisper, decoder, profile), [sample])
    assert found.words == len(sample.words)
    assert found.starts >= 0.9
    assert found.ends >= 0.9


def test_a_kept_profile_stands_over_the_measured_one_and_belongs_to_its_weights(tmp_path: Path) -> None:
    weights = Weights(tmp_path, "sha256:one", "tiny.en")
    assert find_profile(weights, tmp_path) == PHRASE_PROFILES["tiny.en"]
    kept = PHRASE_PROFILES["base"]
    keep_profile(kept, weights, tmp_path)
    assert find_profile(weights, tmp_path) == kept
    others = Weights(tmp_path, "sha256:two", "tiny.en")
    assert find_profile(others, tmp_path) == PHRASE_PROFILES["tiny.en"]
    assert find_profile(Weights(tmp_path, "sha256:one", "small"), tmp_path) is None


@pytest.mark.parametrize(("name", "told"), [("smal", "did you mean small"), ("auto", "auto is no model")])
def test_a_name_that_is_no_model_is_refused_before_anything_is_downloaded(name, told):
    with pytest.raises(ConfigValidationError, match=told):
        calibrate_model(name, None)
