"""`lmtp:HOST:PORT` or `lmtp:/PATH`: messages are handed on to a server for delivery (RFC 2033).

One connection a batch, one recipient, streamed from the spool. A server may take a message, refuse
it for now (4yz) or for good (5yz); nothing is ever bounced. Lines end with CRLF on the way (RFC
5321 section 2.3.8), so a lone LF becomes CRLF and a missing one is added; the rest arrives as it
came.

Known limits: when the connection is lost between the final dot and the answer, nobody knows whether
the server has the message, and the next run may double it (at least once). A lone CR is sent as it
came. `smtplib` does not limit how many lines an answer has. There is no TLS: a server beyond this
machine needs a tunnel.
"""

import contextlib
import smtplib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailkeep.fetch.destinations.foreign_text import last_words
from mailkeep.fetch.destinations.seam import (
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.destinations.spool import Spool, SpooledMessage
from mailkeep.fetch.destinations.temporary import own_writers
from mailkeep.message import WireForm
from mailkeep.pop3 import DotStuffer

CONNECT_TIMEOUT_S = 30.0
"""For the connection and the greeting: a server for final delivery is near."""

TIMEOUT_S = 300.0
"""For each answer (RFC 5321 section 4.5.3.2)."""

FINAL_TIMEOUT_S = 600.0
"""For the answer to the final dot (RFC 5321 section 4.5.3.2.6)."""


@dataclass(frozen=True, slots=True)
class LmtpServer:
    """Where an LMTP server is.

    Attributes:
        host: a name, an address, or the path of a socket.
        port: None for a socket.
    """

    host: str
    port: int | None

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _Refused(Exception):
    """The server does not take this message; the connection can be used again."""


class _Unknown(Exception):
    """The server may have the message."""


class LmtpDestination:
    """An LMTP server; see `mailkeep.fetch.destinations.seam.Destination`.

    Args:
        server: where it is.
        recipient: whose mail it is, as the server knows them; no line break.
        spool: a folder for messages on their way.
        timeout_s: for each answer but the last.
    """

    is_exactly_once = False

    def __init__(
        self, server: LmtpServer, recipient: str, spool: Path, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = f"lmtp:{server}"
        self._server = server
        self._recipient = recipient
        self._spool = Spool(spool)
        self._timeout_s = timeout_s
        self._client: smtplib.LMTP | None = None

    def prepare(self, *, is_known: bool) -> None:
        """See that the server answers; see `Destination.prepare`."""
        del is_known
        self._spool.prepare()
        self._connected()
        self.close()

    def recover(self, mark: int | None) -> list[str]:
        """Do nothing: what a server has taken nobody can know."""
        del mark
        return []

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        """Find nothing: a server cannot be asked."""
        del tokens
        return {}

    def iterate(self) -> Iterator[Found]:
        """Refuse; see `Destination.iterate`."""
        raise DestinationUnavailable(f"{self.name} cannot be read back")

    def open(self, slot: Slot) -> SpooledMessage:
        """Begin a message."""
        del slot
        return SpooledMessage(self._spool)

    def begin_batch(self) -> None:
        """Connect; see `Destination.begin_batch`."""
        self._connected()

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        """Hand all over in order; see `Destination.commit`."""
        outcomes: list[Stored | Refusal] = []
        gone: Refusal | None = None
        for message in own_writers(batch, SpooledMessage):
            try:
                outcomes.append(gone or self._hand_over(message))
            except DestinationUnavailable as cause:
                if not outcomes:
                    raise
                # Messages before this one are handed over, and must not count as not stored.
                gone = Refusal(str(cause))
                outcomes.append(gone)
            finally:
                message.abandon()
        return outcomes

    def end_batch(self) -> None:
        """Take leave."""
        self.close()

    def close(self) -> None:
        """Take leave, if there is a connection. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.quit()
            client.close()

    def _hand_over(self, message: SpooledMessage) -> Stored | Refusal:
        client = self._connected()
        try:
            _send(client, message, self._recipient)
        except _Refused as cause:
            self._begin_anew()
            return Refusal(f"{self.name}: {cause}")
        except _Unknown as cause:
            self._drop()
            return Refusal(
                f"{self.name}: the connection was lost before the last answer ({cause}), so the "
                "outcome is unknown; trying again may double the message"
            )
        except (OSError, smtplib.SMTPException) as cause:
            self._drop()
            return Refusal(f"{self.name}: the connection was lost: {_words(cause)}")
        except DestinationUnavailable:  # the spool's disk, in the middle of a message
            self._drop()
            raise
        return Stored(where=self.name)

    def _connected(self) -> smtplib.LMTP:
        """Return the connection of this batch, a new one after a failure.

        Raises:
            DestinationUnavailable: there is none to be had.
        """
        if self._client is not None:
            return self._client
        try:
            client = smtplib.LMTP(
                self._server.host,
                self._server.port or 0,
                local_hostname="localhost",  # else smtplib asks the DNS for ours
                timeout=min(self._timeout_s, CONNECT_TIMEOUT_S),
            )
        except smtplib.SMTPException as cause:
            raise DestinationUnavailable(f"{self.name}: {_words(cause)}") from cause
        except OSError as cause:
            raise DestinationUnavailable(
                f"cannot reach {self.name}: {_words(cause)}", hint="is the server running?"
            ) from cause
        try:
            _set_timeout(client, self._timeout_s)
            self._greet(client)
        except BaseException:
            client.close()
            raise
        self._client = client
        return client

    def _greet(self, client: smtplib.LMTP) -> None:
        try:
            code, text = client.ehlo()
        except (OSError, smtplib.SMTPException) as cause:
            raise DestinationUnavailable(f"{self.name}: {_words(cause)}") from cause
        if code != 250:
            raise DestinationUnavailable(
                f"{self.name}: {code} {last_words(text)}", hint="does it speak LMTP and not SMTP?"
            )
        if not self._recipient.isascii():
            if not client.has_extn("smtputf8"):
                raise DestinationUnavailable(
                    f"{self.name} does not take names that are not ASCII: {self._recipient}"
                )
            client.command_encoding = "utf-8"

    def _begin_anew(self) -> None:
        """Make the connection fit for the next message, or give it up."""
        try:
            is_fit = self._client is not None and self._client.rset()[0] == 250
        except (OSError, smtplib.SMTPException):
            is_fit = False
        if not is_fit:
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _send(client: smtplib.LMTP, message: SpooledMessage, recipient: str) -> None:
    """Hand over one message.

    Raises:
        _Refused: the server says no.
        _Unknown: it may have said yes.
        OSError, SMTPException: the connection was lost, and the server does not have it.
    """
    _expect(2, *client.docmd("MAIL", f"FROM:<>{_options(client, message, recipient)}"))
    _expect(2, *client.docmd("RCPT", f"TO:<{recipient}>"))
    _expect(3, *client.docmd("DATA"))
    wire, dots = WireForm(), DotStuffer()
    for piece in message.pieces():
        client.send(dots.feed(wire.feed(piece)))
    client.send(dots.feed(wire.finish()))
    try:
        code, text = _end_data(client, dots)
    except (OSError, smtplib.SMTPException) as cause:
        raise _Unknown(_words(cause)) from cause
    if code // 100 not in {2, 4, 5}:
        raise _Unknown(last_words(text))
    _expect(2, code, text)


def _end_data(client: smtplib.LMTP, dots: DotStuffer) -> tuple[int, bytes]:
    before_s = _set_timeout(client, FINAL_TIMEOUT_S)
    client.send(dots.finish())
    answer = client.getreply()
    _set_timeout(client, before_s)
    return answer


def _set_timeout(client: smtplib.LMTP, timeout_s: float | None) -> float | None:
    """Set how long to wait from now on, and return how long it was."""
    if client.sock is None:
        raise smtplib.SMTPServerDisconnected("the connection is gone")
    before_s = client.sock.gettimeout()
    client.sock.settimeout(timeout_s)
    return before_s


def _options(client: smtplib.LMTP, message: SpooledMessage, recipient: str) -> str:
    """Return the parameters of MAIL that the server offers (RFC 1870, 6152 and 6531)."""
    options = ""
    if client.has_extn("size"):
        options += f" SIZE={message.octets}"
    if client.has_extn("8bitmime"):
        options += " BODY=8BITMIME"
    return options if recipient.isascii() else options + " SMTPUTF8"


def _expect(kind: int, code: int, text: bytes) -> None:
    """Go on if the answer's first digit is this one.

    Raises:
        _Refused: it is another.
    """
    if code // 100 != kind:
        raise _Refused(f"{code} {last_words(text)}")


def _words(cause: Exception) -> str:
    """Return what an error of smtplib says, which may be the server's words."""
    if isinstance(cause, smtplib.SMTPResponseException):
        text = cause.smtp_error
        return f"{cause.smtp_code} {last_words(text if isinstance(text, bytes) else text.encode())}"
    return last_words(str(cause).encode())
