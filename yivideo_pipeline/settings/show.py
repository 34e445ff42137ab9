"""The settings as text for the user: all of them with their sources, or what differs between two sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import SecretStr

from yivideo_pipeline.settings.key_paths import describe_field, get_value, list_fields
from yivideo_pipeline.settings.options import LOAD_FIELDS
from yivideo_pipeline.settings.settings import Settings

_RELOADING = {("cache", "model_dir")} | {("speech", name) for name in LOAD_FIELDS}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting; `source` is `default`, a file with its line, or a variable."""

    field: str
    value: str
    source: str
    description: str


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting that differs: its values as text, and whether the model must be loaded again for it."""

    field: str
    old: str
    new: str
    needs_reload: bool


def describe_settings(settings: Settings) -> list[SettingRow]:
    """Return every setting, in the order of config.yml; secrets are masked."""
    return [
        SettingRow(
            field=".".join(path),
            value=show_value(get_value(settings, path)),
            source=settings.origin(".".join(path)),
            description=describe_field(Settings, path),
        )
        for path in list_fields(Settings)
    ]


def diff_settings(old: Settings, new: Settings) -> list[SettingChange]:
    """Return the settings that differ, in the order of config.yml; secrets are masked."""
    changes = []
    for path in list_fields(Settings):
        before, after = get_value(old, path), get_value(new, path)
        if before == after:
            continue
        shown = [show_value(before), show_value(after)]
        if isinstance(before, SecretStr) and isinstance(after, SecretStr):
            shown[1] = "changed"
        changes.append(SettingChange(".".join(path), *shown, needs_reload=path in _RELOADING))
    return changes


def show_value(value: Any) -> str:
    """Return a value as it would stand in config.yml; for a secret only whether it is set."""
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
