"""The page of a comparison: one HTML file with its figures, and the sound of the passages that differ.

It asks no other host for anything and works from a disk. The sound is MP3, which every browser plays.
"""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import nlargest
from pathlib import Path
from typing import Any

import av
import jinja2
import numpy as np

from yivideo_pipeline.comparison.figures import ComparedClip, Comparison
from yivideo_pipeline.comparison.passages import DifferingPassage
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio
from yivideo_pipeline.media.decode import open_sound
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.types import Word

MOST_PASSAGES = 200
"""A passage takes about 40 kB; those in which most words differ are kept."""
MARGIN_S = 0.3
BIT_RATE = 32_000
MARK = '<meta name="generator" content="yivideo compare">'
"""By it a page is known as ours, which may be replaced."""


@dataclass(frozen=True)
class Heading:
    """What stands above the figures.

    Attributes:
        names: Of both sides.
        engines: What ran in each, where.
        settings: Those that differ: name, and value in each.
    """

    names: tuple[str, str]
    engines: tuple[str, str]
    settings: tuple[tuple[str, str, str], ...]


def render_page(
    comparison: Comparison,
    heading: Heading,
    options: SpeechOptions,
    on_clip: Callable[[int], None],
) -> str:
    """Return the page.

    Args:
        comparison: What is shown.
        heading: What stands above it.
        options: By which a video's audio track is chosen.
        on_clip: Receives the number of each recording whose passages are cut.
    """
    every = [(passage, number) for number, one in enumerate(comparison.clips) for passage in one.passages]
    kept = nlargest(MOST_PASSAGES, every, key=lambda one: (one[0].weight, abs(one[0].shift_s)))
    videos = []
    for number, one in enumerate(comparison.clips):
        on_clip(number)
        own = sorted((p for p, owner in kept if owner == number), key=lambda passage: passage.start_s)
        videos.append(_video(one, own, options))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = _clock
    return environment.get_template("page.html").render(
        mark=MARK,
        heading=heading,
        figures=comparison.figures,
        left_out=[(one.path.name, one.side, str(one.error)) for one in comparison.left_out],
        videos=videos,
        passages=len(every),
        shown=len(kept),
    )


def _video(one: ComparedClip, passages: Sequence[DifferingPassage], options: SpeechOptions) -> dict[str, Any]:
    if not passages:
        return {"name": one.clip.path.name, "passages": []}
    with open_sound(one.clip.path, options.language, options.audio_track) as sound:
        return {
            "name": one.clip.path.name,
            "passages": [_shown(passage, sound.audio) for passage in passages],
        }


def _shown(passage: DifferingPassage, audio: Audio) -> dict[str, Any]:
    begin_s = max(audio.offset_s, passage.start_s - MARGIN_S)
    data = encode_mp3(audio, begin_s - audio.offset_s, passage.end_s + MARGIN_S - audio.offset_s)
    rows = [
        [(shown.word.text, shown.differs, *_within(shown.word, begin_s)) for shown in words]
        for words in (passage.a, passage.b)
    ]
    return {
        "start_s": passage.start_s,
        "end_s": passage.end_s,
        "shift_s": passage.shift_s,
        "reference": passage.reference,
        "rows": rows,
        "sound": "data:audio/mpeg;base64," + base64.b64encode(data).decode("ascii"),
    }


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def _within(word: Word, begin_s: float) -> tuple[str, str]:
    return f"{word.start_s - begin_s:.3f}", f"{word.end_s - begin_s:.3f}"


def encode_mp3(audio: Audio, start_s: float, end_s: float) -> bytes:
    """Return a piece of the sound, between two times on the sound's own clock, as MP3."""
    start, end = (max(0, round(time_s * SAMPLE_RATE_HZ)) for time_s in (start_s, end_s))
    samples = audio.read(start, end)
    target = io.BytesIO()
    with av.open(target, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.bit_rate = BIT_RATE
        resampler = av.AudioResampler(
            format="s16p", layout="mono", rate=SAMPLE_RATE_HZ, frame_size=stream.codec_context.frame_size
        )
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16p", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), 0
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return target.getvalue()
