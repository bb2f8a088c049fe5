"""How a command speaks: data to standard output, everything else to standard error.

Nothing heavy is imported before it is needed, because `deliver` reports its errors here too.
Known limit: columns are aligned by characters, so names in wide scripts may stand a little off.
"""

import sys
from collections.abc import Sequence


def error(text: str, *, hint: str | None = None) -> None:
    """Say on standard error what went wrong, in one line, and what to do next in another."""
    say(f"error: {printable(text)}")
    if hint:
        say(f"hint: {printable(hint)}")


def say(text: str) -> None:
    """Write a line for people, on standard error: in one write, or the log might come between."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Write a line of data, on standard output."""
    print(text)  # noqa: T201  # this is what a command line does


def show_json(value: object) -> None:
    """Write a value as one JSON document, on standard output."""
    import json

    show(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows under headings, on standard output, in columns."""
    cells = [[printable(str(cell)) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        show("  ".join(map(str.ljust, row, widths)).rstrip())


def printable(text: str) -> str:
    """Keep a name from outside from forging a second line or moving a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
