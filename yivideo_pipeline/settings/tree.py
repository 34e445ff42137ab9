"""Walks a tree of pydantic models: which key paths there are, and what stands at each."""

from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

KeyPath = tuple[str, ...]


def list_fields(model: type[BaseModel]) -> list[KeyPath]:
    """Return the key path of every value, in the order of the models."""
    paths: list[KeyPath] = []
    for name, field in model.model_fields.items():
        section = _find_model(field.annotation)
        paths += [(name, *path) for path in list_fields(section)] if section else [(name,)]
    return paths


def find_model(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the section at a key path (the model itself for the empty path), None where there is none."""
    for name in path:
        field = model.model_fields.get(name)
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
    field = owner.model_fields.get(path[-1]) if owner else None
    return (field.description or "") if field else ""


def is_secret(model: type[BaseModel], path: KeyPath) -> bool:
    """Tell whether the value at a key path is a secret, which nothing may show."""
    owner = find_model(model, path[:-1])
    field = owner.model_fields.get(path[-1]) if owner and path else None
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def get_value(model: BaseModel, path: KeyPath) -> Any:
    """Return the value at a key path."""
    value: Any = model
    for name in path:
        value = getattr(value, name)
    return value


def _find_model(annotation: Any) -> type[BaseModel] | None:
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), None)
