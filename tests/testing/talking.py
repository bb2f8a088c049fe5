"""What tests of the odd server's oddities share: three messages, and saying all at once."""

import base64
import contextlib
import socket

from tests.harness.programs import DEADLINE_S

from mailkeep.testing.odd_server import Login, RunningOddServer

BODIES = (b"Subject: a\r\n\r\n.dot\r\n", b"B: b\r\n\r\nbody\r\n", b"c\r\n")
GREETING = b"+OK odd server ready\r\n"
LOGIN = b"USER alice\r\nPASS " + Login().password + b"\r\n"
ASKS_FOR_PASSWORD = b"+OK and the password?\r\n"
IS_IN = GREETING + ASKS_FOR_PASSWORD + b"+OK 3 messages\r\n"
FIRST = b"+OK 20 octets\r\nSubject: a\r\n\r\n..dot\r\n.\r\n"
SECOND = b"+OK 14 octets\r\nB: b\r\n\r\nbody\r\n.\r\n"
STAT = b"+OK 3 37\r\n"
BYE = b"+OK bye\r\n"
GONE = b"-ERR no such message\r\n"
UNKNOWN = b"-ERR unknown command\r\n"
PLAIN = base64.b64encode(b"\0alice\0" + Login().password)
RESET = b"(reset)"


def talk(server: RunningOddServer, sent: bytes, *, limit: int | None = None) -> bytes:
    """Say all at once, end our side, and return what comes until the end or the limit."""
    with socket.create_connection((server.host, server.port), DEADLINE_S) as client:
        client.sendall(sent)
        return read_to_the_end(client, limit)


def talk_when_greeted(server: RunningOddServer, sent: bytes) -> bytes:
    """Wait for the greeting before that, so that the first command does not come early."""
    with socket.create_connection((server.host, server.port), DEADLINE_S) as client:
        assert b"".join(client.recv(1) for _ in GREETING) == GREETING
        client.sendall(sent)
        return GREETING + read_to_the_end(client)


def read_to_the_end(client: socket.socket, limit: int | None = None) -> bytes:
    with contextlib.suppress(OSError):  # it may be reset already; what came can still be read
        client.shutdown(socket.SHUT_WR)
    received = b""
    try:
        while octets := client.recv(1 << 20):
            received += octets
            if limit is not None and len(received) > limit:
                break
    except ConnectionResetError:
        return received + RESET
    return received
