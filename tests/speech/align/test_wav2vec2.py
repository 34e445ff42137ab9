"""The wav2vec2 aligner, on sound in which every 20 ms frame spells a letter.

No wav2vec2 weights can be had without the hub, so a small torch model reads the letters off the
sound's amplitude; WhisperX's real loader and real (untrained) architectures run as well. What needs
torch is marked `whisperx` and run by `make test-whisperx`.
"""

import json
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from yivideo_pipeline.errors.tree import MemoryExhausted, ModelLoadError
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, write_wav
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.align.choice import choose_aligner
from yivideo_pipeline.speech.align.wav2vec2 import Wav2Vec2Aligner, group_slices, plan_slices
from yivideo_pipeline.speech.align.wav2vec2_model import (
    FRAME_S,
    STRIDE,
    WINDOW,
    AcousticModel,
    load_acoustic_model,
    read_alphabet,
    wav2vec2_status,
)
from yivideo_pipeline.speech.types import Segment, Transcript, Word

HAS_WHISPERX = find_spec("whisperx") is not None

ENGLISH = {char: index for index, char in enumerate("-|abcdefghijklmnopqrstuvwxyz'")}
NEAR_S = 1.5 * FRAME_S  # frames need not begin where letters do
STEP = 512  # int16 amplitude that stands for one class


def spell(samples, start_s, letters, dictionary=ENGLISH, frames=2):
    """Write letters into the sound, each some frames long with one silent frame behind it; their end."""
    at = round(start_s * SAMPLE_RATE_HZ)
    for letter in letters:
        samples[at : at + frames * STRIDE] = dictionary[letter] * STEP
        at += (frames + 1) * STRIDE
    return at / SAMPLE_RATE_HZ - FRAME_S


def word(text, start_s, end_s, confidence=0.5):
    return Word(text=text, start_s=start_s, end_s=end_s, confidence=confidence, source="attention")


def transcript_of(*segments, language="en", duration_s=20.0):
    return Transcript(
        language=language,
        language_probability=1.0,
        duration_s=duration_s,
        segments=tuple(
            Segment(
                start_s=words[0].start_s,
                end_s=words[-1].end_s,
                text="".join(one.text for one in words),
                words=tuple(words),
                avg_logprob=-0.1,
                no_speech_prob=0.0,
            )
            for words in segments
        ),
        speech_spans=(),
        model="base",
        revision="1",
        aligner="attention",
    )


def silence(seconds):
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


@pytest.fixture
def reader():
    """Makes models that read the letters off the amplitude; `room_s` is what their memory holds."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self, classes, room_s):
            super().__init__()
            self.classes, self.room_s = classes, room_s
            self.sharpness = torch.nn.Parameter(torch.tensor(9.0))
            self.seen_s = []

        def forward(self, waves, lengths=None):
            self.seen_s.append(waves.numel() / SAMPLE_RATE_HZ)
            if self.seen_s[-1] > self.room_s:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            middles = waves.unfold(1, WINDOW, STRIDE)[:, :, STRIDE // 2]
            ids = torch.round(middles * 32768 / STEP).long()
            return torch.nn.functional.one_hot(ids, self.classes) * self.sharpness, lengths

    def make(dictionary=ENGLISH, room_s=float("inf")):
        metadata = {"dictionary": dictionary, "type": "torchaudio", "language": "en"}
        return AcousticModel(Reader(max(dictionary.values()) + 1, room_s), metadata)

    return make


def align(tmp_path, samples, transcript, model, offset_s=0.0, **options):
    audio = write_wav(tmp_path / "sound.wav", samples, offset_s)
    return Wav2Vec2Aligner(lambda device: model, "cpu").align(audio, transcript, **options)


@pytest.mark.whisperx
def test_words_move_to_where_their_letters_sound(tmp_path, reader):
    samples = silence(10)
    ends = [spell(samples, 1.0, "good"), spell(samples, 2.0, "morning")]
    transcript = transcript_of([word(" Good", 1.2, 1.5), word(" morning!", 1.8, 2.1)], duration_s=10)

    words = align(tmp_path, samples, transcript, reader()).words

    assert [one.start_s for one in words] == pytest.approx([1.0, 2.0], abs=NEAR_S)
    assert [one.end_s for one in words] == pytest.approx(ends, abs=NEAR_S)
    assert [one.source for one in words] == ["aligned", "aligned"]
    assert all(one.confidence > 0.9 for one in words)
    assert [one.text for one in words] == [" Good", " morning!"]


@pytest.mark.whisperx
def test_the_transcript_says_which_aligner_timed_it_and_its_segments_follow_their_words(tmp_path, reader):
    samples = silence(5)
    end_s = spell(samples, 1.0, "yes")
    timed = align(tmp_path, samples, transcript_of([word(" Yes.", 1.1, 1.4)], duration_s=5), reader())

    assert timed.aligner == "wav2vec2"
    assert timed.segments[0].start_s == pytest.approx(1.0, abs=NEAR_S)
    assert timed.segments[0].end_s == pytest.approx(end_s, abs=NEAR_S)
    assert timed.segments[0].text == " Yes."


@pytest.mark.whisperx
def test_times_are_on_the_clock_of_a_video_whose_sound_starts_late(tmp_path, reader):
    samples = silence(5)
    spell(samples, 1.0, "late")
    transcript = transcript_of([word(" late", 11.1, 11.4)], duration_s=5)

    timed = align(tmp_path, samples, transcript, reader(), offset_s=10.0)

    assert timed.words[0].start_s == pytest.approx(11.0, abs=NEAR_S)


@pytest.mark.whisperx
def test_a_letter_said_without_confidence_lowers_the_words_confidence(tmp_path, reader):
    samples = silence(5)
    spell(samples, 1.0, "sax")  # what was recognized is not quite what sounds
    transcript = transcript_of([word(" sat", 1.0, 1.3)], duration_s=5)

    (found,) = align(tmp_path, samples, transcript, reader()).words

    assert found.source == "aligned"
    assert found.confidence == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.whisperx
def test_a_number_is_found_by_the_letters_with_which_it_is_said(tmp_path, reader):
    samples = silence(6)
    spell(samples, 1.0, "in")
    spell(samples, 1.4, "nineteen")
    spell(samples, 2.8, "we")
    transcript = transcript_of(
        [word(" In", 1.0, 1.2), word(" 19", 1.9, 2.2), word(" we", 2.7, 2.9)], duration_s=6
    )

    _, number, behind = align(tmp_path, samples, transcript, reader()).words

    assert number.source == "aligned"
    assert number.start_s == pytest.approx(1.4, abs=NEAR_S)
    assert behind.start_s == pytest.approx(2.8, abs=NEAR_S)


@pytest.mark.whisperx
def test_a_word_of_another_script_keeps_its_time_and_its_neighbours_do_not_take_its_sound(tmp_path, reader):
    samples = silence(6)
    spell(samples, 1.0, "in")
    spell(samples, 1.4, "gorodok")
    spell(samples, 2.8, "we")
    transcript = transcript_of(
        [word(" In", 1.0, 1.2), word(" городок", 1.4, 2.5, confidence=0.4), word(" we", 2.7, 2.9)],
        duration_s=6,
    )

    before, foreign, behind = align(tmp_path, samples, transcript, reader()).words

    assert (before.source, foreign.source, behind.source) == ("aligned", "attention", "aligned")
    assert before.end_s == pytest.approx(1.1, abs=2 * NEAR_S)
    assert (foreign.start_s, foreign.end_s, foreign.confidence) == (1.4, 2.5, 0.4)
    assert behind.start_s == pytest.approx(2.8, abs=NEAR_S)


@pytest.mark.whisperx
def test_a_word_that_can_not_be_aligned_is_moved_between_its_neighbours(tmp_path, reader):
    samples = silence(6)
    spell(samples, 1.0, "one")
    spell(samples, 2.0, "two")
    transcript = transcript_of(
        [word(" one", 1.1, 1.2), word(" да", 1.2, 2.4), word(" two", 2.4, 2.6)], duration_s=6
    )

    one, foreign, two = align(tmp_path, samples, transcript, reader()).words

    assert one.end_s <= foreign.start_s < foreign.end_s <= two.start_s
    assert foreign.source == "attention"


@pytest.mark.whisperx
def test_a_word_without_any_room_left_is_interpolated(tmp_path, reader):
    samples = silence(6)
    end_s = spell(samples, 1.0, "one")
    spell(samples, end_s + FRAME_S, "two")
    transcript = transcript_of(
        [word(" one", 1.1, 1.2), word(" да", 3.0, 3.2), word(" two", 3.2, 3.4)], duration_s=6
    )

    words = align(tmp_path, samples, transcript, reader()).words

    assert words[1].source == "interpolated"
    assert all(one.start_s < one.end_s for one in words)
    assert all(first.end_s <= second.start_s for first, second in pairwise(words))


@pytest.mark.whisperx
def test_letters_that_the_model_lacks_are_skipped(tmp_path, reader):
    samples = silence(5)
    spell(samples, 1.0, "caf")
    spell(samples, 2.0, "wellknown")
    transcript = transcript_of([word(" café", 1.1, 1.4), word(" well-known", 1.9, 2.3)], duration_s=5)

    words = align(tmp_path, samples, transcript, reader()).words

    assert [one.start_s for one in words] == pytest.approx([1.0, 2.0], abs=NEAR_S)


@pytest.mark.whisperx
def test_chinese_is_aligned_by_character_in_either_script(tmp_path, reader):
    dictionary = {"[pad]": 0, "[unk]": 1, "后": 2, "来": 3, "雨": 4}
    samples = silence(5)
    for start_s, letter in ((1.0, "后"), (1.3, "来"), (1.9, "雨")):
        spell(samples, start_s, letter, dictionary)
    transcript = transcript_of(
        [word("後", 1.1, 1.2), word("來", 1.2, 1.6), word("雨。", 1.6, 2.0)], language="zh", duration_s=5
    )

    words = align(tmp_path, samples, transcript, reader(dictionary)).words

    assert "".join(one.text for one in words) == "後來雨。"
    assert [one.start_s for one in words] == pytest.approx([1.0, 1.3, 1.9], abs=NEAR_S)
    assert {one.source for one in words} == {"aligned"}


@pytest.mark.whisperx
def test_a_segment_with_fewer_frames_than_letters_keeps_its_times(tmp_path, reader):
    samples = silence(0.4)
    transcript = transcript_of([word(" incomprehensibilities", 0.1, 0.3)], duration_s=0.4)

    (kept,) = align(tmp_path, samples, transcript, reader()).words

    assert (kept.start_s, kept.end_s, kept.source) == (0.1, 0.3, "attention")


@pytest.mark.whisperx
def test_words_said_twice_in_segments_that_overlap_stay_in_order_inside_the_sound(tmp_path, reader):
    samples = silence(4)
    for start_s in (0.0, 1.0, 3.85):
        spell(samples, start_s, "no")
    transcript = transcript_of(
        [word(" no", 0.0, 1.05)], [word(" no", 1.0, 1.1)], [word(" no", 3.8, 4.0)], duration_s=4
    )

    words = align(tmp_path, samples, transcript, reader()).words

    assert all(one.start_s < one.end_s for one in words)
    assert all(first.end_s <= second.start_s for first, second in pairwise(words))
    assert words[0].start_s >= 0
    assert words[-1].end_s <= 4


@pytest.fixture
def long_speech():
    """A minute of two-word segments, one of them a minute long, and where each word begins."""
    samples = silence(62)
    starts = [float(second) for second in range(1, 61)]
    for start_s in starts:
        spell(samples, start_s, "tick")
    words = [word(" tick", start_s + 0.1, start_s + 0.4) for start_s in starts]
    pairs = [words[at : at + 2] for at in range(0, 20, 2)]
    return samples, transcript_of(*pairs, words[20:], duration_s=62), starts


def test_slices_are_no_longer_than_asked_and_hold_every_word_once(tmp_path, long_speech):
    samples, transcript, _ = long_speech
    audio = write_wav(tmp_path / "sound.wav", samples)

    slices = plan_slices(transcript, audio, 7.5)

    assert all(one.duration_s <= 7.5 for one in slices)
    assert [index for one in slices for index in range(one.first, one.last)] == list(range(60))


def test_batches_hold_slices_of_similar_length_within_their_room(tmp_path, long_speech):
    samples, transcript, _ = long_speech
    slices = plan_slices(transcript, write_wav(tmp_path / "sound.wav", samples), 30)

    groups = list(group_slices(slices, 40))

    assert sorted(one.first for group in groups for one in group) == [one.first for one in slices]
    for group in groups:
        lengths = [one.duration_s for one in group]
        assert len(group) == 1 or len(group) * max(lengths) <= 40
        assert min(lengths) >= 0.8 * max(lengths)


@pytest.mark.whisperx
def test_long_speech_is_aligned_in_slices_and_its_progress_reported(tmp_path, reader, long_speech):
    samples, transcript, starts = long_speech
    reported = []

    words = align(tmp_path, samples, transcript, reader(), progress=reported.append).words

    assert [one.start_s for one in words] == pytest.approx(starts, abs=NEAR_S)
    assert reported == sorted(reported)
    assert reported[-1] == pytest.approx(1.0)


@pytest.mark.whisperx
def test_memory_that_runs_out_is_met_by_less_sound_at_once_and_aligns_every_word(
    tmp_path, reader, long_speech
):
    samples, transcript, _ = long_speech
    audio = write_wav(tmp_path / "sound.wav", samples)
    narrow = Wav2Vec2Aligner(lambda device: reader(room_s=10), "cpu")

    timed = narrow.align(audio, transcript)

    roomy = Wav2Vec2Aligner(lambda device: reader(), "cpu").align(audio, transcript)
    assert [one.start_s for one in timed.words] == pytest.approx(
        [one.start_s for one in roomy.words], abs=NEAR_S
    )
    assert {one.source for one in timed.words} == {"aligned"}
    assert [step.partition("; ")[2] for step in narrow.steps] == [
        "going on with cpu, 15 s of sound at once",
        "going on with cpu, 7.5 s of sound at once",
    ]


@pytest.mark.whisperx
def test_a_gpu_whose_memory_never_suffices_falls_back_to_the_cpu(tmp_path, reader, long_speech):
    samples, transcript, starts = long_speech
    asked = []

    def load(device):
        asked.append(device)
        return reader(room_s=1 if device == "cuda" else float("inf"))

    aligner = Wav2Vec2Aligner(load, "cuda")
    timed = aligner.align(write_wav(tmp_path / "sound.wav", samples), transcript)

    assert asked == ["cuda", "cpu"]
    assert [one.start_s for one in timed.words] == pytest.approx(starts, abs=NEAR_S)
    assert aligner.steps[-1].endswith("going on with cpu, 30 s of sound at once")


@pytest.mark.whisperx
def test_memory_that_suffices_nowhere_is_an_error(tmp_path, reader, long_speech):
    samples, transcript, _ = long_speech
    with pytest.raises(MemoryExhausted):
        align(tmp_path, samples, transcript, reader(room_s=0.1))


def test_the_blank_and_marks_of_several_letters_are_no_letters():
    hub = read_alphabet({"<pad>": 7, "<s>": 1, "[unk]": 3, "|": 4, "a": 5})
    torchaudio = read_alphabet({"-": 0, "|": 1, "a": 2})

    assert (hub.blank, hub.ids) == (7, {"|": 4, "a": 5})
    assert (torchaudio.blank, torchaudio.ids) == (0, {"|": 1, "a": 2})


def test_text_without_any_known_letter_spells_nothing():
    assert read_alphabet(ENGLISH).spell([" 19", " 42", " …"]) == []


# Real architectures and WhisperX's own loader


def tiny_hub_model(norm):
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
        feat_extract_norm=norm, do_stable_layer_norm=norm == "layer",
    )  # fmt: skip
    return transformers.Wav2Vec2ForCTC(config).eval()


def tiny_torchaudio_model():
    import torch
    import torchaudio

    torch.manual_seed(0)
    kernels = [(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2
    return torchaudio.models.wav2vec2_model(
        extractor_mode="layer_norm", extractor_conv_layer_config=kernels, extractor_conv_bias=False,
        encoder_embed_dim=16, encoder_projection_dropout=0.0, encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=2, encoder_num_layers=1, encoder_num_heads=2,
        encoder_attention_dropout=0.0, encoder_ff_interm_features=16, encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0, encoder_layer_norm_first=True, encoder_layer_drop=0.0, aux_num_out=32,
    ).eval()  # fmt: skip


@pytest.mark.whisperx
@pytest.mark.parametrize("kind", ["huggingface", "torchaudio"])
def test_a_sound_reads_the_same_alone_and_padded_in_a_batch(kind):
    module = tiny_hub_model("layer") if kind == "huggingface" else tiny_torchaudio_model()
    model = AcousticModel(module, {"dictionary": ENGLISH, "type": kind})
    random = np.random.default_rng(0)
    sounds = [random.normal(0, 0.1, length).astype(np.float32) for length in (40_000, 33_333, 100)]

    together = model.log_probabilities(sounds)

    assert [len(rows) for rows in together] == [
        (length - WINDOW) // STRIDE + 1 for length in (40_000, 33_333, 400)
    ]
    for sound, rows in zip(sounds, together, strict=True):
        (alone,) = model.log_probabilities([sound])
        assert np.allclose(alone.numpy(), rows.numpy(), atol=1e-4)
        assert np.allclose(np.exp(rows.numpy()).sum(axis=1), 1, atol=1e-5)


@pytest.mark.whisperx
def test_a_model_in_the_cache_is_loaded_by_whisperx_offline_and_aligns(tmp_path, capsys):
    name = "jonatasgrosman/wav2vec2-large-xlsr-53-dutch"
    repository = tmp_path / "models" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / "0123456789abcdef"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    letters = ["[PAD]", "<s>", "</s>", "[UNK]", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    (snapshot / "vocab.json").write_text(json.dumps({letter: index for index, letter in enumerate(letters)}))
    tokenizer = {"pad_token": "[PAD]", "unk_token": "[UNK]", "tokenizer_class": "Wav2Vec2CTCTokenizer"}
    (snapshot / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    extractor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "sampling_rate": 16000,
        "do_normalize": True,
    }
    (snapshot / "preprocessor_config.json").write_text(json.dumps(extractor))
    assert wav2vec2_status("nl", tmp_path / "models", offline=True).state == "missing"
    tiny_hub_model("layer").save_pretrained(snapshot)
    assert wav2vec2_status("nl", tmp_path / "models", offline=True).state == "present"

    samples = (np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_RATE_HZ) * 32768).astype(np.int16)
    audio = write_wav(tmp_path / "sound.wav", samples)
    transcript = transcript_of(
        [word(" Goede", 1.0, 1.5), word(" morgen", 1.5, 2.0)], language="nl", duration_s=10
    )
    options = SpeechOptions(aligner=Aligner.WAV2VEC2)
    aligners = Aligners(tmp_path / "models", offline=True)
    timed = aligners.align(audio, transcript, options, "cpu")

    assert timed.aligner == "wav2vec2"
    assert {one.source for one in timed.words} == {"aligned"}
    assert 0.7 <= timed.words[0].start_s < timed.words[0].end_s <= timed.words[1].start_s
    assert timed.words[1].end_s <= 2.3
    assert capsys.readouterr().out == ""


@pytest.mark.whisperx
def test_english_weights_are_loaded_from_their_file_offline_and_align(tmp_path, capsys):
    import torch
    import torchaudio

    bundle = torchaudio.pipelines.WAV2VEC2_ASR_BASE_960H
    torch.manual_seed(0)
    # The published file has three classes more than torchaudio keeps.
    untrained = torchaudio.models.wav2vec2_model(**{**bundle._params, "aux_num_out": 32})
    torch.save(untrained.state_dict(), tmp_path / bundle._path)
    samples = (np.random.default_rng(0).normal(0, 0.1, 4 * SAMPLE_RATE_HZ) * 32768).astype(np.int16)
    audio = write_wav(tmp_path / "sound.wav", samples)
    transcript = transcript_of([word(" Good", 1.0, 1.5), word(" morning", 1.5, 2.0)], duration_s=4)

    options = SpeechOptions(aligner=Aligner.WAV2VEC2)
    timed = Aligners(tmp_path, offline=True).align(audio, transcript, options, "cpu")

    assert timed.aligner == "wav2vec2"
    assert [(one.text, one.source) for one in timed.words] == [(" Good", "aligned"), (" morning", "aligned")]
    assert 0.7 <= timed.words[0].start_s < timed.words[0].end_s <= timed.words[1].start_s
    assert timed.words[1].end_s <= 2.3
    assert capsys.readouterr().out == ""


@pytest.mark.whisperx
def test_damaged_weights_are_reported_in_a_clear_line(tmp_path, capsys):
    (tmp_path / "wav2vec2_fairseq_base_ls960_asr_ls960.pth").write_bytes(b"not weights")
    with pytest.raises(ModelLoadError) as caught:
        load_acoustic_model("en", "cpu", tmp_path, offline=True)
    assert "wav2vec2_fairseq_base_ls960_asr_ls960.pth" in str(caught.value)
    assert capsys.readouterr().out == ""


# Whether it is to be had


@pytest.mark.whisperx
def test_weights_are_present_missing_offline_or_unknown_by_language(tmp_path):
    assert wav2vec2_status("en", tmp_path, offline=True).state == "missing"
    (tmp_path / "wav2vec2_fairseq_base_ls960_asr_ls960.pth").touch()
    assert wav2vec2_status("en", tmp_path, offline=True).state == "present"
    for language in ("zh", "ja", "ru", "nl"):
        assert "switched off" in wav2vec2_status(language, tmp_path, offline=True).reason
    assert "no wav2vec2 model for language cy" in wav2vec2_status("cy", tmp_path, offline=True).reason


@pytest.mark.whisperx
def test_the_files_of_torchaudio_models_are_those_that_torchaudio_names(tmp_path):
    import torchaudio
    from whisperx import alignment

    for language, name in alignment.DEFAULT_ALIGN_MODELS_TORCH.items():
        (tmp_path / getattr(torchaudio.pipelines, name)._path).touch()
        assert wav2vec2_status(language, tmp_path, offline=True).state == "present"


@pytest.mark.whisperx
def test_each_language_of_whisperx_has_its_model_here(tmp_path):
    from whisperx import alignment

    tables = alignment.DEFAULT_ALIGN_MODELS_TORCH | alignment.DEFAULT_ALIGN_MODELS_HF
    assert len(tables) == 41
    for language, name in tables.items():
        assert wav2vec2_status(language, tmp_path, offline=True).reason.startswith(f"{name}: ")


@pytest.mark.skipif(HAS_WHISPERX, reason="WhisperX is installed")
def test_without_whisperx_the_aligner_is_missing_and_asking_for_it_says_what_to_do(tmp_path):
    assert wav2vec2_status("en", tmp_path).reason == "WhisperX is not installed"
    with pytest.raises(ModelLoadError, match="make install-whisperx"):
        choose_aligner(SpeechOptions(aligner=Aligner.WAV2VEC2), "en", "cpu", tmp_path)


def test_auto_is_attention_on_a_cpu_and_where_wav2vec2_is_not_to_be_had(tmp_path):
    (tmp_path / "wav2vec2_fairseq_base_ls960_asr_ls960.pth").touch()

    def choose(language, device, **options):
        return choose_aligner(SpeechOptions(**options), language, device, tmp_path, offline=True)

    assert choose("en", "cpu") == "attention"
    assert choose("en", "cuda", aligner="attention") == "attention"
    assert choose("zh", "cuda") == "attention"
    assert choose("en", "cuda") == ("wav2vec2" if HAS_WHISPERX else "attention")


@pytest.mark.whisperx
def test_auto_is_wav2vec2_on_a_gpu_where_its_weights_lie(tmp_path):
    (tmp_path / "wav2vec2_fairseq_base_ls960_asr_ls960.pth").touch()
    options = SpeechOptions(aligner=Aligner.AUTO)
    assert choose_aligner(options, "en", "cuda", tmp_path, offline=True) == "wav2vec2"
    assert choose_aligner(options, "en", "cpu", tmp_path, offline=True) == "attention"


def test_asking_for_an_aligner_that_a_language_has_not_is_refused(tmp_path):
    with pytest.raises(ModelLoadError, match="attention"):
        choose_aligner(SpeechOptions(aligner=Aligner.WAV2VEC2), "cy", "cuda", tmp_path, offline=True)


def test_attention_leaves_the_times_as_they_are_and_no_words_need_no_aligner(tmp_path):
    audio = write_wav(tmp_path / "sound.wav", silence(1))
    aligners = Aligners(tmp_path, offline=True)
    transcript = transcript_of([word(" hi", 0.1, 0.3)], duration_s=1)
    silent = transcript_of(language="und", duration_s=1)

    assert aligners.align(audio, transcript, SpeechOptions(aligner=Aligner.ATTENTION), "cpu") == transcript
    assert aligners.align(audio, silent, SpeechOptions(aligner=Aligner.WAV2VEC2), "cpu") == silent
