"""Pictures of what the stages made, for Dagster's UI: the poster, the waveform, the words in time.

The metadata of a materialization hold only the picture's address, which is that of the artifact; the
webserver of `yivideo up` draws it when it is looked at. The UI shows Markdown at once only if it is shorter
than 1,000 characters, and what stands in the event log is kept for good.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.storage.artifacts import Artifact, Storage

ADDRESS = "/pictures/"
"""Where the webserver has the pictures, by the folder of their artifact."""
POSTER = "poster.jpg"
_FOLDER = re.compile(r"videos/(?P<video>[0-9a-f]+)/(?P<stage>[a-z]+)-(?P<key>[0-9a-f]+)")
WIDTH = 760
TIMELINE_WORDS = 60
_ROW_S = 6.0
_ROW_HEIGHT = 58
_MAX_ROWS = 10
_INK, _SPEECH, _GRID, _PAPER = "#334155", "#bbf7d0", "#e2e8f0", "#ffffff"
_BY_SOURCE = {
    "aligned": ("#86efac", "timed by the aligner"),
    "attention": ("#93c5fd", "timed by Whisper's attention"),
    "interpolated": ("#fde68a", "timed between its neighbours"),
}


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as a browser takes it."""

    media_type: str
    data: bytes


def image(data: bytes, media_type: str, title: str) -> str:
    """Return Markdown that contains a picture, for reports, which stand on their own."""
    return f"![{title}](data:{media_type};base64,{base64.b64encode(data).decode('ascii')})"


def link_picture(artifact: Artifact, title: str) -> str:
    """Return Markdown that shows the picture of an artifact."""
    return f"![{title}]({ADDRESS}{artifact.folder})"


def draw_picture(storage: Storage, folder: str) -> EncodedPicture | None:
    """Return the picture of an artifact; None where there is no such artifact (any more), or it has none.

    Args:
        storage: Where the artifacts are.
        folder: Of the artifact, as `link_picture` named it.
    """
    place = _FOLDER.fullmatch(folder)
    artifact = storage.find(place["video"], place["stage"], place["key"]) if place else None
    if artifact is None:
        return None
    document, stage = artifact.document, artifact.stage
    if stage == "audio":
        spans, offset_s = document["speech_spans"], document["offset_s"]
        return _svg(draw_waveform(document["outline"], spans, offset_s, document["duration_s"]))
    if stage == "alignment":
        return _svg(draw_timeline(Transcript.model_validate(document).words))
    if stage != "video":
        return None
    try:
        return EncodedPicture("image/jpeg", storage.read(artifact, POSTER))
    except FileNotFoundError:
        return None


def draw_waveform(
    outline: Sequence[Sequence[int]],
    spans: Sequence[Sequence[float]],
    offset_s: float,
    duration_s: float,
) -> str:
    """Return a drawing (SVG) of the sound's outline over its speech spans.

    Args:
        outline: Lowest and highest sample of each part, in percent of full scale.
        spans: Start and end of speech, in seconds on the video's clock.
        offset_s: When the sound starts on that clock.
        duration_s: Length of the sound.
    """
    speech = "".join(f"M{start} 0H{end}V100H{start}z" for start, end in _columns(spans, offset_s, duration_s))
    step = WIDTH / max(1, len(outline))
    wave = "".join(
        f"M{place * step:.0f} {50 - high / 2:.0f}V{51 - low / 2:.0f}"
        for place, (low, high) in enumerate(outline)
    )
    times = "".join(
        _text(WIDTH * part, 113, _clock(offset_s + duration_s * part), anchor)
        for part, anchor in (
            (0.0, "start"),
            (0.25, "middle"),
            (0.5, "middle"),
            (0.75, "middle"),
            (1.0, "end"),
        )
    )
    return _drawing(
        134,
        f'<path d="{speech}" fill="{_SPEECH}"/><path d="{wave}" stroke="{_INK}" stroke-width="2"/>{times}'
        f"{_legend(122, [(_SPEECH, 'speech')])}",
    )


def _columns(
    spans: Sequence[Sequence[float]], offset_s: float, duration_s: float
) -> Iterator[tuple[int, int]]:
    """Yield the spans as columns of pixels; spans in the same or in neighbouring columns are one."""
    per_s = WIDTH / duration_s if duration_s else 0.0
    covered = set()
    for start_s, end_s in spans:
        start = int((start_s - offset_s) * per_s)
        covered.update(range(start, max(start + 1, round((end_s - offset_s) * per_s))))
    for is_speech, run in groupby(range(WIDTH), covered.__contains__):
        columns = list(run)
        if is_speech:
            yield columns[0], columns[-1] + 1


def draw_timeline(words: Sequence[Word]) -> str:
    """Return a drawing (SVG) of the first words on a time line, 6 s per row.

    They are coloured by the source of their times, and alternate between two lanes, so that each has room for
    its letters.
    """
    shown = words[:TIMELINE_WORDS]
    begin = shown[0].start_s // _ROW_S if shown else 0
    rows = int((shown[-1].end_s // _ROW_S) - begin) + 1 if shown else 1
    # A long silence must not become a long picture.
    rows = min(rows, _MAX_ROWS)
    seconds = "".join(
        f"M{second * WIDTH / _ROW_S:.0f} 0V{rows * _ROW_HEIGHT}" for second in range(int(_ROW_S))
    )
    parts = [f'<path d="{seconds}" stroke="{_GRID}"/>']
    parts += [_text(2, row * _ROW_HEIGHT + 10, _clock((begin + row) * _ROW_S)) for row in range(rows)]
    for number, word in enumerate(shown):
        first, last = (int(time_s // _ROW_S - begin) for time_s in (word.start_s, word.end_s))
        # A word that crosses the end of a row continues in the next one.
        for row in range(first, min(last + 1, rows)):
            y = row * _ROW_HEIGHT + 14 + number % 2 * 20
            parts.append(_draw_word(word, y, word.start_s - (begin + row) * _ROW_S))
    sources = {word.source for word in shown}
    legend = [look for source, look in _BY_SOURCE.items() if source in sources]
    parts.append(_legend(rows * _ROW_HEIGHT, legend, "the paler, the less certain"))
    return _drawing(rows * _ROW_HEIGHT + 14, "".join(parts))


def _draw_word(word: Word, y: int, start_s: float) -> str:
    per_s = WIDTH / _ROW_S
    x = start_s * per_s
    width = max(1.0, (word.end_s - word.start_s) * per_s)
    faded = 0.35 + 0.65 * word.confidence
    return (
        f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="18" fill="{_BY_SOURCE[word.source][0]}"'
        f' opacity="{faded:.2f}"/>{_text(x + 1, y + 13, word.text.strip()[:24])}'
    )


def _legend(y: int, looks: Sequence[tuple[str, str]], remark: str = "") -> str:
    parts = [
        f'<rect x="{place * 190}" y="{y}" width="12" height="12" fill="{colour}"/>'
        f"{_text(place * 190 + 16, y + 10, meaning)}"
        for place, (colour, meaning) in enumerate(looks)
    ]
    return "".join([*parts, _text(WIDTH, y + 10, remark, "end")])


def _svg(drawing: str) -> EncodedPicture:
    return EncodedPicture("image/svg+xml", drawing.encode("utf-8"))


def _drawing(height: int, body: str) -> str:
    edge = 8  # of paper around the drawing, for the dark theme
    across, down = WIDTH + 2 * edge, height + 2 * edge
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}"'
        f' viewBox="-{edge} -{edge} {across} {down}" font-family="sans-serif" font-size="11" fill="{_INK}">'
        f'<rect x="-{edge}" y="-{edge}" width="{across}" height="{down}" fill="{_PAPER}"/>{body}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}"{at}>{escape(_printable(text))}</text>'


def _printable(text: str) -> str:
    # XML can't hold control characters: one would make the whole picture unreadable.
    return "".join(char if char.isprintable() else " " for char in text)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:04.1f}"
