"""Finding speech: the same in blocks as at once, and nothing where nobody speaks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.make_sound import chord, decode_speech, join_sounds, noise, silence
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, write_wav
from yivideo_pipeline.speech import vad
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities, speech_spans

probabilities_of_frames = st.lists(st.floats(0, 1), max_size=300).map(lambda row: np.array(row, np.float32))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    return decode_speech("lighthouse-60s.mkv", tmp_path_factory.mktemp("vad"))


def test_reading_in_blocks_gives_what_silero_gives_for_the_whole(speech):
    from faster_whisper.vad import get_vad_model

    assert len(speech.samples) > vad.BLOCK  # more than one block
    even = len(speech.samples) // vad.HOP * vad.HOP
    whole = get_vad_model()(speech.samples[:even].astype(np.float32) / 32768).reshape(-1)
    ours = speech_probabilities(speech)[: len(whole)]
    speaks = whole >= vad.OFFSET  # elsewhere it may have been listened to once more
    assert np.abs(ours - whole)[speaks].max() < 1e-3


def test_blocks_of_any_size_give_the_same(speech, tmp_path, monkeypatch):
    at_once = speech_probabilities(speech)
    again = write_wav(tmp_path / "again.wav", speech.samples)
    monkeypatch.setattr(vad, "BLOCK", 7 * vad.HOP)
    assert np.abs(speech_probabilities(again) - at_once).max() < 1e-3


@pytest.mark.parametrize("part", [1_600, 1_000_000], ids=["many-parts-a-block", "more-than-a-block"])
def test_what_is_heard_while_it_is_decoded_is_what_is_heard_afterwards(speech, tmp_path, part):
    afterwards = speech_probabilities(speech)
    same = write_wav(tmp_path / "same.wav", speech.samples)
    with vad.SpeechListener() as listener:
        for start in range(0, len(speech.samples), part):
            listener.hear(speech.samples[start : start + part])
        listener.remember(same)
    np.testing.assert_array_equal(speech_probabilities(same), afterwards)


def test_there_is_a_probability_for_every_frame_the_last_one_padded(tmp_path):
    audio = write_wav(tmp_path / "a.wav", noise(1.0)[: 512 * 20 + 1])
    assert speech_probabilities(audio).shape == (21,)


def test_a_file_written_again_under_the_same_name_is_read_again(speech, tmp_path):
    path = tmp_path / "a.wav"
    assert speech_spans(write_wav(path, silence(speech.duration_s))) == ()
    path.unlink()
    assert speech_spans(write_wav(path, speech.samples)) == speech_spans(speech)


def test_spans_of_the_sample_leave_out_its_long_silence(speech):
    spans = speech_spans(speech)
    pauses = [(a.end_s, b.start_s) for a, b in pairwise(spans)]
    assert max(end - start for start, end in pauses) == pytest.approx(9.0, abs=0.6)
    assert 0.5 < spans[0].start_s < 1.3
    assert spans[-1].end_s < speech.duration_s - 1.0


@pytest.mark.parametrize("sound", [silence(20), noise(20), noise(20, 0.005), chord(20), chord(20, (440.0,))])
def test_silence_noise_and_tones_are_no_speech(tmp_path, sound):
    assert speech_spans(write_wav(tmp_path / "a.wav", sound)) == ()


@pytest.mark.parametrize("count", [0, 1, 511])
def test_next_to_no_sound_is_no_speech(tmp_path, count):
    assert speech_spans(write_wav(tmp_path / "a.wav", silence(1)[:count])) == ()


def test_a_voice_far_below_full_scale_is_found_and_silence_around_it_stays_silence(speech, tmp_path):
    sound = speech.samples[: 20 * SAMPLE_RATE_HZ]
    soft = np.round(sound / 120).astype(np.int16)
    loud = speech_spans(write_wav(tmp_path / "loud.wav", sound))
    found = speech_spans(join_sounds(tmp_path / "soft.wav", sound, soft))
    speech_s = sum(span.end_s - span.start_s for span in loud)
    soft_s = sum(span.end_s - span.start_s for span in found if span.start_s >= 20)
    assert 0.8 * speech_s < soft_s < 1.05 * speech_s


def test_speech_keeps_its_place_behind_minutes_of_silence(speech, tmp_path):
    first = speech_spans(speech)[0]
    late = speech_spans(
        join_sounds(tmp_path / "late.wav", silence(200), speech.samples[: 5 * SAMPLE_RATE_HZ])
    )
    assert late[0].start_s == pytest.approx(first.start_s + 200, abs=0.2)


def test_a_short_dip_does_not_end_a_span_and_a_long_one_does():
    speaks, dips = [0.9] * 20, [0.0] * 4
    assert len(find_spans(np.array(speaks + dips + speaks), 44 * HOP_S)) == 1
    assert len(find_spans(np.array(speaks + dips * 2 + speaks), 48 * HOP_S)) == 2


def test_what_is_only_likely_carries_a_span_on_but_begins_none():
    assert find_spans(np.full(50, 0.3), 50 * HOP_S) == ()
    (span,) = find_spans(np.array([0.9] + [0.3] * 49), 50 * HOP_S)
    assert span.end_s == pytest.approx(50 * HOP_S)


@given(probabilities_of_frames)
def test_spans_are_in_order_apart_and_inside_the_sound(probabilities):
    duration_s = max(0.0, len(probabilities) * HOP_S - 0.01)
    spans = find_spans(probabilities, duration_s)
    edges = [edge for span in spans for edge in (span.start_s, span.end_s)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= duration_s for edge in edges)
    assert all(span.end_s - span.start_s >= vad.MIN_SPEECH_S for span in spans)


@given(probabilities_of_frames)
def test_every_run_of_sure_frames_that_lasts_lies_in_a_span(probabilities):
    spans = find_spans(probabilities, len(probabilities) * HOP_S)
    sure = [i for i in range(len(probabilities) - 4) if (probabilities[i : i + 4] >= vad.ONSET).all()]
    for frame in sure:
        assert any(
            span.start_s <= frame * HOP_S and (frame + 1) * HOP_S <= span.end_s + 1e-9 for span in spans
        )


def test_the_sounds_of_a_whole_run_are_remembered_and_no_more_than_there_is_room_for(tmp_path, monkeypatch):
    sounds = [write_wav(tmp_path / f"{number}.wav", silence(0.5 + number / 100)) for number in range(20)]
    first = [speech_probabilities(sound) for sound in sounds]
    assert all(speech_probabilities(sound) is known for sound, known in zip(sounds, first, strict=True))
    monkeypatch.setattr(vad, "CACHED_FRAMES", len(first[-1]))
    speech_probabilities(decode_speech("harbour-15s.mp4", tmp_path))
    assert speech_probabilities(sounds[-1]) is not first[-1]
