"""Automation: subtitles whose profile has changed are rendered again by themselves, as long as they are few.

Rendering takes a fraction of a second and no model. A transcript costs minutes of a GPU and may replace words
that a user has read and trusts: it has no condition, and is made again by `yivideo backfill --stale` or in
the UI. `docs/adr/0006-automation.md` has the reasons and the numbers.
"""

import logging
import time
import warnings
from collections.abc import Callable, Collection
from typing import TypeAlias

import dagster as dg

from yivideo_pipeline.defs.cache_keys import cache_key, deciding_options
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.ticks import open_tick
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import AUTOMATIC_TAG, PRIORITY_TAG, TRIGGER_TAG

STAGE = "subtitles"
SENSOR = "render_again"
INTERVAL_S = 60
_TAGS = {PRIORITY_TAG: "-2", AUTOMATIC_TAG: "true", TRIGGER_TAG: "automation"}

log = logging.getLogger(__name__)

Condition: TypeAlias = dg.AutomationCondition[dg.AssetKey]
ConditionContext: TypeAlias = dg.AutomationContext[dg.AssetKey]
ConditionResult: TypeAlias = dg.AutomationResult[dg.AssetKey]


class MadeByAnotherProfile(Condition):
    """Holds for the videos whose subtitles were made by another code or profile, as the ledger knows.

    Dagster's own `code_version_changed` would select every partition, and does not know the options.

    Args:
        find: Returns their keys.
    """

    def __init__(self, find: Callable[[ConditionContext], Collection[str]]) -> None:
        self._find = find

    @property
    def name(self) -> str:
        """Its name in the UI."""
        return "made_by_another_profile"

    def evaluate(self, context: ConditionContext) -> ConditionResult:
        """Select them from the candidates."""
        found, subset = set(self._find(context)), context.get_empty_subset()
        if found:
            # A video that was removed has no partition any more.
            known = context.candidate_subset.expensively_compute_partition_keys()
            subset = context.candidate_subset.compute_intersection_with_partition_keys(found & known)
        return dg.AutomationResult(context, subset)


class Few(Condition):
    """Holds for all candidates, or for none where there are more than users expect to change by themselves.

    Args:
        are_few: Returns whether the candidates are few; where they are not, it asks the user.
    """

    def __init__(self, are_few: Callable[[ConditionContext], bool]) -> None:
        self._are_few = are_few

    @property
    def name(self) -> str:
        """Its name in the UI."""
        return "no_more_than_runs_ask_above"

    def evaluate(self, context: ConditionContext) -> ConditionResult:
        """Select all candidates, or ask."""
        selected = context.candidate_subset if self._are_few(context) else context.get_empty_subset()
        return dg.AutomationResult(context, selected)


def build_condition(launch: Launch, ledger: Ledger) -> Condition:
    """Build the condition of the subtitles.

    It does not hold for a video while it is in progress, nor after it failed: `yivideo backfill --failed` and
    the nightly schedule make those.

    Args:
        launch: Reads the settings at each tick: the profile, and for how many videos the user is asked.
        ledger: Knows how each video's subtitles were made, and takes the question.
    """
    requested: dict[str, tuple[str, float]] = {}

    def was_made_in_vain(video: str, key: str) -> bool:
        """Return whether a video was made as requested, but by newer code than this process has."""
        wanted, at = requested.get(video, ("", 0.0))
        return wanted == key and ledger.materializations.of(video)[STAGE].made_at > at

    def find(context: ConditionContext) -> Collection[str]:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            log.warning(tick.skip_message)
            return set()
        key = _key_now(tick.settings)
        found = set(ledger.materializations.other_recipes(STAGE, key)) - ledger.failures.quarantined().keys()
        in_vain = {video for video in found if was_made_in_vain(video, key)}
        if in_vain:
            log.warning("Runs have newer code than this code server: start `yivideo up` again")
        return found - in_vain

    def are_few(context: ConditionContext) -> bool:
        tick, count = open_tick(context, launch, ledger), context.candidate_subset.size
        if isinstance(tick, dg.SkipReason) or not count:
            return False
        key, most, notices = _key_now(tick.settings), tick.settings.runs.ask_above, tick.settings.notices
        if count > most:
            question = _question(count, key, most, notices.ui_url)
            tick.ledger.outbox.post(question, notices.repeat_after_h * 3600)
        elif not tick.is_dry:
            videos = context.candidate_subset.expensively_compute_partition_keys()
            requested.update(dict.fromkeys(videos, (key, time.time())))
        return count <= most

    # In this order: each condition sees only what the ones before it left, which is mostly nothing.
    return (
        MadeByAnotherProfile(find)
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.execution_failed()
        & Few(are_few)
    )


def _key_now(settings: Settings) -> str:
    return cache_key(STAGE, deciding_options(STAGE, settings.speech.options, settings.subtitles, revision=""))


def attach_condition(asset: dg.AssetsDefinition, condition: Condition) -> dg.AssetsDefinition:
    """Give the subtitles their condition; other assets stay as they are."""
    if asset.key != dg.AssetKey(STAGE):
        return asset
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=condition))


def build_automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Build the sensor that evaluates the condition, in the code server, which has the ledger.

    It is off until a user switches it on in the UI: it writes files beside the videos of users who may have
    changed the profile only for the next ones.
    """
    with warnings.catch_warnings():
        # Evaluating conditions in the code server is beta in Dagster; tests cover what it must do.
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


def _question(count: int, key: str, ask_above: int, ui_url: str) -> Notice:
    return Notice(
        "asks",
        f"Subtitles of {plural(count, 'video')} were made by another profile",
        (
            f"More than {ask_above} (runs.ask_above) are not made again without being asked for.",
            "To see them: yivideo backfill --stale --dry-run. To make them: yivideo backfill --stale",
        ),
        fingerprint=f"subtitles by another profile than {key}",
        severity=Severity.LOW,
        url=ui_url,
    )
