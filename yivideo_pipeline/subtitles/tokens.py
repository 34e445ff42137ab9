"""Tokens, the pieces of text that stay together on a line, and the columns that text takes.

A full-width character takes two columns, any other visible one takes one. Sixteen Chinese characters a line
are thus 32 columns, and a Latin letter among them counts as half a character.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.subtitles.unspaced import inside_phrases, inside_words

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

# Kinsoku: characters that must not be first on a line, and those that must not be last.
NEVER_FIRST = frozenset(
    ",.!?:;%)]}…‥、。，．・：；？！％）〕］｝〉》」』】〗〙”’»"
    "゛゜ヽヾゝゞ々ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ،؛؟۔।"
    "ๆฯໆຯៗ។៕၊။၏་།"
)
NEVER_LAST = frozenset("([{（〔［｛〈《「『【〖〘“‘«¿¡$€£¥￥")

_BREAK_AFTER = frozenset(" -/\\._?&=+,:;、。，！？；：")
_DROPPED = frozenset("\ufeff\ufffe\uffff")


@dataclass(frozen=True, slots=True)
class Profile:
    """The limits for the script of a text, in columns."""

    line_columns: int
    columns_per_second: float
    columns_per_char: int


@lru_cache(maxsize=8192)
def char_columns(char: str) -> int:
    """Return the columns of a character: 0 for combining marks, 2 for full width, else 1."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def count_columns(text: str) -> int:
    """Return the columns of a line of text."""
    return sum(map(char_columns, text))


def is_cjk(text: str) -> bool:
    """Return whether enough letters are full-width for the Chinese, Japanese and Korean limits."""
    letters = [char for char in text if char.isalnum()]
    wide = sum(char_columns(char) == 2 for char in letters)
    return wide > 0 and wide >= CJK_SHARE * len(letters)


def is_spaceless(char: str) -> bool:
    """Return whether a character belongs to a script that is written without spaces between words."""
    code = ord(char)
    return code >= 0x0E00 and any(low <= code <= high for low, high in _SPACELESS_RANGES)


def profile_of(text: str, options: SubtitleOptions) -> Profile:
    """Return the limits for a text, by the script that it is mostly written in."""
    if is_cjk(text):
        return Profile(2 * options.max_chars_per_line_cjk, 2 * options.max_chars_per_second_cjk, 2)
    return Profile(options.max_chars_per_line, options.max_chars_per_second, 1)


@dataclass(frozen=True, slots=True)
class Token:
    """One or more words that no line break may separate.

    `spaced` says that a space precedes it, `language` is that of the words. Times are milliseconds, each no
    earlier than the one before. A token without words continues the token before it, which was wider than a
    line.
    """

    text: str
    spaced: bool
    start_ms: int
    end_ms: int
    words: tuple[Word, ...]
    language: str

    @property
    def columns(self) -> int:
        """The columns of the text, without the space before it."""
        return count_columns(self.text)


def clean_text(text: str) -> str:
    """Return text that is safe for a line: runs of white space and control characters become one space."""
    kept = "".join(
        " " if char.isspace() or unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text
        if char not in _DROPPED
    )
    return re.sub(" +", " ", kept)


def is_sounding(text: str) -> bool:
    """Return whether any character stands for a sound; punctuation alone takes no time."""
    return any(unicodedata.category(char)[0] in "LNS" for char in text)


def tokenize(transcript: Transcript, max_pause_ms: int) -> list[Token]:
    """Join words to tokens, in the transcript's order; words without visible text are left out.

    Punctuation goes with its word. Letters and digits without a space between them stay together, and so do
    the characters of a word in a script without spaces, unless a pause longer than `max_pause_ms` separates
    them. Times are rounded to milliseconds here, once; times that
    run backwards are held at the latest start before them.
    """
    single = list(_single_words(transcript))
    starts = accumulate((len(token.text) + token.spaced for token in single), initial=0)
    inside = inside_phrases("".join(" " * token.spaced + token.text for token in single))
    tokens: list[Token] = []
    for token, start in zip(single, starts, strict=False):
        if tokens and _belong_together(tokens[-1], token, start in inside, max_pause_ms):
            tokens[-1] = _join(tokens[-1], token)
        else:
            tokens.append(token)
    return tokens


def split_wide(tokens: Sequence[Token], line_columns: int) -> list[Token]:
    """Cut tokens that are wider than a line (an address, a compound) into pieces that fit one."""
    units: list[Token] = []
    for token in tokens:
        pieces = _pieces(token.text, line_columns)
        units.append(
            Token(pieces[0][0], token.spaced, token.start_ms, token.end_ms, token.words, token.language)
        )
        units += [
            Token(text, spaced, token.start_ms, token.end_ms, (), token.language)
            for text, spaced in pieces[1:]
        ]
    return units


def _single_words(transcript: Transcript) -> Iterator[Token]:
    space, last_char, latest_ms = False, "", 0
    for segment in transcript.segments:
        for index, word in enumerate(segment.words):
            raw = clean_text(word.text)
            text = raw.strip()
            if not text:
                space = space or bool(raw)
                continue
            new_segment = index == 0 and last_char and not (is_spaceless(last_char) or is_spaceless(text[0]))
            spaced = space or raw.startswith(" ") or bool(new_segment)
            latest_ms = max(latest_ms, round(word.start_s * 1000))
            end_ms = max(latest_ms, round(word.end_s * 1000))
            yield Token(text, spaced, latest_ms, end_ms, (word,), transcript.language_of(segment))
            space, last_char = raw.endswith(" "), text[-1]


def _belong_together(before: Token, after: Token, inside: bool, max_pause_ms: int) -> bool:
    if before.language != after.language:
        return False
    if all(char in NEVER_FIRST for char in after.text):
        return True
    if after.start_ms - before.end_ms > max_pause_ms:
        return False
    last, first = before.text[-1], after.text[0]
    if all(char in NEVER_LAST for char in before.text):
        return True
    if after.spaced:
        return False
    if inside or first in NEVER_FIRST or last in NEVER_LAST or unicodedata.category(first)[0] == "M":
        return True
    return not (is_spaceless(last) or is_spaceless(first))


def _join(before: Token, after: Token) -> Token:
    text = f"{before.text}{' ' if after.spaced else ''}{after.text}"
    end_ms = max(before.end_ms, after.end_ms) if is_sounding(after.text) else before.end_ms
    return Token(text, before.spaced, before.start_ms, end_ms, before.words + after.words, before.language)


def _pieces(text: str, line_columns: int) -> list[tuple[str, bool]]:
    """Return pieces of a text that each fit a line, and whether a space precedes each."""
    pieces, spaced = [], False
    while count_columns(text) > line_columns:
        cut = _cut_index(text, line_columns)
        pieces.append((text[:cut].strip(), spaced))
        spaced = " " in text[cut - 1 : cut + 1]
        text = text[cut:].strip()
    return [*pieces, (text, spaced)]


def _cut_index(text: str, line_columns: int) -> int:
    """Return where to cut: after a mark in the later half of what fits, else between words, else anywhere."""
    columns, whole, tidy, marked = 0, 1, 0, 0
    inside = inside_words(text)
    for index, (char, following) in enumerate(pairwise(text), 1):
        columns += char_columns(char)
        if columns > line_columns:
            break
        if char == "\u200d" or not char_columns(following):
            continue
        whole = index
        if char in NEVER_LAST or following in NEVER_FIRST or index in inside:
            continue
        tidy = index
        if char in _BREAK_AFTER:
            marked = index
    return marked if marked > whole // 2 else tidy or whole
