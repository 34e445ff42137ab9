"""What the assets report in Dagster's UI: of each result, of its cost, and of failures.

Names of metadata are kept for good: the history and the reports read them, and so may users.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.checks.catalogue import check_metadata, presentable
from yivideo_pipeline.defs.previews import POSTER, TIMELINE_WORDS, link_picture
from yivideo_pipeline.defs.stage import StageResult
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger.failures import Attempt
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.storage.artifacts import Artifact
from yivideo_pipeline.storage.edits import Edit
from yivideo_pipeline.storage.partition_keys import encode_key
from yivideo_pipeline.storage.remote_paths import AnyPath
from yivideo_pipeline.storage.sidecars import DeliveredFile
from yivideo_pipeline.subtitles.quality import LOW_CONFIDENCE

TEXT_WORDS = 1500
"""Words of a transcript that the UI shows; all of them are in the artifact."""

SHOWN_CUES = 12
"""Numbers of cues that the UI shows for each rule of style; 100 are in the artifact."""

Metadata = dict[str, Any]
"""Plain values and Dagster's, by name; what is None has no row in the UI."""


def materialization_metadata(result: StageResult, earlier: Sequence[Attempt]) -> Metadata:
    """Return the whole metadata of a materialization.

    What the asset is about comes first, its picture among it; then what it cost, and its checks.

    Args:
        result: What the stage has, with its checks.
        earlier: The attempts that failed before this one.
    """
    metadata = {**result.metadata, **_cost(result), "attempts": len(earlier) + 1}
    if earlier:
        metadata["earlier_attempts"] = _attempt_table(earlier)
    shown = {name: presentable(value) for name, value in metadata.items() if value is not None}
    return {**shown, **check_metadata(result.checks)}


def failure_metadata(error: YivideoError, attempts: int, *, quarantined: bool) -> Metadata:
    """Return the metadata of a failure, under the same names wherever it is shown."""
    context = error.context
    return {
        "kind": error.kind,
        "severity": str(error.severity),
        "message": error.message,
        "hint": error.hint,
        "video": context.video or "",
        "stage": context.stage or "",
        "second": presentable(context.second),
        "attempts": attempts,
        "quarantined": quarantined,
    }


def video_metadata(path: AnyPath, info: MediaInfo, artifact: Artifact, warnings: Sequence[str]) -> Metadata:
    """Return the video's container, streams and poster, which sound alone has not."""
    return {
        "poster": _picture(artifact, "Poster") if artifact.sizes.get(POSTER) else None,
        "path": dg.MetadataValue.path(encode_key(str(path))),
        "container": info.container,
        "duration_s": info.duration_s,
        "size_bytes": info.size_bytes,
        "streams": _stream_table(info.streams),
        **_warnings([*info.warnings, *warnings]),
    }


def audio_metadata(artifact: Artifact, stream: StreamInfo, tracks: str | None) -> Metadata:
    """Return the audio's stream, its length, how much of it is speech, and the waveform.

    Args:
        artifact: The audio.
        stream: The stream that was decoded.
        tracks: Which of several tracks it is, and which others there are.
    """
    document = artifact.document
    spans = document["speech_spans"]
    return {
        "waveform": _picture(artifact, "Sound, with speech in green"),
        "duration_s": document["duration_s"],
        "offset_s": document["offset_s"],
        "speech_s": sum((end - start for start, end in spans), 0.0),
        "speech_spans": len(spans),
        "stream": stream.index,
        "stream_language": stream.language,
        "tracks": tracks,
        "truncated_at_s": document["truncated_at_s"],
        "silence_inserted_s": document["silence_s"],
        "clock_repairs": dg.MetadataValue.json(document["clock_repairs"]),
        "channels": dg.MetadataValue.json(document["channels"]),
        **_warnings(document["warnings"]),
    }


def transcript_metadata(transcript: Transcript, resumed_s: float = 0.0) -> Metadata:
    """Return language, counts, and the text with the words marked that the model is unsure of.

    Args:
        transcript: The transcript.
        resumed_s: Seconds of its sound that an earlier run had recognized before it was killed.
    """
    words = transcript.words
    return {
        "text": dg.MetadataValue.md(_marked_text(transcript)),
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration_s": transcript.duration_s,
        "speech_s": transcript.speech_s,
        "wordless_spans": dg.MetadataValue.json(
            [[span.start_s, span.end_s, span.reason] for span in transcript.wordless_spans]
        ),
        "segments": len(transcript.segments),
        "words": len(words),
        "low_confidence_words": sum(word.confidence < LOW_CONFIDENCE for word in words),
        "empty_reason": transcript.empty_reason,
        "resumed_s": resumed_s,
        **_warnings(transcript.warnings),
    }


def alignment_metadata(artifact: Artifact, transcript: Transcript) -> Metadata:
    """Return which aligner timed the words, and the words on a time line.

    Args:
        artifact: The alignment.
        transcript: What it holds.
    """
    words = transcript.words
    confidence = sum(word.confidence for word in words) / len(words) if words else None
    more = f"\n\nThe first {TIMELINE_WORDS} of {len(words)} words." if len(words) > TIMELINE_WORDS else ""
    return {
        "timeline": _picture(artifact, "Words in time", more),
        "aligner": transcript.aligner,
        "words": len(words),
        "words_by_source": dg.MetadataValue.json(dict(Counter(word.source for word in words))),
        "mean_confidence": confidence,
        **_warnings(transcript.warnings),
    }


def subtitle_metadata(
    document: Mapping[str, Any], delivered: Sequence[DeliveredFile], edit: Edit | None = None
) -> Metadata:
    """Return the files, the first cues, their readability, and the edited version, if there is one."""
    quality = document["quality"]
    warnings = [warning for one in delivered for warning in one.warnings]
    if edit:
        warnings.append(
            f"The delivered files hold version {edit.version}, edited by hand and saved at {edit.saved_at}: "
            "the review page shows both and can go back to the machine's"
        )
    return {
        "first_cues": dg.MetadataValue.md(_cue_table(document["first_cues"])),
        "style_report": dg.MetadataValue.md(_style_table(document["style"])) if "style" in document else None,
        "style": dg.MetadataValue.json(document.get("style", {})),
        "readability_details": dg.MetadataValue.md(_readability_table(quality)),
        # Encoded like the keys: no database takes every name that a file may have.
        "files": dg.MetadataValue.json([encode_key(str(one.path)) for one in delivered]),
        "edited_version": edit.version if edit else None,
        "language": document["language"],
        "duration_s": document["duration_s"],
        "speech_s": document["speech_s"],
        "empty_reason": document["empty_reason"],
        "cues": quality["cues"],
        "readability": quality["score"] if quality["cues"] else None,
        "confidence": quality["mean_confidence"],
        **_warnings([*document["warnings"], *warnings]),
    }


def _picture(artifact: Artifact, title: str, more: str = "") -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(link_picture(artifact, title) + more)


def _cost(result: StageResult) -> Metadata:
    metrics, made_by = result.metrics, result.artifact.made_by
    return {
        "wall_s": metrics.wall_s,
        "cpu_s": metrics.cpu_s,
        "rtfx": result.rtfx,
        "rss_peak_mb": metrics.rss_peak_mb,
        "gpu_memory_peak_mb": metrics.gpu_memory_peak_mb,
        "gpu_utilization_mean_pct": metrics.gpu_utilization_mean_pct,
        "model": made_by.get("model"),
        "revision": made_by.get("revision"),
        "model_choice": made_by.get("chosen") or None,
        "compute_type": made_by.get("compute_type"),
        "device": made_by.get("device"),
        "batch_size": made_by.get("batch_size"),
        "degradation": dg.MetadataValue.json(list(made_by.get("steps", ()))),
        "reused": result.reused,
        "artifact": result.artifact.folder,
    }


def _attempt_table(attempts: Sequence[Attempt]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "attempt": number,
                    "kind": attempt.kind,
                    "message": attempt.message,
                    "waited_s": round(attempt.waited_s, 1),
                }
            )
            for number, attempt in enumerate(attempts, 1)
        ]
    )


def _warnings(warnings: Sequence[str]) -> Metadata:
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
        return f"*No words: {_plain(transcript.empty_reason or 'no speech was found')}*"
    lines, room = [], TEXT_WORDS
    for segment in transcript.segments:
        if room <= 0:
            lines.append(f"… {plural(len(transcript.words) - TEXT_WORDS, 'more word')} in the artifact")
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


def _readability_table(quality: Mapping[str, Any]) -> str:
    rows = [
        f"| {name.replace('_', ' ')} | {_share(value) if name.endswith('_share') else _number(value)} |"
        for name, value in {"readability": quality["score"], **quality}.items()
        if not isinstance(value, list | dict) and name != "score"
    ]
    issues = "".join(f"\n- {_plain(issue)}" for issue in quality["issues"])
    return "\n".join(["| | |", "| --- | --- |", *rows]) + (f"\n{issues}" if issues else "")


def _style_table(style: Mapping[str, Any]) -> str:
    """Return each rule with the cues that break it, the hard ones first, and why they do."""
    rows = [
        f"| {rule['rule'].replace('_', ' ')}{'' if rule['is_hard'] else ' (soft)'} | {rule['broken']} |"
        f" {', '.join(str(number) for number, _ in rule['cues'][:SHOWN_CUES])} |"
        f" {', '.join(reason.replace('_', ' ') for reason in rule['reasons'])} |"
        for rule in style["rules"]
    ]
    proof = " No other cut of these words breaks fewer hard rules." if style["is_strict"] else ""
    head = f"Profile {style['profile']}, {plural(style['cues'], 'cue')}.{proof}"
    return "\n".join([head, "", "| rule | broken | by cues | since |", "| --- | --- | --- | --- |", *rows])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _time(ms: int) -> str:
    return f"{ms // 60_000}:{ms % 60_000 / 1000:06.3f}"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-!|~" else char for char in text).replace("\n", " ")
