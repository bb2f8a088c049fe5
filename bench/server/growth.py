"""Whether costs grow: with accounts, with open sessions, with messages. Only Mailkeep is measured.

A login is all from connect to QUIT with a STAT, a poll the same with UIDL instead. A RETR is what a
session that reads mail costs more than one that does not, divided by the messages; each was read
before, so that none is hashed in one maildrop and not in another. The passwords are devices', which
cost no argon2.

A machine that others use is slower in one minute than in the next, by half and more. So where no
cost may rise, the same is measured at the same time on a server beside, with few accounts and no
other sessions, and what that one costs more than at its best is taken away in proportion.
"""

import contextlib
import poplib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

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
"""The least counts."""

RETRS = 4_000
"""Two tenths of a second of the server's time; its clock has ticks of ten milliseconds."""
RETRS_A_SESSION = 2_000
RETRS_IN_A_ROW = 100
"""Mail programs fetch what is new, which lies together; the rows are from all over the maildrop."""


class Costs(NamedTuple):
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
    found: list[tuple[int, Costs, Costs]] = []
    with _serving(bench, (READERS, POLLERS), "beside") as beside:
        for number in ACCOUNTS:
            say(f"{number:,} accounts ...")
            fillers = replace(FILLERS, users=number - READERS.users - POLLERS.users)
            with _serving(bench, (fillers, READERS, POLLERS)) as server:
                found.append((number, *_costs(bench, (server, beside))))
    return steadied(found)


def _by_sessions(bench: Bench) -> list[tuple[int, Costs]]:
    found: list[tuple[int, Costs, Costs]] = []
    with (
        _serving(bench, (READERS, POLLERS), "beside") as beside,
        _serving(bench, (READERS, POLLERS, OPEN)) as server,
    ):
        for wanted in SESSIONS:
            number = min(wanted, files_allowed() // 2 - SESSIONS_ROOM)
            say(f"{number:,} open sessions ...")
            with contextlib.ExitStack() as stack:
                if number:
                    held = bench.load.holding(server, "idle", OPEN, connections=number)
                    stack.enter_context(held)
                found.append((number, *_costs(bench, (server, beside))))
    return steadied(found)


def _by_messages(bench: Bench) -> list[tuple[int, Costs]]:
    found = []
    with _serving(bench, MESSAGES) as server:
        for population in MESSAGES:
            say(f"{population.messages:,} messages ...")
            (login,), (poll,) = (
                _cost(bench, (server,), what, population) for what in ("stat", "poll")
            )
            found.append((population.messages, Costs(login, poll, _retr_cost(server, population))))
    return found


def steadied(found: Sequence[tuple[int, Costs, Costs]]) -> list[tuple[int, Costs]]:
    """Return costs as if the machine had always been as fast as it was at its best.

    Args:
        found: numbers with the costs there, and those of the server beside at the same time.
    """
    best = Costs(*map(min, zip(*(beside for *_, beside in found), strict=True)))
    return [(number, _in_proportion(costs, best, beside)) for number, costs, beside in found]


def _in_proportion(costs: Costs, best: Costs, beside: Costs) -> Costs:
    each = zip(costs, best, beside, strict=True)
    return Costs(*(cost * least / then for cost, least, then in each))


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


def _costs(bench: Bench, servers: tuple[Server, Server]) -> tuple[Costs, Costs]:
    """Return what the sessions of each server cost."""
    logins = _cost(bench, servers, "stat", READERS)
    short_polls = _cost(bench, servers, "poll", READERS)
    fetches = _cost(bench, servers, "pipelined", READERS)
    polls = _cost(bench, servers, "poll", POLLERS)
    there, beside = (
        Costs(login, poll, (fetch - short_poll) / READERS.messages)
        for login, poll, fetch, short_poll in zip(logins, polls, fetches, short_polls, strict=True)
    )
    return there, beside


def _cost(bench: Bench, servers: Sequence[Server], script: str, people: Population) -> list[float]:
    """Return what a session costs each of servers that have seen these people and their mail."""
    connections = min(CONNECTIONS, people.users)
    run = partial(
        bench.load.run, script=script, population=people, connections=connections, options=AWAKE
    )
    for server in servers:
        run(server, units=people.users)
    turns = [
        [cost_ms(server, partial(run, server, seconds=SECONDS))[0] for server in servers]
        for _ in range(TURNS)
    ]
    return [min(costs) for costs in zip(*turns, strict=True)]


@contextlib.contextmanager
def _serving(bench: Bench, people: Sequence[Population], name: str = "growing") -> Iterator[Server]:
    """Serve a new site that has these accounts and no others."""
    folder = bench.place.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    site = make_site_beside(bench.place, folder)
    add_to_mailkeep(site, people)
    with running_mailkeep(bench.place, site=folder) as server:
        yield server
