"""Word errors of recordings that were joined of clips; those of single ones are `comparison.accuracy`'s."""

from collections import Counter
from collections.abc import Sequence

import jiwer

from yivideo_pipeline.comparison.accuracy import normalize


def count_errors_by_clip(texts: Sequence[str], hypothesis: str) -> list[tuple[int, int]]:
    """Return jiwer's errors and the reference words of each clip in a recording that was joined of clips.

    A clip that occurs several times counts once, with all its errors: copies say nothing new.

    Args:
        texts: Of the clips, in the order of the recording.
        hypothesis: What was recognized in all of it.
    """
    parts = [normalize(text).split() for text in texts]
    owners = [text for text, words in zip(texts, parts, strict=True) for _ in words]
    errors = dict.fromkeys(texts, 0)
    found = jiwer.process_words(" ".join(word for words in parts for word in words), normalize(hypothesis))
    for step in found.alignments[0]:
        if step.type == "insert":
            errors[owners[min(step.ref_start_idx, len(owners) - 1)]] += step.hyp_end_idx - step.hyp_start_idx
        elif step.type != "equal":
            for owner in owners[step.ref_start_idx : step.ref_end_idx]:
                errors[owner] += 1
    words = Counter(owners)
    return [(errors[text], words[text]) for text in errors]
