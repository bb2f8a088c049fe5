"""Whether a guess that waits is looked at now, later or never: the whole table."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.defence import Turning
from mailkeep.defence.counters import CLEAN, Record
from mailkeep.defence.turns import Circumstances, Go, Later, Never, Turn, Waiting, decide_turn

GUESS = Waiting(arrived_s=100.0, ready_s=100.0, ahead=0)
QUIET = Circumstances(
    record=CLEAN,
    is_banned=False,
    is_familiar=False,
    held=0,
    held_alike=0,
    has_wider_room=True,
    wider_failed=False,
    has_site_room=True,
    suspicion=0,
)
THROTTLED, BANNED = Never(Turning.THROTTLED), Never(Turning.BANNED)


def failed(failures: int = 1, until_s: float = 0, minute: int = 1, day: int = 1) -> Record:
    return Record(failures=failures, not_before_s=until_s, in_minute=minute, in_day=day)


CASES: list[tuple[str, dict[str, object], dict[str, object], float, Turn]] = [
    ("nobody else", {}, {}, 100, Go()),
    ("one is looked at", {}, {"held": 1, "held_alike": 1}, 100, Go()),
    ("two are looked at", {}, {"held": 2, "held_alike": 2}, 100, Later(120, False, True)),
    ("two familiar ones are", {}, {"held": 2}, 100, Later(120, False, True)),
    ("banned", {}, {"is_banned": True}, 100, BANNED),
    ("banned but familiar", {}, {"is_banned": True, "is_familiar": True}, 100, Go()),
    ("neighbours failed", {"ready_s": 104}, {}, 100, Later(104, True)),
    ("and that is over", {"ready_s": 104}, {}, 104, Go()),
    ("failed before", {}, {"record": failed(until_s=102)}, 100, Later(102, True)),
    ("and that is over too", {}, {"record": failed(until_s=102)}, 102, Go()),
    ("the longer wait", {"ready_s": 104}, {"record": failed(until_s=102)}, 102, Later(104, True)),
    ("failed: one at a time", {}, {"record": failed(), "held": 1, "held_alike": 1}, 100,
     Later(120, True)),
    ("failed: beside a familiar one", {}, {"record": failed(), "held": 1}, 100, Go()),
    ("would wait too long", {}, {"record": failed(until_s=120.1)}, 100, THROTTLED),
    ("may just wait", {}, {"record": failed(until_s=120)}, 100, Later(120, True)),
    ("has waited too long", {}, {"record": failed(), "held": 2}, 120, THROTTLED),
    ("has waited for neighbours", {"ready_s": 110}, {"held": 2}, 120, THROTTLED),
    ("has waited for a range", {}, {"has_wider_room": False, "wider_failed": True}, 120, THROTTLED),
    ("nobody failed, just too many", {}, {"held": 2}, 120, Never(None)),
    ("twenty ahead, nobody failed", {"ahead": 20}, {}, 100, Go()),
    ("nineteen ahead", {"ahead": 19}, {"record": failed()}, 100, Go()),
    ("twenty ahead", {"ahead": 20}, {"record": failed()}, 100, THROTTLED),
    ("nine this minute", {}, {"record": failed(minute=9)}, 100, Go()),
    ("ten this minute", {}, {"record": failed(minute=10)}, 100, THROTTLED),
    ("fifty today", {}, {"record": failed(0, day=50)}, 100, THROTTLED),
    ("49 today, one looked at", {}, {"record": failed(0, day=49), "held": 1, "held_alike": 1}, 100,
     Later(120, False, True)),
    ("no room in the range", {}, {"has_wider_room": False}, 100, Later(100.5, True)),
    ("nearly over", {}, {"has_wider_room": False}, 119.9, Later(120, True)),
    ("no place on the site", {}, {"has_site_room": False}, 100, Later(120, False, True, 0)),
    ("none, and its range failed", {}, {"has_site_room": False, "suspicion": 4}, 100,
     Later(120, True, True, 4)),
    ("none, and it failed", {}, {"has_site_room": False, "suspicion": 5, "record": failed()}, 100,
     Later(120, True, False, 5)),
    ("none, but it must wait anyhow", {}, {"has_site_room": False, "suspicion": 5,
     "record": failed(until_s=102)}, 100, Later(102, True)),
    ("none, nor room in the range", {}, {"has_site_room": False, "has_wider_room": False}, 100,
     Later(100.5, True)),
    ("none for twenty seconds", {}, {"has_site_room": False}, 120, Never(None)),
    ("none, after failures", {}, {"has_site_room": False, "record": failed()}, 120, THROTTLED),
    ("familiar in a full range", {}, {"has_wider_room": False, "is_familiar": True}, 100, Go()),
    ("familiar, own failures", {}, {"record": failed(until_s=102), "is_familiar": True}, 100,
     Later(102, True)),
    ("familiar, used up", {}, {"record": failed(day=50), "is_familiar": True}, 100, THROTTLED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("guess", "meets", "now_s", "turn"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_the_table_of_turns(
    guess: dict[str, float], meets: dict[str, bool], now_s: float, turn: Turn
) -> None:
    """One line a rule."""
    waiting = replace(GUESS, **guess)  # type: ignore[arg-type]  # a table of fields
    assert decide_turn(waiting, replace(QUIET, **meets), now_s) == turn  # type: ignore[arg-type]


@given(
    is_banned=st.booleans(),
    has_wider_room=st.booleans(),
    wider_failed=st.booleans(),
    suspicion=st.integers(0, 9),
    now_s=st.floats(0, 1e9),
)
def test_who_is_familiar_clean_and_alone_goes_whatever_else_there_is(
    *, is_banned: bool, has_wider_room: bool, wider_failed: bool, suspicion: int, now_s: float
) -> None:
    """The door does not even ask about such a guess (`Door._goes_at_once`)."""
    meets = Circumstances(
        record=CLEAN,
        is_banned=is_banned,
        is_familiar=True,
        held=0,
        held_alike=0,
        has_wider_room=has_wider_room,
        wider_failed=wider_failed,
        has_site_room=True,  # it needs none
        suspicion=suspicion,
    )
    assert decide_turn(Waiting(now_s, now_s, ahead=0), meets, now_s) == Go()
