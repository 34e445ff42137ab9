"""From a transcript's words to cues, the pieces of text that a viewer sees at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from yivideo_pipeline.settings.options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.subtitles.breaks import rate_breaks
from yivideo_pipeline.subtitles.grammar import Grammar, grammar_of
from yivideo_pipeline.subtitles.script import profile_of
from yivideo_pipeline.subtitles.segmentation import Limits, Stretch
from yivideo_pipeline.subtitles.tokens import Token, split_wide, tokenize


@dataclass(frozen=True, slots=True)
class Cue:
    """One or more lines of text, from when to when they are shown, and the words in them."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The lines, joined by line breaks."""
        return "\n".join(self.lines)

    @property
    def duration_ms(self) -> int:
        """How long the cue is shown."""
        return self.end_ms - self.start_ms


def build_cues(transcript: Transcript, options: SubtitleOptions) -> tuple[Cue, ...]:
    """Cut a transcript into cues that are in order, never overlap and never last zero time.

    A cue starts when its first word does. It ends up to half a second after its last word, later
    where it would be too short or too fast to read, earlier where the next cue needs the room. No
    cue goes across a pause longer than the options allow. The limits on lines give way only where
    words share one start, so that no cut is possible between them.
    """
    max_pause_ms = round(options.max_pause_s * 1000)
    tokens = tokenize(transcript, max_pause_ms)
    stretches = list(_cut_at_pauses(tokens, max_pause_ms))
    next_starts = [*(stretch[0].start_ms for stretch in stretches[1:]), inf]
    grammar = grammar_of(transcript.language)
    return tuple(
        cue
        for stretch, next_start_ms in zip(stretches, next_starts, strict=False)
        for cue in _build_stretch(stretch, next_start_ms, grammar, options)
    )


def _cut_at_pauses(tokens: list[Token], max_pause_ms: int) -> Iterator[list[Token]]:
    stretch: list[Token] = []
    spoken_to = 0
    for token in tokens:
        if stretch and token.start_ms - spoken_to > max_pause_ms:
            yield stretch
            stretch = []
        stretch.append(token)
        spoken_to = max(spoken_to, token.end_ms)
    if stretch:
        yield stretch


def _build_stretch(
    tokens: list[Token], next_start_ms: float, grammar: Grammar, options: SubtitleOptions
) -> Iterator[Cue]:
    profile = profile_of("".join(token.text for token in tokens), options)
    units = split_wide(tokens, profile.line_columns)
    stretch = Stretch(units, rate_breaks(units, grammar), next_start_ms, Limits(options, profile))
    for start, end in stretch.cut():
        words = tuple(word for unit in units[start:end] for word in unit.words)
        yield Cue(
            units[start].start_ms, stretch.end_ms(start, end), stretch.lines.set_lines(start, end), words
        )
