"""What the audio stage makes: the decoded sound, where speech is in it, and its outline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.images import peaks
from yivideo_pipeline.media.probe import StreamInfo
from yivideo_pipeline.speech.vad import speech_spans

OUTLINE_BINS = 480


def decode_and_look(
    source: Path, target: Path, stream: StreamInfo, progress: Callable[[float], None]
) -> dict[str, Any]:
    """Decode a stream to `target` and return what is known of the sound, as JSON.

    `outline` holds the lowest and highest sample of each of 480 parts in percent of full scale,
    `speech_spans` are on the video's clock.
    """
    decoded = decode_audio(source, target, stream, progress)
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
    }
