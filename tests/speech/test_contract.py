"""The owner's way of using the models, word for word, on an engine without weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fake_speech import FakeEngine
from yivideo_pipeline.errors.tree import ConfigValidationError, UnreadableMedia
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.contract import from_whisperx, to_whisperx
from yivideo_pipeline.speech.engine import Checkpoint, OnWords, Progress
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.types import Segment, Transcript, Word

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "harbour-15s.mp4"
OPTIONS = SpeechOptions(model_name="tiny", language="zh", batch_size=4)


class RecordingEngine(FakeEngine):
    """A fake engine that records its calls."""

    def __init__(self, options: SpeechOptions) -> None:
        super().__init__(options)
        self.samples: list[np.ndarray] = []
        self.options: list[SpeechOptions] = []

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        self.samples.append(np.array(audio.samples))
        self.options.append(options)
        return super().transcribe(audio, options, progress)


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine(OPTIONS)


@pytest.fixture
def manager(engine: RecordingEngine) -> Iterator[ModelManager]:
    manager = ModelManager(lambda options: engine, options=lambda: OPTIONS)
    yield manager
    manager.close()


def make_sound(seconds: float = 3.0, level: float = 0.25) -> np.ndarray:
    return np.full(round(seconds * 16_000), level, np.float32)


def test_the_contracts_two_lines_work_as_written(manager: ModelManager) -> None:
    audio = make_sound()
    with manager.get_models() as (asr_model, align_model, align_metadata, model_config):  # noqa: RUF059
        result = asr_model.transcribe(audio, batch_size=model_config.batch_size)
    assert result["language"] == "zh"
    first = result["segments"][0]
    assert first["text"].startswith("今天天气")
    assert first["words"][0] == {
        "word": "今",
        "start": 0.0,
        "end": 0.4,
        "score": 0.3,
        "source": "attention",
    }
    assert result["word_segments"] == [word for segment in result["segments"] for word in segment["words"]]


def test_the_options_have_the_contracts_names(manager: ModelManager) -> None:
    with manager.get_models() as models:
        config = models.model_config
    assert (config.model_name, config.language, config.batch_size) == ("tiny", "zh", 4)
    assert config.use_faster_whisper is True


def test_samples_reach_the_engine_as_they_are(manager: ModelManager, engine: RecordingEngine) -> None:
    audio = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5], np.float32).repeat(16_000)
    with manager.get_models() as (asr_model, *_):
        asr_model.transcribe(audio)
    expected = [0, 16384, -16384, 32767, -32768, 32767, -32768]
    assert engine.samples[0][::16_000].tolist() == expected


@pytest.mark.parametrize("path", [SAMPLE, str(SAMPLE)])
def test_a_video_can_be_named_in_place_of_samples(
    manager: ModelManager, engine: RecordingEngine, path: Path | str
) -> None:
    with manager.get_models() as (asr_model, *_):
        result = asr_model.transcribe(path)
    assert len(engine.samples[0]) / 16_000 == pytest.approx(probe(SAMPLE).duration_s, abs=0.2)
    assert result["segments"]


def test_a_file_without_sound_is_refused_in_a_clear_line(manager: ModelManager, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with manager.get_models() as (asr_model, *_), pytest.raises(UnreadableMedia):
        asr_model.transcribe(text)


def test_batch_and_language_can_be_given_to_the_call(manager: ModelManager, engine: RecordingEngine) -> None:
    with manager.get_models() as (asr_model, *_):
        asr_model.transcribe(make_sound(), batch_size=2, language="en")
        asr_model.transcribe(make_sound())
    assert [(options.batch_size, options.language) for options in engine.options] == [(2, "en"), (4, "zh")]


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"batch_size": 65}, {"language": "klingon"}])
def test_a_batch_or_language_that_cannot_be_is_refused(manager: ModelManager, change: dict) -> None:
    (name,) = change
    with manager.get_models() as (asr_model, *_), pytest.raises(ConfigValidationError, match=name):
        asr_model.transcribe(make_sound(), **change)


def test_the_align_model_gives_the_segments_their_final_times(manager: ModelManager) -> None:
    audio = make_sound()
    with manager.get_models() as (asr_model, align_model, align_metadata, _):
        result = asr_model.transcribe(audio)
        aligned = align_model.align(result["segments"], audio, result["language"])
    assert align_metadata == {"language": "zh", "type": "auto"}
    assert [word["word"] for word in aligned["word_segments"]] == [
        word["word"] for word in result["word_segments"]
    ]
    assert {word["source"] for word in aligned["word_segments"]} == {"aligned"}
    assert aligned["word_segments"][0]["end"] == 0.45
    assert aligned["language"] == "zh"


def test_silence_is_a_result_without_segments(manager: ModelManager) -> None:
    audio = make_sound(level=0.0)
    with manager.get_models() as (asr_model, align_model, *_):
        result = asr_model.transcribe(audio)
        assert result["segments"] == result["word_segments"] == []
        assert result["language"] == "zh"
        assert align_model.align(result["segments"], audio)["segments"] == []


def test_metadata_names_no_language_where_each_sound_has_its_own() -> None:
    options = SpeechOptions()
    with ModelManager(FakeEngine).get_models(options) as models:
        assert models.align_metadata["language"] is None


@pytest.mark.parametrize("texts", [(" It", "’s", " a", " well-known a", " a."), ("今", "天，", "天", "天。")])
def test_words_come_back_from_whisperx_shape_with_their_spaces(texts: tuple[str, ...]) -> None:
    words = tuple(
        Word(text=text, start_s=i, end_s=i + 0.5, confidence=0.5, source="attention")
        for i, text in enumerate(texts)
    )
    segment = Segment(
        start_s=0,
        end_s=len(texts),
        text="".join(texts),
        words=words,
        avg_logprob=-0.5,
        no_speech_prob=0.0,
    )
    transcript = Transcript(
        language="en",
        language_probability=1,
        duration_s=9,
        segments=(segment,),
        speech_spans=(),
        model="tiny",
        revision="1",
        aligner="attention",
    )
    (back,) = from_whisperx(to_whisperx(transcript)["segments"])
    assert "".join(word.text for word in back.words) == back.text == segment.text.strip()
    assert [word.text.strip() for word in back.words] == [word.text.strip() for word in words]
    assert [word.start_s for word in back.words] == [word.start_s for word in words]


def test_segments_whose_text_lacks_their_words_are_refused() -> None:
    word = {"word": "there", "start": 0, "end": 1, "score": 1, "source": "attention"}
    segment = {"start": 0, "end": 1, "text": "here", "words": [word], "avg_logprob": 0}
    with pytest.raises(ValueError, match="not found"):
        from_whisperx([segment])
