"""The fallback criteria distinguish speech from inventions by the decoder's own figures."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from tests.speech.make_sound import write_wav
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.speech.align.text import Encoded, TextAligner, WordTimings
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.recognizer import (
    Piece,
    Recognizer,
    choose_best,
    is_doubtful,
    is_invention,
    is_repetitive,
    is_silence,
    is_spoken_repetition,
    is_sure,
)
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.weaving import LEAST_LOGPROB
from yivideo_pipeline.speech.whisper import Decoded, Decoding, Whisper

SENTENCE = " The fishing boats came home an hour ago, and the market is already open."


def decoded(text: str = SENTENCE, avg_logprob: float = -0.2, no_speech_prob: float = 0.02) -> Decoded:
    return Decoded(text, (1, 2), avg_logprob, no_speech_prob, 0.0)


@pytest.mark.parametrize("text", [" the boat" * 40, " Thank you." * 30, "谢谢观看" * 40])
def test_a_text_caught_in_a_loop_is_repetitive(text):
    assert is_repetitive(text)
    assert is_doubtful(decoded(text))


@pytest.mark.parametrize(
    "text", ["", SENTENCE, " Yes. Yes. No.", "富士康在印度工厂出现大规模感染", " ha ha ha ha"]
)
def test_ordinary_text_is_not_repetitive(text):
    assert not is_repetitive(text)


def test_an_unsure_text_is_decoded_again_and_a_sure_one_is_not():
    assert is_doubtful(decoded(avg_logprob=-1.2))
    assert not is_doubtful(decoded(avg_logprob=-0.4))


@pytest.mark.parametrize(
    ("text", "avg_logprob", "no_speech_prob", "sure"),
    [
        (SENTENCE, -0.3, 0.05, True),
        (SENTENCE, -0.6, 0.05, False),
        (SENTENCE, -0.3, 0.7, False),
        (" the boat" * 40, -0.1, 0.05, False),
    ],
)
def test_a_text_is_sure_where_nothing_speaks_against_it(text, avg_logprob, no_speech_prob, sure):
    assert is_sure(decoded(text, avg_logprob, no_speech_prob)) is sure


@pytest.mark.parametrize(
    ("no_speech_prob", "avg_logprob", "silent"),
    [(0.95, -0.9, True), (0.95, -0.3, False), (0.1, -0.9, False), (0.1, -0.2, False)],
)
def test_a_chunk_is_silence_where_the_model_says_so_and_is_unsure_of_its_text(
    no_speech_prob, avg_logprob, silent
):
    assert is_silence(decoded(avg_logprob=avg_logprob, no_speech_prob=no_speech_prob)) is silent


@pytest.mark.parametrize(
    ("text", "avg_logprob", "no_speech_prob", "invented"),
    [
        (SENTENCE, -1.2, 0.5, True),
        (" the boat" * 40, -0.1, 0.5, True),
        (SENTENCE, -1.2, 0.1, False),
        (SENTENCE, -0.6, 0.5, False),
    ],
)
def test_a_doubtful_text_is_an_invention_where_the_model_hears_hardly_any_speech(
    text, avg_logprob, no_speech_prob, invented
):
    assert is_invention(decoded(text, avg_logprob, no_speech_prob)) is invented


def test_the_surest_attempt_is_chosen_but_no_loop_however_sure():
    loop, fair, poor = decoded(" so" * 100, -0.05), decoded(avg_logprob=-0.7), decoded(avg_logprob=-1.4)
    assert choose_best([loop, poor, fair]) == fair
    assert choose_best([loop]) == loop


def test_what_is_really_said_again_is_taken_as_it_was_searched_for_and_not_as_sampled():
    again = " And that is how it is done, once more and slowly, for everybody who came late today." * 3
    searched = decoded(again, -0.2)
    sampled = decoded(again.replace(",", "").replace("for everybody", "haha nobody", 1), -0.1)
    assert is_repetitive(searched.text)
    assert choose_best([searched, decoded(again, -0.1), sampled]) == searched
    unsure = decoded(again, -1.3)
    assert choose_best([unsure, sampled]) == sampled


@pytest.mark.parametrize(
    ("first", "sample", "said_again"),
    [
        (decoded(SENTENCE * 3, -0.1), decoded(SENTENCE.replace(",", "") * 3, -0.1), True),
        (decoded(SENTENCE * 3, -0.3), decoded(SENTENCE * 3, -0.1), False),
        (decoded(SENTENCE * 3, -0.1), decoded(SENTENCE, -0.1), False),
        (decoded(SENTENCE * 3, -0.1, 0.4), decoded(SENTENCE * 3, -0.1, 0.4), False),
        (decoded(SENTENCE * 20, -0.1), decoded(SENTENCE * 20, -0.1), False),
        (decoded(SENTENCE, -0.1), decoded(SENTENCE, -0.1), False),
    ],
)
def test_a_speaker_repeats_himself_where_the_text_is_sure_and_sampled_alike(first, sample, said_again):
    assert is_repetitive(SENTENCE * 3)
    assert is_spoken_repetition([first, sample]) is said_again
    assert not is_spoken_repetition([first])


def test_a_translation_is_not_what_was_said_in_other_letters():
    loop, fair = decoded(" so" * 100), decoded(" Ça va, déjà vu: many fell ill in 1 factory.", -1.4)
    transcribed = decoded("富士康在印度工厂出现大规模感染", -1.2)
    assert choose_best([loop, fair, transcribed], Task.TRANSLATE) == fair
    assert choose_best([loop, fair, transcribed]) == transcribed


ENGLISH = Decoding("en")


class StandIn(Recognizer):
    """A recognizer whose model is as sure as given of what it hears, and notes how it is asked."""

    def __init__(self, avg_logprob: float = -1.4) -> None:
        self.device = "cpu"
        self.model = SimpleNamespace(is_multilingual=True)
        self.avg_logprob = avg_logprob
        self.beams: list[int] = []
        self.temperatures: list[float] = []
        super().__init__(cast("Whisper", self), cast("TextAligner", self))

    def encode(self, pieces):
        chunks = tuple(piece.chunk for piece in pieces)
        nothing = (np.zeros(0, np.float32),) * len(chunks)
        return Encoded(chunks, nothing, nothing, view=None)

    def leaves_out_silence(self, _sound):
        return False

    def pick(self, view, _row):
        return view

    def decode(self, _view, decoding, temperature=0.0, **_limits):
        self.beams.append(decoding.beam_size)
        self.temperatures.append(temperature)
        return [decoded(avg_logprob=self.avg_logprob + temperature)]

    def align(self, _encoded, texts, _decoding):
        times = np.tile(np.array([0.0, 1.0]), (len(texts), 1))
        return [WordTimings((text,), times[:1], np.ones(1), np.ones(1, bool)) for text in texts]


@pytest.mark.parametrize(
    ("told", "heard", "kept"),
    [
        (decoded(" Grimsby, Schoeffer.", -0.2), decoded(" you", -0.8, 0.9), " you"),
        (decoded(" Grimsby, Schoeffer.", -0.2), decoded(" Thank you.", -0.4), " Thank you."),
        (decoded(" Schoeffer.", -0.2), decoded(" Shaffer.", -0.4), " Schoeffer."),
        (
            decoded(" Ask Schoeffer tomorrow at noon.", -0.2),
            decoded(" you"),
            " Ask Schoeffer tomorrow at noon.",
        ),
        (decoded(" Ask him at Grimsby.", -0.7), decoded(" you", -0.8, 0.9), " you"),
        (
            decoded(" And we shall see the boats at Grimsby.", -0.7),
            decoded(" And we shall see the boats at noon."),
            " And we shall see the boats at noon.",
        ),
        (
            decoded(" And we shall see the boats at Grimsby.", -0.7),
            decoded(" And we shall see the boats at Grimsbey."),
            " And we shall see the boats at Grimsby.",
        ),
    ],
)
def test_a_text_that_may_be_the_vocabulary_itself_is_heard_without_it(tmp_path, told, heard, kept):
    class Told(StandIn):
        def decode(self, _view, decoding, temperature=0.0, **_limits):
            return [told if decoding.vocabulary else heard]

    terms = ("Grimsby", "Schoeffer")
    [passages] = Told().recognize([one_piece(tmp_path)], replace(ENGLISH, vocabulary=terms), fallback=True)
    words = "".join(word for passage in passages for word in passage.timed.words)
    assert words == ("" if kept == " you" else kept)


@pytest.mark.parametrize(("fallback", "temperatures"), [(True, [0.0, 0.0, 0.2, 0.6]), (False, [0.0, 0.0])])
def test_a_doubtful_part_is_sampled_again_or_dropped(tmp_path, fallback, temperatures):
    recognizer = StandIn()
    [passages] = recognizer.recognize([one_piece(tmp_path)], ENGLISH, fallback=fallback)
    assert recognizer.temperatures == temperatures
    assert len(passages) == fallback


@pytest.mark.parametrize(
    ("avg_logprob", "decoding", "beams"),
    [
        (-0.05, ENGLISH, [1]),
        (-0.3, ENGLISH, [1, 5]),
        (-0.05, replace(ENGLISH, task=Task.TRANSLATE), [5]),
    ],
)
def test_a_beam_is_searched_where_a_greedy_text_is_not_clear(tmp_path, avg_logprob, decoding, beams):
    recognizer = StandIn(avg_logprob)
    recognizer.recognize([one_piece(tmp_path)], decoding)
    assert recognizer.beams == beams


def test_a_model_of_english_alone_transcribes_what_it_is_to_translate(tmp_path):
    recognizer = StandIn(-0.05)
    recognizer.model.is_multilingual = False
    recognizer.recognize([one_piece(tmp_path)], replace(ENGLISH, task=Task.TRANSLATE))
    assert recognizer.beams == [1]


def test_a_short_chunk_is_searched_with_the_beam_at_once(tmp_path):
    recognizer = StandIn(-0.05)
    recognizer.recognize([one_piece(tmp_path, 7.0)], ENGLISH)
    assert recognizer.beams == [5]


def test_what_gap_repair_would_not_take_is_heard_once(tmp_path, monkeypatch):
    recognizer = StandIn(LEAST_LOGPROB - 0.1)
    monkeypatch.setattr(recognizer, "leaves_out_silence", lambda _sound: True)  # it could be encoded whole
    assert recognizer.recognize([one_piece(tmp_path, 7.0)], ENGLISH, fallback=False) == [[]]
    assert recognizer.beams == [5]


def one_piece(folder: Path, seconds: float = 20.0) -> Piece:
    audio = write_wav(folder / "a.wav", np.zeros(round(16_000 * seconds), np.float32))
    return Piece(audio, Chunk((Span(start_s=0.0, end_s=seconds),)))
