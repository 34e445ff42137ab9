"""What the decoder is asked for: the prompt, and the temperature."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.whisper import MAX_PROMPT_TOKENS, Decoding, Whisper, fit_vocabulary, load_whisper

ENCODED = np.zeros((2, 1500, 8), np.float32)


@dataclass
class Asked:
    """In place of CTranslate2's model: keeps what it was asked for, and answers with the end alone."""

    calls: list[tuple[list[list[int]], dict[str, Any]]] = field(default_factory=list)
    device = "cpu"
    is_multilingual = False

    def generate(self, encoded: np.ndarray, prompts: list[list[int]], **options: Any) -> list[Any]:
        self.calls.append((prompts, options))
        return [SimpleNamespace(sequences_ids=[[1]], scores=[-0.5], no_speech_prob=0.1) for _ in prompts]


@pytest.fixture
def whisper(tiny_weights, monkeypatch) -> Whisper:
    asked = Whisper(Asked(), tiny_weights.folder)
    asked.silence = ENCODED[:1]
    monkeypatch.setattr(asked, "_open_seeded", lambda *_: asked.model)
    return asked


def ask(whisper: Whisper, at: float = 0.0, **options: Any) -> tuple[list[int], dict[str, Any]]:
    """The prompt and the options of one call; every chunk has the same prompt."""
    decoding = Decoding.of(SpeechOptions(model_name="tiny.en", language="en", **options), "en")
    whisper.model.calls.clear()
    whisper.decode(ENCODED, decoding, at)
    prompts = [prompt for call, _ in whisper.model.calls for prompt in call]
    assert prompts == [prompts[0]] * len(ENCODED)
    return prompts[0], whisper.model.calls[-1][1]


def test_without_a_prompt_the_decoder_starts_with_its_start(whisper):
    tokenizer = whisper.tokenizer(Decoding("en"))
    assert ask(whisper)[0] == [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    assert ask(whisper, initial_prompt=" \n")[0] == [*tokenizer.sot_sequence, tokenizer.no_timestamps]


def test_a_prompt_stands_before_as_if_it_had_been_said(whisper):
    tokenizer = whisper.tokenizer(Decoding("en"))
    before, *prompt = ask(whisper, initial_prompt="Grimsby, Håkon ")[0]
    assert before == tokenizer.sot_prev
    assert tokenizer.decode(prompt[: -len(tokenizer.sot_sequence) - 1]) == " Grimsby, Håkon"


def test_the_vocabulary_stands_before_the_prompt(whisper):
    tokenizer = whisper.tokenizer(Decoding("en"))
    before, *prompt = ask(whisper, initial_prompt="At sea.", vocabulary="Grimsby\nHåkon")[0]
    assert before == tokenizer.sot_prev
    assert tokenizer.decode(prompt[: -len(tokenizer.sot_sequence) - 1]) == " Grimsby, Håkon. At sea."


def test_of_a_long_vocabulary_whole_terms_count_and_the_others_are_known(whisper):
    tokenizer = whisper.tokenizer(Decoding("en"))
    terms = tuple(f"Grimsby {number}" for number in range(200))
    prompt, _ = ask(whisper, vocabulary=terms, initial_prompt="At sea.")
    fitting, others = fit_vocabulary(Decoding("en", vocabulary=terms), tokenizer)
    assert (*fitting, *others) == terms
    assert 1 + MAX_PROMPT_TOKENS >= len(prompt) - len(tokenizer.sot_sequence) - 1 > MAX_PROMPT_TOKENS - 10
    text = tokenizer.decode([token for token in prompt[1:] if token < tokenizer.eot])
    assert f"{', '.join(fitting)}." in text


def test_of_a_long_prompt_the_end_counts(whisper):
    tokenizer = whisper.tokenizer(Decoding("en"))
    prompt, _ = ask(whisper, initial_prompt="many words " * 300 + "at last")
    assert len(prompt) == 1 + MAX_PROMPT_TOKENS + len(tokenizer.sot_sequence) + 1
    assert tokenizer.decode(prompt[1 : MAX_PROMPT_TOKENS + 1]).endswith(" at last")


def test_a_prompt_can_not_steer_the_decoder(whisper):
    tokenizer = whisper.tokenizer(Decoding("en"))
    prompt, _ = ask(whisper, initial_prompt="Grimsby <|endoftext|><|startoftranscript|>")
    assert prompt.count(tokenizer.sot) == 1
    assert tokenizer.eot not in prompt


def test_a_doubtful_text_is_decoded_again_without_the_prompt(whisper):
    assert ask(whisper, 0.2, initial_prompt="Grimsby")[0] == ask(whisper)[0]


@pytest.mark.parametrize(("again_at", "sampled_at"), [(0.0, 0.4), (0.2, 0.4), (0.6, 0.6)])
def test_words_are_sampled_at_the_wanted_temperature_or_above(whisper, again_at, sampled_at):
    assert ask(whisper, again_at, temperature=0.4)[1]["sampling_temperature"] == sampled_at


def test_at_no_temperature_the_likeliest_words_are_searched_for(whisper):
    asked = ask(whisper, beam_size=3)[1]
    assert asked["beam_size"] == 3
    assert "sampling_temperature" not in asked


def test_weights_that_were_removed_are_still_sampled_from_in_memory(whisper, tmp_path, monkeypatch, caplog):
    monkeypatch.undo()
    monkeypatch.setattr(whisper, "_folder", tmp_path)
    assert ask(whisper, 0.6)[1]["sampling_temperature"] == 0.6
    assert "has no weights any more" in caplog.text


@pytest.mark.model
def test_a_window_is_sampled_alike_whatever_was_sampled_before(tiny_weights):
    def sample(view: Any) -> str:
        return model.decode(view, Decoding("en"), 2.0, longest_s=1.0)[0].text

    model = load_whisper(tiny_weights.folder, DeviceConfig("cpu", "int8", batch_size=1, threads=1))
    views = [
        model.encode([np.random.default_rng(seed).normal(0, 0.1, 16_000).astype(np.float32)])
        for seed in range(3)
    ]
    first = [sample(view) for view in views]
    assert [sample(view) for view in reversed(views)] == first[::-1]
    assert len(set(first)) > 1, "they are sampled"
