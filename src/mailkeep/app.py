"""The one place that picks implementations and puts the parts together.

What the commands of `cli` need of a site they get here: its accounts, its maildrops, a running
server. No other file names a concrete store, database, log or event loop.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from mailkeep.accounts import Account
from mailkeep.accounts.check import PasswordChecker
from mailkeep.accounts.credentials import Credentials
from mailkeep.accounts.directory import AccountDirectory
from mailkeep.accounts.hashing import HashingPool, hashing_threads
from mailkeep.accounts.passwords import Argon2Passwords
from mailkeep.accounts.tables import SCHEMA
from mailkeep.database.engine import Database
from mailkeep.database.opening import open_database
from mailkeep.events import EventSink, EventType
from mailkeep.events.log import LogSink
from mailkeep.maildrop import Listing
from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.maildrop.maildir.folder import Maildir
from mailkeep.maildrop.maildir.names import UidlsOfNames
from mailkeep.maildrop.maildir.sizes import SizeIndex
from mailkeep.maildrop.maildir.snapshot import take_snapshot
from mailkeep.maildrop.maildir.store import MaildirStore
from mailkeep.sasl import server_mechanisms
from mailkeep.server import (
    Gate,
    Holders,
    Listener,
    Meeting,
    Server,
    inherit_sockets,
    open_listeners,
)
from mailkeep.site import Endpoint, Service, Site, SiteError, read_site
from mailkeep.tls import CertificateProblem
from mailkeep.tls.authority import SERVER, renew_if_due
from mailkeep.tls.certificates import Certificates

OPENING_THREADS = 4
"""Maildrops that may be listed at once; one that has to be counted does not stop the others."""

FILE_THREADS = 8
"""Messages that may be read or removed at once: the disk's business, not the processor's."""

CARE_EVERY_S = 10.0
"""How often a changed certificate is looked for: two calls of stat."""

OnReady = Callable[[Sequence[tuple[Service, Endpoint]]], None]


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
    """Return the maildrops of a site."""
    return MaildirStore(
        _maildirs(site),
        Leases(site.run / "leases"),
        site.index,
        opening=ThreadPoolExecutor(OPENING_THREADS, thread_name_prefix="opening"),
        files=ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="files"),
    )


def read_listing(site: Site, account: Account) -> Listing:
    """Return what a session that began now would see, without the lease that a session takes.

    An operator who looks must not lock the owner out.

    Raises:
        OSError: the maildrop cannot be read.
    """
    maildir = Maildir(_maildirs(site).of(account.address))
    with SizeIndex(site.index / f"{account.id}.sizes") as index:
        snapshot = take_snapshot(maildir, index, lambda: True)
    return Listing.of_columns(UidlsOfNames(snapshot.bases), snapshot.octets)


def _maildirs(site: Site) -> MaildirPaths:
    return MaildirPaths(site.folder, site.settings.maildrops.path)


def serve(site: Site, on_ready: OnReady) -> None:
    """Serve a site until SIGTERM or SIGINT; SIGHUP reloads certificate and settings.

    Args:
        site: as it is on disk now.
        on_ready: told the services and the addresses that are really listened on.

    Raises:
        CannotListen, CertificateProblem, DatabaseUnavailable: it cannot begin.
    """
    listeners = open_listeners(site.settings.listen, inherit_sockets(os.environ))
    with contextlib.closing(open_database(site.database, SCHEMA, create=False)) as database:
        _run_loop(_Running(site, listeners, database, LogSink()).run(on_ready))


class _Running:
    """A site that is being served."""

    def __init__(
        self, site: Site, listeners: Sequence[Listener], database: Database, sink: EventSink
    ) -> None:
        self._site = site
        self._sink = sink
        self._listeners = listeners
        self._renew_certificate()
        self._certificates = _read_certificates(site)
        limits = site.settings.limits
        hashing = HashingPool(
            threads=hashing_threads(), waiting_limit=limits.password_checks_waiting
        )
        passwords = PasswordChecker(
            Credentials(database),
            Argon2Passwords(),
            hashing,
            default_domain=site.settings.default_domain,
        )
        self._meeting = Meeting(
            gate=Gate(passwords, server_mechanisms(), sink, limits.credentials_s),
            store=open_store(site),
            sink=sink,
            limits=limits,
            holders=Holders(),
            tls_context=lambda: self._certificates.context,
        )

    async def run(self, on_ready: OnReady) -> None:
        loop = asyncio.get_running_loop()
        self._server = Server(self._listeners, self._meeting, self._sink)
        stopped = asyncio.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._server.start()
        on_ready([(one.settings.service, one.endpoint) for one in self._listeners])
        _tell_systemd("READY=1")
        care = asyncio.create_task(self._take_care())
        await stopped.wait()
        care.cancel()
        _tell_systemd("STOPPING=1")
        await self._server.stop()

    def _reload(self) -> None:
        """Read settings and certificate anew; what cannot be used leaves the old in force."""
        try:
            site = read_site(self._site.folder)
            certificates = _read_certificates(site)
        except SiteError as error:
            self._sink.emit(EventType.SETTINGS_REJECTED, reason=str(error), hint=error.hint)
        except CertificateProblem as problem:
            self._reject_certificate(problem)
        else:
            self._use(site, certificates)

    def _use(self, site: Site, certificates: Certificates) -> None:
        limits = site.settings.limits
        gate = replace(self._meeting.gate, credentials_s=limits.credentials_s)
        self._meeting = replace(self._meeting, gate=gate, limits=limits)
        is_all = self._server.reload(self._meeting, site.settings.listen)
        self._certificates = certificates
        self._site = site
        hint = None if is_all else "restart to open or close ports"
        self._sink.emit(EventType.SETTINGS_LOADED, hint=hint)
        self._tell_certificate()

    async def _take_care(self) -> None:
        """Look after the certificate for as long as the server runs."""
        while True:
            await asyncio.sleep(CARE_EVERY_S)
            self._renew_certificate()
            try:
                if self._certificates.reload_if_changed() is not None:
                    self._tell_certificate()
            except CertificateProblem as problem:
                self._reject_certificate(problem)

    def _renew_certificate(self) -> None:
        if self._site.certificate != self._site.tls / SERVER:
            return
        try:
            if renew_if_due(self._site.tls, self._site.settings.hostname, datetime.now(UTC)):
                self._sink.emit(EventType.CERTIFICATE_RENEWED, path=str(self._site.certificate))
        except CertificateProblem as problem:
            self._reject_certificate(problem)

    def _tell_certificate(self) -> None:
        description = self._certificates.description
        self._sink.emit(
            EventType.CERTIFICATE_LOADED,
            path=str(self._site.certificate),
            not_after=description.not_after.isoformat(),
        )

    def _reject_certificate(self, problem: CertificateProblem) -> None:
        self._sink.emit(EventType.CERTIFICATE_REJECTED, reason=str(problem), hint=problem.hint)


def _read_certificates(site: Site) -> Certificates:
    minimum = ssl.TLSVersion[site.settings.tls.minimum.name.replace("TLS_", "TLSv")]
    return Certificates(site.certificate, site.key, minimum=minimum)


def _run_loop(main: Coroutine[object, object, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _tell_systemd(state: str) -> None:
    """Tell the service manager, if there is one, how far this service is (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.connect("\0" + path[1:] if path.startswith("@") else path)
        notifying.sendall(state.encode())
