"""Numbers that Prometheus is shown."""

import pytest

from mailkeep.events.figures import Count, Counts, Durations, histogram


def test_every_series_is_there_from_the_start() -> None:
    """And those that come later begin at 0."""
    counts = Counts("some", "Says.", ("kind",), {"a": ("A",), "b": ("B",)})
    counts.values["b"] += 2
    counts.add_series("c", ("C",))
    shown = [(it.name, it.labels, it.value) for it in counts.metric().samples]
    assert shown == [
        ("some_total", {"kind": "A"}, 0),
        ("some_total", {"kind": "B"}, 2),
        ("some_total", {"kind": "C"}, 0),
    ]


def test_a_count_without_labels_has_one_series() -> None:
    """With its name and what it says."""
    count = Count("some", "Says.")
    count.value += 3
    metric = count.metric()
    assert (metric.name, metric.documentation, metric.type) == ("some", "Says.", "counter")
    assert [(it.labels, it.value) for it in metric.samples] == [({}, 3)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, [1, 1, 1]), (1.0, [1, 1, 1]), (1.5, [0, 1, 1]), (2.0, [0, 1, 1]), (2.1, [0, 0, 1])],
)
def test_a_bound_belongs_to_its_bucket(seconds: float, expected: list[float]) -> None:
    """`le` is "less or equal", and each bucket has those before it."""
    durations = Durations((1.0, 2.0))
    durations.observe(seconds)
    samples = histogram("some", "Says.", [(("x",), durations)], ("of",)).samples
    buckets = [it for it in samples if it.name == "some_bucket"]
    assert [it.labels["le"] for it in buckets] == ["1.0", "2.0", "+Inf"]
    assert [it.value for it in buckets] == expected
    rest = {it.name: it.value for it in samples if it.name != "some_bucket"}
    assert rest == {"some_count": 1, "some_sum": seconds}
    assert all(it.labels["of"] == "x" for it in samples)
