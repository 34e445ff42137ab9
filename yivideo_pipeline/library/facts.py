"""What the watch has to know of a file's inside: read once for each state of the file, then remembered."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import MediaError, NoAudioStream
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo, probe
from yivideo_pipeline.media.select import choose_audio_stream

_TEXT_CODECS = {
    "subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text", "ttml", "stl", "microdvd", "sami",
    "subviewer", "subviewer1", "jacosub", "mpl2", "realtext", "vplayer", "pjs", "hdmv_text_subtitle",
    "eia_608",
}  # fmt: skip
"""Subtitles that hold text; the others (PGS, DVD, DVB, XSUB) hold pictures of it."""

_PARTIAL_TITLES = ("forced", "signs", "commentary")


class MediaFacts(BaseModel):
    """One file's inside.

    Attributes:
        trouble: Why it does not open as media; None where it does, and only then the others say something.
        duration_s: What the container declares.
        has_sound: Whether there is an audio track.
        language: The language tag of the track that is heard where no language is asked for.
        subtitles: The language tag of each full text track; "" where there is none.
    """

    model_config = ConfigDict(frozen=True)

    trouble: str | None = None
    duration_s: float | None = None
    has_sound: bool = False
    language: str | None = None
    subtitles: tuple[str, ...] = ()


def read_facts(path: Path) -> MediaFacts:
    """Open a file and note what matters here; media that is no good is a finding, not an error.

    Raises:
        YivideoError: something else than the media is in the way: another time it may go well.
    """
    try:
        return facts_of(probe(path))
    except Exception as error:  # whatever one file does to a library, the others shall not suffer
        known = classify(error)
        if isinstance(known, MediaError):
            return MediaFacts(trouble=known.message)
        raise known from error


def facts_of(info: MediaInfo) -> MediaFacts:
    """Pick what matters here out of what a file holds."""
    try:
        language = choose_audio_stream(info, "auto").language
    except NoAudioStream:
        language = None
    return MediaFacts(
        duration_s=info.duration_s,
        has_sound=bool(info.audio_streams),
        language=language,
        subtitles=tuple(stream.language or "" for stream in _text_tracks(info.streams)),
    )


def _text_tracks(streams: Iterable[StreamInfo]) -> list[StreamInfo]:
    return [
        stream
        for stream in streams
        if stream.kind == "subtitle"
        and stream.codec in _TEXT_CODECS
        and not (stream.forced or stream.comment)
        and not any(word in (stream.title or "").lower() for word in _PARTIAL_TITLES)
    ]
