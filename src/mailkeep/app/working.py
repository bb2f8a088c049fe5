"""A worker's process: started by the supervisor, told over its link what to serve.

It reads accounts and mail itself, and asks the door over the control socket. It must not write the
record: it tells the supervisor.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from mailkeep.accounts.hashing import HashingPool
from mailkeep.accounts.site_key import SiteKey, SiteKeyProblem
from mailkeep.app.mail_parts import MailParts, make_meeting, make_password_check, open_mail_parts
from mailkeep.app.process import cores, run_process
from mailkeep.database import DatabaseUnavailable
from mailkeep.database.engine import Database
from mailkeep.events.forwarding import ForwardingSink
from mailkeep.events.gathering import GatheringSink, no_time
from mailkeep.server import Holders, Listener, ServingHere, SiteCertificate, for_mail
from mailkeep.server import worker_wire as wire
from mailkeep.server.door_asking import DoorOverSocket
from mailkeep.server.worker_side import WorkerLink, WorkerParts, WorkerSide
from mailkeep.site import Site
from mailkeep.tls import CertificateProblem

MAIN = "from mailkeep.app.working import main; main()"

BEGINS_WITHIN_S = 30.0
"""What a worker is to serve is said as soon as it is started."""

NOT_FOR_WORKERS = frozenset({"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
"""What a service manager has told the supervisor, and no other process (sd_notify(3))."""


async def launch_worker(link: int, sockets: Sequence[int]) -> asyncio.subprocess.Process:
    """Start a worker's process.

    Args:
        link: descriptor of its end of the link.
        sockets: descriptors of its listening sockets.

    Raises:
        OSError: it cannot be started.
    """
    warnings = (f"-W{option}" for option in sys.warnoptions)
    environment = {key: it for key, it in os.environ.items() if key not in NOT_FOR_WORKERS}
    arguments = (*warnings, "-P", "-c", MAIN, str(link))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        pass_fds=(link, *sockets),
        env=environment,
    )


def main() -> None:
    """Serve what the supervisor says, over the socket whose descriptor is the argument."""
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    try:
        serve_as_worker(connection)
    except (
        DatabaseUnavailable,
        SiteKeyProblem,
        CertificateProblem,
        OSError,
        ValueError,
    ) as problem:
        with contextlib.suppress(OSError):
            connection.sendall(wire.encode(wire.CannotBegin(str(problem)[: wire.TEXT_LIMIT])))
        sys.exit(1)


def serve_as_worker(connection: socket.socket) -> None:
    """Serve until the supervisor says to stop, or has gone.

    Args:
        connection: to the supervisor.

    Raises:
        CertificateProblem, DatabaseUnavailable, SiteKeyProblem, OSError, ValueError: it cannot
            begin.
    """
    begin = _hear_begin(connection)
    if begin.version != (installed := version("mailkeep")):
        raise ValueError(f"version {installed} is installed now; restart to serve with it")
    site, site_now = wire.unpack_site(begin.site), wire.unpack_site(begin.site_now)
    with contextlib.ExitStack() as closing:
        sink = ForwardingSink()
        threads = max(1, cores() // begin.workers)
        key, database, hashing = open_mail_parts(site, closing, threads=threads)
        certificate = SiteCertificate(site_now, sink, renews=False)
        with_link = _Opened(
            begin.workers, site, site_now, key, database, hashing, certificate, sink, connection
        )
        run_process(_serve(with_link, _listeners(site, begin.sockets)))


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is open before the event loop runs."""

    workers: int
    site: Site
    site_now: Site
    key: SiteKey
    database: Database
    hashing: HashingPool
    certificate: SiteCertificate
    sink: ForwardingSink
    connection: socket.socket


async def _serve(opened: _Opened, listeners: Sequence[Listener]) -> None:
    """Serve, then write down what is left and tell it."""
    sink = GatheringSink(opened.sink, now_ns=no_time)
    link = WorkerLink(opened.sink, sink.flush)
    door = DoorOverSocket(opened.site.control)
    mail_parts = MailParts(
        opened.site,
        opened.key,
        opened.database,
        opened.hashing,
        opened.certificate,
        sink,
        link.command,
    )
    check = make_password_check(mail_parts)
    await check.look_again()
    holders = Holders(link.take_over)
    meeting = make_meeting(mail_parts, check, door, holders)
    serving = ServingHere(listeners, meeting, sink, workers=opened.workers)
    serving.use_now(opened.site_now)
    door.on_refusal = serving.server.turn_out
    door.start()
    side = WorkerSide(
        link,
        WorkerParts(
            serving=serving,
            certificate=opened.certificate,
            check=check,
            sessions=meeting.sessions,
            holders=holders,
            sink=sink,
            forget_permissions=door.ask_about_everybody,
            checks=lambda: (opened.hashing.running, opened.hashing.waiting),
        ),
    )
    try:
        await side.run(opened.connection)
    finally:
        await check.close()
        await door.close()
        await link.close()


def _hear_begin(connection: socket.socket) -> wire.Begin:
    """Return what this worker is to serve.

    Raises:
        Malformed: something else is said.
        OSError: nothing is said.
    """
    connection.settimeout(BEGINS_WITHIN_S)
    head = _read(connection, wire.LENGTH_OCTETS)
    ((_, body),) = wire.Frames().feed(head + _read(connection, int.from_bytes(head)))
    begin = wire.decode_down(body)
    if not isinstance(begin, wire.Begin):
        raise wire.Malformed("a worker hears first what to serve")
    return begin


def _read(connection: socket.socket, octets: int) -> bytes:
    read = b""
    while len(read) < octets:
        more = connection.recv(octets - len(read))
        if not more:
            raise OSError("the supervisor has gone")
        read += more
    return read


def _listeners(site: Site, descriptors: Sequence[int]) -> list[Listener]:
    listeners = []
    for settings, descriptor in zip(for_mail(site.settings.listen), descriptors, strict=True):
        bound = socket.socket(fileno=descriptor)
        bound.set_inheritable(False)
        listeners.append(Listener(settings, bound))
    return listeners
