"""The results: a table for people, and a judgement. Pure.

A figure is the median of its rounds with the least and the most; a ratio is that of the medians.
"""

from collections.abc import Iterable, Sequence

from bench.server.figures import Figure, Measured, Side, Verdict

HEAD = ("work", "unit", *(side.value for side in Side), "to Dovecot", "to C responder", "load idle")


def render(results: Iterable[Measured]) -> str:
    """Return the table in Markdown, its columns aligned, with notes and problems below."""
    measured = list(results)
    rows = [HEAD, *(_cells(one) for one in measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, *_remarks(measured)])


def readme_lines(results: Iterable[Measured]) -> str:
    """Return the ratios alone, to be quoted."""
    lines = ["| work | Mailkeep / Dovecot | Mailkeep / C responder |", "|---|---|---|"]
    for one in results:
        ratios = (_bare_ratio(one.ratio(other)) for other in (Side.RIVAL, Side.FLOOR))
        lines.append(f"| {one.row.work} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a figure with three significant digits, never as a power of ten."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _cells(one: Measured) -> tuple[str, ...]:
    figures = (_figure(one.figures.get(side)) for side in Side)
    ratios = (_ratio(one, other) for other in (Side.RIVAL, Side.FLOOR))
    idle = "" if one.load_idle is None else f"{one.load_idle:.0%}"
    return (one.row.work, one.row.unit.value, *figures, *ratios, idle)


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if len(figure.rounds) == 1:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.least)}-{number(figure.most)})"


def _ratio(one: Measured, other: Side) -> str:
    target, ratio, verdict = one.target(other), one.ratio(other), one.verdict(other)
    if ratio is None:
        return "-" if target is None or not one.problem else "FAILED"
    if target is None or verdict is None:
        return _bare_ratio(ratio)
    word = "ok" if verdict is Verdict.MET else verdict.value.upper()
    return f"{_bare_ratio(ratio)} / {target:g} {word}"


def _bare_ratio(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def _remarks(results: Sequence[Measured]) -> list[str]:
    lines = []
    for one in results:
        lines += [f"{one.row.work}: {note}." for note in one.notes]
        if one.problem:
            lines.append(f"{one.row.work}: FAILED: {one.problem}")
    return ["", *lines] if lines else []
