"""Whether two samples of times can be told apart, as an attacker would try to: pure.

The test is that of Mann and Whitney (1947) with the normal approximation and its correction for
ties, which is good from twenty values on. It asks nothing of the distribution: what a guesser can
use is whether the one kind tends to be slower.
"""

import math
from collections import Counter
from collections.abc import Sequence


def chance_of_difference(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how likely samples of one kind differ as much as these two (two-sided p).

    Args:
        one: at least twenty values.
        other: as many or more or fewer, at least twenty.
    """
    n, m = len(one), len(other)
    together = sorted([*one, *other])
    rank = _mean_ranks(together)
    u = sum(rank[value] for value in one) - n * (n + 1) / 2
    ties = sum(count**3 - count for count in Counter(together).values())
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if not variance:
        return 1.0
    z = (abs(u - n * m / 2) - 0.5) / math.sqrt(variance)
    return min(1.0, math.erfc(z / math.sqrt(2)))


def _mean_ranks(ordered: Sequence[float]) -> dict[float, float]:
    """Return the rank of each value, and for equal ones the mean of theirs."""
    ranks: dict[float, list[int]] = {}
    for place, value in enumerate(ordered, 1):
        ranks.setdefault(value, []).append(place)
    return {value: sum(places) / len(places) for value, places in ranks.items()}
