"""The wav2vec2 aligner: each word where an acoustic model hears its letters."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import ZhScript
from yivideo_pipeline.speech.align.wav2vec2_model import FRAME_S, AcousticModel, Letter
from yivideo_pipeline.speech.assemble import CHINESE, convert_segment, spread_untimed
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.runtime import HeldModel, quiet_libraries
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.speech.words import spoken_characters

if TYPE_CHECKING:
    import torch

# PART speech/wav2vec2/ctc.py: Known letters onto frames: CTC forced alignment, done by torchaudio in C++ or on the GPU.


@dataclass(frozen=True)
class HeardWord:
    """When a word's letters were heard, and the mean probability of a letter."""

    start_s: float
    end_s: float
    probability: float


def align_letters(
    log_probabilities: "torch.Tensor", letters: Sequence[Letter], blank: int
) -> dict[int, HeardWord]:
    """Find the likeliest place of every letter, all in order.

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
    # The wildcard is as likely as the likeliest letter: speech of any kind, but not silence.
    spoken = log_probabilities.clone()
    spoken[:, blank] = -torch.inf
    extended = torch.cat([log_probabilities, spoken.amax(dim=1, keepdim=True)], dim=1)
    targets = torch.tensor([classes], dtype=torch.int32, device=extended.device)
    path, scores = forced_align(extended[None].contiguous(), targets, blank=blank)
    runs = _letter_runs(path[0].cpu().numpy(), blank)
    return _time_words(letters, runs, scores[0].exp().cpu().numpy())


def _letter_runs(path: np.ndarray, blank: int) -> list[tuple[int, int]]:
    """First frame and frame behind the last one of each letter, from the class of each frame."""
    edges = np.flatnonzero(np.diff(path, prepend=blank, append=blank))
    return [(first, last) for first, last in pairwise(edges.tolist()) if path[first] != blank]


def _time_words(
    letters: Sequence[Letter], runs: list[tuple[int, int]], probabilities: np.ndarray
) -> dict[int, HeardWord]:
    by_word: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for letter, run in zip(letters, runs, strict=True):
        if letter.word is not None and letter.id is not None:
            by_word[letter.word].append(run)
    return {
        word: HeardWord(
            start_s=found[0][0] * FRAME_S,
            end_s=found[-1][1] * FRAME_S,
            probability=float(np.mean([probabilities[first:last].mean() for first, last in found])),
        )
        for word, found in by_word.items()
    }


# PART speech/wav2vec2/retiming.py: Putting aligned words among those that could not be aligned, all in order and inside the sound.

_ROUNDING_S = 1e-6


def retime(transcript: Transcript, heard: Mapping[int, HeardWord], offset_s: float) -> Transcript:
    """The transcript with words at the times they were heard; the others keep theirs, as far as they fit.

    Args:
        transcript: Its words in order of time.
        heard: Times on the sound's own clock, by index of the word.
        offset_s: When the sound starts on the video's clock.
    """
    words = transcript.words
    times = np.array([(word.start_s, word.end_s) for word in words]) - offset_s
    aligned = np.zeros(len(words), bool)
    for index, found in heard.items():
        times[index], aligned[index] = (found.start_s, found.end_s), True
    times[aligned] = _in_order(times[aligned])
    times = _between_aligned(times, aligned, transcript.duration_s)
    times[:, 1] += _ROUNDING_S  # a word that is exactly as long as the shortest one is no guess
    letters = np.array([len(spoken_characters(word.text)) for word in words])
    times, guessed = spread_untimed(times, np.ones(len(words), bool), letters)
    times = np.clip(times, 0, transcript.duration_s) + offset_s
    retimed = [
        _retimed(word, times[index], heard.get(index), bool(guessed[index]))
        for index, word in enumerate(words)
    ]
    return _with_words(transcript, retimed)


def _in_order(times: np.ndarray) -> np.ndarray:
    """Resolve overlaps, which slices with their margins leave: a word ends where the next begins."""
    ordered = times.copy()
    for index in range(1, len(ordered)):
        before, word = ordered[index - 1], ordered[index]
        if word[0] > before[0]:
            before[1] = min(before[1], word[0])
        else:
            word[:] = before[1], max(before[1], word[1])
    return ordered


def _between_aligned(times: np.ndarray, aligned: np.ndarray, duration_s: float) -> np.ndarray:
    """Move words that were not aligned into the room that the aligned ones around them leave."""
    ends = np.where(aligned, times[:, 1], 0.0)
    starts = np.where(aligned, times[:, 0], duration_s)
    low = np.maximum.accumulate(ends)
    high = np.minimum.accumulate(starts[::-1])[::-1]
    kept = ~aligned
    fitted = times.copy()
    fitted[kept] = np.clip(times[kept], low[kept, None], np.maximum(low, high)[kept, None])
    return fitted


def _retimed(word: Word, times: np.ndarray, found: HeardWord | None, guessed: bool) -> Word:
    start_s, end_s = (round(float(time), 3) for time in times)
    update: dict[str, object] = {"start_s": start_s, "end_s": end_s}
    if guessed:
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


# PART speech/wav2vec2/slices.py: Cutting a transcript's sound into slices that an acoustic model reads at once.

MARGIN_S = 0.3
"""Sound before and after the words: how far the times that are to be corrected may be off."""
MIN_FILL = 0.8
"""Shortest share of a batch's longest slice: padding costs time, and moves some models' normalization."""


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


def plan_slices(transcript: Transcript, audio: Audio, longest_s: float) -> list[Slice]:
    """One slice a segment, halved at its widest pauses until no slice is over `longest_s`."""
    slices: list[Slice] = []
    first = 0
    for segment in transcript.segments:
        for start, stop in _halve(segment.words, longest_s - 2 * MARGIN_S):
            words = segment.words[start:stop]
            start_s = max(0.0, words[0].start_s - audio.offset_s - MARGIN_S)
            end_s = min(audio.duration_s, words[-1].end_s - audio.offset_s + MARGIN_S, start_s + longest_s)
            slices.append(Slice(first + start, first + stop, start_s, end_s))
        first += len(segment.words)
    return slices


def _halve(words: Sequence[Word], longest_s: float) -> list[tuple[int, int]]:
    """Parts of at most `longest_s`, in order; a single word is left as it is."""
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
    """Groups of slices of similar length that take at most `batch_s` with their padding, longest first."""
    group: list[Slice] = []
    for one in sorted(slices, key=lambda one: -one.duration_s):
        longest_s = group[0].duration_s if group else 0.0
        if group and ((len(group) + 1) * longest_s > batch_s or one.duration_s < MIN_FILL * longest_s):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


log = logging.getLogger(__name__)

LONGEST_SLICE_S = 30.0
SMALLEST_SLICE_S = 7.5
# The largest model's first convolution takes about 0.6 GB for 30 s of sound in float32.
BATCH_S = {"cuda": 120.0, "cpu": 30.0}


@dataclass(frozen=True)
class Load:
    """Where the acoustic model runs, and how many seconds of sound it is given at once."""

    device: str
    batch_s: float

    @property
    def loaded_as(self) -> str:
        """What the loaded model is bound to."""
        return self.device

    @property
    def slice_s(self) -> float:
        """The longest slice."""
        return min(self.batch_s, LONGEST_SLICE_S)

    def __str__(self) -> str:
        return f"{self.device}, {self.batch_s:g} s of sound at once"


def next_smaller_load(load: Load) -> Load | None:
    """Half the sound at once, then the CPU; None where nothing smaller is left."""
    if load.batch_s > SMALLEST_SLICE_S:
        return replace(load, batch_s=load.batch_s / 2)
    return Load("cpu", BATCH_S["cpu"]) if load.device != "cpu" else None


class Wav2Vec2Aligner:
    """Aligns the words of one language; safe to be used by several threads at once.

    Args:
        load: Makes the acoustic model on a device; called again with `cpu` when a GPU's memory runs
            out.
        device: Where to run at first.
    """

    def __init__(self, load: Callable[[str], AcousticModel], device: str) -> None:
        self._held = HeldModel(
            Load(device, BATCH_S[device]), lambda place: load(place.device), next_smaller_load
        )

    @property
    def steps(self) -> tuple[str, ...]:
        """Lines that say how it was made smaller when memory ran out, in order."""
        return tuple(f"aligning: {step}" for step in self._held.steps)

    def align(self, audio: Audio, transcript: Transcript, progress: Progress | None = None) -> Transcript:
        """Return the transcript with each word where its letters are heard.

        Words that have no letters the model knows, and those of segments too short for their text,
        keep the time they have, moved between the words around them where need be.

        Raises:
            YivideoError: what loading or running the model raised, classified.
        """
        texts = _listened_for(transcript)
        total_s = sum(one.duration_s for one in plan_slices(transcript, audio, LONGEST_SLICE_S))
        heard: dict[int, HeardWord] = {}
        done: list[Slice] = []

        def listen(model: AcousticModel, load: Load) -> None:
            # Smaller slices lie wholly inside the larger ones, of which some may be done.
            finished = {index for one in done for index in range(one.first, one.last)}
            slices = plan_slices(transcript, audio, load.slice_s)
            rest = [one for one in slices if one.first not in finished]
            for group in group_slices(rest, load.batch_s):
                heard.update(_hear(model, audio, group, texts))
                done.extend(group)
                if progress:
                    progress(min(1.0, sum(one.duration_s for one in done) / total_s))

        with quiet_libraries():
            self._held.run(listen)
        log.info("wav2vec2 aligned %d of %d words", len(heard), len(texts))
        return retime(transcript, heard, audio.offset_s).model_copy(update={"aligner": "wav2vec2"})


def _hear(
    model: AcousticModel, audio: Audio, group: Sequence[Slice], texts: Sequence[str]
) -> dict[int, HeardWord]:
    """Times of the words in a group of slices, on the sound's own clock, by index of the word."""
    sounds = [audio.slice(one.start_s, one.end_s) for one in group]
    heard: dict[int, HeardWord] = {}
    for one, frames in zip(group, model.log_probabilities(sounds), strict=True):
        letters = model.alphabet.spell(texts[one.first : one.last])
        for index, word in align_letters(frames, letters, model.alphabet.blank).items():
            heard[one.first + index] = replace(
                word, start_s=word.start_s + one.start_s, end_s=min(word.end_s + one.start_s, one.end_s)
            )
    return heard


def _listened_for(transcript: Transcript) -> list[str]:
    """The words as the acoustic model spells them: the Chinese one knows simplified characters."""
    segments = transcript.segments
    if transcript.language in CHINESE:
        segments = tuple(convert_segment(segment, ZhScript.SIMPLIFIED) for segment in segments)
    return [word.text for segment in segments for word in segment.words]
