"""Hesitations that a text leaves out ("um", "uh"): where the speaker made one, by the decoder's own opinion.

Whisper writes texts without them, but at the word behind one it gives a token such as " Um" a probability
of 1 to 10%, and elsewhere less than 0.1%. A text that is aligned with its hesitations leaves their sound to
them; without, the next word takes it.
"""

from typing import Any

import numpy as np

from yivideo_pipeline.speech.align.decoder import Decoder
from yivideo_pipeline.speech.align.torch_decoder import TorchDecoder

# By language, and only English so far: " um" is an ordinary word in German and Portuguese, and " Ähm" begins
# with the token of many others.
FILLERS = {"en": (" um", " Um", " uh", " Uh", " Umm")}
# All fillers together, relative to the text's own token. Three hesitations in spontaneous English were at
# 0.014 to 0.092, one word without any at 0.004, 330 words of read English below 0.0005 (base).
LEAST_RATIO = 0.002


def find_hesitations(
    decoder: Decoder | TorchDecoder,
    tokenizer: Any,
    tokens: list[int],
    bounds: np.ndarray,
    output: np.ndarray,
) -> dict[int, str]:
    """Return the likeliest filler before each word that has one before it, by index of the word.

    Args:
        decoder: What made the output.
        tokenizer: The model's.
        tokens: The text's.
        bounds: Each word's first token, then the number of tokens, shape (n + 1,).
        output: The decoder's output that predicts the tokens, shape (tokens, d).
    """
    firsts = bounds[:-1][bounds[:-1] < len(tokens)]
    spelled = {filler: tokenizer.encode(filler) for filler in FILLERS.get(tokenizer.language_code, ())}
    fillers = [filler for filler, ids in spelled.items() if len(ids) == 1]
    if not len(firsts) or not fillers:
        return {}
    ids = [spelled[filler][0] for filler in fillers]
    ratios = decoder.compare(output[firsts], [tokens[first] for first in firsts], ids)
    found = np.flatnonzero(ratios.sum(axis=1) > LEAST_RATIO)
    return {int(word): fillers[int(ratios[word].argmax())] + "," for word in found}


def insert_hesitations(words: list[str], hesitations: dict[int, str]) -> tuple[list[str], np.ndarray]:
    """Return the words with the hesitations among them, and which of all these are the text's, bool."""
    spoken: list[str] = []
    is_text: list[bool] = []
    for index, word in enumerate(words):
        if index in hesitations:
            spoken.append(hesitations[index])
            is_text.append(False)
        spoken.append(word)
        is_text.append(True)
    return spoken, np.array(is_text, bool)
