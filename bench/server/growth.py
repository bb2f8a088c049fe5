"""Whether costs grow: with accounts, with open sessions, with messages. Only Mailkeep is measured.

A login is all from connect to QUIT with a STAT, a poll the same with UIDL instead. A RETR is what a
session that reads mail costs more than one that does not, divided by the messages; each was read
before, so that none is hashed in one maildrop and not in another. The passwords are devices', which
cost no argon2.
"""

import contextlib
import poplib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.server.accounts import add_to_mailkeep
from bench.server.cpu_rows import Bench, cost_ms
from bench.server.curves import Curve, Plot
from bench.server.load import AWAKE, LoadFailed
from bench.server.looking import read_some
from bench.server.ours import make_site_beside, running_mailkeep
from bench.server.people import BIG, MAIL, POLL, Population
from bench.server.processes import settled_cpu_s
from bench.server.running import NotStarted, Server, files_allowed, say

READERS = replace(MAIL, users=40, has_device=True)
POLLERS = replace(POLL, users=2, has_device=True)
FILLERS = Population("filler", 100_000)
"""Accounts that are there and nothing else."""
OPEN = Population("open", 10_000, has_device=True)
"""Whose sessions are open; there is no mail in them."""

ACCOUNTS = (100, 1_000, 10_000, 100_000)
SESSIONS = (0, 100, 1_000, 10_000)
MESSAGES = (
    *(Population(f"sized{count}x", 1, count, 2_000, has_device=True) for count in (10, 100, 1_000)),
    replace(POLL, users=1, has_device=True),
    replace(BIG, has_device=True),
)
"""One user each, whose maildrop is larger and larger."""

NEEDED = (MAIL, POLL, BIG, *MESSAGES[:3])
"""Whose mail must be there."""

SESSIONS_ROOM = 100
"""Of what Mailkeep may have open, half is for sessions; so many of those are for the measuring."""

CONNECTIONS = 2
TURNS, SECONDS = 2, 1
"""The least counts: points are compared that were measured minutes apart."""

RETRS = 4_000
"""Two tenths of a second of the server's time; its clock has ticks of ten milliseconds."""
RETRS_A_SESSION = 2_000
RETRS_IN_A_ROW = 100
"""Mail programs fetch what is new, which lies together; the rows are from all over the maildrop."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds of CPU at one number."""

    login: float
    poll: float
    retr: float


def measure_growth(bench: Bench) -> list[Plot]:
    """Measure all three, on sites of their own; the mail that is needed is there."""
    return [
        _plot("accounts", "accounts", lambda: _by_accounts(bench)),
        _plot("sessions", "open sessions", lambda: _by_sessions(bench)),
        _plot("messages", "messages in the maildrop", lambda: _by_messages(bench), opening=True),
    ]


def _plot(
    name: str, over: str, measure: Callable[[], list[tuple[int, Costs]]], *, opening: bool = False
) -> Plot:
    try:
        found = measure()
    except (LoadFailed, NotStarted, OSError, poplib.error_proto) as failure:
        return Plot(name, over, problem=str(failure))
    login = Curve("login", tuple((at, costs.login) for at, costs in found), may_grow=opening)
    poll = Curve("poll", tuple((at, costs.poll) for at, costs in found), may_grow=opening)
    retr = Curve("RETR", tuple((at, costs.retr) for at, costs in found))
    return Plot(name, over, (login, poll, retr))


def _by_accounts(bench: Bench) -> list[tuple[int, Costs]]:
    found = []
    for number in ACCOUNTS:
        say(f"{number:,} accounts ...")
        fillers = replace(FILLERS, users=number - READERS.users - POLLERS.users)
        with _serving(bench, (fillers, READERS, POLLERS)) as server:
            found.append((number, _costs(bench, server)))
    return found


def _by_sessions(bench: Bench) -> list[tuple[int, Costs]]:
    found = []
    with _serving(bench, (READERS, POLLERS, OPEN)) as server:
        for wanted in SESSIONS:
            number = min(wanted, files_allowed() // 2 - SESSIONS_ROOM)
            say(f"{number:,} open sessions ...")
            with contextlib.ExitStack() as stack:
                if number:
                    held = bench.load.holding(server, "idle", OPEN, connections=number)
                    stack.enter_context(held)
                found.append((number, _costs(bench, server)))
    return found


def _by_messages(bench: Bench) -> list[tuple[int, Costs]]:
    found = []
    with _serving(bench, MESSAGES) as server:
        for population in MESSAGES:
            say(f"{population.messages:,} messages ...")
            login, poll = (_cost(bench, server, what, population) for what in ("stat", "poll"))
            found.append((population.messages, Costs(login, poll, _retr_cost(server, population))))
    return found


def _retr_cost(server: Server, people: Population) -> float:
    """Return what a RETR costs in the maildrop of one user, from all over it."""
    (address,) = people.addresses
    numbers = numbers_read(people.messages)
    sessions = max(1, RETRS // len(numbers))
    read_some(server, address, numbers)
    costs = []
    for wanted in ((), numbers):
        before_s = settled_cpu_s(server.pid)
        for _ in range(sessions):
            read_some(server, address, wanted)
        costs.append((settled_cpu_s(server.pid) - before_s) * 1000)
    return (costs[1] - costs[0]) / (sessions * len(numbers))


def numbers_read(messages: int) -> list[int]:
    """Return the numbers of the messages that a session reads, of so many."""
    rows = RETRS_A_SESSION // RETRS_IN_A_ROW
    step = max(RETRS_IN_A_ROW, messages // rows)
    starts = range(1, messages + 1, step)[:rows]
    return [
        number
        for start in starts
        for number in range(start, min(start + RETRS_IN_A_ROW, messages + 1))
    ]


def _costs(bench: Bench, server: Server) -> Costs:
    login = _cost(bench, server, "stat", READERS)
    short_poll = _cost(bench, server, "poll", READERS)
    fetch = _cost(bench, server, "pipelined", READERS)
    poll = _cost(bench, server, "poll", POLLERS)
    return Costs(login, poll, (fetch - short_poll) / READERS.messages)


def _cost(bench: Bench, server: Server, script: str, people: Population) -> float:
    """Return what a session costs a server that has seen these people and their mail."""
    connections = min(CONNECTIONS, people.users)
    run = partial(bench.load.run, server, script, people, connections=connections, options=AWAKE)
    run(units=people.users)
    return min(cost_ms(server, partial(run, seconds=SECONDS))[0] for _ in range(TURNS))


@contextlib.contextmanager
def _serving(bench: Bench, people: Sequence[Population]) -> Iterator[Server]:
    """Serve a new site that has these accounts and no others."""
    folder = bench.place.folder / "growing"
    shutil.rmtree(folder, ignore_errors=True)
    site = make_site_beside(bench.place, folder)
    add_to_mailkeep(site, people)
    with running_mailkeep(bench.place, site=folder) as server:
        yield server
