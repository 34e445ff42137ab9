"""Which of a video's audio streams is transcribed."""

from yivideo_pipeline.errors.tree import NoAudioStream
from yivideo_pipeline.media.languages import normalize_language
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo


def choose_audio_stream(info: MediaInfo, language: str) -> StreamInfo:
    """Choose by language, then the default flag, then the number of channels, then the file's order.

    What can't be decoded comes last, before it commentaries and descriptions for the blind.

    Args:
        info: The file.
        language: A code in any ISO 639 form, or `auto` for no preference.

    Raises:
        NoAudioStream: the file has no sound.
    """
    if not info.audio_streams:
        raise NoAudioStream("The file has no audio track", "There is nothing to transcribe in it")
    wanted = None if language == "auto" else normalize_language(language)

    def rank(stream: StreamInfo) -> tuple[bool, bool, bool, bool, int, int]:
        return (
            stream.codec != "unknown",
            not _is_commentary(stream),
            stream.language is not None and normalize_language(stream.language) == wanted,
            stream.default,
            stream.channels or 0,
            -stream.index,
        )

    return max(info.audio_streams, key=rank)


def _is_commentary(stream: StreamInfo) -> bool:
    # Many files say so in the title alone.
    return stream.comment or "commentary" in (stream.title or "").lower()
