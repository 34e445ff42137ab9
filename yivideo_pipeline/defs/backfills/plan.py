"""From chosen videos to the backfills that make them, and how long they take.

There is one backfill for each first stage, so mostly one. Dagster puts videos into one run that follow each
other in the order in which they were registered, at most `runs.group_size` of them. So new videos, and all
videos of a library, share runs well; single failed ones among good ones get a run each, which costs loading
the model again (a few seconds) and nothing else. With their good neighbours the runs would be full, but make
what nobody asked for.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, median
from types import MappingProxyType

import dagster as dg

from yivideo_pipeline.defs.backfills.launch import PlannedBackfill, is_known
from yivideo_pipeline.defs.backfills.selection import FIRST_STAGE, BackfillReason, Candidate, Selection
from yivideo_pipeline.ledger.materializations import Materialization, MaterializationLedger
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import capacity_of, probe_hardware, resolve
from yivideo_pipeline.speech.engine import short_revision
from yivideo_pipeline.stages import STAGES, stages_from

STALE = BackfillReason.STALE
BY_HAND = "by-hand"
_SHOWN = 10


def plan_scheduled(selection: Selection, schedule: str, due: datetime) -> list[PlannedBackfill]:
    """Return the backfills of a schedule's tick; the same tick gives the same ids.

    Args:
        selection: The videos; those that begin with the same stage go into one backfill.
        schedule: Its name; ids and titles begin with the first word of it.
        due: When the tick was due.
    """
    name = schedule.partition("_")[0]
    stamp = f"{name}-{due:%Y%m%d-%H%M}"
    return _plan(selection, stamp, schedule, "schedule", name.capitalize())


def plan_by_hand(instance: dg.DagsterInstance, selection: Selection) -> list[PlannedBackfill]:
    """Return the backfills of a user's command.

    The ids come from the videos, and a number that is new: after an earlier backfill of the same videos has
    ended they may be launched again.
    """
    digest = hashlib.sha256("\n".join(video.key for video in selection.videos).encode()).hexdigest()[:8]
    number = 1
    while True:
        stamp = f"{BY_HAND}-{digest}" + (f"-{number}" if number > 1 else "")
        plan = _plan(selection, stamp, BY_HAND, "backfill", "By hand")
        if not any(is_known(instance, planned.backfill_id) for planned in plan):
            return plan
        number += 1


def describe_reasons(selection: Selection) -> str:
    """Return how many videos there are for which reason, such as `8 missing, 2 failed`."""
    counts = selection.reasons()
    return ", ".join(f"{counts[reason]} {reason}" for reason in BackfillReason if counts[reason])


def stale_causes(
    made: MaterializationLedger,
    selection: Selection,
    keys_now: Mapping[str, tuple[str, ...]],
    weights_now: tuple[str, str],
) -> dict[str, list[Candidate]]:
    """Return the stale videos of a selection by what has changed since they were made.

    Args:
        made: Knows how they were made.
        selection: The videos.
        keys_now: Cache keys by which the stages are up to date.
        weights_now: The model that the settings mean, and the revision of its weights.
    """
    causes: dict[str, list[Candidate]] = {}
    for start, keys in selection.by_start().items():
        stale = [video for video in selection.videos if video.start == start and video.reason == STALE]
        was = made.made_by(start, keys) if stale else {}
        for video in stale:
            cause = _cause(was[video.key], keys_now[start], weights_now)
            causes.setdefault(cause, []).append(video)
    return causes


def _cause(was: Materialization, keys_now: tuple[str, ...], weights_now: tuple[str, str]) -> str:
    model, revision = weights_now
    if was.recipe.partition(".")[0] != keys_now[0].partition(".")[0]:
        return f"the program makes another {was.stage} now"
    if was.stage == "transcript" and was.model not in (None, model):
        return f"the model has changed from {was.model} to {model}"
    if was.stage == "transcript" and was.revision not in (None, revision):
        revisions = f"from {short_revision(was.revision)} to {short_revision(revision)}"
        return f"the revision of {model} has changed {revisions}"
    return f"the options of the {was.stage} have changed"


def _plan(selection: Selection, stamp: str, origin: str, trigger: str, heading: str) -> list[PlannedBackfill]:
    plan = []
    for start, keys in selection.by_start().items():
        part = Selection(tuple(video for video in selection.videos if video.start == start))
        plan.append(
            PlannedBackfill(
                backfill_id=stamp if start == FIRST_STAGE else f"{stamp}-{start}",
                origin=origin,
                trigger=trigger,
                keys=keys,
                stages=stages_from(start),
                title=f"{heading}: {describe_reasons(part)}",
                description=_describe(start, keys),
            )
        )
    return plan


def _describe(start: str, keys: Sequence[str]) -> str:
    names = ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
    return f"{plural(len(keys), 'video')} from the stage {start} on: {names}"


UNMEASURED = frozenset({"video", "alignment"})
"""Short where their speed is unknown: one decodes no sound, the other may reuse the transcript's times."""
LATEST = 50
"""How many of the latest materializations decide the usual speed."""


@dataclass(frozen=True)
class Estimate:
    """The work ahead, if all of it has to be made, one video after the other.

    Attributes:
        work_s: Seconds of work; None where no speed or no length is known yet.
        audio_s: Seconds of sound; None where no length is known yet.
        guessed: How many videos have an unknown length; they count as the mean of the others.
    """

    work_s: float | None
    audio_s: float | None
    guessed: int


class Estimator:
    """Estimates by the lengths and speeds in the ledger, read once for many videos.

    Args:
        made: Knows what was made, and how fast.
        registered: All videos; their mean length stands for an unknown one.
        speech: The options that would be used, since other models have other speeds.
        lengths_s: Lengths that are known from elsewhere, by key, for videos that were never made.
        device: Where the models run; by default where the options would run on this machine.

    Raises:
        ConfigValidationError: the options can't work on this machine.
    """

    def __init__(
        self,
        made: MaterializationLedger,
        registered: Collection[str],
        speech: SpeechOptions,
        lengths_s: Mapping[str, float] = MappingProxyType({}),
        device: str | None = None,
    ) -> None:
        self._lengths_s = {**lengths_s, **made.durations(registered)}
        self._usual_s = fmean(self._lengths_s.values()) if self._lengths_s else None
        self._device = device = device or resolve(speech, capacity_of(probe_hardware())).device
        self._costs: dict[str, float | None] = {}
        for stage, spec in STAGES.items():
            used = (speech.model_name, device) if spec.uses_model else (None, None)
            speeds = made.speeds(stage, *used, limit=LATEST)
            self._costs[stage] = 1 / median(speeds) if speeds else 0.0 if stage in UNMEASURED else None

    def length_s(self, video: Candidate) -> float | None:
        """Return the seconds of sound of a video; the mean of the others where they are unknown."""
        return self._lengths_s.get(video.key, self._usual_s)

    def seconds(self, video: Candidate) -> float | None:
        """Return the seconds of work on a video; None where they are unknown."""
        return self._seconds_of(video, video.stages)

    def gpu_seconds(self, video: Candidate) -> float | None:
        """Return the seconds of a video's work for which a GPU is in use; None where they are unknown."""
        on_gpu = self._device == "cuda"
        return self._seconds_of(
            video, [stage for stage in video.stages if STAGES[stage].uses_model and on_gpu]
        )

    def _seconds_of(self, video: Candidate, stages: Sequence[str]) -> float | None:
        length_s = self.length_s(video)
        costs = [self._costs[stage] for stage in stages]
        if (costs and length_s is None) or None in costs:
            return None
        return (length_s or 0.0) * sum(cost for cost in costs if cost is not None)

    def total(self, videos: Collection[Candidate]) -> Estimate:
        """Return the work ahead with all of them."""
        known = [self._lengths_s[video.key] for video in videos if video.key in self._lengths_s]
        guessed = len(videos) - len(known)
        audio_s = None
        if not guessed or self._usual_s is not None:
            audio_s = sum(known) + guessed * (self._usual_s or 0.0)
        work = [self.seconds(video) for video in videos]
        work_s = None if None in work else sum(one for one in work if one is not None)
        return Estimate(work_s, audio_s, guessed)

    def fit(self, selection: Selection, within_s: float, unknown: int) -> list[Candidate]:
        """Choose as many videos as fit into a time, in their order; longer ones don't keep shorter ones out.

        Args:
            selection: The videos.
            within_s: The seconds.
            unknown: How many videos to take whose seconds are unknown.
        """
        chosen: list[Candidate] = []
        for video in selection.videos:
            needed_s = self.seconds(video)
            if needed_s is None:
                if unknown > 0:
                    chosen.append(video)
                    unknown -= 1
            elif needed_s <= within_s:
                chosen.append(video)
                within_s -= needed_s
        return chosen
