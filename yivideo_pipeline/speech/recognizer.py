"""Recognizes one group of chunks: encodes, decodes, decodes doubtful ones again, and times the words."""

import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, partial

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.speech.align.text import Encoded, TextAligner, split_words, spoken_characters
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.language_runs import find_stretches
from yivideo_pipeline.speech.levels import level_voices
from yivideo_pipeline.speech.vad import HOP_S, MIN_SPEECH_S, speech_probabilities
from yivideo_pipeline.speech.weaving import LEAST_LOGPROB
from yivideo_pipeline.speech.whisper import MOST_HEARD_S, Decoded, Decoding, Whisper

ACTIVITY_STEP_S = 0.01  # resolution at which the aligner receives voice activity

# Thresholds are Whisper's own ("Robust Speech Recognition via Large-Scale Weak Supervision",
# arXiv:2212.04356, section 4.5), but for those named here.

MAX_COMPRESSION = 2.4
MIN_AVG_LOGPROB = -1.0
NO_SPEECH_PROB = 0.6
# Whisper drops a silent chunk below -1.0. Humming and music in which the detector found a voice came
# out between -0.8 and -1.0 here; the model took no real speech for silence.
MAX_SILENT_LOGPROB = -0.7
# Noise, hum and chords came out below -0.7 and above 0.7 here, speech in noise of 5 dB above -0.62 and
# below 0.35, clear speech above -0.3 (tiny.en and base, encoders that read little silence).
SURE_LOGPROB = -0.5
SURE_SPEECH_PROB = 0.5
# Above it a beam search hardly finds a better text than a greedy one: 3 of 2,235 words (ADR 16).
CLEAR_LOGPROB = -0.12
# So short a chunk is seldom clear: of 15 cut from read English 12 were searched twice, for a third more CPU.
SELDOM_CLEAR_S = 12.0
# When a loop was sampled again, 3 to 65% of the words were those of the loop (10 sounds of noise, echo and
# slow speech, tiny.en); of sentences that were really repeated 95 to 100% (15 sounds).
SAME_WORDS = 0.8
# Those sentences were decoded above -0.15 and compressed 4 times at most; loops were decoded below -0.25
# except one that compressed 20 times.
CERTAIN_LOGPROB = -0.2
MAX_REPEATED_COMPRESSION = 5.0
# A name and what is heard for it without a vocabulary, such as Schoeffer and Shaffer, are more alike.
SAME_SOUND = 0.5
# Above it a doubtful text is taken for an invention.
DOUBTFUL_SPEECH_PROB = 0.3
# Whisper goes on to 0.8 and 1.0, whose texts were inventions here. What stays doubtful is read again span by
# span (`gap_repair`).
FALLBACK_TEMPERATURES = (0.2, 0.6)


@dataclass(frozen=True, eq=False)
class Piece:
    """A chunk of a sound; `row` is its encoder output, shape (1, 1500, d), if it was encoded before."""

    audio: Audio
    chunk: Chunk
    row: np.ndarray | None = None


class Recognizer:
    """A Whisper model and the aligner that times its words; safe for several threads."""

    def __init__(self, whisper: Whisper, aligner: TextAligner) -> None:
        self.whisper = whisper
        self.aligner = aligner

    def encode(self, pieces: list[Piece]) -> Encoded:
        """Read the pieces' sound, and encode it where it was not encoded before."""
        chunks = tuple(piece.chunk for piece in pieces)
        activities = tuple(
            piece.chunk.sample(speech_probabilities(piece.audio), HOP_S, ACTIVITY_STEP_S) for piece in pieces
        )
        sounds = tuple(
            level_voices(piece.chunk.read(piece.audio), activity, ACTIVITY_STEP_S)
            for piece, activity in zip(pieces, activities, strict=True)
        )
        fresh = [sound for piece, sound in zip(pieces, sounds, strict=True) if piece.row is None]
        if len(fresh) == len(pieces):
            view = self.whisper.encode(fresh)
        else:
            encoded = iter(self.whisper.on_host(self.whisper.encode(fresh)) if fresh else ())
            rows = [next(encoded)[np.newaxis] if piece.row is None else piece.row for piece in pieces]
            view = self.whisper.stack(rows)
        return Encoded(chunks, sounds, activities, view)

    def detect_languages(self, pieces: list[Piece]) -> list[tuple[dict[str, float], np.ndarray | None]]:
        """Return each piece's language probabilities, and its encoder output where it was computed."""
        if not self.whisper.model.is_multilingual:
            return [({"en": 1.0}, None)] * len(pieces)
        view = self.encode(pieces).view
        rows = self.whisper.on_host(view)
        found = self.whisper.detect_languages(view)
        return [(one, rows[index : index + 1]) for index, one in enumerate(found)]

    def recognize(
        self, pieces: list[Piece], decoding: Decoding, *, fallback: bool = True
    ) -> list[list[Passage]]:
        """Return what was said in each piece, with word times: a passage for each stretch in one language.

        Args:
            pieces: Of any sounds.
            decoding: How they are decoded.
            fallback: Whether doubtful ones are decoded again at other temperatures; else they are dropped,
                as is at once what gap repair would not take.
        """
        encoded = self.encode(pieces)
        if len(decoding.languages) < 2 or not self.whisper.model.is_multilingual:
            return _as_lists(self._recognize_encoded(encoded, decoding, fallback))
        stretches = self._split_by_language(pieces, encoded, decoding)
        if all(language == decoding.language for parts in stretches for language, _ in parts):
            return _as_lists(self._recognize_encoded(encoded, decoding, fallback))
        found: dict[Piece, Passage | None] = {}
        for language in sorted({language for parts in stretches for language, _ in parts}):
            some = [part for parts in stretches for code, part in parts if code == language]
            passages = self._recognize_encoded(self.encode(some), decoding.within(language), fallback)
            found.update(zip(some, passages, strict=True))
        return [[passage for _, part in parts if (passage := found[part]) is not None] for parts in stretches]

    def _split_by_language(
        self, pieces: list[Piece], encoded: Encoded, decoding: Decoding
    ) -> list[list[tuple[str, Piece]]]:
        """Return each piece as one in its language, as it is encoded, or as several parts of it."""
        rows = self.whisper.on_host(encoded.view)
        split: list[list[tuple[str, Piece]]] = []
        for index, (piece, activity) in enumerate(zip(pieces, encoded.activities, strict=True)):
            row = rows[index : index + 1]
            beyond = cache(partial(self._detect_beyond, piece))
            detect = partial(self.whisper.detect_parts, row)
            stretches = find_stretches(activity, decoding.language, decoding.languages, detect, beyond)
            if len(stretches) == 1:
                split.append([(stretches[0].language, replace(piece, row=row))])
                continue
            parts = [(one.language, piece.chunk.part(one.start_s, one.end_s)) for one in stretches]
            split.append([(language, Piece(piece.audio, part)) for language, part in parts])
        return split

    def _detect_beyond(self, piece: Piece, after: bool) -> dict[str, float]:
        """Return the language probabilities of the sound after a piece, or of that before it."""
        audio, chunk = piece.audio, piece.chunk
        start_s = chunk.end_s if after else max(0.0, chunk.start_s - MOST_HEARD_S)
        end_s = min(audio.duration_s, chunk.end_s + MOST_HEARD_S) if after else chunk.start_s
        if end_s - start_s < MIN_SPEECH_S:
            return {}
        row = self.whisper.on_host(self.whisper.encode([audio.slice(start_s, end_s)]))
        return self.whisper.detect_parts(row, [(0.0, end_s - start_s)])[0]

    def _recognize_encoded(
        self, encoded: Encoded, decoding: Decoding, fallback: bool
    ) -> list[Passage | None]:
        """Return what was said in each chunk, in the language of `decoding`; None where nothing was said."""
        least_logprob = float("-inf") if fallback else LEAST_LOGPROB
        encoded, firsts = self._decode(encoded, decoding, least_logprob)
        if decoding.vocabulary:
            firsts = [self._without_echo(encoded, row, one, decoding) for row, one in enumerate(firsts)]
        decoded = [
            self._decode_again(encoded, row, first, decoding)
            if fallback or not (is_doubtful(first) or first.avg_logprob < least_logprob)
            else None
            for row, first in enumerate(firsts)
        ]
        texts = ["" if one is None else one.text for one in decoded]
        timed = self.aligner.align(encoded, texts, decoding)
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob, decoding.language)
            if one and words.words
            else None
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
        ]

    def _decode(
        self, encoded: Encoded, decoding: Decoding, least_logprob: float
    ) -> tuple[Encoded, list[Decoded]]:
        """Decode each chunk: greedily first, with the wanted beam where that text is not clear.

        An unsure one is encoded with its whole window, since Whisper distinguishes noise from speech best by
        the silence around it, and decoded from that; but not one below `least_logprob`.
        """
        longest_s = max(chunk.duration_s for chunk in encoded.chunks)
        is_greedy = self._is_greedy_worthwhile(decoding) and longest_s > SELDOM_CLEAR_S
        first = replace(decoding, beam_size=1) if is_greedy else decoding
        decoded = self.whisper.decode(encoded.view, first, longest_s=longest_s)
        unsure = [
            row
            for row, (sound, one) in enumerate(zip(encoded.sounds, decoded, strict=True))
            if not is_sure(one)
            and one.avg_logprob >= least_logprob
            and self.whisper.leaves_out_silence(sound)
        ]
        for row, one in enumerate(decoded):
            if is_greedy and row not in unsure and not is_clear(one):
                view = self.whisper.pick(encoded.view, row)
                [decoded[row]] = self.whisper.decode(view, decoding, longest_s=longest_s)
        if not unsure:
            return encoded, decoded
        view = self.whisper.encode([encoded.sounds[row] for row in unsure], whole=True)
        for row, again in zip(unsure, self.whisper.decode(view, decoding, longest_s=longest_s), strict=True):
            decoded[row] = again
        rows = self.whisper.on_host(encoded.view)
        rows[unsure] = self.whisper.on_host(view)
        return replace(encoded, view=self.whisper.stack(list(rows[:, np.newaxis]))), decoded

    def _without_echo(self, encoded: Encoded, row: int, first: Decoded, decoding: Decoding) -> Decoded:
        """Return a chunk's text, or the one without the vocabulary where that is no speech or another text.

        What is told to the decoder may come back from it as the text of music or noise.
        """
        is_dropped = is_silence(first) or is_invention(first)
        if is_dropped or (is_sure(first) and not is_echo(first.text, decoding.vocabulary)):
            return first
        bare = replace(decoding, vocabulary=())
        view = self.whisper.pick(encoded.view, row)
        [plain] = self.whisper.decode(view, bare, longest_s=encoded.chunks[row].duration_s)
        is_speech = not (is_silence(plain) or is_invention(plain))
        return first if is_speech and is_same_sound(first.text, plain.text, decoding.vocabulary) else plain

    def _is_greedy_worthwhile(self, decoding: Decoding) -> bool:
        """Return whether a greedy search comes first: on a CPU it takes half of a beam search's time.

        On a GPU a beam costs little, and one unclear chunk would let its whole group wait twice. How sure a
        translation must be to need no beam is not known; a model that knows English alone transcribes.
        """
        wants_beam = decoding.beam_size > 1 and not decoding.temperature
        is_transcript = decoding.task is Task.TRANSCRIBE or not self.whisper.model.is_multilingual
        return wants_beam and is_transcript and self.whisper.device != "cuda"

    def _decode_again(self, encoded: Encoded, row: int, first: Decoded, decoding: Decoding) -> Decoded | None:
        """Decode a doubtful chunk again at rising temperatures; None where it has no speech."""
        if is_silence(first) or is_invention(first):
            return None
        attempts = [first]
        for temperature in FALLBACK_TEMPERATURES:
            if not is_doubtful(attempts[-1]) or is_spoken_repetition(attempts):
                break
            view = self.whisper.pick(encoded.view, row)
            attempts += self.whisper.decode(
                view, decoding, temperature, longest_s=encoded.chunks[row].duration_s
            )
        return choose_best(attempts, decoding.task)


def _as_lists(passages: list[Passage | None]) -> list[list[Passage]]:
    return [[passage] if passage else [] for passage in passages]


# Fallback criteria: what is speech, what the decoder invented, and which of several attempts is best.


def is_repetitive(text: str) -> bool:
    """Return whether a text repeats itself like the output of a decoder in a loop."""
    return compression_of(text) > MAX_COMPRESSION


def compression_of(text: str) -> float:
    """Return a text's compression ratio: its size over its compressed size."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def is_clear(decoded: Decoded) -> bool:
    """Return whether a greedy search's text is so sure that a wider search would find hardly any other."""
    return is_sure(decoded) and decoded.avg_logprob > CLEAR_LOGPROB


def is_sure(decoded: Decoded) -> bool:
    """Return whether a text is far from what a recognizer makes of sounds without speech."""
    certain = decoded.avg_logprob > SURE_LOGPROB and decoded.no_speech_prob < SURE_SPEECH_PROB
    return certain and not is_repetitive(decoded.text)


def is_silence(decoded: Decoded) -> bool:
    """Return whether the model itself takes the chunk for silence and is unsure of its text."""
    return decoded.no_speech_prob > NO_SPEECH_PROB and decoded.avg_logprob < MAX_SILENT_LOGPROB


def is_invention(decoded: Decoded) -> bool:
    """Return whether the model does not trust its text, and hears less speech than there is in any noise."""
    return is_doubtful(decoded) and decoded.no_speech_prob > DOUBTFUL_SPEECH_PROB


def is_doubtful(decoded: Decoded) -> bool:
    """Return whether a text should be decoded again at another temperature."""
    return decoded.avg_logprob < MIN_AVG_LOGPROB or is_repetitive(decoded.text)


def is_spoken_repetition(attempts: list[Decoded]) -> bool:
    """Return whether the first text repeats itself because the speaker does: it is sure, and sampled alike.

    Then further temperatures add nothing, and each takes as long as the search did.
    """
    first, *sampled = attempts
    return (
        bool(sampled)
        and MAX_COMPRESSION < compression_of(first.text) < MAX_REPEATED_COMPRESSION
        and first.avg_logprob > CERTAIN_LOGPROB
        and first.no_speech_prob <= DOUBTFUL_SPEECH_PROB
        and _is_same(first.text, sampled[0].text)
    )


def choose_best(attempts: list[Decoded], task: Task = Task.TRANSCRIBE) -> Decoded:
    """Return the surest of several attempts; one that does not repeat itself, if there is one.

    Exception: where the first attempt, from the beam search, repeats itself and the best one has nearly
    the same words, the speaker repeats them, as in a chorus or a drill, and sampling only added wrong
    words until the text was less alike. The first attempt is returned then. Of translations those in
    Latin letters are preferred: at a high temperature Whisper transcribes instead of translating, and
    is surer of that.
    """

    def rank(decoded: Decoded) -> tuple[bool, bool, float]:
        in_task = task is Task.TRANSCRIBE or _is_latin(decoded.text)
        return not is_repetitive(decoded.text), in_task, decoded.avg_logprob

    first, best = attempts[0], max(attempts, key=rank)
    may_be_spoken = is_repetitive(first.text) and first.avg_logprob >= MIN_AVG_LOGPROB
    return first if may_be_spoken and _is_same(first.text, best.text) else best


def is_echo(text: str, vocabulary: Sequence[str]) -> bool:
    """Return whether a text is mostly terms of the vocabulary."""
    spoken = spoken_characters(text)
    rest = spoken
    for term in sorted(map(spoken_characters, vocabulary), key=len, reverse=True):
        rest = rest.replace(term, "")
    return len(rest) <= len(spoken) / 2


def is_same_sound(told: str, plain: str, vocabulary: Sequence[str]) -> bool:
    """Return whether two texts may be of one sound: alike as a whole, and where one has a term of its own."""
    one, other = ([spoken_characters(word) for word in split_words(text)] for text in (told, plain))
    terms = [spoken_characters(term) for term in vocabulary]
    parts = [("".join(one), "".join(other))]
    for kind, a, a_end, b, b_end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        letters = "".join(one[a:a_end])
        if kind != "equal" and any(term in letters for term in terms):
            parts.append((letters, "".join(other[b:b_end])))
    return all(SequenceMatcher(None, *pair, autojunk=False).ratio() >= SAME_SOUND for pair in parts)


def _is_same(one: str, other: str) -> bool:
    words = [[spoken_characters(word) for word in split_words(text)] for text in (one, other)]
    return SequenceMatcher(None, *words, autojunk=False).ratio() > SAME_WORDS


def _is_latin(text: str) -> bool:
    return all(unicodedata.name(char, "").startswith("LATIN ") for char in text if char.isalpha())
