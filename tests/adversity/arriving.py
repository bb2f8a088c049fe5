"""Clients with addresses of their own: all of 127.0.0.0/8 is this machine."""

from tests.adversity.loopback import Client, Loopback
from tests.server.parts import PASSWORD, OpenDoor

GREETING = b"+OK POP3 ready\r\n"


async def come_from(server: Loopback, host: str) -> Client:
    """Return a client with a source address of its own that has read nothing yet."""
    client = Client(server.endpoint, server.trust, None)
    server._clients.append(client)
    client.socket.bind((host, 0))
    await client.connect()
    return client


async def greeted_from(server: Loopback, host: str) -> Client:
    client = await come_from(server, host)
    assert await client.read_line() == GREETING
    return client


def door_of(server: Loopback) -> OpenDoor:
    door = server.meeting.gate.door
    assert isinstance(door, OpenDoor)
    return door


async def log_in(client: Client, name: bytes) -> Client:
    await client.send(b"USER %b\r\nPASS %b\r\n" % (name, PASSWORD))
    await client.read_line()
    assert (await client.read_line()).startswith(b"+OK ")
    return client
