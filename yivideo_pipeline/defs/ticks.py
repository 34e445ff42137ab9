"""A tick of a sensor or schedule: the settings and the ledger as they are now, and whether it counts.

A code server lives on while the settings' file changes, so each tick reads it anew: what is stale is judged
by the settings that the next run reads. Where Dagster's UI only tries a sensor or schedule, nothing may come
of it: such a dry run works on a copy of the ledger, and does nothing that can't be undone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import is_dry_run
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.settings.settings import Settings

TickContext: TypeAlias = (
    dg.SensorEvaluationContext
    | dg.ScheduleEvaluationContext
    | dg.RunFailureSensorContext
    | dg.AutomationContext[dg.AssetKey]
)


THROWN_AWAY = ".tmp_dagster_home_"
"""How the folder's name begins that `dagster dev` and `dg dev` make where there is no DAGSTER_HOME."""


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


def open_tick(context: TickContext, launch: Launch, ledger: Ledger) -> Tick | dg.SkipReason:
    """Return what a tick works with, or why it does nothing.

    It does nothing while the settings are wrong, nor on an instance that is thrown away when its program
    ends: that knows of no run so far, and would make every video again beside those of the real instance.
    """
    has_folder = not isinstance(context, dg.AutomationContext)
    if has_folder and Path(context.instance.root_directory).name.startswith(THROWN_AWAY):
        return dg.SkipReason(
            "This instance is thrown away at the end, so nothing is done by itself: start `yivideo up`, or"
            " set DAGSTER_HOME to the folder `dagster` in the home folder"
        )
    try:
        settings = launch.source.read()
    except ConfigError as error:
        return dg.SkipReason(f"Nothing is done while the settings are wrong: {error}")
    is_dry = is_dry_run(context)
    return Tick(settings, ledger.copy() if is_dry else ledger, is_dry)
