"""A running server: from the first connection to an orderly end."""

import asyncio
import resource
from collections.abc import Sequence

from mailkeep.events import EventSink, EventType
from mailkeep.pop3 import Security
from mailkeep.server.connection import Connection
from mailkeep.server.listener import Door, Listener
from mailkeep.server.meeting import Meeting

RESERVED_DESCRIPTORS = 128
"""Listeners, database, index files, locks, the log, and what libraries open."""

DESCRIPTORS_A_CONNECTION = 2
"""Its socket, and the message that it is being sent."""


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
        self._door = Door(
            listeners,
            capacity_under(meeting.limits.connections, raise_descriptor_limit()),
            meeting.limits,
            sink,
            self._begin,
        )

    def start(self) -> None:
        """Begin to accept."""
        self._door.open()

    async def stop(self) -> None:
        """Accept nobody, end sessions between commands, give what is under way its time."""
        self._sink.emit(EventType.STOPPING, connections=len(self._door.connections))
        self._door.close()
        for connection in tuple(self._door.connections):
            connection.stop()
        await self._wait(self._meeting.limits.shutdown_s)
        for connection in tuple(self._door.connections):
            connection.abort("the server stopped")
        await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=seconds)

    def _begin(self, connection: Connection, security: Security) -> None:
        session = asyncio.create_task(self._meeting.serve(connection, security))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def capacity_under(connections: int, descriptors: int) -> int:
    """Return how many connections may be open at once.

    Args:
        connections: the operator's limit; 0 for none.
        descriptors: files that the process may have open.
    """
    possible = max(1, (descriptors - RESERVED_DESCRIPTORS) // DESCRIPTORS_A_CONNECTION)
    return min(connections, possible) if connections else possible
