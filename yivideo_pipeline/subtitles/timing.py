"""When a cue begins and ends, by the words in it, the next cue, the style guide, and the picture.

A cue's times depend on its own words and on the start of the next token alone. So the search for the best cut
(`cues.CueSearch`) knows the final times of every possible cue, and judges by them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from math import ceil, inf
from typing import TYPE_CHECKING

from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.subtitles.tokens import Profile, Token

if TYPE_CHECKING:  # it opens media, which takes a while to import
    from yivideo_pipeline.media.shots import Picture

MIN_SPACING_MS = 40
"""Cues start at least one frame apart, so that each has a length in every format."""
LINGER_MS = 500
"""A cue stays this long after its last word, where there is room."""


class FrameClock:
    """The frames of a picture, and its shots as frame numbers; times are milliseconds.

    A frame's time is rounded down: a cue of that time is shown with the frame, not after it.
    """

    def __init__(self, picture: "Picture", rate: Fraction) -> None:
        self._start_us = round(picture.start_s * 1_000_000)
        self._rate, self._frame_us = rate.numerator, rate.denominator * 1_000_000
        self.shots = [self.frame_from(int(shot_s * 1000)) for shot_s in picture.shots_s]

    def frame_at(self, ms: int) -> int:
        """Return the frame that is shown at a time."""
        return (ms * 1000 - self._start_us) * self._rate // self._frame_us

    def frame_from(self, ms: int) -> int:
        """Return the first frame that is shown at a time or later; of a frame's own time, that frame."""
        return -((self._start_us - ms * 1000) * self._rate // self._frame_us)

    def time_of(self, frame: int) -> int:
        """Return when a frame is shown."""
        return max(0, (self._start_us * self._rate + frame * self._frame_us) // (1000 * self._rate))

    def duration_ms(self, frames: int) -> int:
        """Return how long so many frames are shown, rounded down."""
        return frames * self._frame_us // (1000 * self._rate)

    def frames(self, seconds: float) -> int:
        """Return how many frames fill a time, rounded."""
        return round(seconds * 1_000_000 * self._rate / self._frame_us)

    def next_shot(self, frame: int) -> int | None:
        """Return the first shot change after a frame."""
        place = bisect_left(self.shots, frame + 1)
        return self.shots[place] if place < len(self.shots) else None

    def last_shot(self, frame: int) -> int | None:
        """Return the last shot change up to a frame."""
        place = bisect_left(self.shots, frame + 1)
        return self.shots[place - 1] if place else None


class CueTiming:
    """The times of cues in one text.

    Args:
        options: The limits and the guide.
        profile: The limits of the text's script.
        end_ms: When the video ends.
        clock: The picture's frames, as from `clock_of`.
    """

    def __init__(
        self, options: SubtitleOptions, profile: Profile, end_ms: float = inf, clock: FrameClock | None = None
    ) -> None:
        self.max_lines = options.max_lines
        self.line_columns = profile.line_columns
        self.max_duration_ms = int(options.max_duration_s * 1000)
        self.min_duration_ms = ceil(options.min_duration_s * 1000)
        self.rules = options.guide.timing
        self._clock = clock
        self._end_ms = end_ms
        self._columns_per_second = profile.columns_per_second
        self._gap_ms = options.min_gap_ms
        self._gap_frames = gap_frames(options, clock) if clock else 0

    def reading_ms(self, columns: int) -> int:
        """Return the time that it takes to read so many columns."""
        return ceil(1000 * columns / self._columns_per_second)

    def starts_ms(self, tokens: Sequence[Token], spoken_to_ms: int) -> list[int]:
        """Return for each token when a cue begins that begins with it.

        Args:
            tokens: The tokens, in order.
            spoken_to_ms: When the speech before them ended.
        """
        starts: list[int] = []
        for token in tokens:
            starts.append(max(self._start_ms(token.start_ms, spoken_to_ms), *starts[-1:], 0))
            spoken_to_ms = max(spoken_to_ms, token.end_ms)
        return starts

    def _start_ms(self, sound_ms: int, spoken_to_ms: int) -> int:
        """Return when a cue begins: with the frame in which its sound begins, or at a near shot change."""
        clock = self._clock
        if clock is None:
            return sound_ms
        frame = clock.frame_at(sound_ms)
        return clock.time_of(self._snap_start(clock, frame, clock.frame_at(spoken_to_ms) + 1))

    def _snap_start(self, clock: FrameClock, frame: int, earliest: int) -> int:
        """Return the frame of a cue's start: at a shot change that is near, or far enough before it."""
        if not self.rules.shot_far_s:
            return frame
        near, far = clock.frames(self.rules.shot_near_s), clock.frames(self.rules.shot_far_s)
        room = earliest + self._gap_frames
        shot, passed = clock.next_shot(frame), clock.last_shot(frame)
        if shot is not None and shot - frame <= near:
            return shot
        if shot is not None and shot - frame < far and room <= shot - far:
            return shot - far
        return passed if passed is not None and frame - passed <= near and room <= passed else frame

    def end_ms(self, start_ms: int, speech_end_ms: int, next_start_ms: float, columns: int) -> int:
        """Return when a cue ends: late enough to be read, but clear of the next cue and within the video.

        A cue whose words begin after the video's end, by a wrong clock, still has a length.
        """
        needed = start_ms + max(self.min_duration_ms, self.reading_ms(columns))
        latest = start_ms + self.max_duration_ms
        if self._clock:
            return self._end_on_frame(self._clock, start_ms, speech_end_ms, next_start_ms, needed, latest)
        wanted: float = max(speech_end_ms + LINGER_MS, needed)
        if next_start_ms - wanted <= 1000 * self.rules.chain_below_s:
            wanted = max(wanted, next_start_ms - self._gap_ms)
        clear = max(min(next_start_ms - self._gap_ms, self._end_ms), start_ms + MIN_SPACING_MS)
        return int(min(wanted, latest, clear))

    def _end_on_frame(
        self,
        clock: FrameClock,
        start_ms: int,
        speech_end_ms: int,
        next_start_ms: float,
        needed_ms: int,
        latest_ms: int,
    ) -> int:
        needed, last_sound = clock.frame_from(needed_ms + 1), clock.frame_at(speech_end_ms)
        end = max(last_sound + clock.frames(LINGER_MS / 1000), needed)
        end = self._snap_end(clock, last_sound, needed, end)
        limits = [clock.frame_at(latest_ms)]
        if self._end_ms != inf:
            limits.append(clock.frame_at(int(self._end_ms)))
        if next_start_ms != inf:
            following = clock.frame_from(int(next_start_ms))
            limits.append(following - self._gap_frames)
            if following - end <= clock.frames(self.rules.chain_below_s):
                end = max(end, following - self._gap_frames)
        return max(clock.time_of(min(end, *limits)), start_ms + MIN_SPACING_MS)

    def _snap_end(self, clock: FrameClock, last_sound: int, needed: int, end: int) -> int:
        """Return the frame of a cue's end: before a shot change that is near, or far enough behind it."""
        if not self.rules.shot_far_s:
            return end
        near, far = clock.frames(self.rules.shot_near_s), clock.frames(self.rules.shot_far_s)
        shot = clock.last_shot(end + far - 1)
        if shot is None:
            return end
        before = shot - self._gap_frames
        if last_sound - shot < near and before >= needed:
            return before
        return max(end, shot + far) if end > before else end


def clock_of(options: SubtitleOptions, picture: "Picture | None") -> FrameClock | None:
    """Return the frames that cues go by; None where the guide does not, or they are unknown."""
    if picture is None or picture.frame_rate is None or not options.guide.timing.on_frames:
        return None
    return FrameClock(picture, picture.frame_rate)


def gap_frames(options: SubtitleOptions, clock: FrameClock) -> int:
    """Return the shortest gap in frames: the guide's, unless the options ask for another."""
    guide = options.guide
    if guide.timing.gap_frames is not None and options.min_gap_ms == guide.limits.min_gap_ms:
        return guide.timing.gap_frames
    return clock.frame_from(options.min_gap_ms) - clock.frame_from(0)
