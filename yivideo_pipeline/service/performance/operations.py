"""What is told of: stages, whole videos, the owner's operations, and recognitions over HTTP, by name.

`whisperx.generate_subtitles` stands for all that follows the sound: transcript, alignment and subtitles of
one video are one operation, with the sum of their times. `ffmpeg.extract_audio` is our stage `audio`.
"""

from dataclasses import dataclass

from yivideo_pipeline.service.errors import Refused

STAGES = ("video", "audio", "transcript", "alignment", "subtitles")
LAST = "subtitles"
HEARD = "transcript"
"""The stage whose result may be an earlier one, so that nothing is said of its speed."""
LOST = ""
"""Stage of a failure that no stage told of: the run's process died."""

REQUESTS = {
    "/v1/audio/transcriptions": "api.transcriptions",
    "/v1/audio/translations": "api.translations",
    "/asr": "api.asr",
    "/detect-language": "api.detect_language",
}
"""Recognitions that no run asked for, by their route; those of runs are told by their stages."""


@dataclass(frozen=True)
class Operation:
    """Stages that are one operation on one video; it has ended once `last` is made, or one of them failed."""

    stages: tuple[str, ...]
    last: str


OPERATIONS = {
    **{stage: Operation((stage,), stage) for stage in STAGES},
    "process_video": Operation((*STAGES, LOST), LAST),
    "ffmpeg.extract_audio": Operation(("audio",), "audio"),
    "whisperx.generate_subtitles": Operation(("transcript", "alignment", "subtitles"), LAST),
}
NAMES = (*OPERATIONS, *REQUESTS.values())


def require_operation(name: str | None) -> str | None:
    """Return the name, or None for all operations: whole videos, and recognitions over HTTP.

    Raises:
        Refused: 422; nothing is called so.
    """
    if name is None or name in NAMES:
        return name
    raise Refused(
        422,
        "unknown_operation",
        "There is no such operation",
        f"There are {', '.join(NAMES)}; none for all together",
    )
