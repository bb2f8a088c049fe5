"""Thousands of sessions at once: what each takes of memory, and how long others wait for a login.

Memory is that of the whole process tree with all sessions open, shared among them: what a server
takes without any session is in it.
"""

from collections.abc import Sequence
from dataclasses import replace

from bench.server.cpu_rows import Bench
from bench.server.figures import Figure, Measured, Side
from bench.server.load import LoadFailed
from bench.server.people import IDLE, MAIL, SLOW
from bench.server.processes import pss_kib
from bench.server.rows import CROWDED, MEMORY
from bench.server.running import Server, files_allowed

FILES_A_SESSION = 3
"""Of the server's: Mailkeep takes connections for half of what it may have open."""

SLOW_KIB_S = 32
"""A reader behind 256 kbit/s; all of them together take 59 MB/s, two thirds of what Dovecot can
do with one core."""

LOGINS_AT_ONCE = 4

CROWDED_TURNS = 3
"""Turns that are measured as one: to let 1,800 log in and out takes longer than to measure."""


def measure_memory(bench: Bench, servers: Sequence[Server]) -> Measured:
    """Measure what an idle session takes."""
    sessions = min(IDLE.users, files_allowed() // FILES_A_SESSION)
    people = replace(IDLE, users=sessions)
    figures: dict[Side, Figure] = {}
    try:
        for server in servers:
            with bench.load.holding(server, "idle", people, connections=sessions):
                figures[server.side] = Figure((pss_kib(server.pid) / sessions,))
    except LoadFailed as failure:
        return Measured(MEMORY, problem=str(failure))
    notes = (f"{sessions} sessions: no more files allowed",) if sessions < IDLE.users else ()
    return Measured(MEMORY, figures, notes=notes)


def measure_crowded(bench: Bench, servers: Sequence[Server]) -> Measured:
    """Measure how long a login takes while many download as fast as they can read."""
    sessions = min(SLOW.users, files_allowed() // FILES_A_SESSION)
    people = replace(SLOW, users=sessions)
    figures: dict[Side, Figure] = {}
    idle: list[float] = []
    try:
        for server in servers:
            bench.load.run(server, "stat", MAIL, connections=4, units=MAIL.users)
        seconds = CROWDED_TURNS * bench.seconds
        for server in servers:
            options = ("--rate", str(SLOW_KIB_S))
            with bench.load.holding(
                server, "download", people, connections=sessions, options=options
            ):
                report = bench.load.run(
                    server, "latency", MAIL, connections=LOGINS_AT_ONCE, seconds=seconds
                )
            figures[server.side] = Figure((report.latencies_ms["p99"],))
            idle.append(report.idle_share)
    except LoadFailed as failure:
        return Measured(CROWDED, problem=str(failure))
    notes = (f"{sessions} sessions: no more files allowed",) if sessions < SLOW.users else ()
    return Measured(CROWDED, figures, notes=notes, load_idle=min(idle))
