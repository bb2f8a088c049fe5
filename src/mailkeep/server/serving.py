"""Who serves a site's mail: this process itself, or workers of it.

`RunningSite` drives either in the same way, and does what there may be only one of.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import msgspec

from mailkeep.events import EventSink
from mailkeep.server.listener import Listener
from mailkeep.server.meeting import Meeting
from mailkeep.server.server import Server
from mailkeep.site import Limits, Listen, Service, Site


class Serving(Protocol):
    """Serves mail, from the first connection to an orderly end."""

    @property
    def listeners(self) -> Sequence[Listener]:
        """Where, one a `[[listen]]`."""

    @property
    def connections(self) -> int:
        """How many connections are open."""

    async def start(self) -> None:
        """Return when clients are let in everywhere.

        Raises:
            OSError: they cannot be.
        """

    async def use(self, site: Site) -> None:
        """Return when other settings are in force for the next connection; ports stay."""

    async def show_certificate(self) -> None:
        """Return when new connections are shown what the certificate's files hold now."""

    async def stop(self) -> None:
        """Accept nobody, end sessions between commands, give what is under way its time."""


class ServingHere:
    """Serves mail in this process.

    Args:
        listeners: bound sockets.
        meeting: what every session has in common.
        sink: who is told.
        workers: how many processes share the site's connections.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        meeting: Meeting,
        sink: EventSink,
        *,
        workers: int = 1,
    ) -> None:
        self.listeners = listeners
        self._workers = workers
        self._meeting = replace(meeting, limits=self._share(meeting.limits))
        self.server = Server(listeners, self._meeting, sink)

    @property
    def connections(self) -> int:
        """See `Serving`."""
        return self.server.connections

    async def start(self) -> None:
        """See `Serving`."""
        self.server.start()

    async def use(self, site: Site) -> None:
        """See `Serving`."""
        self.use_now(site)

    def use_now(self, site: Site) -> None:
        """Use other settings; see `Serving.use`."""
        limits = site.settings.limits
        gate = replace(
            self._meeting.gate,
            credentials_s=limits.credentials_s,
            refusal_s=limits.refusal_ms / 1000,
            utf8=site.settings.utf8,
        )
        self._meeting = replace(self._meeting, gate=gate, limits=self._share(limits))
        self.server.reload(self._meeting, for_mail(site.settings.listen))

    async def show_certificate(self) -> None:
        """See `Serving`; here it is shown as soon as it is read."""

    async def stop(self) -> None:
        """See `Serving`."""
        await self.server.stop()

    def _share(self, limits: Limits) -> Limits:
        """Return what is left of a site's connections for one worker: the same for each."""
        return msgspec.structs.replace(limits, connections=-(-limits.connections // self._workers))


def for_mail(listens: Sequence[Listen]) -> list[Listen]:
    """Return those that mail is served on."""
    return [one for one in listens if one.service is not Service.METRICS]
