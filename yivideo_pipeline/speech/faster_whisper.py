"""The engine on faster-whisper's models: chunks of all requests share batches on CTranslate2."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.assemble import Heard, Passage, SpokenWord, order_words, words_on_video
from yivideo_pipeline.speech.batching import Batcher, BatchFunction, OnDone
from yivideo_pipeline.speech.checkpoint import Finished
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import OnWords, Progress
from yivideo_pipeline.speech.gap_repair import (
    Unit,
    find_worthwhile,
    is_inside,
    languages_near,
    plan_gap_repairs,
    plan_repairs,
)
from yivideo_pipeline.speech.local_engine import DetectedSpeech, LocalEngine
from yivideo_pipeline.speech.recognizer import Piece, Recognizer
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.types import WordlessSpan
from yivideo_pipeline.speech.weaving import apply_repair, choose_heard, is_sure_of
from yivideo_pipeline.speech.whisper import Decoding

log = logging.getLogger(__name__)

Passages = list[Passage]
"""What was said in one piece, in order; several where the language changes in it."""


class FasterWhisperEngine(LocalEngine[Recognizer]):
    """Whisper in this process; safe for several threads, whose chunks share batches."""

    backend = "faster-whisper"

    def __init__(
        self,
        model: str,
        revision: str,
        config: DeviceConfig,
        load: Callable[[DeviceConfig], Recognizer],
        aligners: Aligners,
    ) -> None:
        super().__init__(model, revision, config, load, aligners)
        self.batcher: Batcher[Any] = Batcher(self._runtime, self._in_flight)

    def _recognize(
        self,
        speech: DetectedSpeech,
        options: SpeechOptions,
        decoding: Decoding,
        finished: Finished,
        progress: Progress | None,
        on_words: OnWords | None,
    ) -> Heard:
        recognize = Recognize(decoding)
        reporter = _Reporter(speech.pieces, options, progress, on_words)

        def resume(pieces: Sequence[Piece], passages: Sequence[Passages]) -> None:
            reporter.add(pieces, passages)
            finished.note_resumed(reporter.done_s / reporter.total_s)

        passages = self._recognize_once(speech.pieces, recognize, finished, reporter.add, resume)
        refused = [piece.chunk for piece, some in zip(speech.pieces, passages, strict=True) if not some]
        heard = Heard(
            order_words(one for some in passages for one in some),
            tuple(
                WordlessSpan(**part.model_dump(), reason="no_speech")
                for chunk in refused
                for part in chunk.pieces
            ),
        )
        # A translation has other words at other times: its gaps need no repair.
        if decoding.task is not Task.TRANSCRIBE:
            return heard
        return self._repair(heard, speech, refused, recognize, finished, reporter)

    def _recognize_once(
        self,
        pieces: Sequence[Piece],
        recognize: "Recognize",
        finished: Finished,
        on_done: OnDone,
        on_restored: OnDone,
    ) -> list[Passages]:
        """Return what was said in each piece; what is finished is only read, what gets finished is kept.

        Args:
            pieces: The pieces.
            recognize: How they are recognized.
            finished: The finished parts.
            on_done: See `Batcher.map`.
            on_restored: Receives those that were finished before, once and before all others.
        """
        kept = finished.passages(recognize.kind, [piece.chunk for piece in pieces])
        results: dict[Piece, Passages] = {piece: kept[piece.chunk] for piece in pieces if piece.chunk in kept}
        if results:
            on_restored(list(results), list(results.values()))
        rest = [piece for piece in pieces if piece not in results]

        def keep(done: Sequence[Piece], passages: Sequence[Passages]) -> None:
            finished.keep_passages(recognize.kind, [piece.chunk for piece in done], passages)
            on_done(done, passages)

        results.update(zip(rest, self.batcher.map(rest, recognize, keep), strict=True))
        return [results[piece] for piece in pieces]

    def _repair(
        self,
        first: Heard,
        speech: DetectedSpeech,
        refused: list[Chunk],
        recognize: "Recognize",
        finished: Finished,
        reporter: "_Reporter",
    ) -> Heard:
        """Decode doubtful parts of the speech again, each by itself; then what in them still has no words.

        What was heard in vain or unsurely is read with another cut.
        """
        spans = find_worthwhile(speech.spans, refused)
        spoken, tried = first.words, list[Unit]()
        for _ in range(2):
            repairs = (
                plan_gap_repairs(spoken, spans, tried)
                if tried
                else plan_repairs(spoken, spans, speech.audio.duration_s)
            )
            units = [unit for repair in repairs for unit in repair]
            if not units:
                break
            log.info("decoding %d parts of the speech again, whose words are in doubt", len(units))
            hear = partial(self._hear, speech.audio, spoken, recognize, finished, reporter)
            heard = hear({unit: unit.chunk for unit in units})
            unsure = [
                unit
                for unit in units
                if not is_sure_of(heard[unit]) and not any(is_inside(unit, chunk) for chunk in refused)
            ]
            for unit, words in hear({unit: unit.closer for unit in unsure}).items():
                heard[unit] = choose_heard(heard[unit], words)
            for repair in repairs:
                spoken = apply_repair(spoken, repair, [heard[unit] for unit in repair])
            tried += units
        again = (WordlessSpan(start_s=unit.start_s, end_s=unit.end_s, reason="unsure") for unit in tried)
        return Heard(spoken, (*first.searched, *again))

    def _hear(
        self,
        audio: Audio,
        spoken: list[SpokenWord],
        recognize: "Recognize",
        finished: Finished,
        reporter: "_Reporter",
        chunks: dict[Unit, Chunk],
    ) -> dict[Unit, list[SpokenWord]]:
        """Return what is heard in chunks, each in the language of the word nearest to its part."""
        units = list(chunks)
        languages = dict(zip(units, languages_near(spoken, units, recognize.decoding.language), strict=True))
        found: dict[Unit, list[SpokenWord]] = {}
        for language in sorted(set(languages.values())):
            own = [unit for unit in units if languages[unit] == language]
            # Only what is sure is taken, as sampled texts hardly are.
            once = Recognize(recognize.decoding.within(language), fallback=False)
            pieces = [Piece(audio, chunks[unit]) for unit in own]
            passages = self._recognize_once(pieces, once, finished, reporter.wait, reporter.wait)
            found.update(zip(own, map(order_words, passages), strict=True))
        return found

    def _map(
        self, pieces: Sequence[Piece], function: BatchFunction, on_done: OnDone | None = None
    ) -> list[Any]:
        return self.batcher.map(pieces, function, on_done)

    def _in_flight(self, config: DeviceConfig) -> DeviceConfig:
        """Return the configuration that batches are formed by: on a CPU a worker takes one piece at a time.

        A group of four was no faster there (ADR 17), a kill would lose all of it, and a piece's result
        could depend on the others.
        """
        config = self._adapt(config)
        return config if config.device == "cuda" else replace(config, batch_size=config.workers)


@dataclass(frozen=True)
class Recognize:
    """Batch function: recognizes each piece; requests that decode alike share batches."""

    decoding: Decoding
    fallback: bool = True
    """Whether doubtful pieces are decoded again at other temperatures; in a repair they are dropped."""

    @property
    def kind(self) -> str:
        """The name under which finished pieces are kept."""
        return "window" if self.fallback else "part"

    def __call__(self, recognizer: Recognizer, pieces: list[Piece]) -> list[Passages]:
        """Return what was said in each piece, in one language after the other."""
        return recognizer.recognize(pieces, self.decoding, fallback=self.fallback)


@dataclass
class _Reporter:
    """Reports the share of the speech that is done, and the words of finished pieces.

    Pieces finish in any order; their words are reported in the order of the sound.
    """

    pieces: Sequence[Piece]
    options: SpeechOptions
    progress: Progress | None
    on_words: OnWords | None
    done_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.total_s = sum(piece.chunk.duration_s for piece in self.pieces)
        self._unreported = deque(self.pieces)
        self._finished: dict[Piece, Passages] = {}

    def wait(self, _pieces: Sequence[Piece], _passages: Sequence[Passages]) -> None:
        """Report the same share again while parts are decoded a second time."""
        if self.progress:
            self.progress(min(1.0, self.done_s / self.total_s))

    def add(self, pieces: Sequence[Piece], passages: Sequence[Passages]) -> None:
        self.done_s += sum(piece.chunk.duration_s for piece in pieces)
        if self.progress:
            self.progress(min(1.0, self.done_s / self.total_s))
        if self.on_words:
            self._finished.update(zip(pieces, passages, strict=True))
            while self._unreported and self._unreported[0] in self._finished:
                piece = self._unreported.popleft()
                if found := self._finished.pop(piece):
                    self.on_words(words_on_video(found, piece.audio, self.options))
