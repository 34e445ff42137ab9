"""The models under the names of the owner's contract, and transcripts in WhisperX's shape."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.decode import AudioInput, open_sound
from yivideo_pipeline.settings.options import SpeechOptions, override
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.types import NO_LANGUAGE, Segment, Transcript, Word


class AsrModel:
    """WhisperX's recognizer: `transcribe` and its result."""

    def __init__(self, engine: SpeechEngine, options: SpeechOptions) -> None:
        self._engine = engine
        self._options = options

    def transcribe(
        self, audio: AudioInput, batch_size: int | None = None, language: str | None = None
    ) -> dict[str, Any]:
        """Recognize what was said, in WhisperX's shape; the words already have their times.

        Args:
            audio: The sound.
            batch_size: Chunks at once; None: as the model was leased.
            language: Code such as zh; None: as the model was leased.

        Raises:
            ConfigValidationError: the batch size or language is invalid.
            YivideoError: see `SpeechEngine.transcribe` and the media layer.
        """
        options = override(self._options, {"batch_size": batch_size, "language": language})
        with open_sound(audio, options.language, options.audio_track) as sound:
            return to_whisperx(self._engine.transcribe(sound.audio, options))


class AlignModel:
    """Stands for `whisperx.align`, with the aligner that the options choose."""

    def __init__(self, engine: SpeechEngine, options: SpeechOptions) -> None:
        self._engine = engine
        self._options = options

    def align(
        self, segments: Iterable[Mapping[str, Any]], audio: AudioInput, language: str | None = None
    ) -> dict[str, Any]:
        """Return the segments with every word at its final time, as `whisperx.align` does.

        Args:
            segments: The segments of a `transcribe` result.
            audio: The sound that they were recognized in.
            language: The result's language; None: as the model was leased.

        Raises:
            ValueError: a segment's text does not contain its words.
            YivideoError: see `SpeechEngine.align` and the media layer.
        """
        options = override(self._options, {"language": language})
        with open_sound(audio, options.language, options.audio_track) as sound:
            transcript = self._transcript(segments, sound.audio, options)
            return to_whisperx(self._engine.align(sound.audio, transcript, options))

    def _transcript(
        self, segments: Iterable[Mapping[str, Any]], sound: Audio, options: SpeechOptions
    ) -> Transcript:
        info = self._engine.describe()
        return Transcript(
            language=options.only_language or NO_LANGUAGE,
            language_probability=1.0,
            duration_s=sound.duration_s,
            segments=from_whisperx(segments),
            speech_spans=(),
            model=info.model,
            revision=info.revision,
            aligner="attention",
        )


class ModelBundle(NamedTuple):
    """The contract's four models; `model_config` are the options that the model was leased with.

    `align_metadata` has the language (None: each sound's own) and the aligner; `align_model` does not
    need them repeated.
    """

    asr_model: AsrModel
    align_model: AlignModel
    align_metadata: dict[str, str | None]
    model_config: SpeechOptions


def bundle_models(engine: SpeechEngine, options: SpeechOptions) -> ModelBundle:
    """Return the contract's four models around a leased engine."""
    metadata = {"language": options.only_language, "type": options.aligner.value}
    return ModelBundle(AsrModel(engine, options), AlignModel(engine, options), metadata, options)


# Transcripts as the dictionaries that WhisperX returns, and back.


def to_whisperx(transcript: Transcript) -> dict[str, Any]:
    """Return segments with their words, all words in one list, the language, and speech without words.

    In addition to WhisperX's keys each segment has its `language`, each word its `source`, and
    `wordless_spans` lists the speech that no word covers, with the reason. Every word has a time. Seconds and
    scores have three decimals; words have no spaces around them.
    """
    segments = [_segment(segment, transcript.language_of(segment)) for segment in transcript.segments]
    return {
        "segments": segments,
        "word_segments": [word for segment in segments for word in segment["words"]],
        "language": transcript.language,
        "wordless_spans": [
            {"start": round(span.start_s, 3), "end": round(span.end_s, 3), "reason": span.reason}
            for span in transcript.wordless_spans
        ],
    }


def from_whisperx(segments: Iterable[Mapping[str, Any]]) -> tuple[Segment, ...]:
    """Return the segments with timed words that `to_whisperx` returned as dictionaries.

    Raises:
        ValueError: a segment's text does not contain its words.
    """
    return tuple(
        Segment(
            start_s=segment["start"],
            end_s=segment["end"],
            text=segment["text"],
            words=tuple(_read_words(segment)),
            avg_logprob=segment["avg_logprob"],
            no_speech_prob=0.0,
            language=segment.get("language"),
        )
        for segment in segments
    )


def _segment(segment: Segment, language: str) -> dict[str, Any]:
    return {
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text.strip(),
        "words": [_word(word) for word in segment.words if word.text.strip()],
        "avg_logprob": round(segment.avg_logprob, 3),
        "language": language,
    }


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text.strip(),
        "start": round(word.start_s, 3),
        "end": round(word.end_s, 3),
        "score": round(word.confidence, 3),
        "source": word.source,
    }


def _read_words(segment: Mapping[str, Any]) -> Iterator[Word]:
    """Yield the words, each with the space before it in the segment's text."""
    text, at = segment["text"], 0
    for word in segment["words"]:
        end = text.index(word["word"], at) + len(word["word"])
        yield Word(
            text=text[at:end],
            start_s=word["start"],
            end_s=word["end"],
            confidence=word["score"],
            source=word["source"],
        )
        at = end
