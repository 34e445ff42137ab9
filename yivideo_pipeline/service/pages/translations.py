"""The pages' texts by language, from `service/translations/*.json`, and which language a browser gets.

A file has sections of texts by name: `frame` for every page, and one section a page. Section `messages`
translates what the program says in English by itself: kinds of errors, reasons of the watch, alerts and
recommendations. English has no such section; pages then show the program's own message.

A text may have two forms, `{count} cue|{count} cues`: the first is for one.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from starlette.requests import Request

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
LANGUAGE_COOKIE = "yivideo_language"
FRAME, MESSAGES = "frame", "messages"

_FOLDER = Path(__file__).resolve().parent.parent / "translations"


@cache
def load_sections(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Return all texts of a language: by section, then by name."""
    return json.loads((_FOLDER / f"{language}.json").read_text("utf-8"))


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

    def find(self, name: str) -> str | None:
        """Return a text as it is written; None where there is none of this name."""
        return self.table.get(name)


def choose_language(request: Request) -> Language:
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
