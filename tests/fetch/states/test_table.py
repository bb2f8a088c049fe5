"""`docs/fetch-states.md` names every state once, and tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "fetch-states.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| S-")]
NOT_SHOWN = ("not this program: ", "not shown by a program: ")


def test_every_state_stands_once_and_in_order() -> None:
    """S-01 to S-70, a row each."""
    assert [row.split("|")[1].strip() for row in ROWS] == [f"S-{n:02d}" for n in range(1, 71)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_row_says_what_is_done_and_what_shows_it(row: str) -> None:
    """Four columns; a row without a test says why it has none."""
    _, _, state, done, shown, _ = (cell.strip() for cell in row.split("|"))
    assert state
    assert done
    assert bool(shown) != done.startswith(NOT_SHOWN)
    assert re.fullmatch(r"(`[\w/.]+`(, (?=`)|\Z))*", shown)


def test_every_test_that_is_named_exists() -> None:
    """A name that was changed is changed in the table too."""
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = set(re.findall(r"def (test_\w+)\(", source))
    shown = {name for row in ROWS for name in re.findall(r"`([\w/.]+)`", row.split("|")[4])}
    files = {name for name in shown if name.endswith(".py")}
    assert sorted(shown - files - tests) == []
    assert [name for name in files if not (ROOT / name).exists()] == []
