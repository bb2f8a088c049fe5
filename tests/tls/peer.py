"""A TLS client in memory, and the wire between it and a channel."""

import ssl
from collections.abc import Callable, Iterable, Iterator

from mailkeep.tls import TlsChannel

Split = Callable[[bytes], Iterable[bytes]]


def whole(octets: bytes) -> Iterator[bytes]:
    if octets:
        yield octets


def bytewise(octets: bytes) -> Iterator[bytes]:
    for at in range(len(octets)):
        yield octets[at : at + 1]


class MemoryClient:
    """A real client whose wire is two buffers."""

    def __init__(self, context: ssl.SSLContext, name: str | None = "mail.example.com") -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.established = False
        self.closed_by_server = False
        self.plaintext = b""

    def feed(self, octets: bytes) -> None:
        self._incoming.write(octets)
        self.advance()

    def advance(self) -> None:
        try:
            if not self.established:
                self.tls.do_handshake()
                self.established = True
            while True:
                piece = self.tls.read(65536)
                if not piece:
                    self.closed_by_server = True
                    return
                self.plaintext += piece
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            self.closed_by_server = True

    def output(self) -> bytes:
        return self._outgoing.read()

    def send(self, plaintext: bytes) -> bytes:
        self.tls.write(plaintext)
        return self.output()

    def close(self) -> bytes:
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            return self.output()
        return self.output()


def carry(client: MemoryClient, channel: TlsChannel, split: Split = whole) -> bytes:
    """Move octets both ways until both are quiet; return what the server could read."""
    received = b""
    client.advance()
    while True:
        to_server = client.output()
        for piece in split(to_server):
            received += channel.receive(piece)
        to_client = channel.output()
        for piece in split(to_client):
            client.feed(piece)
        if not to_server and not to_client:
            return received


def hello_of(context: ssl.SSLContext, name: str | None = "mail.example.com") -> bytes:
    """Return the octets of a real ClientHello."""
    client = MemoryClient(context, name)
    client.advance()
    return client.output()
