"""Words with digits and symbols as they are said: "25%" is "twenty-five percent".

An acoustic model has letters alone. Where no spoken form is known the word stays as it is.
"""

import re
from decimal import Decimal

from yivideo_pipeline.settings.languages import CHINESE

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_AMOUNT = re.compile(r"([$€])\s?(\d+(?:[.,]\d+)*)")
_SHARE = re.compile(r"(\d+(?:[.,]\d+)*)\s?%")
LONGEST_NUMBER = 6
"""Digits; a longer number without marks is read out digit by digit, as a telephone number is."""
YEARS = {
    **dict.fromkeys(("en", "de", "da", "no"), range(1100, 2000)),
    **dict.fromkeys(CHINESE, range(1100, 2100)),
}
"""By language the years that are said otherwise than numbers: in hundreds, in Chinese digit by digit."""
MOST_DIGITS = 9
"""The library fails at longer numbers in some languages, and at smaller fractions."""
ENDLESS = "am"
"""The library (num2words 0.5.14) never returns from a number in Amharic."""
_CHINESE_DIGITS = "零一二三四五六七八九"

_SYMBOLS = {
    "en": {"%": "percent", "&": "and", "$": "dollars", "€": "euros"},
    "de": {"%": "Prozent", "&": "und", "$": "Dollar", "€": "Euro"},
    "fr": {"%": "pour cent", "&": "et", "$": "dollars", "€": "euros"},
    "es": {"%": "por ciento", "&": "y", "$": "dólares", "€": "euros"},
    "it": {"%": "per cento", "&": "e", "$": "dollari", "€": "euro"},
    "pt": {"%": "por cento", "&": "e", "$": "dólares", "€": "euros"},
    "nl": {"%": "procent", "&": "en", "$": "dollar", "€": "euro"},
}


def spoken_form(word: str, language: str) -> str:
    """Return a word as it is said, with its space in front.

    Args:
        word: A word of a transcript.
        language: Whisper's code.
    """
    symbols = _SYMBOLS.get(language, {})
    if not (_NUMBER.search(word) or any(symbol in word for symbol in symbols)):
        return word
    said = _AMOUNT.sub(r"\2\1", word) if symbols else word  # the number is said first
    if language in CHINESE:
        said = _SHARE.sub(r"百分之\1", said)  # there "of a hundred" is said first
    if language == "en":
        said = _ORDINAL.sub(lambda found: _say(found[1], language, "ordinal") or found[0], said)
    said = _NUMBER.sub(lambda found: f" {_say_number(found[0], language) or found[0]} ", said)
    for symbol, name in symbols.items():
        said = said.replace(symbol, f" {name} ")
    said = ("" if language in CHINESE else " ").join(said.split())
    if said.replace(" ", "") == word.strip().replace(" ", ""):
        return word
    return word[: len(word) - len(word.lstrip())] + said


def _say_number(number: str, language: str) -> str | None:
    if _THOUSANDS.fullmatch(number):
        return _say(re.sub(r"[.,]", "", number), language)
    if number.isdecimal() and (len(number) > LONGEST_NUMBER or (number[0] == "0" and len(number) > 1)):
        digits = [_say(digit, language) for digit in number]
        return " ".join(digit for digit in digits if digit) or None
    if number.isdecimal():
        kind = "year" if int(number) in YEARS.get(language, ()) else "cardinal"
        return _say(number, language, kind)
    parts = re.split(r"[.,]", number)
    if len(parts) == 2:
        return _say(".".join(parts), language)
    said = [_say_number(part, language) for part in parts]  # a date, or the number of a version
    return " ".join(part for part in said if part) or None


def _say(number: str, language: str, kind: str = "cardinal") -> str | None:
    """Return a number in words; None if it is too long, or in a language that the library does not know."""
    import num2words

    if len(number) > MOST_DIGITS or number.startswith("0.000"):
        return None
    if language in CHINESE:
        return _say_in_chinese(number, kind)
    if language not in num2words.CONVERTER_CLASSES or language == ENDLESS:
        return None
    value = Decimal(number) if "." in number else int(number)
    return num2words.num2words(value, lang=language, to=kind)


def _say_in_chinese(number: str, kind: str) -> str:
    """Return a number in Chinese, which the library does not know: 1250 is 一千二百五十, 3.05 三点零五."""
    digits = [_CHINESE_DIGITS[int(digit)] if digit != "." else "点" for digit in number]
    whole = number.partition(".")[0]
    if kind == "year":
        return "".join(digits)
    said = ""
    for place, at in zip(range(len(whole) - 1, -1, -1), range(len(whole)), strict=True):
        if whole[at] != "0":
            said += digits[at] + ("", "十", "百", "千")[place % 4]
        elif not said.endswith("零"):
            said += "零"
        if place in (4, 8) and whole[max(0, at - 3) : at + 1].strip("0"):
            said = said.rstrip("零") + ("万" if place == 4 else "亿")
    said = (said.rstrip("零") or "零").removeprefix("一" if said.startswith("一十") else "")
    return said + "".join(digits[len(whole) :])
