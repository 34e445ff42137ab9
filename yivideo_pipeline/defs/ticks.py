"""A tick of a sensor or schedule: the settings and the ledger as they are now, and whether it counts.

A code server lives on while the settings' file changes, so each tick reads it anew: what is stale is judged
by the settings that the next run reads. Where Dagster's UI only tries a sensor or schedule, nothing may come
of it: such a dry run works on a copy of the ledger, and does nothing that can't be undone.
"""

from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import is_dry_run
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.settings.settings import Settings

TickContext: TypeAlias = (
    dg.SensorEvaluationContext
    | dg.ScheduleEvaluationContext
    | dg.RunFailureSensorContext
    | dg.AutomationContext[dg.AssetKey]
)


@dataclass(frozen=True)
class Tick:
    """What a sensor or schedule works with.

    Attributes:
        settings: As they are now.
        ledger: The ledger; in a dry run a copy, which is forgotten.
        is_dry: Whether nothing may come of the tick.
    """

    settings: Settings
    ledger: Ledger
    is_dry: bool


def open_tick(context: TickContext, launch: Launch, ledger: Ledger) -> Tick:
    """Return what a tick works with.

    Raises:
        ConfigError: the settings can't be read, or are wrong.
    """
    is_dry = is_dry_run(context)
    return Tick(launch.source.read(), ledger.copy() if is_dry else ledger, is_dry)
