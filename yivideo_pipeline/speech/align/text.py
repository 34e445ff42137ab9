"""Text as words, by spaces or by character, and words as tokens; the contract of the attention aligners.

Words become tokens in three ways: in the model's own pieces word by word, as the model itself would
write the text, or letter by letter.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.whisper import Decoding

# Scripts written without spaces between words: Chinese and Japanese with their extensions, Thai,
# Lao, Myanmar, Khmer. There a word is one character with its combining marks.
UNSPACED = (
    r"\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U000323af"
)
_MARKS = (
    r"\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc"
    r"\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
)
_WIDE_OPENING = "「『《〈（【〔"
_WIDE_CLOSING = "」』》〉）】〕，。！？；：、…"
_OPENING = frozenset("\"'“‘¿¡([{«" + _WIDE_OPENING)
_PIECE = re.compile(
    rf"\s*(?:[{UNSPACED}][{_MARKS}]*|[{_WIDE_OPENING}]|[{_WIDE_CLOSING}]+"
    rf"|[^\s{UNSPACED}{_WIDE_OPENING}{_WIDE_CLOSING}]+)"
)


def split_words(text: str) -> list[str]:
    """Return words whose concatenation is the text, except for space at its end.

    Marks that are not spoken join a word: opening ones the next word, all others the previous word,
    also a dash between spaces.
    """
    words: list[str] = []
    opening = ""
    for piece in _PIECE.findall(text):
        if _is_spoken(piece):
            words.append(opening + piece)
            opening = ""
        elif _is_opening(piece) or not words or opening:
            opening += piece
        else:
            words[-1] += piece
    if opening and words:
        words[-1] += opening
    return words


def _is_spoken(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _is_opening(text: str) -> bool:
    return all(char in _OPENING for char in text.strip())


def spoken_characters(word: str) -> str:
    """Return the lower-case letters, digits and apostrophes of a word: what an aligner can find."""
    folded = unicodedata.normalize("NFC", word.replace("’", "'").lower())
    kept = "".join(
        char for char in folded if char.isalnum() or char == "'" or unicodedata.category(char)[0] == "M"
    )
    return kept if _is_spoken(kept) else ""


@dataclass(frozen=True)
class Encoded:
    """Chunks with their samples, speech probabilities and the model's encoder output.

    `sounds` are float32 at 16 kHz, `activities` the probability of speech at each 10 ms, `view` a
    CTranslate2 view of shape (n, 1500, d).
    """

    chunks: tuple[Chunk, ...]
    sounds: tuple[np.ndarray, ...]
    activities: tuple[np.ndarray, ...]
    view: Any


@dataclass(frozen=True)
class WordTimings:
    """Words of one chunk with start and end on the chunk's clock, shape (n, 2), and confidences."""

    words: tuple[str, ...]
    times: np.ndarray
    confidences: np.ndarray
    timed: np.ndarray  # bool: False where a word has no sound of its own and was put between others


class TextAligner(Protocol):
    """Finds when each word of a recognized text was said."""

    def align(self, encoded: Encoded, texts: list[str], decoding: Decoding) -> list[WordTimings]:
        """Return the times of the words of each chunk's text, a transcript or its translation."""
        ...


def piece_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """Return the words in the model's own tokens, and at which token each word begins, shape (n + 1,)."""
    return _concatenate([tokenizer.encode(word) for word in words])


def text_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """Return the text's tokens as the model itself would write it, and at which token each word begins.

    A token may hold several words where a word is a character: those begin at the same token.
    """
    encoding = tokenizer.tokenizer.encode("".join(words), add_special_tokens=False)
    token_ends = np.array([end for _, end in encoding.offsets])
    word_starts = np.concatenate([[0], np.cumsum([len(word) for word in words])])[:-1]
    # A space before the word may stand in a token of its own or be left out of the offsets.
    spoken = [start + len(word) - len(word.lstrip()) for start, word in zip(word_starts, words, strict=True)]
    return encoding.ids, np.append(np.searchsorted(token_ends, spoken, side="right"), len(encoding.ids))


def word_confidences(probabilities: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the mean probability of each word's tokens, shape (n,).

    Args:
        probabilities: Probability of each token of `text_tokens`.
        bounds: Each word's first token, then the number of tokens, shape (n + 1,).
    """
    sums = np.concatenate([[0.0], np.cumsum(probabilities)])
    firsts = np.minimum(bounds[:-1], len(probabilities) - 1)
    lasts = np.maximum(bounds[1:], firsts + 1)
    return np.clip((sums[lasts] - sums[firsts]) / (lasts - firsts), 0, 1)


def letter_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """Return the words' letters, one token each where the vocabulary has one, and each word's first token."""
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
