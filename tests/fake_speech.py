"""Stand-ins for the speech models: the same sound and options give the same words, without weights.

`FakeEngine` implements the `SpeechEngine` protocol; `FakeSpeech` is the Dagster resource around it, which
counts how often a model would have been loaded and can be made to fail.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.engine import Checkpoint, EngineInfo, OnWords, Progress
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.types import Segment, Span, Transcript, Word

REVISION = "fake-1"
WORD_S = 0.4
UNSURE_EVERY = 7
SILENCE = 200
"""Sound whose highest sample is below this is silence to the fake."""
VOCABULARY = {
    "zh": ("今", "天", "天", "气", "很", "好", "。"),
    "en": ("The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog."),
}


class FakeEngine:
    """Recognizes a word every 0.5 s, from the first to the last loud sample."""

    def __init__(self, options: SpeechOptions, revision: str = REVISION) -> None:
        self._options = options
        self._revision = revision

    def describe(self) -> EngineInfo:
        return EngineInfo(
            model=self._options.model_name,
            revision=self._revision,
            device="cpu",
            compute_type="int8",
            batch_size=self._options.batch_size,
            threads=1,
            backend="fake",
        )

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        if progress:
            progress(0.5)
        language = "en" if options.language == "auto" else options.language
        words = tuple(_words(audio, language))
        if on_words:
            on_words(words)
        segments = tuple(_segment(words[i : i + 9]) for i in range(0, len(words), 9))
        return Transcript(
            language=language,
            language_probability=0.99,
            duration_s=audio.duration_s,
            segments=segments,
            speech_spans=_spans(words),
            model=options.model_name,
            revision=REVISION,
            aligner="attention",
            empty_reason=None if words else "No speech was heard",
        )

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        if progress:
            progress(0.5)
        segments = tuple(
            segment.model_copy(update={"words": tuple(shift_word(word) for word in segment.words)})
            for segment in transcript.segments
        )
        return transcript.model_copy(update={"segments": segments})

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        return "en", 0.99


@dataclass
class FakeSpeech:
    """A speech resource; `fail_with` holds errors that the next engines raise, one each.

    `auto` is the model that `auto` means here.
    """

    fail_with: list[BaseException] = field(default_factory=list)
    loads: int = 0
    weights: str = REVISION
    auto: str = "base"

    def silent_service(self) -> str:
        return ""

    def choose(self, options: SpeechOptions) -> ModelChoice:
        if options.model_name != AUTO_MODEL:
            return ModelChoice(options)
        return ModelChoice(options.model_copy(update={"model_name": self.auto}), "chosen for the test")

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        return ()

    def revision(self, options: SpeechOptions) -> str:
        return f"{self.choose(options).options.model_name}-{self.weights}"

    def prepare(self, options: SpeechOptions) -> None:
        pass

    def aligner(self, options: SpeechOptions, transcript: Transcript) -> Aligner:
        return Aligner.WAV2VEC2 if transcript.words else Aligner.ATTENTION

    @contextmanager
    def engine(self, options: SpeechOptions, background: bool = False) -> Generator[FakeEngine]:
        self.loads += 1
        if self.fail_with:
            raise self.fail_with.pop(0)
        yield FakeEngine(self.choose(options).options, self.revision(options))


def _words(audio: Audio, language: str) -> Iterator[Word]:
    vocabulary = VOCABULARY.get(language, VOCABULARY["en"])
    loud = [
        i
        for i in range(int(audio.duration_s * 2))
        if abs(audio.slice(i / 2, i / 2 + 0.5)).max() * 32768 > SILENCE
    ]
    for number, place in enumerate(range(loud[0], loud[-1] + 1) if loud else []):
        start_s = audio.offset_s + place / 2
        text = vocabulary[number % len(vocabulary)]
        yield Word(
            text=text if language == "zh" else f" {text}",
            start_s=start_s,
            end_s=start_s + WORD_S,
            confidence=0.3 if number % UNSURE_EVERY == 0 else 0.9,
            source="attention",
        )


def _spans(words: tuple[Word, ...]) -> tuple[Span, ...]:
    """What the detector found: the words, and a breath behind them."""
    if not words:
        return ()
    end_s = words[-1].end_s
    return (
        Span(start_s=words[0].start_s, end_s=end_s),
        Span(start_s=end_s + 0.1, end_s=end_s + 0.6),
    )


def _segment(words: tuple[Word, ...]) -> Segment:
    return Segment(
        start_s=words[0].start_s,
        end_s=words[-1].end_s,
        text="".join(word.text for word in words),
        words=words,
        avg_logprob=-0.2,
        no_speech_prob=0.01,
    )


def shift_word(word: Word) -> Word:
    return word.model_copy(update={"end_s": word.end_s + 0.05, "source": "aligned"})
