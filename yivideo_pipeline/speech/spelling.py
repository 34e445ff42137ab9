"""Words as tokens: in the model's own pieces, or letter by letter."""

from typing import Any

import numpy as np

from yivideo_pipeline.speech.words import spoken_characters


def piece_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words in the model's own tokens, and at which token each word begins, shape (n + 1,)."""
    return _concatenate([tokenizer.encode(word) for word in words])


def text_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words' text as the model itself would write it, and at which token each word begins.

    A token may hold several words where a word is a character: those begin at the same token.
    """
    encoding = tokenizer.tokenizer.encode("".join(words), add_special_tokens=False)
    token_ends = np.array([end for _, end in encoding.offsets])
    word_starts = np.concatenate([[0], np.cumsum([len(word) for word in words])])[:-1]
    # A space before the word may stand in a token of its own or be left out of the offsets.
    spoken = [start + len(word) - len(word.lstrip()) for start, word in zip(word_starts, words, strict=True)]
    return encoding.ids, np.append(np.searchsorted(token_ends, spoken, side="right"), len(encoding.ids))


def word_confidences(probabilities: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Mean probability of each word's tokens, shape (n,).

    Args:
        probabilities: Probability of each token of `text_tokens`.
        bounds: Each word's first token, and the number of tokens at last, shape (n + 1,).
    """
    sums = np.concatenate([[0.0], np.cumsum(probabilities)])
    firsts = np.minimum(bounds[:-1], len(probabilities) - 1)
    lasts = np.maximum(bounds[1:], firsts + 1)
    return np.clip((sums[lasts] - sums[firsts]) / (lasts - firsts), 0, 1)


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
