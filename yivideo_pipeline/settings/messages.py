"""What is wrong with a setting: one line a field, which says what to change."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from yivideo_pipeline.settings.key_paths import KeyPath, find_model, is_secret, list_fields, to_key_path

_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least"),
    "less_than_equal": ("le", "must be at most"),
}


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
    for details in error.errors(include_url=False):
        path = to_key_path(model, details["loc"])
        place = name_place(path)
        lines.append(
            f"{place}: {_describe_error(details, model, path)}"
            if place
            else _describe_error(details, model, path)
        )
    return list(dict.fromkeys(lines))


def _describe_error(details: ErrorDetails, model: type[BaseModel], path: KeyPath) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        owner = find_model(model, path[:-1])
        known = list(dict.fromkeys(path[0] for path in list_fields(owner))) if owner else []
        return f"is not a known key{did_you_mean(path[-1], known)}: choose one of {', '.join(known)}"
    if kind == "value_error":
        return str(context["error"])
    given = "" if is_secret(model, path) else f"{details['input']!r} is not allowed: "
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{given}{words} {context[bound]:g}"
    if kind in {"enum", "literal_error"}:
        return f"{given}choose {context['expected'].replace(chr(39), '')}"
    return f"{given}{details['msg'][0].lower()}{details['msg'][1:]}"
