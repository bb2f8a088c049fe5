"""OpenSSL over two buffers: octets in, plaintext out, and the other way round.

Responsible for driving an `ssl.SSLObject` so that nothing is lost between handshake and data, and
so that its buffers stay small. It must not know sockets, clocks or POP3; the look at the
ClientHello has happened before.

Known limits: the plaintext before a broken record in the same `receive` is dropped with it: a
connection that somebody tampered with ends where it was. A session that has sent a full record
keeps the 22 KiB that OpenSSL's buffer grew to, because `ssl` cannot shrink or replace it.
"""

import ssl

from mailkeep.tls.errors import TlsFailed

_FEED_OCTETS = 1024
"""How much goes into OpenSSL at a time: its input buffer grows to a third more than this and never
shrinks. What an idle session keeps is decided here (16.8 KiB; with 4 KiB it would be 20.9), not by
how much a peer sends at once. Clients send short lines, so few segments are cut."""

_RECORD_OCTETS = 16 * 1024
"""The most a TLS record carries (RFC 8446 section 5.1). Smaller ones cost more (0.38 ms a MB with
8 KiB, 0.31 with 16 KiB), larger writes save a tenth and would leave their size in the buffer."""


class Session:
    """One TLS connection from its first handshake octet on, on the server's side."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "established", "peer_closed")

    def __init__(self, context: ssl.SSLContext, outgoing: ssl.MemoryBIO) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = outgoing
        self._tls = context.wrap_bio(self._incoming, outgoing, server_side=True)
        self.established = False
        self.peer_closed = False

    def receive(self, octets: bytes) -> bytes:
        """Take what the peer sent and return the plaintext that became readable.

        Raises:
            TlsFailed: the handshake or a record failed.
        """
        plaintext: list[bytes] = []
        try:
            for start in range(0, len(octets), _FEED_OCTETS):
                if self.peer_closed:  # what follows a close_notify is nobody's (RFC 8446 6.1)
                    break
                self._incoming.write(octets[start : start + _FEED_OCTETS])
                self._advance(plaintext)
        except ssl.SSLError as cause:
            raise TlsFailed(_operator_text(cause)) from cause
        return b"".join(plaintext)

    def send(self, plaintext: bytes) -> bytes:
        """Return the octets that carry `plaintext`, and before them any that waited.

        Raises:
            TlsFailed: the handshake is not over, or `close` came before; or the peer stopped in the
                middle of a handshake message.
        """
        rest = memoryview(plaintext)
        pieces: list[bytes] = []
        try:
            while rest:
                rest = rest[self._tls.write(rest[:_RECORD_OCTETS]) :]
                pieces.append(self._outgoing.read())
        except ssl.SSLWantReadError as cause:
            # OpenSSL says nothing in the middle of a handshake message, not even one that comes
            # after the handshake (RFC 8446 section 4.6); no honest client leaves one unfinished.
            raise TlsFailed("the client has not ended a handshake message") from cause
        except ssl.SSLError as cause:
            raise TlsFailed(_operator_text(cause)) from cause
        return b"".join(pieces)

    def close(self) -> None:
        """Put close_notify behind what waits to be sent, if the handshake is over."""
        if not self.established:
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # Nobody waits for the peer's own close_notify, and that is all it can complain about
            # once ours is in the output.
            return

    def _advance(self, plaintext: list[bytes]) -> None:
        """Do what can be done with the octets that are there."""
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            # A read takes a whole record, so nothing stays behind once the input is empty.
            while self._incoming.pending:
                piece = self._tls.read(_RECORD_OCTETS)
                if not piece:
                    self.peer_closed = True
                    return
                plaintext.append(piece)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:  # both sides have closed now
            self.peer_closed = True


def _operator_text(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
