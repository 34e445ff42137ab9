"""What is made anew by itself: subtitles whose profile has changed, as long as they are few.

Rendering takes a fraction of a second and no model, so nobody need ask for it. A transcript costs minutes of
a GPU and may replace words that somebody has read and trusts: it has no condition, and is made anew by
`yivideo backfill --stale` or in the UI. `docs/adr/0006-automation.md` has the reasons and the numbers.
"""

import warnings
from collections.abc import Callable, Collection
from typing import TypeAlias

import dagster as dg

from yivideo_pipeline.defs.cache_keys import deciding_options, recipe_of
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.stages import TRIGGER_TAG

STAGE = "subtitles"
SENSOR = "render_again"
INTERVAL_S = 60
_TAGS = {"dagster/priority": "-2", TRIGGER_TAG: "automation"}

Condition: TypeAlias = dg.AutomationCondition[dg.AssetKey]
Context: TypeAlias = dg.AutomationContext[dg.AssetKey]
Result: TypeAlias = dg.AutomationResult[dg.AssetKey]


class MadeOtherwise(Condition):
    """Videos whose subtitles were made by another code or profile than today's, as the ledger knows.

    Dagster's own `code_version_changed` would name every partition, and knows nothing of options.

    Args:
        find: Returns their keys.
    """

    def __init__(self, find: Callable[[], Collection[str]]) -> None:
        self._find = find

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return "made_by_another_profile"

    def evaluate(self, context: Context) -> Result:
        """Name those among the candidates."""
        found, subset = set(self._find()), context.get_empty_subset()
        if found:
            # A video that was taken out has no partition any more.
            known = context.candidate_subset.expensively_compute_partition_keys()
            subset = context.candidate_subset.compute_intersection_with_partition_keys(found & known)
        return dg.AutomationResult(context, subset)


class FewEnough(Condition):
    """All candidates, or none where they are more than people expect to change by themselves.

    Args:
        most: So many at once are few.
        ask: Told how many there are where they are more.
    """

    def __init__(self, most: int, ask: Callable[[int], None]) -> None:
        self._most = most
        self._ask = ask

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return f"no_more_than_{self._most}"

    def evaluate(self, context: Context) -> Result:
        """Pass the candidates on, or ask."""
        candidates = context.candidate_subset
        if candidates.size <= self._most:
            return dg.AutomationResult(context, candidates)
        self._ask(candidates.size)
        return dg.AutomationResult(context, context.get_empty_subset())


def build_condition(settings: Settings, ledger: Ledger) -> Condition:
    """Build the condition of the subtitles.

    A video is not asked for while somebody is at it, nor after it failed: that one comes back by
    `yivideo backfill --failed` or the nightly schedule.

    Args:
        settings: Say today's profile, and how many videos are too many.
        ledger: Knows how each video's subtitles were made.
    """
    options = deciding_options(STAGE, settings.speech.options, settings.subtitles, revision="")
    recipe = recipe_of(STAGE, options)

    def find() -> Collection[str]:
        return set(ledger.materializations.other_recipes(STAGE, recipe)) - ledger.failures.quarantined().keys()

    def ask(count: int) -> None:
        ledger.outbox.post(_question(count, recipe, settings), settings.notices.repeat_after_h * 3600)

    # In this order: each condition sees only what the ones before it left, which is mostly nothing.
    return (
        MadeOtherwise(find)
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.execution_failed()
        & FewEnough(settings.runs.ask_above, ask)
    )


def attach_condition(asset: dg.AssetsDefinition, settings: Settings, ledger: Ledger) -> dg.AssetsDefinition:
    """Give the subtitles their condition; other assets stay as they are."""
    if asset.key != dg.AssetKey(STAGE):
        return asset
    condition = build_condition(settings, ledger)
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=condition))


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Build what looks at the condition, in the code server, where the ledger is at hand.

    It is off until somebody switches it on in the UI: it writes files beside the videos of people who may
    have changed the profile for the next ones alone.
    """
    with warnings.catch_warnings():
        # To look at conditions in the code server is beta in Dagster; what it must do is tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            SENSOR,
            target=dg.AssetSelection.assets(STAGE),
            run_tags=_TAGS,
            minimum_interval_seconds=INTERVAL_S,
            default_status=dg.DefaultSensorStatus.STOPPED,
            description="Renders subtitles again whose profile has changed; asks where they are many",
            use_user_code_server=True,
        )


def _question(count: int, recipe: str, settings: Settings) -> Notice:
    return Notice(
        "asks",
        f"Subtitles of {count} videos were made by another profile",
        (
            f"More than {settings.runs.ask_above} (runs.ask_above) are not made again without being asked.",
            "To see them: yivideo backfill --stale --dry-run. To make them: yivideo backfill --stale",
        ),
        fingerprint=f"subtitles by another profile than {recipe}",
        severity=Severity.LOW,
        url=settings.notices.ui_url,
    )
