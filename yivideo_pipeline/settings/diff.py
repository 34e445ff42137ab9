"""What changed between two sets of settings, and whether a model must be loaded again for it."""

from dataclasses import dataclass

from pydantic import SecretStr

from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import LOAD_FIELDS
from yivideo_pipeline.settings.show import show_value
from yivideo_pipeline.settings.tree import get_value, list_fields

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
