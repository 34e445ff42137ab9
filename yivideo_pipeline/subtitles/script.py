"""How wide text is, and how fast it may be read, judged by its characters.

Widths are columns: a full-width character takes two, any other visible one takes one. Sixteen
Chinese characters a line are thus 32 columns, and a Latin word among them counts half a
character a letter.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from yivideo_pipeline.settings.options import SubtitleOptions

CJK_SHARE = 0.25
"""From this share of full-width letters on, text is set by the Chinese, Japanese and Korean limits."""

_SPACELESS_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x30FF),  # Han radicals, CJK punctuation, kana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0xFF00, 0xFF0F),  # full-width punctuation
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF40),
    (0xFF5B, 0xFF9F),
    (0x20000, 0x3FFFF),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The limits that a text's script sets, in columns."""

    line_columns: int
    columns_per_second: float
    columns_per_char: int


@lru_cache(maxsize=8192)
def char_columns(char: str) -> int:
    """Columns of one character: 0 for marks that sit on another, 2 for full width, else 1."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def count_columns(text: str) -> int:
    """Columns of a line of text."""
    return sum(map(char_columns, text))


def is_cjk(text: str) -> bool:
    """Whether enough of the letters are full-width for the Chinese, Japanese, Korean limits."""
    letters = [char for char in text if char.isalnum()]
    wide = sum(char_columns(char) == 2 for char in letters)
    return wide > 0 and wide >= CJK_SHARE * len(letters)


def is_spaceless(char: str) -> bool:
    """Whether the character belongs to a script that puts no spaces between words."""
    code = ord(char)
    return code >= 0x0E00 and any(low <= code <= high for low, high in _SPACELESS_RANGES)


def profile_of(text: str, options: SubtitleOptions) -> Profile:
    """The limits for a text, by the script it is mostly written in."""
    if is_cjk(text):
        return Profile(2 * options.max_chars_per_line_cjk, 2 * options.max_chars_per_second_cjk, 2)
    return Profile(options.max_chars_per_line, options.max_chars_per_second, 1)
