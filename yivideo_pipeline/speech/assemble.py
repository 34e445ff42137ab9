"""From recognized chunks to a transcript: words on one clock, sentences, the wanted Chinese script."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import fmean
from typing import NamedTuple, TypeVar

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.languages import CHINESE
from yivideo_pipeline.settings.options import TRANSLATED, SpeechOptions, Task
from yivideo_pipeline.speech.align.text import WordTimings, spoken_characters
from yivideo_pipeline.speech.chinese import write_chinese, write_chinese_words
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.types import NO_LANGUAGE, Segment, Span, Transcript, Word, WordlessSpan

AnySpan = TypeVar("AnySpan", bound=Span)

MIN_WORD_S = 0.02
SENTENCE_PAUSE_S = 1.5  # a longer pause ends a segment without a full stop
MAX_SEGMENT_S = 30.0
_SENTENCE_END = re.compile(r"[.?!。？！…][\"'”’)\]」』）】》]*$")
_ABBREVIATION = re.compile(
    r"(?:^|\s)(?:(?:[A-Za-z]\.)*[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|No|Vol|Fig|Sgt|Gen|Col)\.$"
)


@dataclass(frozen=True)
class Passage:
    """The text recognized in one chunk: its timed words, how sure the model was, the spoken language."""

    chunk: Chunk
    timed: WordTimings
    avg_logprob: float
    no_speech_prob: float
    language: str


@dataclass(frozen=True)
class SpokenWord:
    """A word on the sound's own clock and the passage that it comes from."""

    word: Word
    passage: Passage


class Heard(NamedTuple):
    """What an engine heard: words in order of time, and where it searched for words in vain or again.

    Times are on the sound's own clock.
    """

    words: list[SpokenWord]
    searched: tuple[WordlessSpan, ...] = ()


def assemble_transcript(
    audio: Audio,
    options: SpeechOptions,
    spans: tuple[Span, ...],
    heard: Heard,
    languages: Mapping[str, float],
    *,
    model: str,
    revision: str,
) -> Transcript:
    """Return the transcript of words: in sentences, on the video's clock, in the wanted script.

    Args:
        audio: The sound.
        options: The wanted script, and whether the words are a translation.
        spans: The intervals of the voice activity detector, on the sound's own clock.
        heard: At least one word, and where words were searched for.
        languages: The probability of each language that may be spoken.
        model: The model's name, for people.
        revision: Identifies its weights.
    """
    found = languages_of(heard.words)
    is_translation = options.task is Task.TRANSLATE
    code = TRANSLATED if is_translation else found[0]
    segments = [
        _in_own_script(segment, options, is_translation, code)
        for segment in build_segments(heard.words, audio.offset_s)
    ]
    empty = empty_transcript(audio, options, spans, "", model=model, revision=revision)
    transcript = empty.model_copy(
        update={
            "language": code,
            "zh_script": options.zh_script if code in CHINESE else None,
            "language_probability": round(sum(languages.get(one, 0.0) for one in found), 4),
            "segments": tuple(segments),
            "searched": tuple(_moved(span, audio.offset_s) for span in heard.searched),
            "empty_reason": None,
        }
    )
    warnings = () if is_translation else transcript.wordless_warnings
    return transcript.model_copy(update={"warnings": warnings})


def empty_transcript(
    audio: Audio, options: SpeechOptions, spans: tuple[Span, ...], reason: str, *, model: str, revision: str
) -> Transcript:
    """Return a transcript without words, and why it has none; arguments as for `assemble_transcript`."""
    speech_spans = tuple(_moved(span, audio.offset_s) for span in spans)
    return Transcript(
        language=options.only_language or NO_LANGUAGE,
        zh_script=options.zh_script if options.only_language in CHINESE else None,
        language_probability=0.0,
        duration_s=audio.duration_s,
        end_s=audio.offset_s + audio.duration_s,
        segments=(),
        speech_spans=speech_spans,
        searched=tuple(WordlessSpan(**span.model_dump(), reason="no_speech") for span in speech_spans),
        model=model,
        revision=revision,
        aligner="attention",
        empty_reason=reason,
    )


def _moved(span: AnySpan, offset_s: float) -> AnySpan:
    return span.model_copy(update={"start_s": span.start_s + offset_s, "end_s": span.end_s + offset_s})


def languages_of(spoken: Sequence[SpokenWord]) -> list[str]:
    """Return the languages of words, the one that is spoken for the longest time first."""
    seconds: dict[str, float] = defaultdict(float)
    for item in spoken:
        seconds[item.passage.language] += item.word.end_s - item.word.start_s
    return sorted(seconds, key=lambda language: -seconds[language])


def _in_own_script(segment: Segment, options: SpeechOptions, is_translation: bool, usual: str) -> Segment:
    """Return a segment in the wanted script, its language named where it is not the usual one."""
    if is_translation:
        return segment.model_copy(update={"language": None})
    if segment.language in CHINESE:
        segment = write_chinese(segment, options.zh_script)
    return segment.model_copy(update={"language": None if segment.language == usual else segment.language})


def order_words(passages: Iterable[Passage]) -> list[SpokenWord]:
    """Return every word of the passages in order of time, on the sound's own clock."""
    found = [item for passage in passages for item in build_words(passage)]
    return sorted(found, key=lambda item: item.word.start_s)


def words_on_video(passages: Iterable[Passage], audio: Audio, options: SpeechOptions) -> list[Word]:
    """Return the words of passages in order of time, on the video's clock and in the wanted script."""
    shift = audio.offset_s
    words: list[Word] = []
    for language, items in groupby(order_words(passages), key=lambda item: item.passage.language):
        own = [
            item.word.model_copy(
                update={"start_s": item.word.start_s + shift, "end_s": item.word.end_s + shift}
            )
            for item in items
        ]
        is_chinese = options.task is Task.TRANSCRIBE and language in CHINESE
        words += write_chinese_words(own, options.zh_script) if is_chinese else own
    return words


def build_words(passage: Passage) -> list[SpokenWord]:
    """Return the passage's words on the sound's own clock, in order, each with a positive length."""
    timed = passage.timed
    letters = np.array([len(spoken_characters(text)) for text in timed.words])
    times, interpolated = spread_untimed(timed.times, timed.timed, letters)
    words = []
    for text, (start, end), confidence, is_interpolated in zip(
        timed.words, times, timed.confidences, interpolated, strict=True
    ):
        start_s, end_s = passage.chunk.to_source(start, end)
        word = Word(
            text=text,
            start_s=start_s,
            end_s=end_s,
            confidence=round(float(confidence), 4),
            source="interpolated" if is_interpolated else "attention",
        )
        words.append(SpokenWord(word, passage))
    return words


def spread_untimed(
    times: np.ndarray, timed: np.ndarray, letters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give words without a time of their own a share of the time around them.

    They fill the gap between their neighbours. Where there is none, they share the next word's time
    (the last words share the previous word's), each by its number of letters.

    Args:
        times: Start and end in seconds, shape (n, 2), in order.
        timed: Which words have a time of their own, bool, shape (n,).
        letters: How many letters each word has, shape (n,).

    Returns:
        Times in which every word has a part and none overlaps the next, and which words were
        interpolated.
    """
    known = timed & (times[:, 1] - times[:, 0] >= MIN_WORD_S)
    spread = times.copy()
    weights = np.maximum(letters, 1)
    anchors = [-1, *np.flatnonzero(known).tolist(), len(times)]
    for before, after in pairwise(anchors):
        first, last = before + 1, after
        if first == last:
            continue
        left = spread[before, 1] if before >= 0 else times[first, 0]
        right = spread[after, 0] if after < len(times) else max(left, times[-1, 1])
        if right - left < MIN_WORD_S * (last - first):
            # A neighbour gives up time and never gains any: where its share would be larger it keeps its own.
            if after < len(times):
                wide = _share(left, spread[after, 1], weights[first : last + 1])
                if wide[-2] > right:
                    last, right = last + 1, spread[after, 1]
            elif before >= 0:
                wide = _share(spread[before, 0], right, weights[before:last])
                if wide[1] < left:
                    first, left = before, spread[before, 0]
        edges = _share(left, right, weights[first:last])
        spread[first:last] = np.stack([edges[:-1], edges[1:]], axis=1)
    return spread, ~known


def _share(left: float, right: float, weights: np.ndarray) -> np.ndarray:
    """Return the edges of parts between two times, proportional to their weights, shape (n + 1,)."""
    return left + (right - left) * np.concatenate([[0], np.cumsum(weights) / np.sum(weights)])


def build_segments(spoken: list[SpokenWord], offset_s: float) -> list[Segment]:
    """Group words into sentences: at full stops, long pauses, a change of language, after 30 s at the latest.

    Args:
        spoken: Words in order of time, on the sound's own clock.
        offset_s: When the sound starts on the video's clock.
    """
    groups: list[list[SpokenWord]] = []
    for item in _without_overlap(spoken):
        if not groups or _ends_sentence(groups[-1], item):
            groups.append([])
        groups[-1].append(item)
    return [_segment(group, offset_s) for group in groups]


def _without_overlap(spoken: list[SpokenWord]) -> list[SpokenWord]:
    """End each word where the next begins, at the latest: chunks are timed without their neighbours."""
    ends = [item.word.start_s for item in spoken[1:]] + [float("inf")]
    return [
        SpokenWord(item.word.model_copy(update={"end_s": min(item.word.end_s, end)}), item.passage)
        for item, end in zip(spoken, ends, strict=True)
    ]


def _segment(group: list[SpokenWord], offset_s: float) -> Segment:
    words = tuple(
        item.word.model_copy(
            update={
                "start_s": round(item.word.start_s + offset_s, 3),
                "end_s": round(item.word.end_s + offset_s, 3),
            }
        )
        for item in group
    )
    return Segment(
        start_s=words[0].start_s,
        end_s=words[-1].end_s,
        text="".join(word.text for word in words),
        words=words,
        avg_logprob=round(fmean(item.passage.avg_logprob for item in group), 4),
        no_speech_prob=round(fmean(item.passage.no_speech_prob for item in group), 4),
        language=group[0].passage.language,
    )


def _ends_sentence(group: list[SpokenWord], following: SpokenWord) -> bool:
    last = group[-1].word
    if (
        following.word.start_s - last.end_s > SENTENCE_PAUSE_S
        or following.word.end_s - group[0].word.start_s > MAX_SEGMENT_S
        or following.passage.language != group[-1].passage.language
    ):
        return True
    return bool(_SENTENCE_END.search(last.text)) and not _ABBREVIATION.search(last.text)
