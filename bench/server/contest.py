"""One run: everything is made, the rows are measured in turn, everything is gone."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.server.accounts import add_to_mailkeep, write_passwd_file
from bench.server.big_maildrop import BigMaildrop
from bench.server.cpu_rows import Bench, cost_ms, measure_row
from bench.server.crowd import measure_crowded, measure_memory
from bench.server.deletion import measure_deletion
from bench.server.dovecot import running_dovecot
from bench.server.figures import Measured, Side, failures
from bench.server.growth import NEEDED, measure_growth
from bench.server.load import AWAKE, LoadFailed, LoadProgram
from bench.server.machine import describe_machine
from bench.server.ours import running_mailkeep, settings
from bench.server.people import (
    BIG,
    DEAR,
    DELETED,
    IDLE,
    MAIL,
    SLOW,
    STORED,
    Population,
)
from bench.server.place import Place, make_place, write_mail
from bench.server.results import Results
from bench.server.rows import BIG_ROWS, CROWDED, DELETE, LOGIN, MEMORY, Row
from bench.server.running import Server, say
from bench.server.starttls import measure_starttls
from bench.server.stored_mail import deliver_all

BIG_ROUNDS = 2
"""Each has five looks of a kind, and Dovecot's first one takes seconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        rows: of the table.
        rounds: turns of each server.
        seconds: of each turn.
        with_growth: whether it measures that too.
        with_starttls: the same.
    """

    rows: Sequence[Row]
    rounds: int
    seconds: int
    with_growth: bool = False
    with_starttls: bool = False


def run(plan: Plan, folder: Path) -> Results:
    """Make everything, measure, and return what was found.

    Args:
        plan: what to do.
        folder: empty; others may look into it.
    """
    machine = describe_machine()
    place = make_place(folder, settings(folder / "mail"))
    bench = Bench(place, LoadProgram.of(place), plan.rounds, plan.seconds)
    people = [one for row in plan.rows for one in populations_of(row)]
    people += [MAIL] if plan.with_starttls else []
    people += NEEDED if plan.with_growth else []
    fill(place, people)
    rows = measure_rows(bench, plan.rows) if plan.rows else []
    starttls = measure_starttls(bench) if plan.with_starttls else []
    plots = measure_growth(bench) if plan.with_growth else []
    return Results(machine, rows, plots, starttls)


def fill(place: Place, populations: Sequence[Population]) -> None:
    """Make the accounts of both servers and their mail."""
    people = list(dict.fromkeys(populations))
    say(f"making {sum(one.users for one in people):,} accounts and their mail ...")
    add_to_mailkeep(place.open_site(), people)
    write_passwd_file(place.dovecot / "users", people)
    write_mail(place, people)
    if STORED in people:
        deliver_all(place, STORED)


def populations_of(row: Row) -> tuple[Population, ...]:
    """Return whose maildrops a row is about."""
    if row.load is not None:
        return (row.load.population, *((DEAR,) if row is LOGIN else ()))
    others = {DELETE: (DELETED,), MEMORY: (IDLE,), CROWDED: (SLOW, MAIL)}
    return others.get(row, (BIG,))


def measure_rows(bench: Bench, rows: Sequence[Row]) -> list[Measured]:
    """Measure rows whose accounts and mail are there, in the order of the table."""
    done: list[Measured] = []
    others = [row for row in rows if row not in BIG_ROWS]
    with ExitStack() as stack:
        starts = (running_mailkeep, running_dovecot) if others else ()
        servers = [stack.enter_context(start(bench.place)) for start in starts]
        for row in others:
            say(f"{row.work} ...")
            done.append(measured_twice_if_bad(partial(_measure_row, bench, row, servers)))
    if len(others) < len(rows):
        say("opening 100,000 messages ...")
        done += [one for one in BigMaildrop(bench.place).measure(BIG_ROUNDS) if one.row in rows]
    return sorted(done, key=lambda one: rows.index(one.row))


def measured_twice_if_bad(measure: Callable[[], Measured]) -> Measured:
    """Measure a row, and once more if it would fail the run.

    What else the machine did may be over by then; a server that has become dearer still is.
    """
    measured = measure()
    if not failures(measured):
        return measured
    say("once more ...")
    again = measure()
    return replace(again, notes=(*again.notes, "measured twice: the first time it was far off"))


def _measure_row(bench: Bench, row: Row, servers: Sequence[Server]) -> Measured:
    if row is LOGIN:
        return _with_dear_hash(bench, measure_row(bench, row, servers), servers)
    if row.load is not None:
        return measure_row(bench, row, servers)
    measures = {DELETE: measure_deletion, MEMORY: measure_memory, CROWDED: measure_crowded}
    return measures[row](bench, servers)


def _with_dear_hash(bench: Bench, login: Measured, servers: Sequence[Server]) -> Measured:
    """Add what a login costs when both servers have the same argon2id."""
    costs = {}
    try:
        for server in servers:
            run = partial(bench.load.run, server, "stat", DEAR, connections=DEAR.users)
            run(units=DEAR.users)
            costs[server.side], _ = cost_ms(
                server, partial(run, seconds=bench.seconds, options=AWAKE)
            )
    except LoadFailed as failure:
        return replace(login, problem=str(failure))
    note = (
        "Dovecot has a cheaper hash here; with the same argon2id for both, Mailkeep takes"
        f" {costs[Side.OURS]:.2f} ms and Dovecot {costs[Side.RIVAL]:.1f} ms"
    )
    return replace(login, notes=(*login.notes, note))
