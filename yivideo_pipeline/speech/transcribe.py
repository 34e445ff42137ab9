"""The way from sound to transcript: find speech, decide the language, recognize, repair, assemble."""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import TRANSLATED, SpeechOptions, Task
from yivideo_pipeline.speech.assemble import (
    CHINESE,
    Passage,
    SpokenWord,
    build_segments,
    build_words,
    convert_segment,
    convert_words,
)
from yivideo_pipeline.speech.chunks import Chunk, plan_chunks
from yivideo_pipeline.speech.engine import Heard, Progress
from yivideo_pipeline.speech.recognizer import Piece, Recognizer
from yivideo_pipeline.speech.repair import insert_repairs, plan_repairs
from yivideo_pipeline.speech.types import Span, Transcript, Word
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities

# PART speech/language.py: Which language is spoken, by speech from all over the video rather than its first 30 seconds.


def spread_order(count: int, sample: int) -> list[int]:
    """Indices 0..count-1 with `sample` of them, evenly spread, first."""
    if count <= sample:
        return list(range(count))
    first = [round((index + 0.5) * count / sample - 0.5) for index in range(sample)]
    return first + [index for index in range(count) if index not in set(first)]


def choose_language(chunks: list[Chunk], probabilities: list[dict[str, float]]) -> tuple[str, float]:
    """The likeliest language and its probability, each chunk weighing as much as it is long."""
    total: dict[str, float] = defaultdict(float)
    for chunk, row in zip(chunks, probabilities, strict=True):
        for language, probability in row.items():
            total[language] += probability * chunk.duration_s
    language = max(total, key=lambda code: total[code])
    return language, total[language] / sum(chunk.duration_s for chunk in chunks)


log = logging.getLogger(__name__)

PieceWork = Callable[[Recognizer, list[Piece]], list[Any]]
MapPieces = Callable[..., list[Any]]
NO_SOUND = "there is no sound"
NO_SPEECH = "no speech was heard in the sound"
NO_WORDS = "what was heard is no speech: music, noise, or a voice without words"
NO_LANGUAGE = "und"
LANGUAGE_SAMPLE = 8  # chunks that the language is judged by: up to four minutes from all over


@dataclass(frozen=True)
class Detect:
    """Work: which language is spoken in each piece."""

    def __call__(
        self, recognizer: Recognizer, pieces: list[Piece]
    ) -> list[tuple[dict[str, float], np.ndarray | None]]:
        """Probability of each language, and the encoder output, of each piece."""
        return recognizer.detect_languages(pieces)


@dataclass(frozen=True)
class Recognize:
    """Work: what is said in each piece, in a language."""

    language: str
    beam_size: int
    task: Task

    def __call__(self, recognizer: Recognizer, pieces: list[Piece]) -> list[Passage | None]:
        """What was said in each piece; None where nothing was."""
        return recognizer.recognize(recognizer.encode(pieces), self.language, self.beam_size, self.task)


@dataclass
class _Track:
    """Adds up finished pieces, tells the share of all speech that is done and what was heard in them.

    Pieces end in any order, but are told in theirs.
    """

    pieces: Sequence[Piece]
    options: SpeechOptions
    language: str
    tell: Progress | None
    heard: Heard | None
    done_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.total_s = sum(piece.chunk.duration_s for piece in self.pieces)
        self._untold = deque(self.pieces)
        self._done: dict[Piece, Passage | None] = {}

    def add(self, pieces: Sequence[Piece], passages: Sequence[Passage | None]) -> None:
        self.done_s += sum(piece.chunk.duration_s for piece in pieces)
        if self.tell:
            self.tell(min(1.0, self.done_s / self.total_s))
        if self.heard:
            self._done.update(zip(pieces, passages, strict=True))
            while self._untold and self._untold[0] in self._done:
                piece = self._untold.popleft()
                if passage := self._done.pop(piece):
                    self.heard(words_on_video([passage], piece.audio, self.options, self.language))


def transcribe(
    map_pieces: MapPieces,
    audio: Audio,
    options: SpeechOptions,
    progress: Progress | None,
    heard: Heard | None = None,
) -> Transcript:
    """Turn sound into a transcript; model and revision are left for the engine to fill in.

    Args:
        map_pieces: `Batcher.map`: does work on groups of pieces side by side.
        audio: The sound.
        options: Language, beam and script.
        progress: Told the share of the speech that is done.
        heard: Told the words of each piece when they are there.
    """
    probabilities = speech_probabilities(audio)
    spans = find_spans(probabilities, audio.duration_s)
    chunks = plan_chunks(spans, probabilities, HOP_S, audio.duration_s)
    if not chunks:
        return empty_transcript(audio, options, spans, NO_SPEECH if audio.duration_s else NO_SOUND)
    order = spread_order(len(chunks), LANGUAGE_SAMPLE)
    pieces = [Piece(audio, chunks[index]) for index in order]
    language, certainty, encoded = decide_language(map_pieces, pieces[:LANGUAGE_SAMPLE], options)
    recognize = Recognize(language, options.beam_size, options.task)
    pieces = sorted([*encoded, *pieces[LANGUAGE_SAMPLE:]], key=lambda piece: piece.chunk.start_s)
    track = _Track(pieces, options, language, progress, heard)
    spoken = order_words(map_pieces(pieces, recognize, track.add))
    # A translation says in other words, at other times, what was said: gaps in it are no gaps.
    if options.task is Task.TRANSCRIBE and (repairs := plan_repairs(spoken, spans)):
        log.info("decoding %d stretches of speech again that no word covers", len(repairs))
        found = map_pieces([Piece(audio, chunk) for chunk in repairs], recognize)
        spoken = insert_repairs(spoken, [order_words([passage]) for passage in found])
    if not spoken:
        return empty_transcript(audio, options, spans, NO_WORDS)
    return assemble_transcript(audio, options, spans, spoken, (language, certainty))


def assemble_transcript(
    audio: Audio,
    options: SpeechOptions,
    spans: tuple[Span, ...],
    spoken: list[SpokenWord],
    language: tuple[str, float],
) -> Transcript:
    """Words as sentences in the wanted script; model and revision are left for the engine to fill in.

    Args:
        audio: The sound.
        options: The wanted script, and whether the words are a translation.
        spans: What the voice activity detector heard, on the sound's own clock.
        spoken: At least one word; all in order of time.
        language: Code and probability of the spoken language.
    """
    segments = build_segments(spoken, audio.offset_s)
    code = TRANSLATED if options.task is Task.TRANSLATE else language[0]
    if code in CHINESE:
        segments = [convert_segment(segment, options.zh_script) for segment in segments]
    return empty_transcript(audio, options, spans, "").model_copy(
        update={
            "language": code,
            "language_probability": round(language[1], 4),
            "segments": tuple(segments),
            "empty_reason": None,
        }
    )


def empty_transcript(
    audio: Audio, options: SpeechOptions, spans: tuple[Span, ...], reason: str
) -> Transcript:
    """A transcript without words, and why; model and revision are left for the engine to fill in."""
    return Transcript(
        language=NO_LANGUAGE if options.language == "auto" else options.language,
        language_probability=0.0,
        duration_s=audio.duration_s,
        segments=(),
        speech_spans=tuple(
            Span(start_s=span.start_s + audio.offset_s, end_s=span.end_s + audio.offset_s) for span in spans
        ),
        model="",
        revision="",
        aligner="attention",
        empty_reason=reason,
    )


def decide_language(
    map_pieces: MapPieces, sample: list[Piece], options: SpeechOptions
) -> tuple[str, float, list[Piece]]:
    """The wanted language, or what speech from all over the video is likeliest to be, and how likely.

    Returns the sample too, with what was encoded for this, so that it need not be encoded again.
    """
    if options.language != "auto":
        return options.language, 1.0, sample
    found = map_pieces(sample, Detect())
    language, certainty = choose_language([piece.chunk for piece in sample], [one for one, _ in found])
    pieces = [replace(piece, row=row) for piece, (_, row) in zip(sample, found, strict=True)]
    return language, certainty, pieces


def detect_language(
    map_pieces: MapPieces, audio: Audio, progress: Progress | None = None
) -> tuple[str, float]:
    """The language that speech from all over the sound is likeliest to be, and how likely.

    Args:
        map_pieces: As `transcribe` takes it.
        audio: The sound.
        progress: Told again and again that this is still waiting.

    Returns:
        Whisper's code and a probability; `und` and 0 where nobody speaks.
    """
    probabilities = speech_probabilities(audio)
    spans = find_spans(probabilities, audio.duration_s)
    chunks = plan_chunks(spans, probabilities, HOP_S, audio.duration_s)
    if not chunks:
        return NO_LANGUAGE, 0.0
    sample = [chunks[index] for index in spread_order(len(chunks), LANGUAGE_SAMPLE)[:LANGUAGE_SAMPLE]]
    done = 0

    def count(pieces: Sequence[Piece], _found: Sequence[Any]) -> None:
        nonlocal done
        done += len(pieces)
        if progress:
            progress(done / len(sample))

    found = map_pieces([Piece(audio, chunk) for chunk in sample], Detect(), count)
    return choose_language(sample, [one for one, _ in found])


def order_words(passages: Sequence[Passage | None]) -> list[SpokenWord]:
    """Every word of the passages in order of time, on the sound's own clock."""
    found = [item for passage in passages if passage for item in build_words(passage)]
    return sorted(found, key=lambda item: item.word.start_s)


def words_on_video(
    passages: Sequence[Passage | None], audio: Audio, options: SpeechOptions, language: str
) -> list[Word]:
    """The words of passages in order of time, on the video's clock and in the wanted script."""
    shift = audio.offset_s
    words = [
        item.word.model_copy(update={"start_s": item.word.start_s + shift, "end_s": item.word.end_s + shift})
        for item in order_words(passages)
    ]
    is_chinese = options.task is Task.TRANSCRIBE and language in CHINESE
    return convert_words(words, options.zh_script) if is_chinese else words
