"""The numpy decoder: what it leaves out changes nothing that is read."""

from dataclasses import replace

import numpy as np
import pytest

from yivideo_pipeline.speech.align.decoder import Decoder, ForcedSequence
from yivideo_pipeline.speech.weights import Weights

HEADS = [(2, 1), (3, 2)]
TOKENS = list(range(1000, 1020))


@pytest.mark.model
def test_a_frame_that_stands_for_eight_equal_ones_gives_the_same_attention(tiny_weights: Weights) -> None:
    rng = np.random.default_rng(0)
    decoder = Decoder(tiny_weights.folder / "model.bin")
    sound = decoder.cache_encoded(rng.normal(size=(100, 384)))
    alike = np.repeat(rng.normal(size=(150, 384)), 8, axis=0)
    silence, thinned = decoder.cache_encoded(alike), replace(decoder.cache_encoded(alike[::8]), weight=8)
    found = [
        decoder.attend([ForcedSequence(TOKENS, (sound, tail), 100)], HEADS, with_output=with_output)
        for tail, with_output in ((silence, True), (thinned, True), (thinned, False))
    ]
    [(whole,), (thin,), (maps_alone,)] = [maps for maps, _ in found]
    for head in HEADS:
        np.testing.assert_allclose(thin[head], whole[head], atol=1e-5)
        np.testing.assert_array_equal(maps_alone[head], thin[head])
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-3)


@pytest.mark.model
def test_behind_a_sound_that_fills_its_window_there_may_be_no_silence(tiny_weights: Weights) -> None:
    decoder = Decoder(tiny_weights.folder / "model.bin")
    encoded = np.random.default_rng(0).normal(size=(100, 384))
    sound, nothing = decoder.cache_encoded(encoded), decoder.cache_encoded(encoded[100:])
    (alone,), _ = decoder.attend([ForcedSequence(TOKENS, (sound,), 100)], HEADS, with_output=False)
    (both,), _ = decoder.attend([ForcedSequence(TOKENS, (sound, nothing), 100)], HEADS, with_output=False)
    for head in HEADS:
        np.testing.assert_array_equal(both[head], alone[head])


@pytest.mark.model
def test_tokens_are_compared_as_their_probabilities_are(tiny_weights: Weights) -> None:
    decoder = Decoder(tiny_weights.folder / "model.bin")
    output = np.random.default_rng(0).normal(size=(2, 384)).astype(np.float32)
    own, others = [1000, 1001], [1002, 1003]
    ratios = decoder.compare(output, own, others)
    assert ratios.shape == (2, 2)
    for column, other in enumerate(others):
        expected = decoder.probabilities(output, [other] * 2) / decoder.probabilities(output, own)
        np.testing.assert_allclose(ratios[:, column], expected, rtol=1e-3)
