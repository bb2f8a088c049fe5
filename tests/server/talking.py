"""A session over a fake transport: what a test sends, and what the client has read since."""

import asyncio

from tests.server.fake_transport import FakeTransport
from tests.server.parts import PASSWORD

from mailkeep.pop3 import Security
from mailkeep.server import Meeting
from mailkeep.server.connection import Connection
from mailkeep.site import Endpoint

PEER = Endpoint("192.0.2.7", 40_000)


class Talk:
    """One client of a server that consists of a meeting only."""

    def __init__(self, meeting: Meeting, security: Security = Security.CLEARTEXT_ALLOWED) -> None:
        loop = asyncio.get_running_loop()
        self._meeting = meeting
        self._security = security
        self._seen = 0
        self.task: asyncio.Task[None]
        self.ended = False
        self.connection = Connection(loop, PEER, meeting.limits, self._start, self._end)
        self.transport = FakeTransport(self.connection)

    def _start(self, connection: Connection) -> None:
        self.task = asyncio.create_task(self._meeting.serve(connection, self._security))

    def _end(self, connection: Connection) -> None:
        del connection
        self.ended = True

    async def say(self, octets: bytes = b"") -> bytes:
        """Send and return what comes until the server has nothing more to do."""
        if octets:
            self.transport.send(octets)
        await settle()
        return self.heard()

    def heard(self) -> bytes:
        """Return what the client has read since it last looked."""
        news = bytes(self.transport.received[self._seen :])
        self._seen = len(self.transport.received)
        return news

    async def log_in(self, name: bytes = b"alice") -> bytes:
        """Log in and return the answer."""
        await self.say()
        await self.say(b"USER %b\r\n" % name)
        return await self.say(b"PASS %b\r\n" % PASSWORD)

    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self.ended


async def settle() -> None:
    """Let everybody do what can be done now; takes a moment that no deadline notices."""
    await asyncio.sleep(0.000_001)


async def logged_in(meeting: Meeting, name: bytes = b"alice") -> Talk:
    """Return a session in TRANSACTION."""
    talk = Talk(meeting)
    assert (await talk.log_in(name)).startswith(b"+OK ")
    return talk
