"""Estimates how long the work on many videos takes, by the usual speed of this machine."""

from collections.abc import Collection
from dataclasses import dataclass
from statistics import fmean, median

from yivideo_pipeline.defs.backfills.selection import Candidate, Selection
from yivideo_pipeline.ledger.materializations import MaterializationLedger
from yivideo_pipeline.settings.hardware import capacity_of, probe_hardware
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import resolve
from yivideo_pipeline.stages import STAGES

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

    Raises:
        ConfigValidationError: the options can't work on this machine.
    """

    def __init__(
        self, made: MaterializationLedger, registered: Collection[str], speech: SpeechOptions
    ) -> None:
        self._lengths_s = made.durations(registered)
        self._usual_s = fmean(self._lengths_s.values()) if self._lengths_s else None
        device = resolve(speech, capacity_of(probe_hardware())).device
        self._costs: dict[str, float | None] = {}
        for stage, spec in STAGES.items():
            used = (speech.model_name, device) if spec.uses_model else (None, None)
            speeds = made.speeds(stage, *used, limit=LATEST)
            self._costs[stage] = 1 / median(speeds) if speeds else 0.0 if stage in UNMEASURED else None

    def seconds(self, video: Candidate) -> float | None:
        """Return the seconds of work on a video; None where they are unknown."""
        length_s = self._lengths_s.get(video.key, self._usual_s)
        costs = [self._costs[stage] for stage in video.stages]
        if length_s is None or None in costs:
            return None
        return length_s * sum(cost for cost in costs if cost is not None)

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
