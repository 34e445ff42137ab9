"""Key paths into a tree of pydantic models: which there are, and what stands at each.

A key path is what the user writes: `("speech", "language")` for `speech.language`. The names of inline
fields, which group keys in Python alone, are left out.
"""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

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
            raise ValueError(f"{name} is not a known key: write its keys in the section itself")
        nested.setdefault(name, given)
    return nested


def to_key_path(model: type[BaseModel], location: Iterable[int | str]) -> KeyPath:
    """Return the key path of a pydantic error's location, which has indexes and inline fields too."""
    path: list[str] = []
    here: type[BaseModel] | None = model
    for name in (part for part in location if isinstance(part, str)):
        if here is None or name not in _inline_fields(here):
            path.append(name)
        field = here.model_fields.get(name) if here else None
        here = _model_of(field.annotation) if field else None
    return tuple(path)


def list_fields(model: type[BaseModel]) -> list[KeyPath]:
    """Return the key path of every value, in the order of the models."""
    paths: list[KeyPath] = []
    for name, field in model.model_fields.items():
        section = _model_of(field.annotation)
        above = () if name in _inline_fields(model) else (name,)
        paths += [(*above, *path) for path in list_fields(section)] if section else [above]
    return paths


def find_model(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the section at a key path (the model itself for the empty path), None where there is none."""
    for name in path:
        field = find_field(model, (name,))
        section = _model_of(field.annotation) if field else None
        if section is None:
            return None
        model = section
    return model


def find_field(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """Return the field at a key path, None where there is none."""
    owner = find_model(model, path[:-1]) if path else None
    if owner is None:
        return None
    key, inline = path[-1], _inline_fields(owner)
    if key in inline:
        return None
    owners = (owner, *inline.values())
    return next((one.model_fields[key] for one in owners if key in one.model_fields), None)


def is_section(model: type[BaseModel], path: KeyPath) -> bool:
    """Return whether a key path leads to a section rather than to a value."""
    return find_model(model, path) is not None


def describe_field(model: type[BaseModel], path: KeyPath) -> str:
    """Return the description of the value at a key path, empty where there is none."""
    field = find_field(model, path)
    return (field.description or "") if field else ""


def is_secret(model: type[BaseModel], path: KeyPath) -> bool:
    """Return whether the value at a key path is a secret, which must not be shown."""
    field = find_field(model, path)
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def get_value(model: BaseModel, path: KeyPath) -> Any:
    """Return the value at a key path."""
    value: Any = model
    for name in path:
        inline = _inline_fields(type(value)) if isinstance(value, BaseModel) else {}
        owner = next((key for key, inner in inline.items() if name in inner.model_fields), None)
        value = getattr(getattr(value, owner) if owner else value, name)
    return value


def _inline_fields(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the inline fields of a model: the models that they hold, by name."""
    found = {
        name: _model_of(field.annotation)
        for name, field in model.model_fields.items()
        if any(isinstance(mark, Inline) for mark in field.metadata)
    }
    return {name: inner for name, inner in found.items() if inner}


def _model_of(annotation: Any) -> type[BaseModel] | None:
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), None)
