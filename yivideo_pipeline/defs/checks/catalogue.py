"""Checks of the audio."""

from yivideo_pipeline.defs.checks.base import Check, Subject, Verdict
from yivideo_pipeline.settings.model import Settings

QUIETEST_PCT = 1
"""Least peak, in percent of full scale, of sound that somebody could hear; the outline has no finer steps."""
TOLERANCE_S = 2.0
TOLERANCE_SHARE = 0.01
"""Tracks of one file rarely end together: a difference up to the larger of both is usual."""


def _has_sound(subject: Subject, settings: Settings) -> Verdict:
    peak = max((max(abs(low), abs(high)) for low, high in subject.document["outline"]), default=0)
    numbers = {"peak_pct": peak, "duration_s": subject.document["duration_s"]}
    if not subject.document["duration_s"]:
        return Verdict(False, "The audio track is empty: there is nothing to transcribe", numbers)
    if peak < QUIETEST_PCT:
        return Verdict(
            False,
            "The audio track is silent: if people speak in this video, repair the file",
            numbers,
        )
    return Verdict(True, f"The loudest moment reaches {peak}% of full scale", numbers)


def _lasts_as_long_as_the_video(subject: Subject, settings: Settings) -> Verdict:
    sound = subject.document
    sound_end_s = sound["offset_s"] + sound["duration_s"]
    video_s = None if subject.video is None else subject.video.duration_s
    numbers = {
        "sound_end_s": sound_end_s,
        "video_s": video_s,
        "truncated_at_s": sound["truncated_at_s"],
    }
    if sound["truncated_at_s"] is not None:
        broken = f"The file breaks off at {sound['truncated_at_s']:.1f} s: copy or download it again"
        return Verdict(False, broken, numbers)
    if video_s is None:
        return Verdict(True, "The file does not say how long it is", numbers)
    off_s = sound_end_s - video_s
    if abs(off_s) > max(TOLERANCE_S, TOLERANCE_SHARE * video_s):
        side = "before" if off_s < 0 else "after"
        return Verdict(
            False,
            f"The sound ends {abs(off_s):.1f} s {side} the video: see whether the file is complete and"
            " whether the subtitles are in time",
            numbers,
        )
    return Verdict(True, f"Sound and video end within {abs(off_s):.1f} s of each other", numbers)


AUDIO_CHECKS = (
    Check("audio_has_sound", "The audio track is not silent", _has_sound),
    Check(
        "audio_lasts_as_long_as_the_video",
        "The file is whole, and its sound ends when the video does",
        _lasts_as_long_as_the_video,
    ),
)
