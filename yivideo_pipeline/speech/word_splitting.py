"""Splits recognized text into words: by spaces where the script has them, else by character."""

import re
import unicodedata

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
