"""Whether the work became slower: two samples of times against each other, by ranks.

Mann and Whitney's test (1947) asks nothing of the times' distribution, which has a long tail here. The p
value is two-sided, by the normal approximation with the corrections for ties and for continuity.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEAST = 8
"""Fewer values than this on a side, and the approximation says nothing."""


@dataclass(frozen=True)
class RankTest:
    """The outcome: `u` counts the pairs in which the later value is higher, a tie as half a pair.

    `share_higher` is `u` of all pairs: 0.5 where nothing changed.
    """

    u: float
    share_higher: float
    p_value: float


def compare(earlier: "np.ndarray", later: "np.ndarray") -> RankTest | None:
    """Test whether values of one time tend to be higher than those of another; None of too few."""
    import numpy as np

    n, m = len(later), len(earlier)
    if min(n, m) < LEAST:
        return None
    values, inverse, counts = np.unique(
        np.concatenate([later, earlier]), return_inverse=True, return_counts=True
    )
    del values
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = float(ranks[:n].sum() - n * (n + 1) / 2)
    total = n + m
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (total * (total - 1))
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties))
    distance = max(0.0, abs(u - n * m / 2) - 0.5)
    p_value = math.erfc(distance / deviation / math.sqrt(2)) if deviation else 1.0
    return RankTest(u, u / (n * m), p_value)
