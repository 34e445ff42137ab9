"""What the checks look at, made of spoken text as the stages make it."""

from collections.abc import Sequence
from typing import Any

from tests.subtitles.transcripts import make_transcript, speak
from yivideo_pipeline.defs.checks.base import Subject
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.quality import measure_quality
from yivideo_pipeline.subtitles.writers import render

TEXT = (
    "Nothing <i>is</i> wrong & good, {\\an8} with --> this one at 10:30.5 sharp. And it goes on for a while,"
    " so that more lines are made of it; two cues at least! \\N"
)
OPTIONS = SubtitleOptions(formats=tuple(SubtitleFormat))


def make_audio(duration_s: float = 60.0, peak_pct: int = 80, **changes: Any) -> dict[str, Any]:
    return {
        "offset_s": 0.0,
        "duration_s": duration_s,
        "outline": [[-peak_pct, peak_pct // 2], [0, 0]],
        "truncated_at_s": None,
        **changes,
    }


def make_info(duration_s: float | None = 60.0) -> MediaInfo:
    return MediaInfo(container="mov,mp4", duration_s=duration_s, size_bytes=1, bit_rate=None, streams=())


def say(words: Sequence[Word] | None = None, heard_s: float | None = None, **changes: Any) -> Transcript:
    """Speech that was recognized as a whole, or up to `heard_s`."""
    words = speak(TEXT) if words is None else words
    end_s = heard_s if heard_s is not None else max((word.end_s for word in words), default=0.0)
    return make_transcript(words, spans=[(0.0, end_s)] if end_s else ()).model_copy(update=changes)


def make_subtitles(transcript: Transcript | None = None, **files: bytes) -> Subject:
    """A subject of the subtitles stage; `srt=…` puts other bytes in a file's place."""
    spoken = transcript or say()
    cues = build_cues(spoken, OPTIONS)
    written = {
        f"subtitles.{kind}": render(cues, spoken, kind, "A title").encode() for kind in OPTIONS.formats
    }
    written |= {f"subtitles.{kind}": data for kind, data in files.items()}
    return Subject(
        {
            "quality": measure_quality(cues, spoken, OPTIONS).model_dump(mode="json"),
            "cues": [[cue.start_ms, cue.end_ms, cue.text] for cue in cues],
        },
        video=make_info(),
        audio=make_audio(),
        transcript=spoken,
        options=OPTIONS,
        files=tuple(written),
        read=written.__getitem__,
    )
