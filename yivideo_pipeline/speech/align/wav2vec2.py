"""The wav2vec2 aligner: puts each word where an acoustic model recognizes its letters.

A transcript's sound is cut into slices that the model reads at once; forced alignment finds the letters
in each; words that could not be aligned are put between the others. Apart from the choice of aligner
since it runs torch.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.languages import CHINESE
from yivideo_pipeline.settings.options import ZhScript
from yivideo_pipeline.speech.align.spoken_form import spoken_form
from yivideo_pipeline.speech.align.text import spoken_characters
from yivideo_pipeline.speech.align.wav2vec2_model import FRAME_S, AcousticModel, Letter
from yivideo_pipeline.speech.assemble import spread_untimed
from yivideo_pipeline.speech.chinese import convert_segment
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.runtime import ModelRuntime, quiet_libraries
from yivideo_pipeline.speech.types import Transcript, Word

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

LONGEST_SLICE_S = 30.0
SMALLEST_SLICE_S = 7.5
# The largest model's first convolution takes about 0.6 GB for 30 s of sound in float32.
BATCH_S = {"cuda": 120.0, "cpu": 30.0}
MARGIN_S = 0.3
"""Sound before and after the words: the largest error of the times to be corrected."""
MIN_FILL = 0.8
"""Shortest slice of a batch, as a share of its longest.

Padding costs time and shifts the normalization of some models.
"""
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class AlignerConfig:
    """The device of the acoustic model, and the seconds of sound that it reads at once."""

    device: str
    batch_s: float

    @property
    def loaded_as(self) -> str:
        """What a loaded model is bound to."""
        return self.device

    @property
    def slice_s(self) -> float:
        """Seconds of the longest slice."""
        return min(self.batch_s, LONGEST_SLICE_S)

    def __str__(self) -> str:
        return f"{self.device}, {self.batch_s:g} s of sound at once"


def smaller_aligner_config(config: AlignerConfig) -> AlignerConfig | None:
    """Return half the sound at once, then the CPU; None when nothing smaller is left."""
    if config.batch_s > SMALLEST_SLICE_S:
        return replace(config, batch_s=config.batch_s / 2)
    return AlignerConfig("cpu", BATCH_S["cpu"]) if config.device != "cpu" else None


@dataclass(frozen=True)
class Slice:
    """Words `first` to `last` (exclusive) of a transcript; times are on the sound's own clock."""

    first: int
    last: int
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class AlignedWord:
    """When a word's letters sound, and the mean probability of a letter."""

    start_s: float
    end_s: float
    probability: float


class Wav2Vec2Aligner:
    """Aligns the words of one language; safe to be used by several threads at once.

    Args:
        load: Loads the acoustic model on a device; called again with `cpu` when a GPU's memory runs
            out.
        device: The device to begin with.
    """

    def __init__(self, load: Callable[[str], AcousticModel], device: str) -> None:
        self._runtime = ModelRuntime(
            AlignerConfig(device, BATCH_S[device]), lambda config: load(config.device), smaller_aligner_config
        )

    @property
    def steps(self) -> tuple[str, ...]:
        """One line for each fallback when memory ran out, in order."""
        return tuple(f"aligning: {step}" for step in self._runtime.steps)

    def align(
        self,
        audio: Audio,
        transcript: Transcript,
        language: str | None = None,
        progress: Progress | None = None,
    ) -> Transcript:
        """Return the transcript with each word where its letters sound.

        Words of other languages, words without letters that the model knows, and words of segments too
        short for their text keep their times, moved between the words around them where necessary.

        Args:
            audio: The sound.
            transcript: Its words in order of time.
            language: The model's; by default the transcript's.
            progress: Receives the share that is done.

        Raises:
            YivideoError: what loading or running the model raised, classified.
        """
        language = language or transcript.language
        texts = _spoken_texts(transcript, language)
        total_s = sum(one.duration_s for one in plan_slices(transcript, audio, LONGEST_SLICE_S, language))
        aligned: dict[int, AlignedWord] = {}
        done: list[Slice] = []

        def align_rest(model: AcousticModel, config: AlignerConfig) -> None:
            # Smaller slices lie wholly inside the larger ones, some of which may be done.
            finished = {index for one in done for index in range(one.first, one.last)}
            slices = plan_slices(transcript, audio, config.slice_s, language)
            rest = [one for one in slices if one.first not in finished]
            for group in group_slices(rest, config.batch_s):
                aligned.update(_align_group(model, audio, group, texts))
                done.extend(group)
                if progress:
                    progress(min(1.0, sum(one.duration_s for one in done) / total_s))

        with quiet_libraries():
            self._runtime.run(align_rest)
        log.info("wav2vec2 aligned %d of %d words", len(aligned), len(texts))
        return retime(transcript, aligned, audio.offset_s).model_copy(update={"aligner": "wav2vec2"})


def _align_group(
    model: AcousticModel, audio: Audio, group: Sequence[Slice], texts: Sequence[str]
) -> dict[int, AlignedWord]:
    """Return the aligned words of a group of slices, on the sound's own clock, by index of the word."""
    sounds = [audio.slice(one.start_s, one.end_s) for one in group]
    aligned: dict[int, AlignedWord] = {}
    for one, frames in zip(group, model.log_probabilities(sounds), strict=True):
        letters = model.alphabet.spell(texts[one.first : one.last])
        for index, word in align_letters(frames, letters, model.alphabet.blank).items():
            aligned[one.first + index] = replace(
                word, start_s=word.start_s + one.start_s, end_s=min(word.end_s + one.start_s, one.end_s)
            )
    return aligned


def _spoken_texts(transcript: Transcript, language: str) -> list[str]:
    """Return the words as the acoustic model of a language spells them; those of other languages as they are.

    Numbers and symbols are written out; the Chinese model knows simplified characters alone.
    """
    texts: list[str] = []
    for segment in transcript.segments:
        if transcript.language_of(segment) != language:
            texts += [word.text for word in segment.words]
            continue
        own = convert_segment(segment, ZhScript.SIMPLIFIED) if language in CHINESE else segment
        texts += [spoken_form(word.text, language) for word in own.words]
    return texts


# Slices: what the acoustic model reads at once.


def plan_slices(
    transcript: Transcript, audio: Audio, longest_s: float, language: str | None = None
) -> list[Slice]:
    """Return one slice a segment in a language, halved at its widest pauses until none exceeds `longest_s`.

    By default the language is the transcript's.
    """
    slices: list[Slice] = []
    first = 0
    for segment in transcript.segments:
        is_wanted = transcript.language_of(segment) == (language or transcript.language)
        for start, stop in _halve(segment.words, longest_s - 2 * MARGIN_S) if is_wanted else ():
            words = segment.words[start:stop]
            start_s = max(0.0, words[0].start_s - audio.offset_s - MARGIN_S)
            end_s = min(audio.duration_s, words[-1].end_s - audio.offset_s + MARGIN_S, start_s + longest_s)
            slices.append(Slice(first + start, first + stop, start_s, end_s))
        first += len(segment.words)
    return slices


def _halve(words: Sequence[Word], longest_s: float) -> list[tuple[int, int]]:
    """Return parts of at most `longest_s`, in order; a single word is never cut."""
    pending, done = [(0, len(words))], []
    while pending:
        first, last = pending.pop()
        if last - first < 2 or words[last - 1].end_s - words[first].start_s <= longest_s:
            done.append((first, last))
            continue
        middle = (first + last) / 2

        def pause_then_middle(cut: int, middle: float = middle) -> tuple[float, float]:
            return round(words[cut].start_s - words[cut - 1].end_s, 2), -abs(cut - middle)

        low, high = first + (last - first) // 4, last - (last - first) // 4
        cut = max(range(max(first + 1, low), max(first + 2, high)), key=pause_then_middle)
        pending += [(first, cut), (cut, last)]
    return sorted(part for part in done if part[0] < part[1])


def group_slices(slices: Sequence[Slice], batch_s: float) -> Iterator[list[Slice]]:
    """Yield groups of slices of similar length that take at most `batch_s` with padding, longest first."""
    group: list[Slice] = []
    for one in sorted(slices, key=lambda one: -one.duration_s):
        longest_s = group[0].duration_s if group else 0.0
        if group and ((len(group) + 1) * longest_s > batch_s or one.duration_s < MIN_FILL * longest_s):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


# CTC forced alignment: known letters onto frames, by torchaudio in C++ or on the GPU.


def align_letters(
    log_probabilities: "torch.Tensor", letters: Sequence[Letter], blank: int
) -> dict[int, AlignedWord]:
    """Find the likeliest time of every letter, all in order.

    Args:
        log_probabilities: Shape (frames, classes).
        letters: What was said.
        blank: CTC's blank.

    Returns:
        Each word's time from the start of the frames; words that are wildcards are left out, and
        all of them where there are fewer frames than letters.
    """
    import torch
    from torchaudio.functional import forced_align

    frames, wildcard = log_probabilities.shape
    classes = [wildcard if letter.id is None else letter.id for letter in letters]
    repeats = sum(first == second for first, second in pairwise(classes))
    if not classes or frames < len(classes) + repeats:
        return {}
    # The wildcard is as likely as the likeliest letter: it stands for any speech, but not for silence.
    spoken = log_probabilities.clone()
    spoken[:, blank] = -torch.inf
    extended = torch.cat([log_probabilities, spoken.amax(dim=1, keepdim=True)], dim=1)
    targets = torch.tensor([classes], dtype=torch.int32, device=extended.device)
    path, scores = forced_align(extended[None].contiguous(), targets, blank=blank)
    runs = _letter_runs(path[0].cpu().numpy(), blank)
    return _time_words(letters, runs, scores[0].exp().cpu().numpy())


def _letter_runs(path: np.ndarray, blank: int) -> list[tuple[int, int]]:
    """Return the first frame of each letter and the frame after its last, from the class of each frame."""
    edges = np.flatnonzero(np.diff(path, prepend=blank, append=blank))
    return [(first, last) for first, last in pairwise(edges.tolist()) if path[first] != blank]


def _time_words(
    letters: Sequence[Letter], runs: list[tuple[int, int]], probabilities: np.ndarray
) -> dict[int, AlignedWord]:
    by_word: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for letter, run in zip(letters, runs, strict=True):
        if letter.word is not None and letter.id is not None:
            by_word[letter.word].append(run)
    return {
        word: AlignedWord(
            start_s=found[0][0] * FRAME_S,
            end_s=found[-1][1] * FRAME_S,
            probability=float(np.mean([probabilities[first:last].mean() for first, last in found])),
        )
        for word, found in by_word.items()
    }


# Retiming: aligned words among those that could not be aligned, all in order and inside the sound.


def retime(transcript: Transcript, aligned_words: Mapping[int, AlignedWord], offset_s: float) -> Transcript:
    """Return the transcript with the aligned words at their times; the others keep theirs where they fit.

    Args:
        transcript: Its words in order of time.
        aligned_words: Times on the sound's own clock, by index of the word.
        offset_s: When the sound starts on the video's clock.
    """
    words = transcript.words
    times = np.array([(word.start_s, word.end_s) for word in words]) - offset_s
    aligned = np.zeros(len(words), bool)
    for index, found in aligned_words.items():
        times[index], aligned[index] = (found.start_s, found.end_s), True
    times[aligned] = _in_order(times[aligned])
    times = _between_aligned(times, aligned, transcript.duration_s)
    times[:, 1] += _ROUNDING_S  # a word that is exactly as long as the shortest one is not interpolated
    letters = np.array([len(spoken_characters(word.text)) for word in words])
    times, interpolated = spread_untimed(times, np.ones(len(words), bool), letters)
    times = np.clip(times, 0, transcript.duration_s) + offset_s
    retimed = [
        _retimed(word, times[index], aligned_words.get(index), bool(interpolated[index]))
        for index, word in enumerate(words)
    ]
    return _with_words(transcript, retimed)


def _in_order(times: np.ndarray) -> np.ndarray:
    """Resolve the overlaps that the slices' margins leave: a word ends where the next begins."""
    ordered = times.copy()
    for index in range(1, len(ordered)):
        before, word = ordered[index - 1], ordered[index]
        if word[0] > before[0]:
            before[1] = min(before[1], word[0])
        else:
            word[:] = before[1], max(before[1], word[1])
    return ordered


def _between_aligned(times: np.ndarray, aligned: np.ndarray, duration_s: float) -> np.ndarray:
    """Move words that were not aligned into the time between the aligned ones."""
    ends = np.where(aligned, times[:, 1], 0.0)
    starts = np.where(aligned, times[:, 0], duration_s)
    low = np.maximum.accumulate(ends)
    high = np.minimum.accumulate(starts[::-1])[::-1]
    kept = ~aligned
    fitted = times.copy()
    fitted[kept] = np.clip(times[kept], low[kept, None], np.maximum(low, high)[kept, None])
    return fitted


def _retimed(word: Word, times: np.ndarray, found: AlignedWord | None, interpolated: bool) -> Word:
    start_s, end_s = (round(float(time), 3) for time in times)
    update: dict[str, object] = {"start_s": start_s, "end_s": end_s}
    if interpolated:
        update["source"] = "interpolated"
    elif found is not None:
        update |= {"source": "aligned", "confidence": round(min(found.probability, 1.0), 4)}
    return word.model_copy(update=update)


def _with_words(transcript: Transcript, words: Sequence[Word]) -> Transcript:
    segments, first = [], 0
    for segment in transcript.segments:
        own = tuple(words[first : first + len(segment.words)])
        first += len(own)
        segments.append(
            segment.model_copy(update={"words": own, "start_s": own[0].start_s, "end_s": own[-1].end_s})
            if own
            else segment
        )
    return transcript.model_copy(update={"segments": tuple(segments)})
