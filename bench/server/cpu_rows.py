"""Rows that cost CPU time: servers do the same work in turns, and each is asked what it used."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from bench.server.figures import Figure, Measured, Side
from bench.server.floor import running_floor
from bench.server.load import AWAKE, LoadFailed, LoadProgram, Report
from bench.server.place import Place, write_floor_messages
from bench.server.processes import settled_cpu_s
from bench.server.rows import Load, Row
from bench.server.running import NotStarted, Server


@dataclass(frozen=True, slots=True)
class Bench:
    """How a run measures.

    Attributes:
        place: where.
        load: what loads.
        rounds: turns of each server.
        seconds: of each turn.
    """

    place: Place
    load: LoadProgram
    rounds: int
    seconds: int


def measure_row(bench: Bench, row: Row, servers: Sequence[Server]) -> Measured:
    """Measure a row that has a load.

    Args:
        bench: how.
        row: which.
        servers: that have its accounts and mail; the C responder joins them where it has a target.
    """
    assert row.load is not None
    try:
        with ExitStack() as stack:
            every = list(servers)
            if row.to_floor is not None:
                every.append(stack.enter_context(_floor(bench.place, row.load)))
            for server in every:
                warm(bench, server, row.load)
            return _take_turns(bench, row, row.load, every)
    except (LoadFailed, NotStarted) as failure:
        return Measured(row, problem=str(failure))


def warm(bench: Bench, server: Server, load: Load) -> None:
    """Show a server each user's password and all mail once: what it ever remembers, it knows."""
    people = load.population
    script = load.script if load.script == "poll" else "fetch"
    bench.load.run(server, script, people, connections=load.connections, units=people.users)


def cost_ms(server: Server, act: Callable[[], Report]) -> tuple[float, Report]:
    """Return the CPU milliseconds a unit that a server used for what the load program did."""
    before = settled_cpu_s(server.pid)
    report = act()
    used_s = settled_cpu_s(server.pid) - before
    return used_s * 1000 / report.units, report


def _floor(place: Place, load: Load) -> AbstractContextManager[Server]:
    messages = write_floor_messages(place, load.population)
    return running_floor(place, messages, load.population.messages)


def _take_turns(bench: Bench, row: Row, load: Load, servers: Sequence[Server]) -> Measured:
    costs: dict[Side, list[float]] = defaultdict(list)
    idle: list[float] = []
    for _ in range(bench.rounds):
        for server in servers:
            cost, report = cost_ms(server, _turn(bench, load, server))
            costs[server.side].append(cost)
            idle.append(report.idle_share)
    figures = {side: Figure(tuple(rounds)) for side, rounds in costs.items()}
    return Measured(row, figures, load_idle=min(idle))


def _turn(bench: Bench, load: Load, server: Server) -> Callable[[], Report]:
    def act() -> Report:
        return bench.load.run(
            server,
            load.script,
            load.population,
            connections=load.connections,
            seconds=bench.seconds,
            options=AWAKE,
        )

    return act
