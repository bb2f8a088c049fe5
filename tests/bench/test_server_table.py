"""The table of servers, and what is quoted and kept of it."""

import json

from bench.server.curves import Curve, Plot
from bench.server.figures import Figure, Measured, Side
from bench.server.results import Results, as_json, as_text
from bench.server.rows import Row, Unit
from bench.server.table import number, readme_lines, render

ROW = Row("login", "log in", Unit.SESSION, to_rival=0.4, to_floor=1.1)
GOOD = Measured(
    ROW,
    {
        Side.OURS: Figure((0.5, 0.52, 0.51)),
        Side.RIVAL: Figure((1.7, 1.9, 1.8)),
        Side.FLOOR: Figure((0.4, 0.4, 0.4)),
    },
    load_idle=0.42,
)
FAILED = Measured(ROW, problem="2 errors, the first: user 6: -ERR")

TABLE = """\
| work   | unit             | Mailkeep            | Dovecot          | C responder         | \
to Dovecot    | to C responder    | load idle |
|--------|------------------|---------------------|------------------|---------------------|-\
--------------|-------------------|-----------|
| log in | ms CPU a session | 0.510 (0.500-0.520) | 1.80 (1.70-1.90) | 0.400 (0.400-0.400) | \
0.28 / 0.4 ok | 1.27 / 1.1 MISSED | 42%       |"""


def test_the_table_tells_median_spread_ratio_target_and_whether_it_is_met() -> None:
    """Everything that a reader needs to believe or doubt a row stands in it."""
    assert render([GOOD]) == TABLE


def test_a_failed_row_says_so_in_its_place_and_says_why() -> None:
    """It is neither left out nor shown with a dash that could mean anything."""
    text = render([GOOD, FAILED])
    assert text.count("FAILED") == 3
    assert "log in: FAILED: 2 errors, the first: user 6: -ERR" in text


def test_a_note_stands_below_the_table() -> None:
    """What was scaled or left out is told where the figures are."""
    noted = Measured(ROW, GOOD.figures, notes=("1000 sessions: no more files allowed",))
    assert render([noted]).endswith("\n\nlog in: 1000 sessions: no more files allowed.")


def test_a_row_without_a_target_for_the_floor_has_a_dash() -> None:
    """The C responder does not do everything."""
    row = Row("poll", "poll", Unit.SESSION, to_rival=0.2)
    figures = {Side.OURS: Figure((0.2,)), Side.RIVAL: Figure((2.0,))}
    cells = [cell.strip() for cell in render([Measured(row, figures)]).splitlines()[2].split("|")]
    assert cells[1:-1] == [
        "poll",
        "ms CPU a session",
        "0.200",
        "2.00",
        "-",
        "0.10 / 0.2 ok",
        "-",
        "",
    ]


def test_what_is_quoted_are_the_ratios() -> None:
    """Absolute figures are of one machine; ratios are what others can expect."""
    assert readme_lines([GOOD]).splitlines()[2:] == ["| log in | 0.28 | 1.27 |"]


def test_numbers_have_three_digits_and_no_exponent() -> None:
    """A reader compares columns."""
    figures = (0.0123, 0.5, 1.234, 12.34, 123.4, 123456.0)
    assert [number(figure) for figure in figures] == [
        "0.012", "0.500", "1.23", "12.3", "123", "123,456",
    ]  # fmt: skip


def test_json_has_every_round_and_every_failure() -> None:
    """Whoever doubts a median can look at what it was made of."""
    grown = Plot("accounts", "accounts", (Curve("login", ((100, 1.0), (1000, 3.0))),))
    said = json.loads(json.dumps(as_json(Results({"kernel": "6"}, [GOOD, FAILED], [grown]))))
    assert said["rows"][0]["rounds"]["Mailkeep"] == [0.5, 0.52, 0.51]
    assert said["rows"][0]["target"] == {"Dovecot": 0.4, "C responder": 1.1}
    assert said["rows"][1]["ratio"] == {"Dovecot": None, "C responder": None}
    assert len(said["failures"]) == 2
    assert said["growth"][0]["curves"][0]["is_kept"] is False


def test_the_text_tells_machine_table_and_growth() -> None:
    """One page is enough to judge a run."""
    grown = Plot("accounts", "accounts", (Curve("login", ((100, 1.0), (1000, 1.0))),))
    text = as_text(Results({"kernel": "6.1"}, [GOOD], [grown], ["rabid: 100 a minute"]))
    assert "- kernel: 6.1" in text
    assert TABLE in text
    assert "- rabid: 100 a minute" in text
    assert "- accounts: login does not grow (100: 1 ms, 1,000: 1 ms)" in text
