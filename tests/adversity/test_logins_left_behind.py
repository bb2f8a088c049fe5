"""Many logins sent at once by a client that does not stay for the answers."""

import asyncio

import pytest
from tests.adversity.loopback import DEADLINE_S, POP3S, Client, Serve
from tests.server.parts import OnePassword, full_store

from mailkeep.accounts import Admission, Identified
from mailkeep.events import EventType
from mailkeep.server.before_login.program import REFUSALS_LIMIT
from mailkeep.server.connection import Connection
from mailkeep.values import IpAddress


class Slow(OnePassword):
    """As a password hash it gives the loop its turns; it tells when it was asked the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def verify(self, identified: Identified, source: IpAddress) -> Admission:
        self.begun.set()
        if self.held is None:
            await asyncio.sleep(0.001)
        return await super().verify(identified, source)


def _by_rst(client: Client) -> None:
    client.reset()


def _by_fin(client: Client) -> None:
    client.close()


@pytest.mark.parametrize("leave", [_by_rst, _by_fin], ids=["rst", "fin"])
async def test_nobody_computes_for_a_client_that_has_left(
    serve: Serve, leave: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check costs a core 30 ms; a segment carries a thousand (RFC 2449 section 6.6)."""
    assert callable(leave)
    paused, pause = asyncio.Event(), Connection._pause_reading

    def pause_and_tell(connection: Connection) -> None:
        pause(connection)
        paused.set()

    monkeypatch.setattr(Connection, "_pause_reading", pause_and_tell)
    check = Slow()
    check.held = asyncio.Event()
    server = await serve(full_store(), listen=POP3S, check=check)
    client = await server.connect()
    await client.start_tls()
    await client.send(b"USER mallory\r\nPASS x\r\n" * 100)
    await check.begun.wait()
    await client.send(b"USER mallory\r\nPASS x\r\n" * 100)  # what makes reading pause
    await asyncio.wait_for(paused.wait(), DEADLINE_S)
    leave(client)
    held, check.held = check.held, None
    held.set()
    await server.sessions_end()
    assert len(check.asked) < REFUSALS_LIMIT
    assert server.sink.of(EventType.CONNECTION_BROKEN)
