"""The one place that picks implementations and puts the parts together.

What the commands of `cli` need of a site they get here: its accounts, its maildrops, a running
server. No other file picks a store, a database, a log or an event loop; but `deliver`, which must
be quick, picks its own account lookup and delivery.
"""

import asyncio
import contextlib
import ctypes
import os
import sys
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from mailkeep.accounts import PasswordCheck
from mailkeep.accounts.check import PasswordChecker
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.hashing import HashingPool, hashing_threads
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.events import EventSink
from mailkeep.events.log import LogSink
from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir.store import MaildirStore
from mailkeep.sasl import server_mechanisms
from mailkeep.server import (
    Gate,
    Holders,
    Inherited,
    Meeting,
    OnReady,
    RunningSite,
    SiteCertificate,
    inherit_sockets,
    open_listeners,
)
from mailkeep.site import Site

OPENING_THREADS = 4
"""Maildrops that may be listed at once; one that has to be counted does not stop the others."""

FILE_THREADS = 8
"""Messages that may be read or removed at once: the disk's business, not the processor's."""

_M_ARENA_MAX = -8
"""A parameter of mallopt(3), from glibc's malloc.h."""


@contextlib.contextmanager
def open_accounts(site: Site, *, create: bool = False) -> Iterator[AccountDirectory]:
    """Open the accounts of a site for a command.

    Args:
        site: whose.
        create: make the database when it is missing.

    Raises:
        DatabaseUnavailable: it cannot be used.
    """
    database = open_database(site.database, SCHEMA, create=create)
    try:
        yield AccountDirectory(database, Argon2Passwords())
    finally:
        database.close()


def open_store(site: Site) -> MaildirStore:
    """Return the maildrops of a site, for as long as the process lives.

    Raises:
        OSError: the site's file of leases cannot be opened.
    """
    return MaildirStore(
        MaildirPaths(site.folder, site.settings.maildrops.path),
        Leases(site.run / "leases"),
        site.index,
        opening=ThreadPoolExecutor(OPENING_THREADS, thread_name_prefix="opening"),
        files=ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="files"),
    )


def serve(site: Site, on_ready: OnReady, inherited: Sequence[Inherited] = ()) -> None:
    """Serve a site until SIGTERM or SIGINT; SIGHUP reloads certificate and settings.

    Args:
        site: as it is on disk now.
        on_ready: told the services and the addresses that are really listened on.
        inherited: sockets that the caller opened, beside those from systemd.

    Raises:
        CannotListen, CertificateProblem, DatabaseUnavailable, OSError: it cannot begin.
    """
    sink = LogSink()
    listeners = open_listeners(site.settings.listen, [*inherit_sockets(os.environ), *inherited])
    with contextlib.ExitStack() as closing:
        for listener in listeners:
            closing.callback(listener.socket.close)
        database = open_database(site.database, SCHEMA, create=False)
        closing.callback(database.close)
        certificate = SiteCertificate(site, sink)
        hashing = HashingPool(
            threads=hashing_threads(),
            waiting_limit=site.settings.limits.password_checks_waiting or sys.maxsize,
        )
        meeting = _meeting(site, _password_check(site, database, hashing), certificate, sink)

        async def run() -> None:
            await RunningSite(site, listeners, meeting, certificate, sink).run(on_ready)

        tune_malloc()
        closing.callback(hashing.close)
        run_loop(run())


def _password_check(site: Site, database: Database, hashing: HashingPool) -> PasswordCheck:
    passwords = Argon2Passwords()
    return PasswordChecker(
        Credentials(database, nobodys_hash=passwords.nobodys_hash()),
        passwords,
        hashing,
        default_domain=site.settings.default_domain,
        remembered_s=site.settings.limits.password_memory_s,
    )


def _meeting(
    site: Site, passwords: PasswordCheck, certificate: SiteCertificate, sink: EventSink
) -> Meeting:
    limits = site.settings.limits
    return Meeting(
        gate=Gate(passwords, server_mechanisms(), sink, limits.credentials_s),
        store=open_store(site),
        sink=sink,
        limits=limits,
        holders=Holders(),
        tls_context=certificate.context,
    )


def run_loop(main: Coroutine[object, object, None]) -> None:
    """Run a coroutine in the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def tune_malloc() -> None:
    """Make glibc's malloc fit a server with a few threads; elsewhere nothing happens (mallopt(3)).

    One arena: each thread would otherwise keep what it once needed to open a big maildrop (12 MB a
    session of 100,000 messages instead of 9). And one large block is freed at the start, because
    the threshold for giving memory back to the kernel rises with it; without one, encrypting a
    megabyte costs three times as much.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)
    bytearray(4 << 20)
