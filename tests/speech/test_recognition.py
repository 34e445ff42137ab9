"""Real Whisper models on real sound: what was said, when, and nothing where nobody speaks."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest

from benchmarks.truth_sounds import sung_vowels
from tests.speech.make_sound import (
    SAMPLES,
    chord,
    decode_speech,
    join_sounds,
    noise,
    read_samples,
    silence,
)
from tests.waiting import wait_for
from yivideo_pipeline.media.audio import Audio, write_wav
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align.text import spoken_characters
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.types import LEAST_WORDLESS_S, Transcript, uncovered_parts
from yivideo_pipeline.speech.whisper import Whisper
from yivideo_pipeline.storage.checkpoints import StoredCheckpoint
from yivideo_pipeline.storage.file_store import FileStore

pytestmark = pytest.mark.model
NAMES = ("harbour-15s.mp4", "lighthouse-60s.mkv")
MODELS = ("base", "tiny.en")
ONE_BY_ONE = SpeechOptions(model_name="tiny.en", batch_size=1)


@pytest.fixture(scope="module")
def engines(model_dir: Path, base_weights, tiny_weights) -> dict[str, SpeechEngine]:
    return {name: load_engine(SpeechOptions(model_name=name), model_dir, offline=True) for name in MODELS}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Audio]:
    folder = tmp_path_factory.mktemp("sounds")
    return {name: decode_speech(name, folder) for name in NAMES}


@pytest.fixture(scope="module")
def transcripts(engines, sounds) -> dict[tuple[str, str], Transcript]:
    return {
        (model, name): engine.transcribe(sounds[name], SpeechOptions(model_name=model))
        for model, engine in engines.items()
        for name in NAMES
    }


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split())


def text_of(transcript: Transcript) -> str:
    return plain("".join(segment.text for segment in transcript.segments))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_understood(transcripts, model, name):
    reference = plain((SAMPLES / name).with_suffix(".txt").read_text())
    assert jiwer.wer(reference, text_of(transcripts[model, name])) <= 0.03


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_a_language_left_open_is_found(transcripts, model, name):
    assert transcripts[model, name].language == "en"
    assert transcripts[model, name].language_probability > 0.9


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_every_word_is_timed_in_order_and_inside_the_sound(transcripts, sounds, model, name):
    words = transcripts[model, name].words
    assert all(0 <= word.start_s < word.end_s <= sounds[name].duration_s for word in words)
    assert all(before.end_s <= behind.start_s for before, behind in pairwise(words))
    assert all(word.source == "attention" and 0 < word.confidence <= 1 for word in words)
    assert all(word.end_s - word.start_s < 1.5 for word in words)


@pytest.mark.parametrize("model", MODELS)
def test_words_lie_where_there_is_sound_and_not_in_the_pauses(transcripts, sounds, model):
    sound = sounds["lighthouse-60s.mkv"]
    loud = np.abs(sound.samples.astype(np.float32)) > 300
    for word in transcripts[model, "lighthouse-60s.mkv"].words:
        inside = loud[int(word.start_s * 16_000) : int(word.end_s * 16_000)]
        assert inside.mean() > 0.2, word


@pytest.mark.parametrize("model", MODELS)
def test_sentences_come_as_segments_of_their_own(transcripts, model):
    sentences = (SAMPLES / "lighthouse-60s.txt").read_text().splitlines()
    found = [plain(segment.text) for segment in transcripts[model, "lighthouse-60s.mkv"].segments]
    assert len(set(found) & {plain(sentence) for sentence in sentences}) >= len(sentences) - 2


def test_an_offset_moves_every_word_by_itself(engines, sounds, transcripts):
    sound = sounds["harbour-15s.mp4"]
    late = engines["tiny.en"].transcribe(
        Audio(sound.path, offset_s=12.5), SpeechOptions(model_name="tiny.en")
    )
    for before, after in zip(transcripts["tiny.en", "harbour-15s.mp4"].words, late.words, strict=True):
        assert (after.start_s, after.end_s) == pytest.approx((before.start_s + 12.5, before.end_s + 12.5))
    for before, after in zip(
        transcripts["tiny.en", "harbour-15s.mp4"].speech_spans, late.speech_spans, strict=True
    ):
        assert after.start_s == pytest.approx(before.start_s + 12.5)


def test_speech_behind_minutes_of_silence_keeps_its_place(engines, sounds, transcripts, tmp_path):
    sound = sounds["harbour-15s.mp4"]
    late = join_sounds(tmp_path / "late.wav", silence(150), sound.samples, silence(60), sound.samples)
    found = engines["tiny.en"].transcribe(late, SpeechOptions(model_name="tiny.en")).words
    once = transcripts["tiny.en", "harbour-15s.mp4"].words
    second_s = 210 + sound.duration_s
    for shift, part in (
        (150, [word for word in found if word.start_s < 200]),
        (second_s, [word for word in found if word.start_s >= 200]),
    ):
        # A comma or a word may be read otherwise: the sound stands elsewhere in the model's window.
        matcher = SequenceMatcher(
            a=[spoken_characters(word.text) for word in once],
            b=[spoken_characters(word.text) for word in part],
            autojunk=False,
        )
        pairs = [(b.a + i, b.b + i) for b in matcher.get_matching_blocks() for i in range(b.size)]
        assert len(pairs) >= 0.9 * len(once)
        late_s = [abs(part[second].start_s - once[first].start_s - shift) for first, second in pairs]
        assert max(late_s) < 0.25


def test_a_repeated_sentence_is_recognized_twice_each_time(engines, sounds, tmp_path):
    sound = sounds["harbour-15s.mp4"].samples[: 13 * 16_000]  # twice in one window, as in a chorus
    audio = join_sounds(tmp_path / "again.wav", sound, silence(1), sound)
    first, second = [
        text_of(engines["tiny.en"].transcribe(audio, SpeechOptions(model_name="tiny.en"))) for _ in range(2)
    ]
    assert second == first
    assert first.count("came home an hour ago") == 2


def test_a_softer_voice_is_read_beside_a_loud_one(engines, sounds, tmp_path):
    sound = sounds["harbour-15s.mp4"].samples
    loud, soft = sound[: int(3.6 * 16_000)], (sound[9 * 16_000 : 13 * 16_000] / 16).astype(np.int16)
    audio = join_sounds(tmp_path / "two.wav", loud, silence(0.5), soft, silence(0.5), loud)
    transcript = engines["tiny.en"].transcribe(audio, SpeechOptions(model_name="tiny.en"))
    greeting = "good morning and welcome to the old town"
    question = "if you want fresh fish you should come before noon"
    assert text_of(transcript) == f"{greeting} {question} {greeting}"
    assert transcript.wordless_spans == transcript.warnings == ()


def test_a_sentence_said_many_times_is_heard_as_often(engines, sounds, tmp_path):
    sentence = sounds["harbour-15s.mp4"].samples[: 2 * 16_000]
    audio = join_sounds(tmp_path / "many.wav", *[sentence, silence(0.9)] * 6)
    transcript = engines["tiny.en"].transcribe(audio, SpeechOptions(model_name="tiny.en"))
    assert text_of(transcript) == " ".join(["good morning and welcome"] * 6)
    starts = [word.start_s for word in transcript.words if plain(word.text) == "good"]
    assert starts == pytest.approx([0.7 + 2.9 * time for time in range(6)], abs=0.3)


def test_each_second_of_speech_has_words_or_is_listed_with_the_reason(engines, sounds, tmp_path):
    speech = sounds["harbour-15s.mp4"].samples
    sung = (sung_vowels(6) * 32767).astype(np.int16)
    audio = join_sounds(tmp_path / "sung.wav", speech, silence(1), sung, silence(1), speech[: 4 * 16_000])
    transcript = engines["tiny.en"].transcribe(audio, SpeechOptions(model_name="tiny.en"))
    begin_s = len(speech) / 16_000
    assert not [word for word in transcript.words if begin_s < word.start_s < begin_s + 8]
    listed = transcript.wordless_spans
    assert all(begin_s < span.start_s < begin_s + 8 for span in listed), "the speech has all its words"
    assert [span.reason for span in listed if span.end_s - span.start_s > 1] == ["unsure"]
    intervals = [(part.start_s, part.end_s) for part in (*transcript.words, *listed)]
    for span in transcript.speech_spans:
        left = uncovered_parts(span, sorted(intervals))
        assert all(end - start < LEAST_WORDLESS_S for start, end in left)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "sound", [silence(12), noise(12), noise(12, 0.01), chord(12)], ids=["silence", "noise", "hiss", "chord"]
)
def test_where_nobody_speaks_no_words_are_invented(engines, tmp_path, model, sound):
    audio = write_wav(tmp_path / "a.wav", sound)
    transcript = engines[model].transcribe(audio, SpeechOptions(model_name=model))
    assert transcript.words == ()
    assert transcript.empty_reason


@pytest.mark.parametrize("sound", [noise(10), chord(10)], ids=["noise", "chord"])
def test_the_model_itself_refuses_what_the_detector_took_for_speech(engines, tmp_path, monkeypatch, sound):
    monkeypatch.setattr("yivideo_pipeline.speech.vad.ONSET", 0.0)
    monkeypatch.setattr("yivideo_pipeline.speech.vad.OFFSET", 0.0)
    audio = write_wav(tmp_path / "a.wav", sound)
    for model in MODELS:
        transcript = engines[model].transcribe(audio, SpeechOptions(model_name=model))
        assert transcript.speech_spans
        assert transcript.words == ()
        assert "no speech" in transcript.empty_reason
        assert {span.reason for span in transcript.wordless_spans} == {"no_speech"}


def test_a_vocabulary_puts_no_name_into_sound_that_has_none(
    engines, sounds, transcripts, tmp_path, monkeypatch
):
    options = SpeechOptions(model_name="tiny.en", vocabulary="Grimsby")
    speech = sounds["harbour-15s.mp4"]
    told = engines["tiny.en"].transcribe(speech, options)
    assert text_of(told) == text_of(transcripts["tiny.en", "harbour-15s.mp4"])
    backwards = write_wav(tmp_path / "back.wav", speech.samples[: 9 * 16_000][::-1].copy())
    assert "grimsby" not in text_of(engines["tiny.en"].transcribe(backwards, options))
    monkeypatch.setattr("yivideo_pipeline.speech.vad.ONSET", 0.0)
    monkeypatch.setattr("yivideo_pipeline.speech.vad.OFFSET", 0.0)
    for number, sound in enumerate((silence(5), noise(5), chord(5))):
        heard = engines["tiny.en"].transcribe(write_wav(tmp_path / f"{number}.wav", sound), options)
        assert heard.speech_spans
        assert "grimsby" not in text_of(heard)


def test_only_what_is_unsure_is_encoded_with_all_its_silence(engines, sounds, tmp_path, monkeypatch):
    encode, decode, seen, temperatures = Whisper.encode, Whisper.decode, [], []

    def watched(whisper, chunks, *, whole=False):
        seen.extend(whole for chunk in chunks if len(chunk))  # an empty one: the silence that is put behind
        return encode(whisper, chunks, whole=whole)

    def counted(whisper, encoded, decoding, temperature=0.0, **limits):
        temperatures.append(temperature)
        return decode(whisper, encoded, decoding, temperature, **limits)

    monkeypatch.setattr(Whisper, "encode", watched)
    monkeypatch.setattr(Whisper, "decode", counted)
    options = SpeechOptions(model_name="tiny.en")
    assert engines["tiny.en"].transcribe(sounds["harbour-15s.mp4"], options).words
    assert seen == [False]
    monkeypatch.setattr("yivideo_pipeline.speech.vad.ONSET", 0.0)
    monkeypatch.setattr("yivideo_pipeline.speech.vad.OFFSET", 0.0)
    assert not engines["tiny.en"].transcribe(write_wav(tmp_path / "a.wav", noise(10)), options).words
    assert seen[1:] == [False, True]
    assert temperatures == [0.0, 0.0, 0.0], "sound without speech is not sampled again and again"


def test_two_videos_at_once_come_out_as_one_after_the_other(engines, sounds, transcripts):
    def work(name: str) -> Transcript:
        return engines["tiny.en"].transcribe(sounds[name], SpeechOptions(model_name="tiny.en"))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, NAMES)) == [transcripts["tiny.en", name] for name in NAMES]


@pytest.fixture(scope="module")
def window_by_window(engines, sounds) -> Transcript:
    """The longer sample in batches of one."""
    return engines["tiny.en"].transcribe(sounds["lighthouse-60s.mkv"], ONE_BY_ONE)


def test_a_batch_of_one_says_the_same_as_a_batch_of_eight(window_by_window, transcripts):
    assert text_of(window_by_window) == text_of(transcripts["tiny.en", "lighthouse-60s.mkv"])


def test_attentions_times_are_final_on_a_processor(engines, sounds, transcripts):
    transcript = transcripts["base", "harbour-15s.mp4"]
    reported: list[float] = []
    aligned = engines["base"].align(sounds["harbour-15s.mp4"], transcript, SpeechOptions(), reported.append)
    assert aligned.words == transcript.words
    assert aligned.aligner == "attention"


KILLED = """
import sys
from pathlib import Path
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech import checkpoint
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.storage.checkpoints import StoredCheckpoint
from yivideo_pipeline.storage.file_store import FileStore
checkpoint.SHORTEST_S = 0.0
options = SpeechOptions.model_validate_json(sys.argv[1])
models, sound, storage = map(Path, sys.argv[2:])
kept = StoredCheckpoint(FileStore(storage), "a")
load_engine(options, models, offline=True).transcribe(Audio(sound), options, checkpoint=kept)
"""


@pytest.fixture
def go_on_after_kill_9(engines, model_dir, tmp_path, monkeypatch):
    """Has another process begin a transcript, kills it once it has kept a window, and goes on."""
    monkeypatch.setattr("yivideo_pipeline.speech.checkpoint.SHORTEST_S", 0.0)
    files = FileStore(tmp_path / "storage")

    def is_one_window_kept() -> bool:
        return any("window" in name for name in StoredCheckpoint(files, "a").load())

    def go_on(sound: Audio, options: SpeechOptions) -> Transcript:
        paths = [str(path) for path in (model_dir, sound.path, tmp_path / "storage")]
        with subprocess.Popen([sys.executable, "-c", KILLED, options.model_dump_json(), *paths]) as process:
            wait_for(is_one_window_kept, 0.05)
            process.kill()
        checkpoint = StoredCheckpoint(files, "a")
        resumed = engines[options.model_name].transcribe(sound, options, checkpoint=checkpoint)
        assert 0 < checkpoint.resumed_s < sound.duration_s
        return resumed

    return go_on


def test_a_transcript_goes_on_in_another_process_after_kill_9_and_is_the_same(
    window_by_window, sounds, go_on_after_kill_9
):
    resumed = go_on_after_kill_9(sounds["lighthouse-60s.mkv"], ONE_BY_ONE)
    assert resumed.model_dump_json() == window_by_window.model_dump_json()


@pytest.mark.corpus
def test_a_transcript_in_several_languages_is_the_same_after_kill_9_too(
    engines, sounds, corpus, go_on_after_kill_9, tmp_path
):
    options = SpeechOptions(model_name="base", batch_size=1, beam_size=1)
    english = sounds["harbour-15s.mp4"].samples[: 9 * 16_000]
    spanish = read_samples(corpus / "world" / "pv-es.flac")
    chinese = read_samples(corpus / "zh-news.flac")
    sound = join_sounds(tmp_path / "a.wav", english, spanish, chinese, english)
    undisturbed = engines["base"].transcribe(sound, options)
    assert set(undisturbed.languages) == {"en", "es", "zh"}
    assert go_on_after_kill_9(sound, options).model_dump_json() == undisturbed.model_dump_json()
