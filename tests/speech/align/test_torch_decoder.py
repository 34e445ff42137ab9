"""The decoder in torch, on the CPU: it computes there what it computes on a GPU."""

import numpy as np
import pytest

from yivideo_pipeline.speech.align.decoder import Decoder, ForcedSequence
from yivideo_pipeline.speech.align.torch_decoder import TorchDecoder
from yivideo_pipeline.speech.weights import Weights

HEADS = [(2, 1), (2, 4), (3, 2)]


@pytest.mark.model
@pytest.mark.whisperx
def test_torch_finds_the_attention_and_the_probabilities_that_numpy_finds(tiny_weights: Weights) -> None:
    rng = np.random.default_rng(0)
    encoded, silence = rng.normal(size=(2, 1500, 384)).astype(np.float16)
    found = []
    model_file = tiny_weights.folder / "model.bin"
    for decoder in (Decoder(model_file), TorchDecoder(model_file, "cpu")):
        whole, tail = decoder.cache_encoded(encoded), decoder.cache_encoded(silence)
        long, short = list(range(1000, 1040)), [1013, 1002, 1001]
        maps, output = decoder.attend(
            [
                ForcedSequence(long, (whole,), 1200),
                ForcedSequence(short, (whole.part(100, 160), tail.part(60)), 60),
            ],
            HEADS,
            with_output=True,
        )
        tokens = [*long[1:], 1, *short[1:], 1]
        ratios = decoder.compare(output, tokens, [1013, 2])
        found.append((maps, output, decoder.probabilities(output, tokens), ratios))
    (maps, output, probabilities, ratios), (torch_maps, torch_output, torch_probabilities, torch_ratios) = (
        found
    )
    for own, others in zip(maps, torch_maps, strict=True):
        assert {head: one.shape for head, one in own.items()} == {h: one.shape for h, one in others.items()}
        for head in HEADS:
            np.testing.assert_allclose(others[head], own[head], atol=1e-5)
    np.testing.assert_allclose(torch_output, output, atol=1e-2)
    np.testing.assert_allclose(torch_ratios, ratios, rtol=2e-2)
    np.testing.assert_allclose(torch_probabilities, probabilities, rtol=1e-2, atol=1e-9)
