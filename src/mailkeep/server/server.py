"""A running server: from the first connection to an orderly end."""

import asyncio
from collections.abc import Sequence

from mailkeep.events import EventSink
from mailkeep.pop3 import Security
from mailkeep.server.connection import Connection
from mailkeep.server.inside import Inside
from mailkeep.server.listener import Entrance, Listener
from mailkeep.server.meeting import Meeting
from mailkeep.site import Listen
from mailkeep.values import IpAddress


class Server:
    """Serves every listener until it is stopped."""

    def __init__(self, listeners: Sequence[Listener], meeting: Meeting, sink: EventSink) -> None:
        """Make ready; must be called in a running event loop.

        Args:
            listeners: bound sockets.
            meeting: what every session has in common.
            sink: who is told.
        """
        self._meeting = meeting
        self._sessions: set[asyncio.Task[None]] = set()
        self._entrance = Entrance(listeners, meeting.limits, sink, meeting.gate.door, self._begin)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._entrance.connections)

    def start(self) -> None:
        """Begin to accept."""
        self._entrance.open()

    def turn_out(self, source: IpAddress) -> None:
        """End the connections from where nobody should have been let in, but for sessions."""
        self._entrance.turn_out(source)

    @property
    def inside(self) -> Inside[str]:
        """How many connections there are from each prefix."""
        return self._entrance.inside

    def reload(self, meeting: Meeting, listens: Sequence[Listen]) -> None:
        """Use other settings from the next connection on.

        Args:
            meeting: takes the place of the one before.
            listens: who may come in where; a listener of the same service and address takes it.
        """
        self._meeting = meeting
        self._entrance.reload(meeting.limits, listens)

    async def stop(self) -> None:
        """Accept nobody, end sessions between commands, give what is under way its time."""
        self._entrance.close()
        for connection in tuple(self._entrance.connections):
            connection.stop()
        await self._wait(self._meeting.limits.shutdown_s or None)
        await self.stop_at_once("the server stopped")

    async def stop_at_once(self, reason: str) -> None:
        """Accept nobody, and end every session but for what it cannot leave half done.

        Args:
            reason: why, for the sessions' ends.
        """
        self._entrance.close()
        for connection in tuple(self._entrance.connections):
            connection.abort(reason)
        await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for the end of every session and for its last octets to be taken."""
        empty = asyncio.create_task(self._entrance.wait_until_empty())
        await asyncio.wait({empty, *self._sessions}, timeout=seconds)

    def _begin(self, connection: Connection, security: Security) -> None:
        session = asyncio.create_task(self._meeting.serve(connection, security))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)
