"""What STLS costs, and what a program of somebody else's makes of both servers.

STLS is driven by the load program. Debian's `postal` has a load program for POP3, `rabid`, which
knows only port 110, so each server has an address of its own. It cannot check STLS: it sees the
capability and sends USER in the clear all the same, which both servers refuse (version 0.76; its
manual says so too). So both let it in without TLS here. It fetches nothing, because it waits for
ever behind a message that `postal` has not sent; and what it does is counted in the servers' logs,
because it tells itself only once a minute.
"""

import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.server.cpu_rows import Bench, cost_ms
from bench.server.dovecot import running_dovecot
from bench.server.figures import Side
from bench.server.load import AWAKE, LoadFailed
from bench.server.ours import running_mailkeep
from bench.server.people import MAIL, PASSWORD
from bench.server.processes import settled_cpu_s
from bench.server.running import NotStarted, Server
from tests.harness.programs import OTHER_FOLDERS, Port, free_ports

RABID_S = 15
RABID_PROCESSES = 4
RABID_A_MINUTE = 1_000_000
"""No limit: it would wait between connections otherwise."""

LISTENER = """
[[listen]]
service = "pop3"
address = "{host}:{port}"
cleartext_from = ["127.0.0.0/8"]
"""

LOGIN_LINE = {Side.OURS: 'event="login accepted"', Side.RIVAL: "pop3-login: Info: Login:"}


def measure_starttls(bench: Bench) -> list[str]:
    """Return lines that say what was found, or why nothing was."""
    ours, theirs = _ports()
    try:
        with ExitStack() as stack:
            listener = LISTENER.format(host=ours.host, port=ours.number)
            mailkeep = stack.enter_context(running_mailkeep(bench.place, more=listener))
            clear = "disable_plaintext_auth = no"
            dovecot = stack.enter_context(running_dovecot(bench.place, starttls=theirs, more=clear))
            servers = [
                replace(server, host=port.host, port=port.number)
                for server, port in ((mailkeep, ours), (dovecot, theirs))
            ]
            return [_stls(bench, servers), *_rabid(bench, servers)]
    except (LoadFailed, NotStarted) as failure:
        return [f"STLS: FAILED: {failure}"]


def _ports() -> tuple[Port, Port]:
    """Return where the two servers speak POP3: at port 110 if this user may."""
    if os.geteuid() == 0:
        return Port("127.0.0.2", 110), Port("127.0.0.3", 110)
    first, second = free_ports(2)
    return first, second


def _stls(bench: Bench, servers: Sequence[Server]) -> str:
    """Load both over STLS, in turns."""
    costs: dict[Side, list[float]] = defaultdict(list)
    options = ("--starttls", *AWAKE)
    for number in range(1 + bench.rounds):
        for server in servers:
            run = partial(bench.load.run, server, "stat", MAIL, connections=8, options=options)
            if number == 0:  # each user's password is shown once
                run(units=MAIL.users)
                continue
            cost, _ = cost_ms(server, partial(run, seconds=bench.seconds))
            costs[server.side].append(cost)
    ours, theirs = (median(costs[side]) for side in (Side.OURS, Side.RIVAL))
    return (
        f"connect, STLS, login, STAT, QUIT: Mailkeep {ours:.2f} ms, Dovecot {theirs:.2f} ms of CPU,"
        f" ratio {ours / theirs:.2f}"
    )


def _rabid(bench: Bench, servers: Sequence[Server]) -> list[str]:
    """Let `rabid` list all users' mail over and over, from one server and then from the other."""
    program = shutil.which("rabid", path=os.environ.get("PATH", "") + OTHER_FOLDERS)
    if program is None:
        return ["rabid was not run: postal is not installed"]
    if servers[0].port != 110:
        return ["rabid was not run: it knows port 110 only, which root may use"]
    users = bench.place.folder / "users.txt"
    users.write_text("".join(f"{address} {PASSWORD}\n" for address in MAIL.addresses))
    return [_rabid_line(program, users, server) for server in servers]


def _rabid_line(program: str, users: Path, server: Server) -> str:
    before_s, logins = settled_cpu_s(server.pid), _logins(server)
    start = time.monotonic()
    command = (program, "-p", str(RABID_PROCESSES), "-r", str(RABID_A_MINUTE), "-d", "0:0")
    with subprocess.Popen(
        (*command, server.host, users),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        time.sleep(RABID_S)
        os.killpg(process.pid, 9)
    minutes = (time.monotonic() - start) / 60
    used_s, done = settled_cpu_s(server.pid) - before_s, _logins(server) - logins
    if not done:
        return f"rabid, without TLS, against {server.side.value}: FAILED: no login"
    return (
        f"rabid (CAPA, USER, PASS, LIST, QUIT; without TLS) against {server.side.value}:"
        f" {done / minutes:,.0f} sessions a minute, {used_s * 1000 / done:.2f} ms of CPU each"
    )


def _logins(server: Server) -> int:
    return server.log.read_text(errors="replace").count(LOGIN_LINE[server.side])
