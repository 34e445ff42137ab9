"""What both engines of this process share: a model in memory, and the way from sound to transcript.

An engine finds speech, decides the language, has its backend recognize the words, and assembles the
transcript. The backends are in `faster_whisper` and `whisperx`; only the text depends on the backend.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.assemble import Heard, assemble_transcript, empty_transcript
from yivideo_pipeline.speech.batching import BatchFunction, OnDone
from yivideo_pipeline.speech.checkpoint import Finished
from yivideo_pipeline.speech.chunks import Chunk, plan_chunks
from yivideo_pipeline.speech.engine import Checkpoint, EngineInfo, OnWords, Progress
from yivideo_pipeline.speech.language_runs import narrow
from yivideo_pipeline.speech.recognizer import Piece, Recognizer
from yivideo_pipeline.speech.runtime import DeviceConfig, ModelRuntime, smaller_config
from yivideo_pipeline.speech.types import NO_LANGUAGE, Span, Transcript
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities
from yivideo_pipeline.speech.whisper import Decoding, fit_vocabulary

Model = TypeVar("Model")

LANGUAGE_SAMPLE = 8  # chunks that the language is judged by: up to four minutes from all over
SURE_LANGUAGE = 0.9  # of half a sample: all the others would have to be of one other language
MAX_NAMED = 5
"""How many terms without effect a warning names."""
ENCODER_SHARE = 0.3
"""Share of a chunk's time that the encoder takes, about: base in int8 on two cores."""

Detected = tuple[dict[str, float], np.ndarray | None]
"""The probability of each language in one piece, and its encoder output where it was computed."""

NO_SOUND = "there is no sound"
NO_SPEECH = "no speech was heard in the sound"
NO_WORDS = "what was heard is no speech: music, noise, or a voice without words"


@dataclass(frozen=True)
class DetectedSpeech:
    """The speech of a sound: the detector's spans, and the pieces that a model reads, both in order."""

    audio: Audio
    spans: tuple[Span, ...]
    pieces: tuple[Piece, ...]


def find_speech(audio: Audio) -> DetectedSpeech:
    """Return where a sound has speech, packed into pieces of at most 30 s."""
    probabilities = speech_probabilities(audio)
    spans = find_spans(probabilities, audio.duration_s)
    chunks = plan_chunks(spans, probabilities, HOP_S, audio.duration_s)
    return DetectedSpeech(audio, spans, tuple(Piece(audio, chunk) for chunk in chunks))


class LocalEngine(ABC, Generic[Model]):
    """A `ResidentEngine` around one loaded model that falls back when memory runs out.

    Args:
        model: The model's name, for people.
        revision: Identifies the weights.
        config: The device configuration to begin with.
        load: Loads the model for a configuration; called again with a smaller one when memory runs out.
        aligners: Give words their final times.

    Raises:
        YivideoError: not even the smallest configuration can be loaded.
    """

    backend: ClassVar[str]

    def __init__(
        self,
        model: str,
        revision: str,
        config: DeviceConfig,
        load: Callable[[DeviceConfig], Model],
        aligners: Aligners,
    ) -> None:
        self._model = model
        self._revision = revision
        self._aligners = aligners
        self._batch_size = config.batch_size  # of the latest call
        self._runtime = ModelRuntime(config, load, smaller_config, self._in_flight)
        self._runtime.current()

    def describe(self) -> EngineInfo:
        """Return what runs where at present."""
        config = self._adapt(self._runtime.config)
        return EngineInfo(
            model=self._model,
            revision=self._revision,
            device=config.device,
            compute_type=config.compute_type,
            batch_size=config.batch_size,
            threads=config.threads,
            backend=self.backend,
            steps=self._runtime.steps + self._aligners.steps,
        )

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`."""
        self._batch_size = options.batch_size
        weights = {"model": self._model, "revision": self._revision}
        finished = Finished(checkpoint, audio)
        finished.restore_speech()
        speech = find_speech(audio)
        if not speech.pieces:
            reason = NO_SPEECH if audio.duration_s else NO_SOUND
            return empty_transcript(audio, options, speech.spans, reason, **weights)
        languages = {language: 1.0 for language in [options.only_language] if language}
        if not languages:
            languages, speech, progress = self._hear_languages(speech, options, finished, progress)
        decoding = Decoding.of(options, likeliest(languages))
        heard = self._recognize(speech, options, decoding, finished, progress, on_words)
        if not heard.words:
            return empty_transcript(audio, options, speech.spans, NO_WORDS, **weights)
        transcript = assemble_transcript(audio, options, speech.spans, heard, languages, **weights)
        [left_out] = self._map(speech.pieces[:1], FindLeftOut(decoding)) if options.vocabulary else [()]
        return transcript.model_copy(update={"warnings": (*left_out, *transcript.warnings)})

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""
        return self._aligners.align(audio, transcript, options, self._runtime.config.device, progress)

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        """Detect the spoken language; see `ResidentEngine.detect_language`."""
        sample = choose_sample(find_speech(audio).pieces)
        if not sample:
            return NO_LANGUAGE, 0.0
        done = 0

        def count(pieces: Sequence[Piece], _found: Sequence[Any]) -> None:
            nonlocal done
            done += len(pieces)
            if progress:
                progress(done / len(sample))

        found = self._map(sample, DetectLanguages(), count)
        languages = weigh_languages([piece.chunk for piece in sample], [one for one, _ in found])
        return likeliest(languages), languages[likeliest(languages)]

    def _hear_languages(
        self, speech: DetectedSpeech, options: SpeechOptions, finished: Finished, progress: Progress | None
    ) -> tuple[dict[str, float], DetectedSpeech, Progress | None]:
        """Return the languages with their probabilities, the speech as encoded so far, and what reports next.

        Of a whole sample every other window is heard first: mostly that is enough, and so little of what was
        encoded would be lost with the process.
        """
        sample = choose_sample(speech.pieces)
        rated = {piece: kept for piece in sample if (kept := finished.languages(piece.chunk))}
        rows: dict[Piece, np.ndarray | None] = {}
        languages: dict[str, float] = {}
        for heard in (sample[::2], sample) if len(sample) == LANGUAGE_SAMPLE else (sample,):
            unknown = [piece for piece in heard if piece not in rated]
            detection, progress = _share_progress(progress, unknown, speech.pieces)
            keep = partial(_keep_languages, finished, detection)
            for piece, (one, row) in zip(unknown, self._map(unknown, DetectLanguages(), keep), strict=True):
                rated[piece], rows[piece] = one, row
            chunks = [piece.chunk for piece in heard]
            found = [narrow(rated[piece], options.languages) for piece in heard]
            languages = weigh_languages(chunks, found)
            if languages[likeliest(languages)] >= SURE_LANGUAGE:
                break
        # What is encoded now need not be encoded again.
        pieces = tuple(replace(piece, row=rows.get(piece)) for piece in speech.pieces)
        return languages, replace(speech, pieces=pieces), progress

    @abstractmethod
    def _map(
        self, pieces: Sequence[Piece], function: BatchFunction, on_done: OnDone | None = None
    ) -> list[Any]:
        """Apply a function to pieces of sound with the model's recognizer; one result a piece, in order."""

    @abstractmethod
    def _recognize(
        self,
        speech: DetectedSpeech,
        options: SpeechOptions,
        decoding: Decoding,
        finished: Finished,
        progress: Progress | None,
        on_words: OnWords | None,
    ) -> Heard:
        """Return the words of the speech."""

    def _adapt(self, config: DeviceConfig) -> DeviceConfig:
        """Return the configuration with the batch size of the latest call, or less after a fallback."""
        return config.with_batch(self._batch_size, has_fallen_back=bool(self._runtime.steps))

    def _in_flight(self, config: DeviceConfig) -> DeviceConfig:
        """Return the configuration with the batch size that is used; a fallback leaves half of it."""
        return self._adapt(config)


# The spoken language, judged by speech from all over the video rather than its first 30 seconds.


def _keep_languages(
    finished: Finished, report: OnDone | None, pieces: Sequence[Piece], found: Sequence[Detected]
) -> None:
    finished.keep_languages([piece.chunk for piece in pieces], [one for one, _ in found])
    if report:
        report(pieces, found)


def _share_progress(
    progress: Progress | None, sample: Sequence[Piece], pieces: Sequence[Piece]
) -> tuple[OnDone | None, Progress | None]:
    """Return what reports the progress of the detection, and that of the recognition after it.

    The detection encodes the sample, which the recognition then need not do: its share of the work.
    """
    if progress is None or not sample:
        return None, progress
    report, done_s = progress, 0.0
    sample_s, total_s = (sum(piece.chunk.duration_s for piece in some) for some in (sample, pieces))
    share = ENCODER_SHARE * sample_s / total_s

    def count(done: Sequence[Piece], _found: Sequence[Any]) -> None:
        nonlocal done_s
        done_s += sum(piece.chunk.duration_s for piece in done)
        report(share * done_s / sample_s)

    return count, lambda fraction: report(share + (1 - share) * fraction)


@dataclass(frozen=True)
class DetectLanguages:
    """Batch function: detects the language of each piece."""

    def __call__(self, recognizer: Recognizer, pieces: list[Piece]) -> list[Detected]:
        """Return what was detected in each piece, in order."""
        return recognizer.detect_languages(pieces)


@dataclass(frozen=True)
class FindLeftOut:
    """Batch function: says which terms of the vocabulary the model has no room for."""

    decoding: Decoding

    def __call__(self, recognizer: Recognizer, pieces: list[Piece]) -> list[tuple[str, ...]]:
        """Return a line for the user, or none, for each piece."""
        fitting, others = fit_vocabulary(self.decoding, recognizer.whisper.tokenizer(self.decoding))
        if not others:
            return [()] * len(pieces)
        named = ", ".join(others[:MAX_NAMED]) + (", ..." if len(others) > MAX_NAMED else "")
        line = (
            f"The model has room for {len(fitting)} of {len(fitting) + len(others)} terms of the vocabulary"
        )
        return [(f"{line}: put first what matters most; without effect are {named}",)] * len(pieces)


def spread_order(count: int, sample: int) -> list[int]:
    """Return the indices 0..count-1 with `sample` of them, evenly spread, first."""
    if count <= sample:
        return list(range(count))
    first = [round((index + 0.5) * count / sample - 0.5) for index in range(sample)]
    return first + [index for index in range(count) if index not in set(first)]


def choose_sample(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces that the language is judged by, evenly spread over the sound."""
    return [pieces[index] for index in spread_order(len(pieces), LANGUAGE_SAMPLE)[:LANGUAGE_SAMPLE]]


def weigh_languages(
    chunks: Sequence[Chunk], probabilities: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Return the probability of each language in all chunks; each is weighted by its length."""
    total: dict[str, float] = defaultdict(float)
    for chunk, row in zip(chunks, probabilities, strict=True):
        for language, probability in row.items():
            total[language] += probability * chunk.duration_s
    duration_s = sum(chunk.duration_s for chunk in chunks)
    return {language: value / duration_s for language, value in total.items()}


def likeliest(languages: Mapping[str, float]) -> str:
    """Return the likeliest language."""
    return max(languages, key=lambda language: languages[language])
