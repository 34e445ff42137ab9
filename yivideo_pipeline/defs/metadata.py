"""What each asset tells about itself: metadata for the UI, and something worth looking at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.previews import TIMELINE_WORDS, draw_timeline, draw_waveform, image
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.storage.edits import Edit
from yivideo_pipeline.storage.partition_keys import encode_key
from yivideo_pipeline.storage.sidecars import DeliveredFile
from yivideo_pipeline.subtitles.quality import LOW_CONFIDENCE

TEXT_WORDS = 1500
"""Words of a transcript that the UI shows; all of them are in the artifact."""

Facts = dict[str, Any]


def video_facts(path: Path, info: MediaInfo, poster: bytes, warnings: Sequence[str]) -> Facts:
    """Container, streams, poster."""
    return {
        "poster": dg.MetadataValue.md(image(poster, "image/jpeg", "Poster")) if poster else None,
        "path": dg.MetadataValue.path(encode_key(str(path))),
        "container": info.container,
        "duration_s": info.duration_s,
        "size_bytes": info.size_bytes,
        "streams": _stream_table(info.streams),
        **_warnings([*info.warnings, *warnings]),
    }


def audio_facts(document: Mapping[str, Any], stream: StreamInfo) -> Facts:
    """Which stream, how long, how much speech, and the waveform."""
    spans, duration_s = document["speech_spans"], document["duration_s"]
    picture = draw_waveform(document["outline"], spans, document["offset_s"], duration_s)
    return {
        "waveform": dg.MetadataValue.md(picture),
        "duration_s": duration_s,
        "offset_s": document["offset_s"],
        "speech_s": sum((end - start for start, end in spans), 0.0),
        "speech_spans": len(spans),
        "stream": stream.index,
        "stream_language": stream.language,
        "truncated_at_s": document["truncated_at_s"],
        **_warnings(document["warnings"]),
    }


def transcript_facts(transcript: Transcript) -> Facts:
    """Language, counts, and the text with the words marked that the model was unsure of."""
    words = transcript.words
    return {
        "text": dg.MetadataValue.md(_marked_text(transcript)),
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration_s": transcript.duration_s,
        "speech_s": transcript.speech_s,
        "segments": len(transcript.segments),
        "words": len(words),
        "low_confidence_words": sum(word.confidence < LOW_CONFIDENCE for word in words),
        "empty_reason": transcript.empty_reason,
        "revision": transcript.revision,
        **_warnings(transcript.warnings),
    }


def alignment_facts(transcript: Transcript) -> Facts:
    """By what the words were timed, and the words on a time line."""
    words = transcript.words
    confidence = sum(word.confidence for word in words) / len(words) if words else None
    more = f"\n\nThe first {TIMELINE_WORDS} of {len(words)} words." if len(words) > TIMELINE_WORDS else ""
    return {
        "timeline": dg.MetadataValue.md(draw_timeline(words) + more),
        "aligner": transcript.aligner,
        "words": len(words),
        "words_by_source": dg.MetadataValue.json(dict(Counter(word.source for word in words))),
        "mean_confidence": confidence,
        **_warnings(transcript.warnings),
    }


def subtitle_facts(
    document: Mapping[str, Any], delivered: Sequence[DeliveredFile], edit: Edit | None = None
) -> Facts:
    """Where the files are, the first cues, the quality; and whether a version edited by hand stands there."""
    quality = document["quality"]
    told = [warning for one in delivered for warning in one.warnings]
    if edit:
        told.append(
            f"The delivered files are version {edit.version}, edited by hand and saved at {edit.saved_at}: "
            "the review page shows both and can go back to the machine's"
        )
    return {
        "first_cues": dg.MetadataValue.md(_cue_table(document["first_cues"])),
        "quality": dg.MetadataValue.md(_quality_table(quality)),
        # Encoded like the keys: no database takes every name that a file may have.
        "files": dg.MetadataValue.json([encode_key(str(one.path)) for one in delivered]),
        "edited_version": edit.version if edit else None,
        "language": document["language"],
        "duration_s": document["duration_s"],
        "speech_s": document["speech_s"],
        "empty_reason": document["empty_reason"],
        "cues": quality["cues"],
        "score": quality["score"],
        **_warnings([*document["warnings"], *told]),
    }


def _warnings(warnings: Sequence[str]) -> Facts:
    return {"warnings": dg.MetadataValue.json(list(dict.fromkeys(warnings)))}


def _stream_table(streams: Sequence[StreamInfo]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "stream": stream.index,
                    "kind": stream.kind,
                    "codec": stream.codec,
                    "language": stream.language or "",
                    "default": stream.default,
                    "format": _format_of(stream),
                    "start_s": stream.start_s,
                }
            )
            for stream in streams
        ]
    )


def _format_of(stream: StreamInfo) -> str:
    if stream.kind == "video":
        rate = f", {stream.frame_rate:.5g} a second" if stream.frame_rate else ""
        return f"{stream.width} × {stream.height}{rate}"
    if stream.kind == "audio":
        return f"{stream.channels} channel{'s' * (stream.channels != 1)}, {stream.sample_rate_hz} Hz"
    return ""


def _marked_text(transcript: Transcript) -> str:
    if not transcript.segments:
        return f"*No words: {_plain(transcript.empty_reason or 'nothing was said')}*"
    lines, room = [], TEXT_WORDS
    for segment in transcript.segments:
        if room <= 0:
            lines.append(f"… {len(transcript.words) - TEXT_WORDS} more words in the artifact")
            break
        lines.append("".join(_marked(word) for word in segment.words[:room]).strip())
        room -= len(segment.words)
    return f"Words below {LOW_CONFIDENCE:.0%} confidence are **bold**.\n\n" + "\n\n".join(lines)


def _marked(word: Word) -> str:
    text = word.text.strip()
    if word.confidence >= LOW_CONFIDENCE or not text:
        return _plain(word.text)
    # Markdown wants the marks right at the word.
    before, after = word.text[: word.text.index(text)], word.text[word.text.index(text) + len(text) :]
    return f"{before}**{_plain(text)}**{after}"


def _cue_table(cues: Sequence[Mapping[str, Any]]) -> str:
    rows = [f"| {_time(cue['start_ms'])} | {_time(cue['end_ms'])} | {_plain(cue['text'])} |" for cue in cues]
    return "\n".join(["| from | to | text |", "| --- | --- | --- |", *rows])


def _quality_table(quality: Mapping[str, Any]) -> str:
    rows = [
        f"| {name.replace('_', ' ')} | {_share(value) if name.endswith('_share') else _number(value)} |"
        for name, value in quality.items()
        if not isinstance(value, list | dict)
    ]
    issues = "".join(f"\n- {_plain(issue)}" for issue in quality["issues"])
    return "\n".join(["| | |", "| --- | --- |", *rows]) + (f"\n{issues}" if issues else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _time(ms: int) -> str:
    return f"{ms // 60_000}:{ms % 60_000 / 1000:06.3f}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-!|~" else char for char in text).replace("\n", " ")
