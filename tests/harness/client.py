"""A strict blocking POP3 client on a socket: it believes nothing that it has not read.

It must not know how the server makes what it sends; what a body is it asks the reference client.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tests.harness.programs import DEADLINE_S, Port
from tests.reference_client import unstuff

NAME = "localhost"
"""What every certificate of the tests is made for; fetchmail refuses addresses."""


class UnexpectedReply(AssertionError):
    """The server said something else."""


class WireClient:
    """One connection, in the clear until `start_tls`."""

    def __init__(
        self, port: Port, *, timeout_s: float = DEADLINE_S, source: str | None = None
    ) -> None:
        came_from = None if source is None else (source, 0)
        self._socket = socket.create_connection(port, timeout_s, came_from)
        self._received = bytearray()

    def start_tls(self, ca: Path) -> None:
        """Do the handshake, and believe the certificate only if `ca` signed it for our name."""
        assert not self._received, f"before the handshake came {bytes(self._received)!r}"
        context = ssl.create_default_context(cafile=ca)
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=NAME)
        except OSError:
            self._socket.close()
            raise

    @property
    def local_port(self) -> int:
        """Ours."""
        return int(self._socket.getsockname()[1])

    @property
    def remote_port(self) -> int:
        """The server's."""
        return int(self._socket.getpeername()[1])

    @property
    def certificate(self) -> bytes:
        """What the server has shown, as DER."""
        assert isinstance(self._socket, ssl.SSLSocket)
        shown = self._socket.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._socket.sendall(octets)

    def read_line(self) -> bytes:
        """Return the next line with its CRLF."""
        return self._read_through(b"\r\n", 0)

    def read_stuffed(self) -> bytes:
        """Return the next body as it is on the wire, its terminator included."""
        if self._peek(3) == b".\r\n":
            return self._take(3)
        return self._read_through(b"\r\n.\r\n", 0)

    def read_body(self) -> bytes:
        """Return the next body without dots and terminator."""
        body, behind = unstuff(self.read_stuffed())
        assert not behind
        return body

    def command(self, line: bytes) -> bytes:
        """Send a command and return its answer's text, which must be `+OK`."""
        self.send(line + b"\r\n")
        return self.read_ok()

    def read_ok(self) -> bytes:
        """Return the text of the next reply, which must be `+OK`."""
        reply = self.read_line()
        if not reply.startswith(b"+OK"):
            raise UnexpectedReply(reply)
        return reply[len(b"+OK ") : -len(b"\r\n")]

    def bodies(self, commands: Sequence[bytes], *, at_once: int = 20) -> Iterator[bytes]:
        """Yield the bodies that answer commands, some of which are under way at a time."""
        for start in range(0, len(commands), at_once):
            batch = commands[start : start + at_once]
            self.send(b"".join(command + b"\r\n" for command in batch))
            for _ in batch:
                self.read_ok()
                yield self.read_body()

    def listing(self, command: bytes) -> list[tuple[int, bytes]]:
        """Return what LIST or UIDL says: numbers, and what stands behind them."""
        self.command(command)
        lines = (line.split(b" ") for line in self.read_body().splitlines())
        return [(int(number), value) for number, value in lines]

    def read_end(self) -> bytes:
        """Return all that comes until the server closes."""
        while self._receive():
            pass
        return self._take(len(self._received))

    def drop(self) -> None:
        """Hang up without a word, QUIT or TLS's own goodbye, and return when the server knows."""
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(1 << 16):
            pass
        self.close()

    def close(self) -> None:
        """Hang up at once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_through(self, end: bytes, searched: int) -> bytes:
        while (found := self._received.find(end, searched)) < 0:
            searched = max(0, len(self._received) - len(end))
            self._receive_more()
        return self._take(found + len(end))

    def _peek(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive_more()
        return bytes(self._received[:count])

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive_more(self) -> None:
        if not self._receive():
            raise UnexpectedReply(f"the server closed behind {bytes(self._received[-200:])!r}")

    def _receive(self) -> int:
        octets = self._socket.recv(1 << 16)
        self._received += octets
        return len(octets)


@contextlib.contextmanager
def logged_in(port: Port, ca: Path, account: str, password: str) -> Iterator[WireClient]:
    """Log in over POP3S; the session ends without QUIT unless the test says it."""
    with WireClient(port) as client:
        client.start_tls(ca)
        client.read_ok()
        client.command(b"USER " + account.encode())
        client.command(b"PASS " + password.encode())
        yield client
