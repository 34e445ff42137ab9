"""What the stages `audio` and `subtitles` make: their files, and the document (JSON) beside them.

Apart from the assets, since it needs neither Dagster nor the ledger.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yivideo_pipeline.media.probe import MediaInfo, StreamInfo
from yivideo_pipeline.media.shots import Picture
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.remote_paths import AnyPath
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.quality import measure_quality
from yivideo_pipeline.subtitles.style_report import report_style
from yivideo_pipeline.subtitles.writers import render

OUTLINE_BINS = 480
SHOWN_REPAIRS = 50
FIRST_CUES = 8
UNKNOWN_LANGUAGE = "und"


def decode_sound(
    source: AnyPath, target: Path, stream: StreamInfo, on_progress: Callable[[float], None]
) -> dict[str, Any]:
    """Decode a stream of a video to a WAV file; return the audio's document.

    In it, `outline` holds the lowest and highest sample of each of 480 parts in percent of full scale, and
    `speech_spans` are in seconds on the video's clock. `silence_s` stands for missing sound, `clock_repairs`
    say what was done about wrong timestamps, `channels` which of the channels are heard.
    """
    # Not needed where the sound was decoded before: numpy takes 80 ms to import.
    from yivideo_pipeline.media.decode import decode_audio
    from yivideo_pipeline.media.images import peaks
    from yivideo_pipeline.speech.vad import SpeechListener, speech_spans

    with SpeechListener() as listener:
        decoded = decode_audio(source, target, stream, on_progress, listener.hear)
        if decoded.as_heard:
            listener.remember(decoded.audio)
    sound = decoded.audio
    spans = speech_spans(sound)
    return {
        "offset_s": sound.offset_s,
        "duration_s": sound.duration_s,
        "stream": stream.model_dump(mode="json"),
        "speech_spans": [[s.start_s + sound.offset_s, s.end_s + sound.offset_s] for s in spans],
        "outline": (peaks(sound, OUTLINE_BINS) * 100).round().astype(int).tolist(),
        "warnings": list(decoded.warnings),
        "truncated_at_s": decoded.truncated_at_s,
        "silence_s": decoded.silence_s,
        "clock_repairs": [asdict(repair) for repair in decoded.repairs[:SHOWN_REPAIRS]],
        "channels": asdict(decoded.channels),
    }


def end_of_media(video: MediaInfo | None, sound: Mapping[str, Any] | None) -> float | None:
    """Return when picture and sound have both ended, on the video's clock; None if it is unknown.

    Args:
        video: The description of the container.
        sound: The audio's document.
    """
    ends = [] if video is None or video.duration_s is None else [video.duration_s]
    if sound is not None:
        ends.append(sound["offset_s"] + sound["duration_s"])
    return max(ends, default=None)


def render_subtitles(
    transcript: Transcript,
    options: SubtitleOptions,
    title: str,
    folder: Path,
    end_s: float | None = None,
    picture: Picture | None = None,
) -> dict[str, Any]:
    """Write `subtitles.<format>` in every format of the options to a folder; return the subtitles' document.

    In it, each of `cues` is its start and end in milliseconds and its text: the editor reads them, since
    building the cues of a long transcript takes seconds.

    Args:
        transcript: The words.
        options: The profile and the formats.
        title: The video's title.
        folder: Where the files go.
        end_s: When the video ends; no cue is shown after it.
        picture: The video's frames and shots, for the style guides that look at them.
    """
    cues = build_cues(transcript, options, end_s, picture)
    style = report_style(cues, options, transcript.language, end_s, picture)
    for kind in options.formats:
        text = render(cues, transcript, kind, title)
        (folder / f"subtitles.{kind}").write_text(text, encoding="utf-8", newline="")
    return {
        "language": transcript.language_tag or UNKNOWN_LANGUAGE,
        "language_probability": transcript.language_probability,
        "duration_s": transcript.duration_s,
        "end_s": end_s,
        "speech_s": transcript.speech_s,
        "empty_reason": transcript.empty_reason,
        "quality": measure_quality(cues, transcript, options, style).model_dump(mode="json"),
        "style": style.model_dump(mode="json"),
        "first_cues": [
            {"start_ms": cue.start_ms, "end_ms": cue.end_ms, "text": cue.text} for cue in cues[:FIRST_CUES]
        ],
        "warnings": list(transcript.warnings),
        "cues": [(cue.start_ms, cue.end_ms, cue.text) for cue in cues],
        "options": options.model_dump(mode="json"),
    }
