"""Plain numbers that cost next to nothing to raise, and what Prometheus is shown of them.

Responsible for counters and histograms whose series are there from the start. It must not know
events. Not safe for threads by itself: the owner has a lock.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]

Key = TypeVar("Key", bound=Hashable)


class Counts(Generic[Key]):
    """Counters of one name: `counts.values[key] += 1`."""

    __slots__ = ("_labels", "_name", "_says", "_series", "values")

    def __init__(
        self, name: str, says: str, labels: Labels = (), series: Mapping[Key, Labels] | None = None
    ) -> None:
        """Begin at 0.

        Args:
            name: of the metric, without `_total`.
            says: what it counts.
            labels: their names.
            series: the labels' values of each key.
        """
        self._name = name
        self._says = says
        self._labels = labels
        self._series = dict(series or {})
        self.values: dict[Key, int] = dict.fromkeys(self._series, 0)

    def add_series(self, key: Key, values: Labels) -> None:
        """Let another series begin at 0."""
        self._series[key] = values
        self.values[key] = 0

    def metric(self) -> Metric:
        """Return what is shown of it."""
        family = CounterMetricFamily(self._name, self._says, labels=self._labels)
        for key, value in self.values.items():
            family.add_metric(self._series[key], value)
        return family


class Count:
    """A counter without labels."""

    __slots__ = ("_name", "_says", "value")

    def __init__(self, name: str, says: str) -> None:
        self._name = name
        self._says = says
        self.value = 0

    def metric(self) -> Metric:
        """Return what is shown of it."""
        return CounterMetricFamily(self._name, self._says, value=self.value)


class Durations:
    """How often something took how long."""

    __slots__ = ("_bounds_s", "counts", "total_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        """Begin with nothing.

        Args:
            bounds_s: the buckets' upper bounds, in order; one without a bound is added.
        """
        self._bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self._bounds_s, seconds)] += 1
        self.total_s += seconds

    def add_to(self, family: HistogramMetricFamily, labels: Labels = ()) -> None:
        """Show each bound with how many took no longer (Prometheus: `le`), and the sum."""
        bounds = [*map(floatToGoString, self._bounds_s), "+Inf"]
        buckets = [*zip(bounds, map(float, accumulate(self.counts)), strict=True)]
        family.add_metric(labels, buckets, self.total_s)


def histogram(
    name: str, says: str, series: Iterable[tuple[Labels, Durations]], labels: Labels = ()
) -> Metric:
    """Return what is shown of durations."""
    family = HistogramMetricFamily(name, says, labels=labels)
    for values, durations in series:
        durations.add_to(family, values)
    return family
