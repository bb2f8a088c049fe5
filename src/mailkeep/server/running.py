"""A served site from start to end: signals, new settings, the certificate's upkeep, systemd."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from mailkeep.events import EventSink, EventType
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.listener import Listener
from mailkeep.server.meeting import Meeting
from mailkeep.server.server import Server
from mailkeep.site import Endpoint, Service, Settings, Site, SiteError, read_site
from mailkeep.tls import CertificateProblem

LOOK_EVERY_S = 10.0
"""How often a changed certificate is looked for: two calls of stat."""

RENEW_EVERY_S = 3600.0
"""How often the site's own certificate is asked whether it is due: it has months."""

RESTART_HINT = "restart to change ports, default_domain, maildrops or the limits of passwords"

OnReady = Callable[[Sequence[tuple[Service, Endpoint]]], None]


class RunningSite:
    """A site while it is being served."""

    def __init__(
        self,
        site: Site,
        listeners: Sequence[Listener],
        meeting: Meeting,
        certificate: SiteCertificate,
        sink: EventSink,
    ) -> None:
        """Make ready; must be called in a running event loop."""
        self._site = site
        self._listeners = listeners
        self._meeting = meeting
        self._certificate = certificate
        self._sink = sink
        self._server = Server(listeners, meeting, sink)
        self._fixed = _fixed(site.settings)

    async def run(self, on_ready: OnReady) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads certificate and settings.

        Args:
            on_ready: told the services and the addresses that are really listened on.
        """
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._server.start()
        on_ready([(one.settings.service, one.endpoint) for one in self._listeners])
        _tell_systemd("READY=1")
        upkeep = [
            asyncio.create_task(_repeat(self._certificate.look, LOOK_EVERY_S)),
            asyncio.create_task(_repeat(self._certificate.renew, RENEW_EVERY_S)),
        ]
        await stopped.wait()
        for task in upkeep:
            task.cancel()
        _tell_systemd("STOPPING=1")
        await self._server.stop()

    def _reload(self) -> None:
        """Read settings and certificate anew; what cannot be used leaves the old in force."""
        try:
            site = read_site(self._site.folder)
            self._certificate.change(site)
        except SiteError as error:
            self._sink.emit(EventType.SETTINGS_REJECTED, reason=str(error), hint=error.hint)
        except CertificateProblem as problem:
            self._certificate.tell_rejected(problem)
        else:
            self._use(site)

    def _use(self, site: Site) -> None:
        limits = site.settings.limits
        gate = replace(self._meeting.gate, credentials_s=limits.credentials_s)
        self._meeting = replace(self._meeting, gate=gate, limits=limits)
        has_its_ports = self._server.reload(self._meeting, site.settings.listen)
        is_all = has_its_ports and _fixed(site.settings) == self._fixed
        self._site = site
        self._sink.emit(EventType.SETTINGS_LOADED, hint=None if is_all else RESTART_HINT)


def _fixed(settings: Settings) -> tuple[object, ...]:
    """Return what is in force from start to end: accounts and maildrops are opened with it."""
    limits = settings.limits
    passwords = limits.password_checks_waiting, limits.password_memory_s
    return settings.default_domain, settings.maildrops, passwords


async def _repeat(work: Callable[[], None], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        work()


def _tell_systemd(state: str) -> None:
    """Tell the service manager, if there is one, how far this service is (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.connect("\0" + path[1:] if path.startswith("@") else path)
        notifying.sendall(state.encode())
