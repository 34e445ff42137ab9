"""From video files to word-aligned subtitles.

    transcript = transcribe("movie.mkv")
    write_subtitles(transcript, "movie.srt")

Everything here is imported when it is first used, so that `import yivideo_pipeline` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yivideo_pipeline.api import transcribe, write_subtitles
    from yivideo_pipeline.errors.retry import RetryStrategy, with_retry
    from yivideo_pipeline.errors.tree import ErrorType, WhisperXError, YivideoError
    from yivideo_pipeline.settings.options import SpeechOptions
    from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
    from yivideo_pipeline.speech.manager import ModelManager
    from yivideo_pipeline.speech.types import Segment, Transcript, Word
    from yivideo_pipeline.subtitles.cues import Cue, build_cues
    from yivideo_pipeline.telemetry.measure import PerformanceMetrics

    __version__: str
    model_manager: ModelManager

__all__ = [
    "Cue",
    "ErrorType",
    "ModelManager",
    "PerformanceMetrics",
    "RetryStrategy",
    "Segment",
    "SpeechOptions",
    "SubtitleOptions",
    "Transcript",
    "WhisperXError",
    "Word",
    "YivideoError",
    "__version__",
    "build_cues",
    "model_manager",
    "transcribe",
    "with_retry",
    "write_subtitles",
]

_MODULES = {
    "transcribe": "api",
    "write_subtitles": "api",
    "RetryStrategy": "errors.retry",
    "with_retry": "errors.retry",
    "ErrorType": "errors.tree",
    "WhisperXError": "errors.tree",
    "YivideoError": "errors.tree",
    "SpeechOptions": "settings.options",
    "SubtitleOptions": "settings.subtitle_options",
    "ModelManager": "speech.manager",
    "Segment": "speech.types",
    "Transcript": "speech.types",
    "Word": "speech.types",
    "Cue": "subtitles.cues",
    "build_cues": "subtitles.cues",
    "PerformanceMetrics": "telemetry.measure",
}
"""Where each name is defined; a test compares it with the imports above."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
    if name == "model_manager":
        from yivideo_pipeline.api import get_model_manager

        return get_model_manager()
    if name == "__version__":
        from importlib.metadata import version

        return version("yivideo-pipeline")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
