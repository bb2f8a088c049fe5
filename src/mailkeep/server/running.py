"""A served site from start to end: signals, new settings, notices, upkeep, systemd."""

import asyncio
import os
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.control import Control, OnNotice
from mailkeep.server.listener import Listener
from mailkeep.server.meeting import Meeting
from mailkeep.server.metrics_listener import MetricsListener
from mailkeep.server.server import Server
from mailkeep.site import Endpoint, Service, Settings, Site, SiteError, read_site
from mailkeep.tls import CertificateProblem

LOOK_EVERY_S = 10.0
"""How often a changed certificate is looked for: two calls of stat."""

RENEW_EVERY_S = 3600.0
"""How often the site's own certificate is asked whether it is due: it has months."""

RESTART_HINT = (
    "restart to change ports, default_domain, maildrops, [login], [oauth], [door], [log]"
    " or the limits of passwords"
)

OnReady = Callable[[Sequence[tuple[Service, Endpoint]]], None]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Something that is done again and again while the site is served."""

    work: Callable[[], Awaitable[None]]
    every_s: float


class RunningSite:
    """A site while it is being served."""

    def __init__(
        self,
        site: Site,
        listeners: Sequence[Listener],
        meeting: Meeting,
        certificate: SiteCertificate,
        sink: EventSink,
        *,
        on_notice: OnNotice,
        metrics: Sequence[MetricsListener] = (),
        upkeep: Sequence[Upkeep] = (),
    ) -> None:
        """Make ready; must be called in a running event loop.

        Args:
            site: as it is on disk now.
            listeners: bound sockets for mail programs.
            meeting: what every session has in common.
            certificate: of this site.
            sink: who is told.
            on_notice: does what a command that changed something asks for.
            metrics: listeners for figures.
            upkeep: what else is done while it runs.
        """
        self._site = site
        self._listeners = listeners
        self._meeting = meeting
        self._certificate = certificate
        self._sink = sink
        self._server = Server(listeners, meeting, sink)
        self._control = Control(site.control, on_notice, meeting.gate.door)
        self._metrics = metrics
        self._upkeep = (
            Upkeep(_later(certificate.look), LOOK_EVERY_S),
            Upkeep(_later(certificate.renew), RENEW_EVERY_S),
            *upkeep,
        )
        self._fixed = _fixed(site.settings)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._server.connections

    async def run(self, on_ready: OnReady) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads certificate and settings.

        Args:
            on_ready: told the services and the addresses that are really listened on.

        Raises:
            OSError: the control socket cannot be made.
        """
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self._control.start()
        for listening in self._metrics:
            await listening.start()
        self._server.start()
        self._sink.emit(events.Started(version=version("mailkeep")))
        self._certificate.tell_loaded()
        all_listeners = (*self._listeners, *(one.listener for one in self._metrics))
        on_ready([(one.settings.service, one.endpoint) for one in all_listeners])
        _tell_systemd("READY=1")
        upkeep = [asyncio.create_task(self._repeat(one)) for one in self._upkeep]
        await stopped.wait()
        for task in upkeep:
            task.cancel()
        _tell_systemd("STOPPING=1")
        self._control.close()
        for listening in self._metrics:
            await listening.stop()
        await self._server.stop()

    async def _repeat(self, upkeep: Upkeep) -> None:
        while True:
            await asyncio.sleep(upkeep.every_s)
            try:
                await upkeep.work()
            except Exception as bug:  # noqa: BLE001  # the top of a task: it is tried again
                reason, trace = repr(bug), traceback.format_exc()
                self._sink.emit(events.InternalError(reason=reason, trace=trace))

    def _reload(self) -> None:
        """Read settings and certificate anew; what cannot be used leaves the old in force."""
        try:
            site = read_site(self._site.folder)
            self._certificate.change(site)
        except SiteError as error:
            self._sink.emit(events.SettingsRejected(reason=str(error), hint=error.hint))
        except CertificateProblem as problem:
            self._certificate.tell_rejected(problem)
        else:
            self._use(site)

    def _use(self, site: Site) -> None:
        limits = site.settings.limits
        gate = replace(
            self._meeting.gate,
            credentials_s=limits.credentials_s,
            refusal_s=limits.refusal_ms / 1000,
            utf8=site.settings.utf8,
        )
        self._meeting = replace(self._meeting, gate=gate, limits=limits)
        for_mail = [one for one in site.settings.listen if one.service is not Service.METRICS]
        has_its_ports = self._server.reload(self._meeting, for_mail)
        is_all = has_its_ports and _fixed(site.settings) == self._fixed
        self._site = site
        self._sink.emit(events.SettingsLoaded(hint=None if is_all else RESTART_HINT))


def _fixed(settings: Settings) -> tuple[object, ...]:
    """Return what is in force from start to end: rooms are opened with it."""
    limits = settings.limits
    return (
        settings.default_domain,
        settings.maildrops,
        settings.login,
        settings.oauth,
        settings.door,
        settings.log,
        limits.password_checks_waiting,
        limits.password_memory_s,
        limits.login_delay_s,
        [one for one in settings.listen if one.service is Service.METRICS],
    )


def _later(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        work()

    return run


def _tell_systemd(state: str) -> None:
    """Tell the service manager, if there is one, how far this service is (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.connect("\0" + path[1:] if path.startswith("@") else path)
        notifying.sendall(state.encode())
