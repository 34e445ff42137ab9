"""Weighs the timestamps of the sound, and places the sound by those that can be trusted.

Sound is decoded without gaps, in runs: a new run begins where a timestamp is not the one that follows from
the samples before it. Only when all timestamps are known is it decided what each break means: a single bit
that is wrong in one packet must not move all that follows, and packets that are missing must.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ

TOLERATED_DRIFT_S = 0.1
"""Timestamps that differ from the count of samples by less are the same: containers round them."""
_ROUNDING_S = 1e-6
_MAX_OVERLAP_S = 1.0
_MAX_EXCURSION_S = 60.0
_MAX_EXCURSION_RUNS = 200
_PACKET_S = 0.25
_LONE_S = 1.0
_LONGEST_CLUSTER_S = 6.0
"""Matroska's muxers begin a cluster every five seconds, whose time moves all in it."""
_WITNESSED_S = 2.0
"""Shorter jumps are no question for the picture: it is not interleaved more finely than that."""
_END_TOGETHER_S = 1.0
_UNSEEN_SILENCE_S = 3600.0
_MAX_DECLARED_SILENCE_S = 24 * 3600.0

IGNORED, SILENCE, OVERLAP, CONTINUED = "ignored", "silence", "overlap", "continued"


@dataclass
class Run:
    """Frames whose timestamps follow from each other.

    Attributes:
        start: Its first sample, counted in the sound without gaps.
        stamp_s: Timestamp of that sample, on the container's clock.
        length: Samples in it.
        picture_then_s: Timestamp of the last picture that the file holds before the end of the run before.
        picture_after_s: Timestamp of the first picture that it holds behind this run's beginning.
    """

    start: int
    stamp_s: float
    length: int = 0
    picture_then_s: float | None = None
    picture_after_s: float | None = None

    @property
    def offset_s(self) -> float:
        """By how much the clock is ahead of the count of samples."""
        return self.stamp_s - self.start / SAMPLE_RATE_HZ

    @property
    def length_s(self) -> float:
        """Seconds of sound in it."""
        return self.length / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Evidence:
    """What else the file tells of its clock, all on the container's clock; None where it tells nothing.

    Attributes:
        declared_s: How long the file says it is.
        end_s: When it ends, by its header or its picture.
        picture_end_s: When its picture ends.
        walked_s: How far its picture moves on, jumps not counted.
    """

    declared_s: float | None = None
    end_s: float | None = None
    picture_end_s: float | None = None
    walked_s: float = 0.0

    @property
    def allowance_s(self) -> float:
        """How much silence may be filled in, in all."""
        declared_s = min(self.declared_s or 0.0, _MAX_DECLARED_SILENCE_S)
        return max(_UNSEEN_SILENCE_S, declared_s, self.walked_s)


@dataclass(frozen=True)
class Repair:
    """What was done where a timestamp did not follow from the one before.

    Attributes:
        at_s: Where, on the video's own clock.
        jump_s: By how much the timestamp was ahead.
        action: `ignored`: the timestamps of `length_s` seconds were wrong; `silence`: missing sound became
            silence; `overlap`: the later sound replaced the earlier; `continued`: the clock was set anew, and
            the sound goes on without a gap.
        length_s: Seconds of sound that it is about.
    """

    at_s: float
    jump_s: float
    action: str
    length_s: float


@dataclass(frozen=True)
class Placement:
    """Where the runs belong.

    Attributes:
        positions: The sample at which each run begins.
        start_s: When the sound starts, on the container's clock.
        repairs: What was done, in order; `at_s` is on the container's clock.
        corrected_start: Whether the first timestamp was wrong.
    """

    positions: tuple[int, ...] = ()
    start_s: float | None = None
    repairs: tuple[Repair, ...] = ()
    corrected_start: bool = False

    def repairs_from(self, start_s: float) -> tuple[Repair, ...]:
        """Return the repairs on the clock of a video that starts at `start_s`."""
        return tuple(replace(repair, at_s=repair.at_s - start_s) for repair in self.repairs)


def place(runs: Sequence[Run], evidence: Evidence) -> Placement:
    """Decide where each run belongs.

    A run whose successors return to the clock before it has wrong timestamps, and follows its predecessor.
    A step forward is missing sound, unless the picture moves on or ends as if there were none, or more
    silence would be filled in than the file can tell of. A small step back is an overlap; a larger one is a
    clock that was set anew, and the sound goes on without a gap.
    """
    if not runs:
        return Placement()
    offsets = _trusted_offsets(runs)
    sound_s = runs[-1].start / SAMPLE_RATE_HZ + runs[-1].length_s
    positions, repairs, silence_s, shift_s = [0], [], 0.0, 0.0
    for number, (before, after) in enumerate(pairwise(offsets), 1):
        step_s, run = after - before, runs[number]
        if abs(step_s) > _ROUNDING_S:
            rest = _Rest(sound_s + offsets[-1] + shift_s, silence_s, is_last=after == offsets[-1])
            action = _judge(run, step_s, evidence, rest)
            silence_s += step_s if action == SILENCE else 0.0
            shift_s -= step_s if action == CONTINUED else 0.0
            heard_s = (positions[-1] + runs[number - 1].length) / SAMPLE_RATE_HZ
            repairs.append(Repair(heard_s + offsets[0], step_s, action, abs(step_s)))
        moved_s = after + shift_s - offsets[0]
        positions.append(max(0, run.start + round(moved_s * SAMPLE_RATE_HZ)))
    repairs += _ignored(runs, offsets, positions)
    repairs.sort(key=lambda repair: repair.at_s)
    return Placement(tuple(positions), offsets[0], tuple(repairs), offsets[0] != runs[0].offset_s)


def _trusted_offsets(runs: Sequence[Run]) -> list[float]:
    """Return by how much the clock is ahead in each run, wrong timestamps replaced by those around them."""
    offsets = [run.offset_s for run in runs]
    number = 1
    while number < len(runs):
        base = offsets[number - 1]
        back = _find_return(runs, offsets, number, base)
        if back is not None:
            offsets[number : back + 1] = [base] * (back + 1 - number)
            number = back
        elif _is_lone(runs, offsets, number):
            offsets[number] = base
        number += 1
    first = next((i for i, offset in enumerate(offsets) if offset != offsets[0]), len(runs))
    if first < len(runs) and _is_wrong_start(runs, offsets, first):
        offsets[:first] = [offsets[first]] * first
    return offsets


def _find_return(runs: Sequence[Run], offsets: Sequence[float], number: int, base: float) -> int | None:
    """Return the run with which the clock returns to what it was before this one."""
    for later in range(number, min(len(runs), number + _MAX_EXCURSION_RUNS)):
        if runs[later].start - runs[number].start > _MAX_EXCURSION_S * SAMPLE_RATE_HZ:
            return None
        if later > number and abs(offsets[later] - base) <= TOLERATED_DRIFT_S:
            return later
    return None


def _is_lone(runs: Sequence[Run], offsets: Sequence[float], number: int) -> bool:
    """Return whether a short run lies outside the clocks before and after it: sound is missing there too."""
    if runs[number].length_s > _LONE_S or number + 1 == len(runs):
        return False
    step, next_step = offsets[number] - offsets[number - 1], offsets[number + 1] - offsets[number]
    return step * next_step < 0 and min(abs(step), abs(next_step)) > _MAX_OVERLAP_S


def _is_wrong_start(runs: Sequence[Run], offsets: Sequence[float], first: int) -> bool:
    """Return whether the clock of the first `first` runs is wrong, which are short."""
    length_s = runs[first].start / SAMPLE_RATE_HZ
    following_s = sum(run.length_s for run in runs[first:])
    step_s = offsets[first] - offsets[0]
    if length_s > min(_LONGEST_CLUSTER_S, following_s):
        return False
    if step_s < 0:
        return step_s < -_MAX_OVERLAP_S or length_s <= _PACKET_S
    is_impossible = runs[0].stamp_s < -_LONE_S or _is_denied(runs[first], step_s)
    return is_impossible and length_s <= _LONE_S and step_s > _MAX_OVERLAP_S


def _ignored(runs: Sequence[Run], offsets: Sequence[float], positions: Sequence[int]) -> Iterator[Repair]:
    """Yield the stretches whose timestamps were replaced."""
    pairs = zip(runs, offsets, strict=True)
    wrong = [abs(run.offset_s - offset) > TOLERATED_DRIFT_S for run, offset in pairs]
    for is_wrong, group in groupby(range(len(runs)), key=wrong.__getitem__):
        if is_wrong:
            numbers = list(group)
            first = numbers[0]
            length_s = sum(runs[number].length_s for number in numbers)
            heard_s = positions[first] / SAMPLE_RATE_HZ + offsets[0]
            yield Repair(heard_s, runs[first].offset_s - offsets[first], IGNORED, length_s)


@dataclass(frozen=True)
class _Rest:
    """How far the sound is placed when a step is judged: when it would end, and the silence so far."""

    end_s: float
    silence_s: float
    is_last: bool


def _judge(run: Run, step_s: float, evidence: Evidence, rest: _Rest) -> str:
    """Return what a step of the trusted clock means."""
    if step_s < 0:
        return OVERLAP if step_s >= -_MAX_OVERLAP_S else CONTINUED
    is_beyond = evidence.end_s is not None and run.stamp_s + run.length_s > evidence.end_s + _LONE_S
    if rest.is_last and run.length_s <= _LONE_S and is_beyond:
        return CONTINUED  # no packet after it confirms the last one's timestamp
    if step_s > _WITNESSED_S and (
        _is_denied(run, step_s) or _ends_with_picture(rest.end_s - step_s, evidence)
    ):
        return CONTINUED
    return SILENCE if rest.silence_s + step_s <= evidence.allowance_s else CONTINUED


def _is_denied(run: Run, step_s: float) -> bool:
    """Return whether the picture, in step with the sound before, moves on as if nothing were missing."""
    expected_s = run.stamp_s - step_s
    if run.picture_then_s is None or run.picture_after_s is None:
        return False
    in_step = abs(run.picture_then_s - expected_s) <= _WITNESSED_S
    return in_step and run.picture_after_s < expected_s + step_s / 2


def _ends_with_picture(sound_end_s: float, evidence: Evidence) -> bool:
    """Return whether the sound ends with the picture if a step is no gap; with it, it would end later."""
    picture_end_s = evidence.picture_end_s
    return picture_end_s is not None and abs(sound_end_s - picture_end_s) <= _END_TOGETHER_S


class PictureClock:
    """The timestamps of the picture, as a witness of the sound's.

    Attributes:
        now_s: The last one that was seen.
        walked_s: The sum of its steps forward, without jumps.
        end_s: The latest that another one confirmed.
    """

    _LONGEST_STEP_S = 10.0

    def __init__(self) -> None:
        self.now_s: float | None = None
        self.walked_s = 0.0
        self.end_s: float | None = None

    def see(self, stamp_s: float) -> None:
        """Note the timestamp of the next packet of the picture, in decoding order."""
        step_s = 0.0 if self.now_s is None else stamp_s - self.now_s
        if abs(step_s) <= self._LONGEST_STEP_S:
            self.walked_s += max(0.0, step_s)
            self.end_s = max(self.end_s or stamp_s, stamp_s)
        self.now_s = stamp_s
