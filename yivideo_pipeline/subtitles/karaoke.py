"""The text of a cue in pieces that each begin with a word, for formats that time every word."""

from typing import NamedTuple

from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.tokens import clean_text


class TimedPiece(NamedTuple):
    """A piece of a cue's text, with its spaces and line breaks, and when it is said.

    `start_ms` lies inside the cue's times, after that of the piece before; None stands for the cue's start.
    """

    text: str
    start_ms: int | None


def timed_pieces(cue: Cue) -> list[TimedPiece]:
    """Return a cue's text in pieces, one a word; words that share a start are one piece."""
    text, at = cue.text, 0
    begins: list[tuple[int, int]] = []
    for word in cue.words:
        begin = None
        for char in clean_text(word.text).replace(" ", ""):
            following = at + len(text[at:]) - len(text[at:].lstrip())
            if text[following : following + 1] != char:
                continue  # a mark at the end of a line that the options leave out
            begin = following if begin is None else begin
            at = following + 1
        if begin is not None:
            begins.append((begin, round(word.start_s * 1000)))
    places, starts = [0], [cue.start_ms]
    for begin, start_ms in begins:
        if starts[-1] < start_ms < cue.end_ms and begin > places[-1]:
            places.append(begin)
            starts.append(start_ms)
    pieces = [text[begin:end] for begin, end in zip(places, [*places[1:], len(text)], strict=True)]
    return [
        TimedPiece(piece, None if number == 0 else start_ms)
        for number, (piece, start_ms) in enumerate(zip(pieces, starts, strict=True))
    ]
