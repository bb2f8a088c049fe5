"""The work that is compared, and what Mailkeep may need of what the others need.

The targets are those that the project set itself before it measured. Where one was missed,
what was reached stands beside it, and a run fails only where it is worse than that, too. A row with
a `load` costs CPU time of the whole process tree a unit; the others have modules of their own.
"""

import enum
from dataclasses import dataclass

from bench.server.people import LARGE, MAIL, POLL, STORED, Population


class Unit(enum.Enum):
    """What a figure counts."""

    SESSION = "ms CPU a session"
    MEGABYTE = "ms CPU a MB"
    MESSAGE = "ms CPU a message"
    WALL = "ms"
    MEMORY = "KiB a session"


@dataclass(frozen=True, slots=True)
class Load:
    """What the load program does for a row.

    Attributes:
        script: of the load program.
        population: whose maildrops.
        connections: at a time; never more than there are users.
    """

    script: str
    population: Population
    connections: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: for the command line.
        work: for the reader.
        unit: of the figures.
        to_rival: what the ratio to Dovecot may be at most.
        to_floor: the same of the C responder; None where it does not do the work.
        reached_to_rival: what it was on the machine of `bench/results`, if the target was missed.
        reached_to_floor: the same of the C responder.
        load: what costs; None for a row that is measured in its own way.
        is_quick: whether the short form has it.
    """

    name: str
    work: str
    unit: Unit
    to_rival: float
    to_floor: float | None = None
    load: Load | None = None
    is_quick: bool = False
    reached_to_rival: float = 0.0
    reached_to_floor: float = 0.0


LOGIN = Row(
    "login",
    "connect, TLS 1.3, login, STAT, QUIT",
    Unit.SESSION,
    0.4,
    1.1,
    Load("stat", MAIL),
    is_quick=True,
    reached_to_rival=0.74,
    reached_to_floor=3.4,
)
FETCH = Row(
    "fetch",
    "the same and UIDL, LIST, 20 x RETR of 5 kB, one by one",
    Unit.SESSION,
    0.35,
    1.5,
    Load("fetch", MAIL),
    is_quick=True,
    reached_to_rival=0.64,
    reached_to_floor=5.2,
)
PIPELINED = Row(
    "pipelined",
    "the same pipelined, as mpop sends it",
    Unit.SESSION,
    0.35,
    1.4,
    Load("pipelined", MAIL),
    is_quick=True,
    reached_to_rival=0.67,
    reached_to_floor=4.5,
)
POLLED = Row(
    "poll",
    "poll of 10,000 messages, nothing new (UIDL, QUIT)",
    Unit.SESSION,
    0.2,
    None,
    Load("poll", POLL, connections=3),
    is_quick=True,
)
RETR_LF = Row(
    "retr",
    "1 MB messages, delivered by another program (LF)",
    Unit.MEGABYTE,
    0.3,
    1.8,
    Load("retr", LARGE, connections=4),
    is_quick=True,
    reached_to_floor=2.3,
)
RETR_STORED = Row(
    "stored",
    "1 MB messages, delivered by Mailkeep",
    Unit.MEGABYTE,
    0.15,
    1.0,
    Load("retr", STORED, connections=4),
    is_quick=True,
    reached_to_rival=0.25,
    reached_to_floor=1.9,
)
FIRST = Row("first", "STAT after login, 100,000 messages: first time", Unit.WALL, 0.8)
WARM = Row("warm", "the same, warm", Unit.WALL, 0.1)
ADDED = Row("added", "the same, one message added", Unit.WALL, 0.15)
DELETE = Row(
    "delete",
    "download and delete 1,000 x 5 kB, durable QUIT",
    Unit.MESSAGE,
    0.6,
)
MEMORY = Row(
    "memory",
    "memory, 5,000 logged-in idle sessions (Pss)",
    Unit.MEMORY,
    0.06,
    reached_to_rival=0.078,
)
CROWDED = Row("crowded", "99th percentile of a login, 1,800 sessions download", Unit.WALL, 0.7)

LOAD_ROWS = (LOGIN, FETCH, PIPELINED, POLLED, RETR_LF, RETR_STORED)
BIG_ROWS = (FIRST, WARM, ADDED)
ROWS = (*LOAD_ROWS, *BIG_ROWS, DELETE, MEMORY, CROWDED)
