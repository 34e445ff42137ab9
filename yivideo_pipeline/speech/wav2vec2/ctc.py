"""Known letters onto frames: CTC forced alignment, done by torchaudio in C++ or on the GPU."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from yivideo_pipeline.speech.wav2vec2.acoustic import FRAME_S, Letter

if TYPE_CHECKING:
    import torch


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
