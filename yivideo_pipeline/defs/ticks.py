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


def reason_to_rest(instance: dg.DagsterInstance) -> dg.SkipReason | None:
    """Return why ticks do nothing on an instance that is thrown away when its program ends.

    It knows of no run so far: its sensors would make every video again, beside those of the real instance.
    """
    if not Path(instance.root_directory).name.startswith(THROWN_AWAY):
        return None
    return dg.SkipReason(
        "This instance is thrown away at the end, so nothing is done by itself: start `yivideo up`, or set"
        " DAGSTER_HOME to the folder `dagster` in the home folder"
    )


def open_tick(context: TickContext, launch: Launch, ledger: Ledger) -> Tick:
    """Return what a tick works with.

    Raises:
        ConfigError: the settings can't be read, or are wrong.
    """
    is_dry = is_dry_run(context)
    return Tick(launch.source.read(), ledger.copy() if is_dry else ledger, is_dry)
