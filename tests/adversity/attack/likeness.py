"""Whether two samples of times can be told apart, as an attacker would try to: pure.

The test of ranks is that of Mann and Whitney (1947) with the normal approximation and its
correction for ties, which is good from twenty values on. It asks nothing of the distribution: what
a guesser can use is whether the one kind tends to be slower.
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


def median_between(sample: Sequence[float], doubt: float) -> tuple[float, float]:
    """Return between which two values the median lies of all that a sample could have been.

    Each value lies below that median with a chance of one half, whatever the distribution is: so
    how many do is binomial (Thompson 1936), and the bounds are two values of the sample.

    Args:
        sample: enough for a bound, eleven values for a doubt of 0.001.
        doubt: how likely the median may lie elsewhere.
    """
    ordered, n = sorted(sample), len(sample)
    place, chance = 0, 0.5**n
    while chance <= doubt / 2:
        place += 1
        chance += math.comb(n, place) * 0.5**n
    assert place, f"{n} values say too little"
    return ordered[place - 1], ordered[n - place]


def _mean_ranks(ordered: Sequence[float]) -> dict[float, float]:
    """Return the rank of each value, and for equal ones the mean of theirs."""
    ranks: dict[float, list[int]] = {}
    for place, value in enumerate(ordered, 1):
        ranks.setdefault(value, []).append(place)
    return {value: sum(places) / len(places) for value, places in ranks.items()}
