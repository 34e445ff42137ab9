"""Words as tokens: in the model's own pieces, or letter by letter."""

from typing import Any

import numpy as np

from yivideo_pipeline.speech.words import spoken_characters


def piece_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words in the model's own tokens, and at which token each word begins, shape (n + 1,)."""
    return _concatenate([tokenizer.encode(word) for word in words])


def letter_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words' letters, a token each where the vocabulary has one, and each word's first token."""
    return _concatenate([_spell(tokenizer, spoken_characters(word)) for word in words])


def _spell(tokenizer: Any, letters: str) -> list[int]:
    """Tokens of a word's letters; the first one carries the space before the word."""
    tokens: list[int] = []
    for index, letter in enumerate(letters):
        spaced = tokenizer.encode(" " + letter) if index == 0 else []
        if len(spaced) == 1:
            tokens += spaced
        else:
            tokens += (tokenizer.encode(" ") if index == 0 else []) + tokenizer.encode(letter)
    return tokens


def _concatenate(rows: list[list[int]]) -> tuple[list[int], np.ndarray]:
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(int)
    return [token for row in rows for token in row], bounds
