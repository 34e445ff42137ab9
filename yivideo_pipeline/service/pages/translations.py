"""The pages' texts by language, from `service/translations/*.json`, and which language a browser gets.

A file has sections of texts by name: `frame` for every page, and one section a page. Section `messages`
translates what the program says in English by itself: kinds of errors, reasons of the watch, alerts and
recommendations. English has no such section; pages then show the program's own message.

Section `phrases` has the program's sentences themselves, `{a}` standing for what varies: failures, hints,
why a transcript is empty. Programs get them in English; a browser whose language is another gets its own.

A text may have two forms, `{count} cue|{count} cues`: the first is for one.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import PlainSerializer
from starlette.requests import HTTPConnection

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
LANGUAGE_COOKIE = "yivideo_language"
FRAME, MESSAGES, PHRASES = "frame", "messages", "phrases"

LONGEST_SAID = 1000
"""Characters; a longer sentence stays as it is, since the patterns take time by the square of its length."""
spoken: ContextVar[Language] = ContextVar("spoken", default="en")
"""The language of the answer to the request in progress."""

_FOLDER = Path(__file__).resolve().parent.parent / "translations"


@cache
def load_sections(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Return all texts of a language: by section, then by name."""
    return json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))


def say(text: str, language: Language | None = None) -> str:
    """Return what the program says in a language, by default the one of the request in progress.

    Each line is looked up by itself, and so is what stands in a sentence; what has no translation stays.
    """
    phrases, patterns = _load_phrases(language or spoken.get())
    if not phrases or len(text) > LONGEST_SAID:
        return text
    return "\n".join(_say_line(line, phrases, patterns) for line in text.split("\n"))


Said = Annotated[str, PlainSerializer(say, return_type=str)]
"""A sentence of the program, in a response: a browser gets it in its language."""


_Patterns = Sequence[tuple[re.Pattern[str], str]]


@cache
def _load_phrases(language: Language) -> tuple[Mapping[str, str], _Patterns]:
    """Return the sentences, and patterns of those that vary, the plainest first."""
    phrases = load_sections(language).get(PHRASES, {})
    varying = sorted((one for one in phrases if "{" in one), key=_by_words)
    patterns = [
        (re.compile(re.sub(r"\\\{(\w)\\\}", r"(?P<\1>.+?)", re.escape(one)), re.DOTALL), phrases[one])
        for one in varying
    ]
    return phrases, patterns


def _by_words(phrase: str) -> tuple[bool, int]:
    return phrase.startswith("{"), -len(re.sub(r"\{\w\}", "", phrase))


def _say_line(line: str, phrases: Mapping[str, str], patterns: _Patterns) -> str:
    sentence = line.strip().removesuffix(".")
    if sentence in phrases:
        return phrases[sentence]
    for mark in ("; ", ". "):  # several sentences, before a pattern takes all for one
        parts = sentence.split(mark)
        said = [_say_line(part, phrases, patterns) for part in parts] if len(parts) > 1 else parts
        if all(one != part for one, part in zip(said, parts, strict=True)):
            return " ".join(f"{one}。" for one in said)
    for pattern, phrase in patterns:
        if found := pattern.fullmatch(sentence):
            values = {name: _say_line(part, phrases, patterns) for name, part in found.groupdict().items()}
            return phrase.format(**values)
    return line


class Texts:
    """The texts that one page shows, in one language.

    Args:
        language: The language.
        page: The page's section; the frame's texts and the messages belong to every page.

    Attributes:
        table: All of them by name, as scripts get them.
    """

    def __init__(self, language: Language, page: str) -> None:
        sections = load_sections(language)
        self.language: Language = language
        self.table = {**sections.get(MESSAGES, {}), **sections[FRAME], **sections[page]}

    def __call__(self, name: str, /, **values: object) -> str:
        """Return a text with values in place of its {names}.

        Raises:
            KeyError: There is no text of this name.
        """
        one, _, many = self.table[name].partition("|")
        text = one if not many or 1 in values.values() else many
        return text.format(**values) if values else text

    def say(self, text: str) -> str:
        """Return what the program says in English, in the page's language."""
        return say(text, self.language)

    def find(self, name: str) -> str | None:
        """Return a text as it is written; None where there is none of this name."""
        return self.table.get(name)


def choose_language(request: HTTPConnection) -> Language:
    """Return the language of `?lang=`, else of the cookie, else the one that the browser prefers."""
    for asked in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        for language in LANGUAGES:
            if language == asked:
                return language
    return _preferred(request.headers.get("accept-language", ""))


def _preferred(header: str) -> Language:
    """Return the language that an Accept-Language header ranks highest; English if it names none of them."""
    ranked = []
    for place, entry in enumerate(header.split(",")):
        tag, _, weight = entry.strip().lower().partition(";q=")
        ranked.append((-_number(weight), place, tag.partition("-")[0]))
    for rank, _, tag in sorted(ranked):
        for language in LANGUAGES:
            if language == tag and rank < 0:
                return language
    return "en"


def _number(weight: str) -> float:
    try:
        return float(weight) if weight else 1.0
    except ValueError:
        return 0.0
