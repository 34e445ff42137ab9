"""What is wrong with a setting: one line a field, which says what to change."""

import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from yivideo_pipeline.errors.invalid_values import describe_invalid_value, leave_out_consequences
from yivideo_pipeline.settings.key_paths import KeyPath, find_model, is_secret, list_fields, to_key_path

_ABOUT_THE_WHOLE = {"missing", "too_short", "too_long"}
"""Errors whose input is the section or list around the place."""
_SHOWN = 100
"""Characters of a wrong value that are shown."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean ...?)` with the most similar known name, or an empty text."""
    by_folded = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), by_folded, n=1)
    return f" (did you mean {by_folded[near[0]]}?)" if near else ""


def explain(
    error: ValidationError, model: type[BaseModel], name_place: Callable[[KeyPath], str] = ".".join
) -> list[str]:
    """Return a line for each of pydantic's errors: the value's place, what is wrong, what is allowed.

    Args:
        error: What validating `model` raised.
        model: The model that refused the values; its field names feed the suggestions.
        name_place: Returns the place where the value at a key path was written; by default the dotted path.
    """
    lines = []
    for details in leave_out_consequences(error.errors(include_url=False)):
        path = to_key_path(model, details["loc"])
        place = name_place(path)
        lines.append(
            f"{place}: {_describe_error(details, model, path)}"
            if place
            else _describe_error(details, model, path)
        )
    return list(dict.fromkeys(lines))


def _describe_error(details: ErrorDetails, model: type[BaseModel], path: KeyPath) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        owner = find_model(model, path[:-1])
        known = list(dict.fromkeys(path[0] for path in list_fields(owner))) if owner else []
        return f"is not a known key{did_you_mean(path[-1], known)}: choose one of {', '.join(known)}"
    words = describe_invalid_value(details)
    if kind in _ABOUT_THE_WHOLE or kind == "value_error" or is_secret(model, path):
        return words
    return f"{_show(details['input'])} is not allowed: {words}"


def _show(value: Any) -> str:
    """Return a value as a settings file has it, shortened where it is long."""
    if isinstance(value, str):
        text = repr(value)
    else:
        text = json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
