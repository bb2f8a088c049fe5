"""OpenSSL over two buffers: octets in, plaintext out, and the other way round.

Responsible for driving an `ssl.SSLObject`, a server's or a client's, so that nothing is lost
between handshake and data, and so that its buffers stay small. It must not know sockets, clocks or
POP3; on the server's side the look at the ClientHello has happened before.

Known limits: the plaintext before a broken record in the same `receive` is dropped with it: a
connection that somebody tampered with ends where it was. A session that has sent a full record
keeps the 22 KiB that OpenSSL's buffer grew to, because `ssl` cannot shrink or replace it.
"""

import ssl
from typing import Self

from mailkeep.tls.errors import TlsError, TlsFailed
from mailkeep.tls.facts import TlsFacts
from mailkeep.tls.verification import describe_refusal

_SERVER_FEED_OCTETS = 1024
"""How much goes into OpenSSL at a time: its input buffer grows to a third more than this and never
shrinks. What an idle session keeps is decided here (16.8 KiB; with 4 KiB it would be 20.9), not by
how much a peer sends at once. Clients send short lines, so few segments are cut."""

_CLIENT_FEED_OCTETS = 64 * 1024
"""A client has few sessions and whole mailboxes come through them. A record that is cut here costs
an exception more: 0.7 ms a MB with this, 0.8 with 16 KiB, 3.3 with the server's; 256 KiB
save nothing."""

_RECORD_OCTETS = 16 * 1024
"""The most a TLS record carries (RFC 8446 section 5.1). Smaller ones cost more (0.38 ms a MB with
8 KiB, 0.31 with 16 KiB), larger writes save a tenth and would leave their size in the buffer."""

_NO_VERSION = (
    "the server has no version of TLS from TLS 1.2 on, or none from the minimum that is set"
)
_MEANINGS = {
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "the server has no suite that is good enough for TLS 1.2, or misses a client certificate"
    ),
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
}
"""What OpenSSL's words mean for a client, where they say little. Old servers say the first one."""


class Session:
    """One TLS connection from its first handshake octet on; made by `server` or `client`."""

    __slots__ = (
        "_feed_octets",
        "_incoming",
        "_is_dead",
        "_outgoing",
        "_tls",
        "established",
        "peer_certificate",
        "peer_closed",
    )

    def __init__(
        self,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *,
        feed_octets: int,
    ) -> None:
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._feed_octets = feed_octets
        self.established = False
        self.peer_closed = False
        self._is_dead = False
        """Whether it raised: nothing goes in any more, and nothing but an alert comes out."""
        self.peer_certificate: bytes | None = None
        """DER, from the end of the handshake on; None if the peer has none. Read at that moment:
        OpenSSL does not tell it in the middle of a later handshake message, and a peer may stop
        there (RFC 8446 section 4.6)."""

    @classmethod
    def server(cls, context: ssl.SSLContext, outgoing: ssl.MemoryBIO) -> Self:
        """Return a session that waits for a ClientHello."""
        incoming = ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        return cls(tls, incoming, outgoing, feed_octets=_SERVER_FEED_OCTETS)

    @classmethod
    def client(cls, context: ssl.SSLContext, server_name: str, outgoing: ssl.MemoryBIO) -> Self:
        """Return a session that calls a server by its name or address; `begin` says hello."""
        incoming = ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
        return cls(tls, incoming, outgoing, feed_octets=_CLIENT_FEED_OCTETS)

    def begin(self) -> None:
        """Put a client's hello into the output.

        Raises:
            TlsFailed: the context leaves nothing to offer.
        """
        self.receive(b"")

    def receive(self, octets: bytes | memoryview) -> bytes:
        """Take what the peer sent and return the plaintext that became readable.

        Raises:
            TlsFailed: the handshake or a record failed.
            CertificateRefused: the peer's certificate cannot be trusted.
        """
        room = self._feed_octets
        if len(octets) > room:
            view = memoryview(octets)
            starts = range(0, len(octets), room)
            return b"".join([self.receive(view[start : start + room]) for start in starts])
        if self.peer_closed or self._is_dead:
            return b""  # what follows a close_notify is nobody's (RFC 8446 6.1)
        incoming = self._incoming
        incoming.write(octets)
        plaintext = b""
        try:
            if not self.established:
                self._shake_hands()
            # A read takes a whole record, so nothing stays behind once the input is empty.
            while incoming.pending:
                piece = self._tls.read(_RECORD_OCTETS)
                if not piece:
                    self.peer_closed = True
                    break
                plaintext += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # both sides have closed now
            self.peer_closed = True
        except ssl.SSLError as cause:
            raise self._die(cause) from cause
        return plaintext

    def send(self, plaintext: bytes | memoryview) -> bytes:
        """Return the octets that carry `plaintext`, and before them any that waited.

        Raises:
            TlsFailed: the handshake is not over, or `close` came before; or the peer stopped in the
                middle of a handshake message.
        """
        if len(plaintext) > _RECORD_OCTETS:
            return b"".join(self.send_records(plaintext))
        if not self.established:
            raise TlsFailed("the handshake is not over, or the session is dead")
        if not plaintext:
            return b""
        try:
            self._tls.write(plaintext)  # into memory: all of it
            return self._outgoing.read()
        except ssl.SSLWantReadError as cause:
            # OpenSSL says nothing in the middle of a handshake message, not even one that comes
            # after the handshake (RFC 8446 section 4.6); no honest peer leaves one unfinished.
            raise TlsFailed("the peer has not ended a handshake message") from cause
        except ssl.SSLError as cause:
            raise self._die(cause) from cause

    def send_records(self, plaintext: bytes | memoryview) -> list[bytes]:
        """Return a record in each of the octets that carry `plaintext`.

        Raises:
            TlsFailed: see `send`.
        """
        view = memoryview(plaintext)
        starts = range(0, len(view), _RECORD_OCTETS)
        return [self.send(view[start : start + _RECORD_OCTETS]) for start in starts]

    def output(self) -> bytes:
        """Return what waits to be sent."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """Return what waits to be sent, and close_notify behind it, if the handshake is over."""
        if self.established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                # Nobody waits for the peer's own close_notify, and that is all it can complain
                # about once ours is in the output.
                return self._outgoing.read()
        return self._outgoing.read()

    def settled(self) -> Self:
        """Return itself."""
        return self

    @property
    def version(self) -> str | None:
        """The version that was agreed, `TLSv1.3`; None before."""
        return self._tls.version()

    @property
    def cipher(self) -> str | None:
        """The suite that was agreed, by OpenSSL's name; None before."""
        agreed = self._tls.cipher()
        return agreed[0] if agreed else None

    def facts(self, server_name: str | None, group: str | None) -> TlsFacts:
        """Return what was agreed. Ask an established session only.

        Args:
            server_name: what the client called, from its ClientHello.
            group: from the server's first flight.
        """
        return TlsFacts(
            version=self.version or "unknown",
            suite=self.cipher or "unknown",
            group=group,
            server_name=server_name,
            client_certificate=self.peer_certificate,
        )

    def _shake_hands(self) -> None:
        self._tls.do_handshake()
        self.peer_certificate = self._tls.getpeercert(binary_form=True)
        self.established = True

    def _die(self, error: ssl.SSLError) -> TlsError:
        """Let nothing pass any more; return why."""
        self.established = False
        self._is_dead = True
        return self._failure(error)

    def _failure(self, error: ssl.SSLError) -> TlsError:
        """Return what OpenSSL complains about as an error of ours."""
        if isinstance(error, ssl.SSLCertVerificationError):
            if self._tls.server_side:
                return TlsFailed(f"the client's certificate is refused: {error.verify_message}")
            return describe_refusal(error, self._tls.server_hostname or "the peer")
        reason = error.reason or str(error)
        text = reason.lower().replace("_", " ")
        if not self._tls.server_side and reason in _MEANINGS:
            return TlsFailed(f"{text}: {_MEANINGS[reason]}")
        return TlsFailed(text)
