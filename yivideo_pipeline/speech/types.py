"""The exchange types of the pipeline: what was said, when, and how sure the recognizer is.

Times are seconds from the start of the video's presentation (the stream's start offset is
already added), as floats.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from yivideo_pipeline.settings.languages import ZhScript

LEAST_WORDLESS_S = 0.3
"""The detector's spans reach over the edges of words, and over short pauses between them, by less."""
MIN_WORDLESS_S = 0.8
"""Shorter sounds that the voice activity detector takes for speech are often a breath or an "um"."""
MAX_BRIEF_S = 2.0
"""Beside words, a breath, a hesitation or a laugh lasts up to this long."""
MAX_PLACES = 5
"""How many spans without words a warning names."""

WordSource = Literal["aligned", "attention", "interpolated"]
WordlessReason = Literal["no_speech", "unsure", "brief", "unknown"]
"""Why speech has no words: the model heard no speech in it; it was read again, and nothing was sure; it is so
short that no word needs to be missing, as a breath, a hesitation or an echo is; nothing is known.
"""
NO_LANGUAGE = "und"
"""The language of a sound in which nobody speaks."""


class _ExchangeModel(BaseModel):
    """What is stored, and sent between programs; what a newer version has noted besides is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Span(_ExchangeModel):
    """An interval in which the voice activity detector found speech; it has no text."""

    start_s: float
    end_s: float


class WordlessSpan(Span):
    """Speech, by the detector, without words, and why it has none."""

    reason: WordlessReason


class Word(_ExchangeModel):
    """One timed word; in Chinese and Japanese, one character.

    `text` carries its punctuation and, where the script uses spaces, its leading space, so that
    the words of a segment joined are the segment's text. `source` says where the times come from:
    `aligned` by an acoustic aligner, `attention` by Whisper's cross-attention, `interpolated`
    between neighbours. `confidence` is a probability, 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float = Field(ge=0, le=1)
    source: WordSource


class Segment(_ExchangeModel):
    """A sentence or phrase of the recognizer, with its words in order.

    `language` is that of its words; None where it is the transcript's.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    avg_logprob: float
    no_speech_prob: float
    language: str | None = None


class Transcript(_ExchangeModel):
    """Everything that was said in one video.

    `language` is that of the words, of most of them where it changes: English where they are a translation;
    `language_probability` is that of the spoken language, or that nothing but the found ones is spoken.
    `zh_script` is the script that Chinese words were written in; None for words of another language.
    `duration_s` is the length of the sound, `end_s` when it ends on the video's clock (None in transcripts of
    older versions), `speech_spans` where the voice activity detector found speech.
    `searched` is where the model looked for words in vain, or a second time.
    `empty_reason` says why there is no segment, where there is none. `warnings` are lines for the
    user. `revision` identifies the weights.
    """

    language: str
    language_probability: float
    duration_s: float
    segments: tuple[Segment, ...]
    speech_spans: tuple[Span, ...]
    searched: tuple[WordlessSpan, ...] = ()
    model: str
    revision: str
    aligner: str
    zh_script: ZhScript | None = None
    end_s: float | None = None
    empty_reason: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def language_tag(self) -> str:
        """The language with the script of Chinese, such as `en`, `zh` or `zh-TW`: it names files."""
        return self.zh_script.tag(self.language) if self.zh_script else self.language

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word of every segment, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    def language_of(self, segment: Segment) -> str:
        """The language of a segment's words."""
        return segment.language or self.language

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the words, the transcript's own first."""
        return tuple(dict.fromkeys((self.language, *map(self.language_of, self.segments))))

    @property
    def speech_s(self) -> float:
        """Seconds of speech that the detector found."""
        return sum(span.end_s - span.start_s for span in self.speech_spans)

    @computed_field
    @property
    def wordless_spans(self) -> tuple[WordlessSpan, ...]:
        """Every part of the speech that no word covers, in order, and why; edges of words are left out."""
        words = sorted(self.words, key=lambda word: word.start_s)
        starts = [word.start_s for word in words]
        longest_s = max((word.end_s - word.start_s for word in words), default=0.0)
        found: list[WordlessSpan] = []
        for span in self.speech_spans:
            near = words[bisect_left(starts, span.start_s - longest_s) : bisect_right(starts, span.end_s)]
            for start, end in uncovered_parts(span, [(word.start_s, word.end_s) for word in near]):
                if end - start >= LEAST_WORDLESS_S:
                    is_whole = (start, end) == (span.start_s, span.end_s)
                    reason = self._reason(start, end, MIN_WORDLESS_S if is_whole else MAX_BRIEF_S)
                    found.append(WordlessSpan(start_s=start, end_s=end, reason=reason))
        return tuple(found)

    def _reason(self, start_s: float, end_s: float, brief_s: float) -> WordlessReason:
        """Return why a part has no words, by what was searched of most of it, else by its length."""
        length_s = end_s - start_s
        known = {
            span.reason
            for span in self.searched
            if min(end_s, span.end_s) - max(start_s, span.start_s) > length_s / 2
        }
        if "no_speech" in known:
            return "no_speech"
        if length_s < brief_s:
            return "brief"
        return "unsure" if "unsure" in known else "unknown"

    @property
    def wordless_warnings(self) -> tuple[str, ...]:
        """A line for the user where speech has no words; none where it has."""
        spans = [
            span
            for span in self.wordless_spans
            if span.end_s - span.start_s >= MIN_WORDLESS_S and span.reason != "brief"
        ]
        if not spans:
            return ()
        total_s = sum(span.end_s - span.start_s for span in spans)
        places = ", ".join(f"{span.start_s:.1f}-{span.end_s:.1f} s" for span in spans[:MAX_PLACES])
        more = ", ..." if len(spans) > MAX_PLACES else ""
        return (f"{total_s:.1f} s of what sounds like speech have no words: {places}{more}",)


def uncovered_parts(span: Span, covered: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the parts of a span outside the covered intervals, which are in order."""
    gaps, position = [], span.start_s
    for start, end in covered:
        if end <= position or start >= span.end_s:
            continue
        if start > position:
            gaps.append((position, start))
        position = max(position, end)
    if position < span.end_s:
        gaps.append((position, span.end_s))
    return gaps
