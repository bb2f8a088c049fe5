"""TLS on the client's side, without I/O.

Responsible for every octet of a connection from its ClientHello on. A new channel starts from
nothing: what came before the handshake cannot be taken for what comes after it (RFC 2595 section
4). It must not know sockets, timers or POP3. The caller moves the octets, holds the deadlines,
checks its pins before it sends anything, and decides what an end without close_notify means.

Known limits: sessions are not resumed. A server whose session ticket is spread over several
records cannot be answered in the middle of it; it would be a strange one.
"""

import ssl
from enum import Enum

from mailkeep.tls.errors import NotTls, TlsError, TlsFailed
from mailkeep.tls.session import Session

_ALERT, _HANDSHAKE = 21, 22
"""What a server's first record can be (RFC 8446 section 5.1)."""


class _Stage(Enum):
    """How far a channel is, as far as its session does not know."""

    UNANSWERED = "unanswered"
    ANSWERED = "answered"
    DEAD = "dead"
    """It raised: nothing goes in any more."""


class ClientChannel:
    """One connection's TLS, from the ClientHello to its last octet."""

    __slots__ = ("_outgoing", "_session", "_stage")

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        """Make a channel.

        Args:
            context: from `client_context`.
            server_name: whom the certificate must be for: a name in the form of `a_label_form`, or
                an address. A name is sent to the server (RFC 6066 section 3).
        """
        self._outgoing = ssl.MemoryBIO()
        self._session = Session.client(context, server_name, self._outgoing)
        self._stage = _Stage.UNANSWERED

    def begin(self) -> bytes:
        """Return the ClientHello.

        Raises:
            TlsFailed: the context leaves nothing to offer.
        """
        self._session.begin()
        return self.output()

    def receive(self, octets: bytes) -> bytes:
        """Take what the server sent and return all plaintext that became readable, as one piece.

        Ask `output` afterwards, also when this raised: a handshake message or an alert may wait
        there. With TLS 1.3 a server judges the client's certificate after the handshake, so its
        refusal comes here (RFC 8446 section 4.4.2.4).

        Args:
            octets: as they came, in any pieces. After an error or the server's close_notify they
                are dropped.

        Raises:
            NotTls: the server does not speak TLS; there is nothing to answer.
            CertificateRefused: its certificate is not one to trust.
            TlsFailed: the handshake or a record failed.
        """
        if self._stage is _Stage.DEAD or not octets:
            return b""
        try:
            self._check_first(octets)
            return self._session.receive(octets)
        except TlsError:
            self._stage = _Stage.DEAD
            raise

    def output(self) -> bytes:
        """Return the octets to put on the wire now: handshake, alerts; `b""` if none."""
        return self._outgoing.read()

    def send(self, plaintext: bytes) -> bytes:
        """Return the octets that carry `plaintext`, of any length, and before them any that waited.

        Raises:
            TlsFailed: the channel is not established, is dead, or `close` came before.
        """
        return self._established_session().send(plaintext)

    def close(self) -> bytes:
        """Return what is still to be sent, close_notify last (RFC 8446 section 6.1). Never raises.

        Without an established session there is no close_notify.
        """
        return self.output() if self._stage is _Stage.DEAD else self._session.close()

    @property
    def established(self) -> bool:
        """Whether the handshake is over, and with it the certificate accepted by the context."""
        return self._stage is not _Stage.DEAD and self._session.established

    @property
    def peer_closed(self) -> bool:
        """Whether the server's close_notify came; a connection that ends without it was cut."""
        return self._stage is not _Stage.DEAD and self._session.peer_closed

    @property
    def version(self) -> str:
        """`TLSv1.3` or `TLSv1.2`.

        Raises:
            TlsFailed: the channel is not established.
        """
        return self._established_session().version or ""

    @property
    def cipher(self) -> str:
        """The suite, by OpenSSL's name.

        Raises:
            TlsFailed: the channel is not established.
        """
        return self._established_session().cipher or ""

    @property
    def peer_certificate(self) -> bytes:
        """The server's certificate, DER.

        Raises:
            TlsFailed: the channel is not established.
        """
        certificate = self._established_session().peer_certificate
        if certificate is None:  # no suite of ours goes without one
            raise TlsFailed("the server has no certificate")
        return certificate

    def _check_first(self, octets: bytes) -> None:
        """Tell a server that says something else from one whose TLS is broken."""
        if self._stage is _Stage.UNANSWERED and octets[0] not in {_ALERT, _HANDSHAKE}:
            raise NotTls("the server's answer is no TLS: this port may be one for STLS")
        self._stage = _Stage.ANSWERED

    def _established_session(self) -> Session:
        if not self.established:
            raise TlsFailed("no handshake has been completed")
        return self._session
