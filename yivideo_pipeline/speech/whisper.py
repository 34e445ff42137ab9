"""A loaded Whisper model on CTranslate2: from sound to encoder output, text and alignments."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from yivideo_pipeline.machine.heap import reserve_huge_pages
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.settings.languages import LANGUAGES
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.speech.chunks import WINDOW_S
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.sampling import open_seeded, seed_of

log = logging.getLogger(__name__)

WINDOW_SAMPLES = int(WINDOW_S * SAMPLE_RATE_HZ)
MEL_FRAMES = 3000
ENCODER_FRAMES_PER_S = 50
ENCODER_FRAMES = MEL_FRAMES // 2
TRAILING_SILENCE_S = 10.0
"""Silence after a short sound that the encoder reads on a CPU.

Of 16 variants of the corpus's 18 English clips (speed, noise, level, alone and joined; base, 5,300 words)
4.06% of the words are wrong with the whole window, 4.14% with 10 s of silence, 4.34% with 5 s.
"""
MAX_TOKENS = 448  # positions of Whisper's decoder, prompt included
# Text of a sound: English takes about 6 tokens a second, Thai and Burmese take the most. A loop ends there.
TOKENS_PER_S = 30
LEAST_TOKENS = 20
MOST_HEARD_S = 4.0  # of a part whose language is guessed: its middle
SILENT_FRAMES = ENCODER_FRAMES_PER_S // 2  # behind it
MAX_PROMPT_TOKENS = MAX_TOKENS // 2 - 1  # as in Whisper: the rest is for the text


@dataclass(frozen=True)
class Decoding:
    """How chunks are decoded: the part of the options that the decoder reads, its language known.

    Requests with the same `Decoding` share batches. `languages` are those that the sound may change to and
    from; empty: `language` alone is spoken.
    """

    language: str
    beam_size: int = 5
    task: Task = Task.TRANSCRIBE
    prompt: str = ""
    temperature: float = 0.0
    languages: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: SpeechOptions, language: str) -> "Decoding":
        """Return how to decode by the options, once the spoken language, or the most spoken one, is known."""
        prompt, temperature = options.initial_prompt.strip(), options.temperature
        languages = () if options.only_language else options.languages or tuple(LANGUAGES)
        return cls(
            language, options.beam_size, options.task, prompt, temperature, languages, options.vocabulary
        )

    def within(self, language: str) -> "Decoding":
        """Return how to decode a part in which one language is spoken."""
        return replace(self, language=language, languages=())


@dataclass(frozen=True)
class Decoded:
    """The decoder's text of one chunk.

    `avg_logprob` is the mean log probability of a token, `no_speech_prob` that of the model's own
    no-speech token, `temperature` the one it was sampled at (0: beam search).
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    temperature: float


class Whisper:
    """Whisper weights on one device, shared by threads: CTranslate2 models are thread-safe.

    Args:
        model: A loaded `ctranslate2.models.Whisper`.
        folder: The folder it was loaded from, for its tokenizer.
        threads: OpenMP threads of each call, where windows are sampled.
    """

    def __init__(self, model: Any, folder: Path, threads: int = 1) -> None:
        import ctranslate2
        import tokenizers

        self.model = model
        self.device: str = model.device
        self._folder = folder
        self._threads = threads
        self._view = ctranslate2.StorageView
        self._tokens = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizers: dict[tuple[str, Task], Any] = {}

    @cached_property
    def _features(self) -> Any:
        from faster_whisper.feature_extractor import FeatureExtractor

        return FeatureExtractor(feature_size=self.model.n_mels)

    def tokenizer(self, decoding: Decoding) -> Any:
        """Return faster-whisper's tokenizer for a spoken language and a task.

        A model that knows English alone has no tokens for either: it transcribes English.
        """
        from faster_whisper.tokenizer import Tokenizer

        key = (decoding.language, decoding.task)
        # Cached here, not by lru_cache: that would keep the model with its weights, too.
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._tokens, self.model.is_multilingual, task=decoding.task.value, language=decoding.language
            )
        return self._tokenizers[key]

    def encode(self, sounds: list[np.ndarray], *, whole: bool = False) -> Any:
        """Encode chunks of at most 30 s (float32, 16 kHz); CTranslate2 view of shape (n, 1500, d).

        Args:
            sounds: The chunks' samples.
            whole: Let the encoder read whole windows of 30 s, where it would leave out silence.
        """
        if self.device == "cuda":
            return self.model.encode(self._view.from_array(np.stack([self._mel(sound) for sound in sounds])))
        # One at a time is as fast on a CPU, and a batch's attention matrices are its largest memory.
        rows = []
        for sound in sounds:
            mel = self._mel(sound)
            if not whole:
                mel = mel[:, : _frames_to_read(sound)]
            row = self.model.encode(self._view.from_array(np.ascontiguousarray(mel[np.newaxis])))
            rows.append(self._fill_window(np.array(row)))
        return self._view.from_array(np.concatenate(rows))

    def leaves_out_silence(self, sound: np.ndarray) -> bool:
        """Return whether the encoder by default reads less than the whole window of a sound."""
        return self.device != "cuda" and len(sound) / SAMPLE_RATE_HZ + TRAILING_SILENCE_S < WINDOW_S

    def _fill_window(self, row: np.ndarray) -> np.ndarray:
        """Fill an encoded chunk up to a whole window with encoded silence; shape (1, 1500, d).

        The encoder's time grows faster than the length of its input, hence it reads a part. The
        decoder needs a whole window: with less it repeats the last words again and again.
        """
        if row.shape[1] == ENCODER_FRAMES:
            return row
        return np.concatenate([row, self.silence[:, row.shape[1] :]], axis=1)

    def _mel(self, sound: np.ndarray) -> np.ndarray:
        """Log-mel spectrogram of one window, zero-padded as sound, as Whisper was trained on it."""
        padded = np.pad(sound[:WINDOW_SAMPLES], (0, max(0, WINDOW_SAMPLES - len(sound))))
        return self._features(padded, padding=0)[:, :MEL_FRAMES].astype(np.float32, copy=False)

    def detect_languages(self, encoded: Any) -> list[dict[str, float]]:
        """Return the probability of each language for each chunk, from a multilingual model."""
        return [
            {token.strip("<|>"): probability for token, probability in pairs}
            for pairs in self.model.detect_language(encoded)
        ]

    def detect_parts(self, row: np.ndarray, parts: list[tuple[float, float]]) -> list[dict[str, float]]:
        """Return the probability of each language in parts of one encoded chunk, from a multilingual model.

        The parts are cut from what is encoded already, every other frame, with a little encoded silence
        behind them. Of 79 parts of 3 s in five languages all were right with half a second of silence, 86%
        without, and 99% with silence up to a whole window, of which the model was less sure (base).

        Args:
            row: The chunk's encoder output, shape (1, 1500, d).
            parts: Start and end of each in seconds, at most `MOST_HEARD_S` of which are heard.
        """
        if not parts:
            return []
        most = round(MOST_HEARD_S * ENCODER_FRAMES_PER_S)
        heard = []
        for start_s, end_s in parts:
            first, last = round(start_s * ENCODER_FRAMES_PER_S), round(end_s * ENCODER_FRAMES_PER_S)
            spare = max(0, last - first - most) // 2
            heard.append(row[:, first + spare : max(last - spare, first + spare + 1) : 2][:, : most // 2])
        length = max(frames.shape[1] for frames in heard) + SILENT_FRAMES
        tails = (self.silence[:, -(length - frames.shape[1]) :] for frames in heard)
        padded = [np.concatenate(pair, axis=1) for pair in zip(heard, tails, strict=True)]
        return self.detect_languages(self._view.from_array(np.ascontiguousarray(np.concatenate(padded))))

    def decode(
        self, encoded: Any, decoding: Decoding, temperature: float = 0.0, *, longest_s: float = WINDOW_S
    ) -> list[Decoded]:
        """Return the text of each encoded chunk, by beam search, or sampled at a temperature above 0.

        The same window is sampled alike each time, on a CPU. The temperature is not below the one that
        `decoding` asks for. Above it, which is where a text was
        doubtful, there is no prompt: it may be what has led astray. `longest_s`, the seconds of
        the longest chunk, limits the length of a text.
        """
        tokenizer = self.tokenizer(decoding)
        said_before = [] if temperature > decoding.temperature else _prompt_tokens(decoding, tokenizer)
        temperature = max(temperature, decoding.temperature)
        prompt = [*said_before, *tokenizer.sot_sequence, tokenizer.no_timestamps]
        generate = partial(self._generate, prompt=prompt, max_length=_max_length(longest_s, len(prompt)))
        if not temperature:
            results = generate(self.model, encoded, beam_size=decoding.beam_size)
        else:
            sample = partial(
                generate, beam_size=1, num_hypotheses=5, sampling_topk=0, sampling_temperature=temperature
            )
            samplers = self._samplers(encoded, prompt, temperature)
            results = [result for model, view in samplers for result in sample(model, view)]
        return [self._decoded(result, tokenizer, temperature) for result in results]

    def _generate(self, model: Any, encoded: Any, *, prompt: list[int], **options: Any) -> list[Any]:
        return model.generate(
            encoded,
            [prompt] * encoded.shape[0],
            return_scores=True,
            return_no_speech_prob=True,
            **options,
        )

    def _samplers(self, encoded: Any, prompt: list[int], temperature: float) -> Iterator[tuple[Any, Any]]:
        """Yield the models to sample with, and the windows that each samples.

        On a CPU each window has its own seed; on a GPU there is no memory for another model, and a window's
        logits depend on its neighbours in the batch anyway.
        """
        if self.device == "cuda":
            yield self.model, encoded
            return
        rows, silence = self.on_host(encoded), self._view.from_array(self.silence)
        for row in range(len(rows)):
            one = np.ascontiguousarray(rows[row : row + 1])
            seed = seed_of(one, temperature)
            yield self._open_seeded(seed, silence, prompt), self._view.from_array(one)

    def _open_seeded(self, seed: int, silence: Any, prompt: list[int]) -> Any:
        if not (self._folder / "model.bin").is_file():
            log.warning("%s has no weights any more: a text is sampled by chance", self._folder)
            return self.model
        return open_seeded(self._folder, self.model.compute_type, self._threads, seed, silence, prompt)

    def _decoded(self, result: Any, tokenizer: Any, temperature: float) -> Decoded:
        tokens = tuple(token for token in result.sequences_ids[0] if token < tokenizer.eot)
        # CTranslate2's score is the mean over the tokens; Whisper's counts the end token too.
        length = len(result.sequences_ids[0])
        return Decoded(
            text=tokenizer.decode(tokens),
            tokens=tokens,
            avg_logprob=result.scores[0] * length / (length + 1),
            no_speech_prob=result.no_speech_prob,
            temperature=temperature,
        )

    def no_speech_probabilities(self, encoded: Any, decoding: Decoding) -> list[float]:
        """Return the probability of the model's own no-speech token for each chunk; decodes one token."""
        tokenizer = self.tokenizer(replace(decoding, task=Task.TRANSCRIBE))
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        results = self.model.generate(
            encoded,
            [prompt] * encoded.shape[0],
            beam_size=1,
            max_length=len(prompt) + 1,
            return_no_speech_prob=True,
        )
        return [result.no_speech_prob for result in results]

    def align(
        self,
        encoded: Any,
        decoding: Decoding,
        tokens: list[list[int]],
        frames: list[int],
    ) -> list[Any]:
        """Return CTranslate2's alignments of given tokens, for each chunk.

        Args:
            encoded: View of shape (n, 1500, d).
            decoding: How the text was decoded.
            tokens: For each chunk the text tokens, at most about 440.
            frames: For each chunk how many mel frames (10 ms) are sound.
        """
        start = self.tokenizer(decoding).sot_sequence
        if self.device == "cuda":
            return self.model.align(encoded, start, tokens, frames, median_filter_width=3)
        # One at a time again: CTranslate2 computes the whole vocabulary for every token aligned.
        rows = np.array(encoded, copy=False)
        return [
            self.model.align(self._view.from_array(rows[row : row + 1]), start, [tokens[row]], [frames[row]],
                             median_filter_width=3)[0]
            for row in range(len(tokens))
        ]  # fmt: skip

    def stack(self, rows: list[np.ndarray]) -> Any:
        """Return encoder outputs of single chunks, each (1, 1500, d), as one view of shape (n, 1500, d)."""
        return self._view.from_array(np.concatenate(rows))

    def pick(self, encoded: Any, row: int) -> Any:
        """Return one chunk's encoder output, as a view of shape (1, 1500, d)."""
        return self._view.from_array(np.ascontiguousarray(self.on_host(encoded)[row : row + 1]))

    def splice(self, encoded: Any, row: int, first: int, last: int) -> Any:
        """Return one chunk's encoder frames first..last, then frames of encoded silence up to 1500.

        Cutting the encoder's output rather than the sound keeps the context that the encoder saw;
        the silent tail keeps the decoder from taking the end of the slice for the end of the sound.
        """
        frames = self.on_host(encoded)[row : row + 1, first:last]
        tail = self.silence[:, frames.shape[1] :]
        return self._view.from_array(np.ascontiguousarray(np.concatenate([frames, tail], axis=1)))

    @cached_property
    def silence(self) -> np.ndarray:
        """The encoder's output for a window without sound, shape (1, 1500, d)."""
        return self.on_host(self.encode([np.zeros(0, np.float32)], whole=True))

    def on_host(self, view: Any) -> np.ndarray:
        """Return a CTranslate2 view as an array in host memory; numpy knows no bfloat16."""
        if self.device == "cpu":
            return np.array(view)
        import ctranslate2

        on_host = view.to_device(ctranslate2.Device.cpu)
        is_known = on_host.dtype != ctranslate2.DataType.bfloat16
        return np.array(on_host if is_known else on_host.to(ctranslate2.DataType.float32))


def load_whisper(folder: Path, config: DeviceConfig) -> Whisper:
    """Load a CTranslate2 model folder (model.bin, config.json, tokenizer.json, vocabulary).

    Raises:
        RuntimeError: CTranslate2's own; `errors.classify` classifies it.
    """
    import ctranslate2

    if config.device == "cpu":
        reserve_huge_pages()
    model = ctranslate2.models.Whisper(
        str(folder),
        device=config.device,
        compute_type=config.compute_type,
        inter_threads=config.workers,
        intra_threads=config.threads_per_worker,
    )
    return Whisper(model, folder, config.threads_per_worker)


def _prompt_tokens(decoding: Decoding, tokenizer: Any) -> list[int]:
    """Return the tokens of the vocabulary and the wanted prompt, as those of a text that was said before."""
    terms, _ = fit_vocabulary(decoding, tokenizer)
    said = _plain_tokens(", ".join(terms) + "." if terms else "", tokenizer)
    room = MAX_PROMPT_TOKENS - len(said)
    said += _plain_tokens(decoding.prompt, tokenizer)[-room:] if room else []
    return [tokenizer.sot_prev, *said] if said else []


def fit_vocabulary(decoding: Decoding, tokenizer: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the terms of the vocabulary that the prompt has room for, the first ones, and the others."""
    terms, tokens = decoding.vocabulary, 1
    for count, term in enumerate(terms):
        tokens += len(_plain_tokens(f"{term},", tokenizer))
        if tokens > MAX_PROMPT_TOKENS:
            return terms[:count], terms[count:]
    return terms, ()


def _plain_tokens(text: str, tokenizer: Any) -> list[int]:
    """Return a text's tokens without those that steer the decoder, whose names may stand in it."""
    return [token for token in tokenizer.encode(f" {text}") if token < tokenizer.eot] if text else []


def _max_length(length_s: float, prompt: int) -> int:
    """Return CTranslate2's limit for the text of a sound behind a prompt: half of it is for the text."""
    text = round(LEAST_TOKENS + TOKENS_PER_S * length_s)
    return min(MAX_TOKENS, max(2 * text, prompt + text))


def _frames_to_read(sound: np.ndarray) -> int:
    """Mel frames (10 ms) of a sound with the silence after it that the encoder reads."""
    length_s = len(sound) / SAMPLE_RATE_HZ + TRAILING_SILENCE_S
    return 2 * math.ceil(length_s * ENCODER_FRAMES_PER_S)
