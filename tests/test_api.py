"""The public API, as docs/library.md shows it, on the real tiny.en model."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pysubs2
import pytest

import yivideo_pipeline
from yivideo_pipeline import (
    Cue,
    ErrorType,
    SpeechOptions,
    SubtitleOptions,
    Transcript,
    WhisperXError,
    Word,
    YivideoError,
    build_cues,
    model_manager,
    transcribe,
    write_subtitles,
)
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "samples" / "harbour-15s.mp4"
PAGE = ROOT / "docs" / "library.md"


@pytest.fixture(autouse=True)
def settings(home, model_dir, tiny_weights, monkeypatch):
    """Settings that find the weights and choose the small model."""
    monkeypatch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(model_dir))
    monkeypatch.setenv("YIVIDEO_SPEECH__MODEL_NAME", "tiny.en")
    monkeypatch.setenv("YIVIDEO_HUB__OFFLINE", "true")


@pytest.fixture(scope="module")
def transcript(model_dir):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(model_dir))
        patch.setenv("YIVIDEO_HUB__OFFLINE", "true")
        return transcribe(SAMPLE, model="tiny.en")


def samples_of(path: Path) -> np.ndarray:
    """Mono 16 kHz samples, decoded apart from the package."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def write_sound(path: Path, samples: np.ndarray) -> None:
    """Write samples as a WAV file; media are recognized by their content, whatever their name."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def text_of(transcript: Transcript) -> str:
    return re.sub(r"[^a-z ]", "", "".join(word.text for word in transcript.words).lower()).strip()


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.model
def test_a_video_becomes_a_typed_transcript_with_a_time_for_every_word(transcript):
    assert isinstance(transcript, Transcript)
    assert transcript.language == "en"
    assert len(transcript.words) > 20
    assert all(isinstance(word, Word) for word in transcript.words)
    assert all(0 <= word.start_s <= word.end_s <= 17 for word in transcript.words)
    assert text_of(transcript).startswith("good morning and welcome to the old town")


@pytest.mark.model
def test_the_samples_of_a_video_give_the_same_words_as_its_file(transcript):
    done: list[float] = []
    from_array = transcribe(samples_of(SAMPLE), model="tiny.en", on_progress=done.append)
    assert text_of(from_array) == text_of(transcript)
    assert done == sorted(done)
    assert done[-1] == 1.0


@pytest.mark.model
def test_a_second_call_does_not_load_the_model_again():
    transcribe(SAMPLE)
    loads = model_manager.usage().loads
    transcribe(SAMPLE, beam_size=1)
    assert model_manager.usage().loads == loads


@pytest.mark.model
def test_the_model_manager_lends_the_models_of_the_settings():
    with model_manager.get_models() as (asr_model, _, _, model_config):
        assert model_config.model_name == "tiny.en"
        assert asr_model.transcribe(SAMPLE, batch_size=model_config.batch_size)["language"] == "en"
    assert model_manager.health_check().loaded


@pytest.mark.model
@pytest.mark.parametrize("kind", list(SubtitleFormat))
def test_subtitles_are_written_in_the_format_of_the_name(transcript, tmp_path, kind):
    path = write_subtitles(transcript, tmp_path / f"movie.{kind.ending.upper()}")
    content = path.read_text(encoding="utf-8")
    if kind is SubtitleFormat.JSON:
        assert len(json.loads(content)["word_segments"]) == len(transcript.words)
    elif kind in (SubtitleFormat.TTML, SubtitleFormat.TXT):
        assert "fishing boats" in content
    elif kind is SubtitleFormat.WORDS_VTT:  # pysubs2 takes a line with two times of words for a cue's times
        assert content.count(" --> ") == len(build_cues(transcript, SubtitleOptions()))
    else:
        assert len(pysubs2.SSAFile.from_string(content)) == len(build_cues(transcript, SubtitleOptions()))


@pytest.mark.model
def test_options_change_the_cues_and_an_existing_file_is_replaced(transcript, tmp_path):
    path = tmp_path / "movie.srt"
    write_subtitles(transcript, path)
    before = path.read_text()
    write_subtitles(transcript, path, SubtitleOptions(max_chars_per_line=20), max_lines=1)
    lines = [line for line in path.read_text().splitlines() if line and "-->" not in line]
    assert path.read_text() != before
    assert max(map(len, lines)) <= 20
    assert all(isinstance(cue, Cue) for cue in build_cues(transcript, SubtitleOptions()))


@pytest.mark.model
def test_silence_gives_an_empty_transcript_that_says_why():
    silence = transcribe(np.zeros(16_000, np.float32))
    assert (silence.words, silence.empty_reason) == ((), "no speech was heard in the sound")


def make_mute(path: Path) -> Path:
    with av.open(str(SAMPLE)) as source, av.open(str(path), "w") as output:
        track = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                output.mux(packet)
    return path


def test_bad_sources_are_refused_in_one_line(tmp_path):
    missing, mute, text = tmp_path / "missing.mkv", make_mute(tmp_path / "mute.mp4"), tmp_path / "text.mkv"
    text.write_text("no video " * 1000)
    for path, kind, words in (
        (missing, ErrorType.MEDIA_UNREADABLE, "There is no such file"),
        (mute, ErrorType.MEDIA_NO_AUDIO, "The file has no audio track"),
        (text, ErrorType.MEDIA_UNREADABLE, "This is no video or audio file"),
    ):
        with pytest.raises(YivideoError) as caught:
            transcribe(path)
        assert caught.value.kind == kind
        assert str(caught.value).startswith(f"{path}: {words}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((2, 16_000), np.float32), "shape (2, 16000)"),
        (np.zeros(16_000, np.int16), "type int16"),
        (np.full(16_000, np.nan, np.float32), "not finite"),
    ],
)
def test_arrays_that_are_not_mono_float_sound_are_refused(samples, words):
    with pytest.raises(YivideoError, match=re.escape(words)):
        transcribe(samples)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "bse"}, "is not a known model"),
        ({"beam_size": 0}, "beam_size"),
        ({"beams": 5}, "beams"),
        ({"options": SpeechOptions(model_name="base"), "language": "klingon"}, "klingon"),
    ],
)
def test_wrong_options_are_refused_in_one_line(changes, words):
    with pytest.raises(YivideoError, match=words) as caught:
        transcribe(SAMPLE, **changes)
    assert caught.value.kind == ErrorType.CONFIG_VALIDATION
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["movie.doc", "movie"])
def test_a_name_without_a_known_format_is_refused_in_one_line(name):
    empty = Transcript(
        language="en", language_probability=1, duration_s=0, segments=(), speech_spans=(), model="m",
        revision="r", aligner="attention",
    )  # fmt: skip
    with pytest.raises(YivideoError, match=r"Choose a name that ends in one of \.srt, \.vtt") as caught:
        write_subtitles(empty, name)
    assert "\n" not in str(caught.value)
    with pytest.raises(YivideoError) as caught:
        write_subtitles(empty, "no such folder/movie.srt")
    assert caught.value.kind == ErrorType.DISK


def test_every_exported_name_is_there_and_declared_for_type_checkers():
    tree = ast.parse(Path(yivideo_pipeline.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    declared = {f"{alias.name}@{node.module}" for node in imports for alias in node.names}
    lazily = {f"{name}@yivideo_pipeline.{module}" for name, module in yivideo_pipeline._MODULES.items()}
    assert declared == lazily
    assert set(yivideo_pipeline.__all__) == {*yivideo_pipeline._MODULES, "__version__", "model_manager"}
    assert all(getattr(yivideo_pipeline, name) is not None for name in yivideo_pipeline.__all__)
    assert set(yivideo_pipeline.__all__) <= set(dir(yivideo_pipeline))
    assert WhisperXError is YivideoError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = yivideo_pipeline.nothing


def test_the_version_is_the_installed_one_and_the_package_is_typed():
    assert yivideo_pipeline.__version__ == importlib.metadata.version("yivideo-pipeline")
    assert Path(yivideo_pipeline.__file__).with_name("py.typed").is_file()


def test_importing_the_package_loads_nothing_of_it():
    code = "import sys, yivideo_pipeline; print([name for name in sys.modules if name.startswith('yivideo')])"
    assert run_python(code).strip() == "['yivideo_pipeline']"
    code = "import sys; from yivideo_pipeline import transcribe, write_subtitles; print(*sys.modules)"
    loaded = run_python(code).split()
    assert not {"ctranslate2", "faster_whisper", "onnxruntime", "torch", "dagster", "fastapi"} & set(loaded)


@pytest.mark.model
def test_every_snippet_of_the_page_runs(tmp_path, monkeypatch, base_weights):
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "movie.mkv", samples_of(SAMPLE)[: 4 * 16_000])
    snippets = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(snippets) > 8
    names = {"__name__": "page"}
    for number, snippet in enumerate(snippets, 1):
        exec(compile(snippet, f"{PAGE.name}, snippet {number}", "exec"), names)
    assert {path.name for path in tmp_path.glob("movie.*")} == {
        f"movie.{ending}" for ending in ("mkv", "srt", "vtt", "json", "txt", "ass")
    }
