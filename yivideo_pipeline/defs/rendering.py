"""What the subtitles stage makes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yivideo_pipeline.settings.options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue, build_cues
from yivideo_pipeline.subtitles.quality import measure_quality
from yivideo_pipeline.subtitles.writers import render

FIRST_CUES = 8
UNKNOWN_LANGUAGE = "und"


def render_all(
    transcript: Transcript, options: SubtitleOptions, title: str, folder: Path
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Write every wanted format into a folder; return what is known of the cues, and the files."""
    cues = build_cues(transcript, options)
    files = {f"subtitles.{kind}": folder / f"subtitles.{kind}" for kind in options.formats}
    for kind, path in zip(options.formats, files.values(), strict=True):
        path.write_text(render(cues, transcript, kind, title), encoding="utf-8", newline="")
    document = {
        "language": transcript.language or UNKNOWN_LANGUAGE,
        "language_probability": transcript.language_probability,
        "duration_s": transcript.duration_s,
        "speech_s": transcript.speech_s,
        "empty_reason": transcript.empty_reason,
        "quality": measure_quality(cues, transcript, options).model_dump(mode="json"),
        "first_cues": _first(cues),
        "warnings": list(transcript.warnings),
        # For whoever edits them: to cut a long transcript anew takes seconds.
        "cues": [(cue.start_ms, cue.end_ms, cue.text) for cue in cues],
        "options": options.model_dump(mode="json"),
    }
    return document, files


def _first(cues: Sequence[Cue]) -> list[dict[str, Any]]:
    return [{"start_ms": cue.start_ms, "end_ms": cue.end_ms, "text": cue.text} for cue in cues[:FIRST_CUES]]
