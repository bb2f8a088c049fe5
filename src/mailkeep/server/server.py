"""A running server: from the first connection to an orderly end."""

import asyncio
from collections.abc import Sequence

from mailkeep.events import EventSink, EventType
from mailkeep.pop3 import Security
from mailkeep.server.connection import Connection
from mailkeep.server.listener import Door, Listener
from mailkeep.server.meeting import Meeting
from mailkeep.site import Listen


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
        self._sink = sink
        self._sessions: set[asyncio.Task[None]] = set()
        self._door = Door(listeners, meeting.limits, sink, self._begin)

    def start(self) -> None:
        """Begin to accept."""
        self._door.open()

    def reload(self, meeting: Meeting, listens: Sequence[Listen]) -> bool:
        """Use other settings from the next connection on.

        Args:
            meeting: takes the place of the one before.
            listens: who may come in where; a listener of the same service and address takes it.

        Returns:
            Whether that is all: False when a port is to be opened or closed, which takes a restart.
        """
        self._meeting = meeting
        return self._door.reload(meeting.limits, listens)

    async def stop(self) -> None:
        """Accept nobody, end sessions between commands, give what is under way its time."""
        self._sink.emit(EventType.STOPPING, connections=len(self._door.connections))
        self._door.close()
        for connection in tuple(self._door.connections):
            connection.stop()
        await self._wait(self._meeting.limits.shutdown_s or None)
        for connection in tuple(self._door.connections):
            connection.abort("the server stopped")
        await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for the end of every session and for its last octets to be taken."""
        empty = asyncio.create_task(self._door.wait_until_empty())
        await asyncio.wait({empty, *self._sessions}, timeout=seconds)

    def _begin(self, connection: Connection, security: Security) -> None:
        session = asyncio.create_task(self._meeting.serve(connection, security))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)
