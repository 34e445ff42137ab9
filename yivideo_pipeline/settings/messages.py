"""What is wrong with a setting, in one line a field that a person can act on."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

# PART settings/tree.py: Walks a tree of pydantic models: which key paths there are, and what stands at each.

KeyPath = tuple[str, ...]


class Inline:
    """Marks a field (by `Annotated`) whose own keys stand in the section around it, without its name."""


def nest_inline(model: type[BaseModel], data: Any) -> Any:
    """Return the values of a section with the keys of its inline fields below the fields' names.

    Raises:
        ValueError: A value is given by an inline field's name.
    """
    if not isinstance(data, Mapping):
        return data
    nested = dict(data)
    for name, inner in _inline_fields(model).items():
        given = {key: nested.pop(key) for key in inner.model_fields if key in nested}
        if name in nested and not (isinstance(nested[name], inner) and not given):
            raise ValueError(f"{name} is no known key: write its keys in the section itself")
        nested.setdefault(name, given)
    return nested


def to_key_path(model: type[BaseModel], location: Iterable[int | str]) -> KeyPath:
    """Return the key path of a pydantic error's location: without the names of inline fields and indexes."""
    path: list[str] = []
    here: type[BaseModel] | None = model
    for name in (part for part in location if isinstance(part, str)):
        if here is None or name not in _inline_fields(here):
            path.append(name)
        field = here.model_fields.get(name) if here else None
        here = _find_model(field.annotation) if field else None
    return tuple(path)


def list_fields(model: type[BaseModel]) -> list[KeyPath]:
    """Return the key path of every value, in the order of the models."""
    paths: list[KeyPath] = []
    for name, field in model.model_fields.items():
        section = _find_model(field.annotation)
        above = () if name in _inline_fields(model) else (name,)
        paths += [(*above, *path) for path in list_fields(section)] if section else [above]
    return paths


def find_model(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the section at a key path (the model itself for the empty path), None where there is none."""
    for name in path:
        field = _find_field(model, name)
        section = _find_model(field.annotation) if field else None
        if section is None:
            return None
        model = section
    return model


def is_section(model: type[BaseModel], path: KeyPath) -> bool:
    """Tell whether a key path leads to a section rather than to a value."""
    return find_model(model, path) is not None


def describe_field(model: type[BaseModel], path: KeyPath) -> str:
    """Return the description of the value at a key path, empty where there is none."""
    owner = find_model(model, path[:-1])
    field = _find_field(owner, path[-1]) if owner else None
    return (field.description or "") if field else ""


def is_secret(model: type[BaseModel], path: KeyPath) -> bool:
    """Tell whether the value at a key path is a secret, which nothing may show."""
    owner = find_model(model, path[:-1])
    field = _find_field(owner, path[-1]) if owner and path else None
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def get_value(model: BaseModel, path: KeyPath) -> Any:
    """Return the value at a key path."""
    value: Any = model
    for name in path:
        inner = next(
            (key for key, one in _inline_fields(type(value)).items() if name in one.model_fields), None
        )
        value = getattr(getattr(value, inner) if inner else value, name)
    return value


def _inline_fields(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the inline fields of a model: the models that they hold, by name."""
    found = {
        name: _find_model(field.annotation)
        for name, field in model.model_fields.items()
        if any(isinstance(mark, Inline) for mark in field.metadata)
    }
    return {name: inner for name, inner in found.items() if inner}


def _find_field(model: type[BaseModel], key: str) -> FieldInfo | None:
    """Return the field of a key, its own or one of an inline field."""
    inline = _inline_fields(model)
    models = (model, *inline.values())
    return next(
        (one.model_fields[key] for one in models if key in one.model_fields and key not in inline), None
    )


def _find_model(annotation: Any) -> type[BaseModel] | None:
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), None)


_BOUNDS = {
    "greater_than_equal": ("ge", "must be at least"),
    "less_than_equal": ("le", "must be at most"),
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean ...?)` with the known name nearest to this one, or nothing."""
    by_folded = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), by_folded, n=1)
    return f" (did you mean {by_folded[near[0]]}?)" if near else ""


def explain(
    error: ValidationError, model: type[BaseModel], name_place: Callable[[KeyPath], str] = ".".join
) -> list[str]:
    """Turn pydantic's errors into lines: where the value stands, what is wrong, what is allowed.

    Args:
        error: What validating `model` raised.
        model: The model that refused the values; its field names feed the suggestions.
        name_place: Says where the value at a key path was written; by default the dotted path.
    """
    lines = []
    for details in error.errors(include_url=False):
        path = to_key_path(model, details["loc"])
        place = name_place(path)
        lines.append(f"{place}: {_say(details, model, path)}" if place else _say(details, model, path))
    return list(dict.fromkeys(lines))


def _say(details: ErrorDetails, model: type[BaseModel], path: KeyPath) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        owner = find_model(model, path[:-1])
        known = list(dict.fromkeys(path[0] for path in list_fields(owner))) if owner else []
        return f"is no known key{did_you_mean(path[-1], known)}: choose one of {', '.join(known)}"
    if kind == "value_error":
        return str(context["error"])
    given = "" if is_secret(model, path) else f"{details['input']!r} is not allowed: "
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{given}{words} {context[bound]:g}"
    if kind in {"enum", "literal_error"}:
        return f"{given}choose {context['expected'].replace(chr(39), '')}"
    return f"{given}{details['msg'][0].lower()}{details['msg'][1:]}"
