"""One group of chunks through the model: encoded once, decoded, doubted, aligned."""

import unicodedata
import zlib
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.speech.align.text import Encoded, TextAligner
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.vad import HOP_S, speech_probabilities
from yivideo_pipeline.speech.whisper import Decoded, Whisper
from yivideo_pipeline.speech.words import split_words, spoken_characters

# PART speech/doubts.py: Telling speech from what a recognizer invents, and a finished text from a broken one.
#
# Thresholds are Whisper's own ("Robust Speech Recognition via Large-Scale Weak Supervision",
# arXiv:2212.04356, section 4.5), but for those named here.

MAX_COMPRESSION = 2.4
MIN_AVG_LOGPROB = -1.0
NO_SPEECH_PROB = 0.6
# Whisper drops a silent chunk below -1.0; humming and music over which the detector heard a voice
# came out between -0.8 and -1.0 here, real speech that the model held for silence not at all.
MAX_SILENT_LOGPROB = -0.7
# Noise, hum and chords came out below -0.7 and above 0.7 here, speech in noise of 5 dB above -0.62 and
# below 0.35, clear speech above -0.3 (tiny.en and base, encoders that read little silence).
SURE_LOGPROB = -0.5
SURE_SPEECH_PROB = 0.5
# Of the words that sampling made of a loop 3 to 65% were those of the loop here (10 sounds of noise, echo and
# slow speech, tiny.en), of those of sentences that are really said again 95 to 100% (15 sounds).
SAME_WORDS = 0.8
# Those sentences were written surer than -0.15 and compressed 4 times at most, loops less sure than -0.25
# but for one that compressed 20 times.
CERTAIN_LOGPROB = -0.2
MAX_SAID_AGAIN = 5.0
# Above it a text that stays doubtful is held for an invention.
DOUBTFUL_SPEECH_PROB = 0.3
FALLBACK_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)


def is_repetitive(text: str) -> bool:
    """Whether a text repeats itself as a decoder does that is caught in a loop."""
    return compression_of(text) > MAX_COMPRESSION


def compression_of(text: str) -> float:
    """How many times smaller a text gets when it is compressed."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def is_sure(decoded: Decoded) -> bool:
    """Whether a text needs no second look: by far not what a recognizer makes of sounds without speech."""
    certain = decoded.avg_logprob > SURE_LOGPROB and decoded.no_speech_prob < SURE_SPEECH_PROB
    return certain and not is_repetitive(decoded.text)


def is_silence(decoded: Decoded) -> bool:
    """Whether the model itself holds the chunk for silence and is unsure of its text."""
    return decoded.no_speech_prob > NO_SPEECH_PROB and decoded.avg_logprob < MAX_SILENT_LOGPROB


def is_doubtful(decoded: Decoded) -> bool:
    """Whether a text should be decoded again at another temperature."""
    return decoded.avg_logprob < MIN_AVG_LOGPROB or is_repetitive(decoded.text)


def is_said_again(attempts: list[Decoded]) -> bool:
    """Whether the first text repeats itself because the speaker does: it is sure, and sampled alike.

    Then no other temperature tells more. Each takes as long as the search did.
    """
    first, *sampled = attempts
    return (
        bool(sampled)
        and MAX_COMPRESSION < compression_of(first.text) < MAX_SAID_AGAIN
        and first.avg_logprob > CERTAIN_LOGPROB
        and first.no_speech_prob <= DOUBTFUL_SPEECH_PROB
        and _is_same(first.text, sampled[0].text)
    )


def choose_best(attempts: list[Decoded], task: Task = Task.TRANSCRIBE) -> Decoded:
    """The surest of several attempts that does not repeat itself, if there is one.

    But the first, which was searched for and not sampled, where it repeats itself and the best one
    says nearly the same: then the speaker repeats himself, as in a chorus or a drill, and sampling only
    put in wrong words until the text was a little less alike. Of translations those in the letters of
    English: sampled hot, Whisper writes down what it hears, and is surer of that.
    """

    def rank(decoded: Decoded) -> tuple[bool, bool, float]:
        in_task = task is Task.TRANSCRIBE or _is_latin(decoded.text)
        return not is_repetitive(decoded.text), in_task, decoded.avg_logprob

    first, best = attempts[0], max(attempts, key=rank)
    said_twice = is_repetitive(first.text) and first.avg_logprob >= MIN_AVG_LOGPROB
    return first if said_twice and _is_same(first.text, best.text) else best


def _is_same(one: str, other: str) -> bool:
    words = [[spoken_characters(word) for word in split_words(text)] for text in (one, other)]
    return SequenceMatcher(None, *words, autojunk=False).ratio() > SAME_WORDS


def _is_latin(text: str) -> bool:
    return all(unicodedata.name(char, "").startswith("LATIN ") for char in text if char.isalpha())


MAP_STEP_S = 0.01  # resolution at which voice activity is given to the aligner


@dataclass(frozen=True, eq=False)
class Piece:
    """A chunk of a sound; `row` is its encoder output, shape (1, 1500, d), where it was made before."""

    audio: Audio
    chunk: Chunk
    row: np.ndarray | None = None


class Recognizer:
    """A model and what times its words; safe to be used by several threads at once."""

    def __init__(self, whisper: Whisper, aligner: TextAligner) -> None:
        self.whisper = whisper
        self.aligner = aligner

    def encode(self, pieces: list[Piece]) -> Encoded:
        """Read the pieces' sound, and encode it where that was not done before."""
        chunks = tuple(piece.chunk for piece in pieces)
        sounds = tuple(piece.chunk.read(piece.audio) for piece in pieces)
        activities = tuple(
            piece.chunk.sample(speech_probabilities(piece.audio), HOP_S, MAP_STEP_S) for piece in pieces
        )
        rows = [piece.row for piece in pieces]
        if all(row is None for row in rows):
            view = self.whisper.encode(list(sounds))
        else:
            view = self.whisper.stack(
                [
                    self.whisper.on_host(self.whisper.encode([sound])) if row is None else row
                    for row, sound in zip(rows, sounds, strict=True)
                ]
            )
        return Encoded(chunks, sounds, activities, view)

    def detect_languages(self, pieces: list[Piece]) -> list[tuple[dict[str, float], np.ndarray | None]]:
        """Probability of each language for each piece, and its encoder output where it had to be made."""
        if not self.whisper.model.is_multilingual:
            return [({"en": 1.0}, None)] * len(pieces)
        view = self.encode(pieces).view
        rows = self.whisper.on_host(view)
        found = self.whisper.detect_languages(view)
        return [(one, rows[index : index + 1]) for index, one in enumerate(found)]

    def recognize(
        self, encoded: Encoded, language: str, beam_size: int, task: Task = Task.TRANSCRIBE
    ) -> list[Passage | None]:
        """What was said in each chunk, with word times; None where nothing was said."""
        encoded, firsts = self._decode(encoded, language, beam_size, task)
        decoded = [self._settle(encoded, row, first, language, task) for row, first in enumerate(firsts)]
        texts = ["" if one is None else one.text for one in decoded]
        timed = self.aligner.align(encoded, texts, language, task)
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob) if one and words.words else None
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
        ]

    def _decode(
        self, encoded: Encoded, language: str, beam_size: int, task: Task
    ) -> tuple[Encoded, list[Decoded]]:
        """Decode each chunk; an unsure one again, from an encoder that has read all of its window.

        It is by the silence around it that Whisper tells noise from speech best.
        """
        decoded = self.whisper.decode(encoded.view, language, beam_size, task=task)
        unsure = [
            row
            for row, (sound, first) in enumerate(zip(encoded.sounds, decoded, strict=True))
            if not is_sure(first) and self.whisper.leaves_out_silence(sound)
        ]
        if not unsure:
            return encoded, decoded
        view = self.whisper.encode([encoded.sounds[row] for row in unsure], whole=True)
        for row, again in zip(unsure, self.whisper.decode(view, language, beam_size, task=task), strict=True):
            decoded[row] = again
        rows = self.whisper.on_host(encoded.view)
        rows[unsure] = self.whisper.on_host(view)
        return replace(encoded, view=self.whisper.stack(list(rows[:, np.newaxis]))), decoded

    def _settle(
        self, encoded: Encoded, row: int, first: Decoded, language: str, task: Task
    ) -> Decoded | None:
        """Decode a doubtful chunk again at rising temperatures; None where it holds no speech."""
        if is_silence(first):
            return None
        attempts = [first]
        for temperature in FALLBACK_TEMPERATURES:
            if not is_doubtful(attempts[-1]) or is_said_again(attempts):
                break
            view = self.whisper.pick(encoded.view, row)
            attempts += self.whisper.decode(view, language, 1, temperature, task)
        best = choose_best(attempts, task)
        # The last attempt is doubtful only where all are; the best may be what a chorus repeats.
        return None if is_doubtful(attempts[-1]) and best.no_speech_prob > DOUBTFUL_SPEECH_PROB else best
