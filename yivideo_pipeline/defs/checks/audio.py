"""Checks of the audio."""

from yivideo_pipeline.defs.checks.base import Check, Subject, Verdict
from yivideo_pipeline.settings.sections import CheckSettings

QUIETEST_PCT = 1
"""The least peak of audible sound, in percent of full scale; the outline has no finer steps."""
TOLERANCE_S = 2.0
TOLERANCE_SHARE = 0.01
"""Tracks of one file rarely end together: a difference of up to the larger of the two is usual."""


def _has_sound(subject: Subject, settings: CheckSettings) -> Verdict:
    peak = max((max(abs(low), abs(high)) for low, high in subject.document["outline"]), default=0)
    figures = {"peak_pct": peak, "duration_s": subject.document["duration_s"]}
    if not subject.document["duration_s"]:
        return Verdict(False, "The audio track is empty: there is nothing to transcribe", figures)
    if peak < QUIETEST_PCT:
        return Verdict(
            False,
            "The audio track is silent: if people speak in this video, repair the file",
            figures,
        )
    return Verdict(True, f"The loudest moment reaches {peak}% of full scale", figures)


def _lasts_as_long_as_the_video(subject: Subject, settings: CheckSettings) -> Verdict:
    sound = subject.document
    sound_end_s = sound["offset_s"] + sound["duration_s"]
    video_s = None if subject.video is None else subject.video.duration_s
    figures = {
        "sound_end_s": sound_end_s,
        "video_s": video_s,
        "truncated_at_s": sound["truncated_at_s"],
    }
    if sound["truncated_at_s"] is not None:
        broken = f"The file breaks off at {sound['truncated_at_s']:.1f} s: copy or download it again"
        return Verdict(False, broken, figures)
    if video_s is None:
        return Verdict(True, "The file does not state its length", figures)
    off_s = sound_end_s - video_s
    if abs(off_s) > max(TOLERANCE_S, TOLERANCE_SHARE * video_s):
        side = "before" if off_s < 0 else "after"
        return Verdict(
            False,
            f"The sound ends {abs(off_s):.1f} s {side} the video: check whether the file is complete and"
            " whether the subtitles are in time",
            figures,
        )
    return Verdict(True, f"Sound and video end within {abs(off_s):.1f} s of each other", figures)


AUDIO_CHECKS = (
    Check("audio_has_sound", "The audio track is not silent", _has_sound),
    Check(
        "audio_lasts_as_long_as_the_video",
        "The file is whole, and its sound ends when the video does",
        _lasts_as_long_as_the_video,
    ),
)
