"""TLS on the server's side, without I/O.

Responsible for every octet of a connection before, during and after the handshake, so that nothing
can wait in a buffer that somebody else owns: that is how plaintext survives STLS. It reads the
ClientHello first: what is no TLS, or wants another protocol than POP3, never reaches OpenSSL.

It must not know sockets, timers or POP3. The caller moves the octets, holds the deadlines, and
decides what a connection that ended without close_notify means.
"""

import ssl
from enum import Enum

from mailkeep.tls.client_hello import ClientHello, HelloReader
from mailkeep.tls.errors import AlpnRefused, BadHello, TlsError, TlsFailed
from mailkeep.tls.facts import TlsFacts
from mailkeep.tls.server_flight import find_group
from mailkeep.tls.session import Session

POP3 = "pop3"
"""The application protocol's name in the IANA registry (RFC 7301 section 6)."""


class _Alert(Enum):
    """Alerts of ours (RFC 8446 section 6.2); OpenSSL sends its own."""

    DECODE_ERROR = 50
    NO_APPLICATION_PROTOCOL = 120

    def record(self) -> bytes:
        """Return the fatal alert as a plain record, before any keys exist."""
        return bytes((21, 3, 3, 0, 2, 2, self.value))


class _Dead(Enum):
    """The state of a channel that raised: nothing goes in any more."""

    DEAD = "dead"


class TlsChannel:
    """One connection's TLS, from its first octet to its last.

    After STLS make a new one: it starts from nothing. An idle session keeps about 17 KiB, almost
    all of it OpenSSL's; a connection that has not said hello yet less than 1 KiB.
    """

    __slots__ = ("_context", "_flight_is_due", "_group", "_outgoing", "_server_name", "_state")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._outgoing = ssl.MemoryBIO()
        self._server_name: str | None = None
        self._group: str | None = None
        self._flight_is_due = False
        self._state: HelloReader | Session | _Dead = HelloReader()

    def receive(self, octets: bytes) -> bytes:
        """Take what the peer sent and return the plaintext that became readable.

        Ask `output` afterwards, also when this raised: an alert may wait there.

        Args:
            octets: as they came, in any pieces. After an error or the peer's close_notify they
                are dropped.

        Raises:
            NotTls: the peer does not speak TLS; there is nothing to answer.
            BadHello: its ClientHello is malformed or too long.
            AlpnRefused: it wants another protocol (RFC 7301 section 3.2).
            TlsFailed: the handshake or a record failed.
        """
        state = self._state
        try:
            if isinstance(state, Session):
                return state.receive(octets)
            if isinstance(state, HelloReader):
                return self._read_hello(state, octets)
        except TlsError:
            self._state = _Dead.DEAD
            raise
        return b""

    def output(self) -> bytes:
        """Return the octets to put on the wire now: handshake, tickets, alerts; `b""` if none."""
        if not self._outgoing.pending:
            return b""
        octets = self._outgoing.read()
        if self._flight_is_due:
            self._flight_is_due = False
            self._group = find_group(octets)
        return octets

    def send(self, plaintext: bytes) -> bytes:
        """Return the octets that carry `plaintext`, of any length, and before them any that waited.

        Raises:
            TlsFailed: the channel is not established, is dead, or `close` came before.
        """
        return self._session().send(plaintext)

    def send_records(self, plaintext: bytes) -> list[bytes]:
        """Do the same as `send`, and return each record by itself.

        Raises:
            TlsFailed: see `send`.
        """
        return self._session().send_records(plaintext)

    def close(self) -> bytes:
        """Return what is still to be sent, close_notify last (RFC 8446 section 6.1). Never raises.

        Without an established session there is no close_notify.
        """
        if isinstance(self._state, Session):
            return self._state.close()
        return self.output()

    def settled(self) -> Session:
        """Return what is left of it after the handshake, for octets that come and go.

        Raises:
            TlsFailed: the handshake is not over.
        """
        if isinstance(self._state, Session) and self._state.established:
            return self._state
        raise TlsFailed("no handshake has been completed")

    @property
    def established(self) -> bool:
        """Whether the handshake is over and `send` may be called."""
        return isinstance(self._state, Session) and self._state.established

    @property
    def peer_closed(self) -> bool:
        """Whether the peer's close_notify came; a connection that ends without it was cut."""
        return isinstance(self._state, Session) and self._state.peer_closed

    @property
    def server_name(self) -> str | None:
        """The host name that the client called, for the log; any name gets the one certificate."""
        return self._server_name

    @property
    def facts(self) -> TlsFacts:
        """What the handshake agreed.

        Raises:
            TlsFailed: it is not over.
        """
        return self.settled().facts(self._server_name, self._group)

    def _session(self) -> Session:
        if isinstance(self._state, Session):
            return self._state
        raise TlsFailed("no handshake has been completed")

    def _read_hello(self, reader: HelloReader, octets: bytes) -> bytes:
        """Wait for the ClientHello, judge it, and hand it to OpenSSL as it came."""
        try:
            hello = reader.feed(octets)
        except BadHello:
            self._outgoing.write(_Alert.DECODE_ERROR.record())
            raise
        if hello is None:
            return b""
        self._server_name = hello.server_name
        if not is_protocol_agreed(hello):
            self._outgoing.write(_Alert.NO_APPLICATION_PROTOCOL.record())
            raise AlpnRefused("the client offers other application protocols than pop3")
        self._flight_is_due = True
        session = self._state = Session.server(self._context, self._outgoing)
        return session.receive(reader.raw)


def is_protocol_agreed(hello: ClientHello) -> bool:
    """Tell whether this client wants POP3 or does not say what it wants.

    Most mail programs say nothing; a browser that an attacker sends here says `http/1.1`.
    """
    return hello.protocols is None or POP3.encode() in hello.protocols
