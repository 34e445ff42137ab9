"""The settings as rows for a person: value, where it was set, what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import SecretStr

from yivideo_pipeline.settings.key_paths import describe_field, get_value, list_fields
from yivideo_pipeline.settings.options import LOAD_FIELDS
from yivideo_pipeline.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class Row:
    """One setting; `source` is `default`, a file with its line, or a variable."""

    field: str
    value: str
    source: str
    description: str


def describe(settings: Settings) -> list[Row]:
    """Return every setting in order; secrets are masked."""
    return [
        Row(
            field=".".join(path),
            value=show_value(get_value(settings, path)),
            source=settings.origin(".".join(path)),
            description=describe_field(Settings, path),
        )
        for path in list_fields(Settings)
    ]


def show_value(value: Any) -> str:
    """Write a value as it would stand in config.yml; of a secret only that it is set."""
    match value:
        case None:
            return "unset"
        case SecretStr():
            return "set"
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case Mapping():
            return ", ".join(f"{name}: {show_value(item)}" for name, item in value.items())
        case tuple():
            return ", ".join(show_value(item) for item in value)
        case float():
            return f"{value:.4g}"
    return str(value)


# PART settings/diff.py: What changed between two sets of settings, and whether a model must be loaded again for it.

_RELOADING = {("cache", "model_dir")} | {("speech", name) for name in LOAD_FIELDS}


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs, its values as text; a secret only says whether it is set."""

    field: str
    old: str
    new: str
    needs_reload: bool


def diff_settings(old: Settings, new: Settings) -> list[Change]:
    """Return the fields that differ, in the order of the settings."""
    changes = []
    for path in list_fields(Settings):
        before, after = get_value(old, path), get_value(new, path)
        if before == after:
            continue
        shown = [show_value(before), show_value(after)]
        if isinstance(before, SecretStr) and isinstance(after, SecretStr):
            shown[1] = "changed"
        changes.append(Change(".".join(path), *shown, needs_reload=path in _RELOADING))
    return changes
