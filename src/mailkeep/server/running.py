"""A served site from start to end: signals, new settings, notices, upkeep, systemd."""

import asyncio
import os
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.server.certificate import SiteCertificate
from mailkeep.server.control import Control
from mailkeep.server.metrics_listener import MetricsListener
from mailkeep.server.serving import Serving, for_mail
from mailkeep.site import Endpoint, Service, Settings, Site, SiteError, read_site
from mailkeep.tls import CertificateProblem

LOOK_EVERY_S = 10.0
"""How often a changed certificate is looked for: two calls of stat."""

RENEW_EVERY_S = 3600.0
"""How often the site's own certificate is asked whether it is due: it has months."""

RESTART_HINT = (
    "restart to change ports, default_domain, maildrops, [serve], [login], [oauth], [door], [log]"
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
        serving: Serving,
        certificate: SiteCertificate,
        sink: EventSink,
        *,
        control: Control,
        metrics: Sequence[MetricsListener] = (),
        upkeep: Sequence[Upkeep] = (),
    ) -> None:
        """Make ready; must be called in a running event loop.

        Args:
            site: as it is on disk now.
            serving: who serves the mail.
            certificate: of this site.
            sink: who is told.
            control: where commands tell what they changed, and workers ask.
            metrics: listeners for figures.
            upkeep: what else is done while it runs.
        """
        self._folder = site.folder
        self._serving = serving
        self._certificate = certificate
        self._sink = sink
        self._control = control
        self._metrics = metrics
        self._upkeep = (
            Upkeep(self._look_at_certificate, LOOK_EVERY_S),
            Upkeep(self._renew_certificate, RENEW_EVERY_S),
            *upkeep,
        )
        self._fixed = _fixed(site.settings)
        self._one_at_a_time = asyncio.Lock()
        self._reloading: set[asyncio.Task[None]] = set()

    async def run(self, on_ready: OnReady) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads certificate and settings.

        Args:
            on_ready: told the services and the addresses that are really listened on.

        Raises:
            OSError: the control socket cannot be made, or nobody can be let in.
        """
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        await self._control.start()
        try:
            await self._serve(on_ready, stopped)
        finally:
            await self._stop()

    async def _serve(self, on_ready: OnReady, stopped: asyncio.Event) -> None:
        for listening in self._metrics:
            await listening.start()
        await self._serving.start()
        self._sink.emit(events.Started(version=version("mailkeep")))
        self._certificate.tell_loaded()
        all_listeners = (*self._serving.listeners, *(one.listener for one in self._metrics))
        on_ready([(one.settings.service, one.endpoint) for one in all_listeners])
        _tell_systemd("READY=1")
        upkeep = [asyncio.create_task(self._repeat(one)) for one in self._upkeep]
        await stopped.wait()
        for task in upkeep:
            task.cancel()
        _tell_systemd("STOPPING=1")
        self._sink.emit(events.Stopping(connections=self._serving.connections))

    async def _stop(self) -> None:
        self._control.close_to_commands()
        for listening in self._metrics:
            await listening.stop()
        await self._serving.stop()
        self._control.close()

    async def _repeat(self, upkeep: Upkeep) -> None:
        while True:
            await asyncio.sleep(upkeep.every_s)
            try:
                await upkeep.work()
            except Exception as bug:  # noqa: BLE001  # the top of a task: it is tried again
                reason, trace = repr(bug), traceback.format_exc()
                self._sink.emit(events.InternalError(reason=reason, trace=trace))

    async def _look_at_certificate(self) -> None:
        async with self._one_at_a_time:
            if self._certificate.look():
                await self._serving.show_certificate()
                self._certificate.tell_loaded()

    async def _renew_certificate(self) -> None:
        self._certificate.renew()

    def _reload_soon(self) -> None:
        reloading = asyncio.ensure_future(self._reload())
        self._reloading.add(reloading)
        reloading.add_done_callback(self._reloading.discard)

    async def _reload(self) -> None:
        """Read settings and certificate anew; what cannot be used leaves the old in force."""
        async with self._one_at_a_time:
            await self._read_anew()

    async def _read_anew(self) -> None:
        try:
            site = read_site(self._folder)
            self._certificate.use(site)
        except SiteError as error:
            self._sink.emit(events.SettingsRejected(reason=str(error), hint=error.hint))
        except CertificateProblem as problem:
            self._certificate.tell_rejected(problem)
        else:
            await self._use(site)

    async def _use(self, site: Site) -> None:
        await self._serving.use(site)
        self._certificate.tell_loaded()
        is_all = _fixed(site.settings) == self._fixed
        self._sink.emit(events.SettingsLoaded(hint=None if is_all else RESTART_HINT))


def _fixed(settings: Settings) -> tuple[object, ...]:
    """Return what is in force from start to end: rooms are opened with it."""
    limits = settings.limits
    return (
        settings.default_domain,
        settings.maildrops,
        settings.serve,
        settings.login,
        settings.oauth,
        settings.door,
        settings.log,
        limits.password_checks_waiting,
        limits.password_memory_s,
        limits.login_delay_s,
        [one for one in settings.listen if one.service is Service.METRICS],
        {(one.service, one.address) for one in for_mail(settings.listen)},
    )


def _tell_systemd(state: str) -> None:
    """Tell the service manager, if there is one, how far this service is (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path is None:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.connect("\0" + path[1:] if path.startswith("@") else path)
        notifying.sendall(state.encode())
