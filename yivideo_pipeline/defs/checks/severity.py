"""How much each check matters: its own severity, unless the settings say otherwise."""

from collections.abc import Iterable

import dagster as dg

from yivideo_pipeline.defs.checks.base import Check
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.messages import did_you_mean
from yivideo_pipeline.settings.model import Settings

LISTS = ("errors", "warnings", "skip")


def validate_names(settings: Settings, known: Iterable[str]) -> None:
    """See that the lists in the settings name checks that there are, none in two lists.

    Raises:
        ConfigValidationError: they don't; one line a name.
    """
    known = tuple(known)
    lists = {name: getattr(settings.checks, name) for name in LISTS}
    lines = [
        f"checks.{where}: there is no check {name!r}{did_you_mean(name, known)}"
        for where, names in lists.items()
        for name in names
        if name not in known
    ]
    for name in known:
        places = [f"checks.{where}" for where, names in lists.items() if name in names]
        if len(places) > 1:
            lines.append(f"{' and '.join(places)}: {name} stands in more than one of them")
    if lines:
        raise ConfigValidationError("\n".join(lines), f"Choose of {', '.join(known)}; each in one list")


def severity_of(check: Check, settings: Settings) -> dg.AssetCheckSeverity:
    """Return what a failure of the check is."""
    if check.name in settings.checks.errors:
        return dg.AssetCheckSeverity.ERROR
    if check.name in settings.checks.warnings:
        return dg.AssetCheckSeverity.WARN
    return check.severity


def blocks(check: Check, settings: Settings) -> bool:
    """Whether a failure of the check stops the stages after it: only an error does."""
    return check.blocks and severity_of(check, settings) is dg.AssetCheckSeverity.ERROR
