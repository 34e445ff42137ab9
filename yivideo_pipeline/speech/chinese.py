"""Chinese text as it is wanted: in one script, with full-width punctuation; every word keeps its time.

Conversion and punctuation go by the sentence, the result goes back to the words character by character.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from yivideo_pipeline.settings.languages import ZhScript
from yivideo_pipeline.speech.types import Segment, Word

_OPENCC_TABLES = {
    ZhScript.SIMPLIFIED: "t2s",
    ZhScript.TRADITIONAL: "s2tw",  # `s2t` gives forms that no region writes, such as 喫 and 羣
    ZhScript.TRADITIONAL_TW: "s2tw",
    ZhScript.TRADITIONAL_HK: "s2hk",
}

_FULL_WIDTH = {",": "，", ".": "。", "?": "？", "!": "！", ":": "：", ";": "；", "(": "（", ")": "）"}
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_LATIN = re.compile(r"[0-9A-Za-z]")
_ABBREVIATION = re.compile(r"(?:(?:^|[^A-Za-z])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs)|(?:^|\s)\d{1,2})$")
"""Before a full stop: `U.S`, `Mr`, and the number of an item. Other Latin words end the sentence."""
_ELLIPSIS = re.compile(r"\.{3,}")
_QUOTED = re.compile(r'"[^"]+"')


def write_chinese(segment: Segment, script: ZhScript) -> Segment:
    """Return a Chinese segment in a script, with full-width punctuation."""
    return _with_words(segment, write_chinese_words(segment.words, script))


def write_chinese_words(words: Sequence[Word], script: ZhScript) -> list[Word]:
    """Return the words of a Chinese sentence in a script, with full-width punctuation."""
    return punctuate(convert_words(words, script), "「」" if script.is_traditional else "“”")


def convert_segment(segment: Segment, script: ZhScript) -> Segment:
    """Return the segment in the characters of a script, with the same words at the same times."""
    return _with_words(segment, convert_words(segment.words, script))


def convert_words(words: Sequence[Word], script: ZhScript) -> list[Word]:
    """Return the words of a sentence in the characters of a script, at the same times.

    The whole sentence is converted, since one simplified character can stand for several traditional
    ones; where that changes the number of characters, each word is converted by itself.
    """
    convert = _converter(script).convert
    before = "".join(word.text for word in words)
    text = convert(before)
    if len(text) == len(before):
        return _spread(words, list(text))
    return [word.model_copy(update={"text": convert(word.text)}) for word in words]


def punctuate(words: Sequence[Word], quotes: str = "“”") -> list[Word]:
    """Return the words of a Chinese sentence with full-width marks, and without the spaces beside those.

    Marks inside numbers, Latin words and addresses, and between Latin words, stay as they are.

    Args:
        words: The words of the sentence.
        quotes: An opening and a closing quotation mark, for quoted Chinese.
    """
    text = "".join(word.text for word in words)
    if not _HAN.search(text):
        return list(words)
    chars = [_full_width(text, at) for at in range(len(text))]
    for match in _ELLIPSIS.finditer(text):
        chars[slice(*match.span())] = ["…", "…", *[""] * (match.end() - match.start() - 2)]
    for match in _QUOTED.finditer(text):
        if _HAN.search(match.group()):
            chars[match.start()], chars[match.end() - 1] = quotes
    for at, char in enumerate(text):
        beside = (at and text[at - 1] != chars[at - 1], text[at + 1 :] and text[at + 1] != chars[at + 1])
        if char == " " and any(beside):
            chars[at] = ""
    return _spread(words, chars)


def _full_width(text: str, at: int) -> str:
    char, before, after = text[at], text[:at].rstrip(), text[at + 1 :]
    if char not in _FULL_WIDTH or _stays(char, before, after):
        return char
    return _FULL_WIDTH[char]


def _stays(char: str, before: str, after: str) -> bool:
    """Return whether a mark belongs to Latin text or a number."""
    last, first = before[-1:], after.lstrip()[:1]
    if char == "(":
        return not (_HAN.match(last) or _HAN.search(after.partition(")")[0]))
    if char == ")":
        inside = before.rpartition("(")
        return not (_HAN.match(inside[0].rstrip()[-1:]) or _HAN.search(inside[2]))
    if char == ":" and after[:1] in ("/", "\\"):
        return True
    if char == "." and _ABBREVIATION.search(before) and first:
        return True
    return bool(last) and not _is_chinese(last) and bool(_LATIN.match(first))


def _is_chinese(char: str) -> bool:
    return bool(_HAN.match(char)) or char in "，。？！：；（）”’》」』、"


def _with_words(segment: Segment, words: Sequence[Word]) -> Segment:
    return segment.model_copy(update={"text": "".join(word.text for word in words), "words": tuple(words)})


def _spread(words: Sequence[Word], chars: Sequence[str]) -> list[Word]:
    """Return the words with new text, given what each of their characters becomes."""
    spread, at = [], 0
    for word in words:
        end = at + len(word.text)
        spread.append(word.model_copy(update={"text": "".join(chars[at:end])}))
        at = end
    return spread


@cache
def _converter(script: ZhScript) -> Any:
    from opencc import OpenCC

    return OpenCC(_OPENCC_TABLES[script])
