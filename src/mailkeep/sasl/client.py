"""The seam between a client's SASL mechanism and the protocol that carries it (RFC 4422).

A mechanism sees octets; base64, `*` and lines are the protocol's (RFC 5034). It draws no random
numbers and knows no connection: nonce and channel binding are arguments.

Every mechanism here speaks first. The protocol sends what `start` returns behind the name, where it
fits into a line, or as the answer to the server's empty challenge; then it answers challenges with
`step`, and calls `finish` when the server said +OK. A login is good only when `finish` returned.
Known limits: nobody acts for somebody else (no authzid), and there are no security layers: TLS is
below.
"""

import re
from dataclasses import dataclass, field
from typing import Protocol

from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.values import Secret

CHALLENGE_LIMIT_OCTETS = 4096
"""Of one decoded challenge. The largest that are met are the errors of OAuth, below 1 kB; SCRAM's
stay below 300 octets. More is no mechanism but somebody filling memory."""

STEPS_LIMIT = 3
"""Challenges in one exchange, with the empty one that asks for what `start` returned. SCRAM has all
three; each mechanism refuses what goes beyond its own, and the protocol may count without asking
which it is."""

_SHOWN_LIMIT_CHARACTERS = 64
"""Of a server's words in an error: the longest that RFC 5802 defines has 35."""

_KIND = re.compile(r"[A-Za-z0-9.-]+")
"""RFC 5802 section 7, cb-name."""

_NEVER_SENT = (b"\0", b"\r", b"\n")
"""NUL separates the fields of PLAIN, and a line break is a try at what happens further on."""


class CredentialsRefused(SaslFailed):
    """The server says inside the mechanism that name, password or token are not right."""


class UnusableLogin(SaslFailed):
    """The name, the password or the token cannot be sent; nothing was."""


@dataclass(frozen=True, slots=True)
class Login:
    """Whom the client claims to be.

    Attributes:
        name: as the server wants it; it is sent as it is, in UTF-8.
        secret: a password, or a token of OAuth 2.0 (RFC 6750).
        is_token: the secret is a token. It is never sent as a password, nor the reverse.
    """

    name: str
    secret: Secret
    is_token: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """What both ends of one TLS connection know of it, and nobody in between (RFC 5056).

    Attributes:
        kind: as registered: `tls-server-end-point` (RFC 5929 section 4), `tls-exporter` (RFC 9266).
        data: for `tls-server-end-point` the hash of the server's certificate.

    Raises:
        ValueError: the kind has other characters than RFC 5802 allows, or there are no data.
    """

    kind: str
    data: bytes

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind) or not self.data:
            raise ValueError("a channel binding has a kind by its registered name, and data")


class ClientMechanism(Protocol):
    """One exchange, from the client's side. Start a new one for every AUTH."""

    @property
    def name(self) -> str:
        """Say what AUTH calls it (RFC 5034 section 4)."""

    @property
    def refusal(self) -> str | None:
        """Say why the server refuses, where it told so inside the mechanism; printable."""

    def start(self) -> Secret | None:
        """Return the initial response; an empty one is `=` on the wire.

        Call it before the first octet is sent: a login that cannot be sent is told here.

        Returns:
            the response, or None where the server speaks first.

        Raises:
            UnusableLogin: the name or the secret has what may not be sent.
        """

    def step(self, challenge: bytes) -> Secret:
        """Return the response to a challenge, which is decoded.

        It may take seconds of computing (`ITERATIONS_LIMIT`): call it off the loop.

        Raises:
            CredentialsRefused: the server says that they are wrong.
            SaslFailed: the server does not keep to the mechanism; nothing more is answered. Cancel
                with `*`, or close.
        """

    def finish(self) -> None:
        """Take note that the server said +OK.

        Raises:
            SaslFailed: the server has not shown what it must know; it is not to be trusted.
        """


def refuse_oversized(challenge: bytes) -> None:
    """Let no challenge pass that is longer than any mechanism's.

    Raises:
        SaslFailed: it is.
    """
    if len(challenge) > CHALLENGE_LIMIT_OCTETS:
        raise SaslFailed(f"a challenge of the server has more than {CHALLENGE_LIMIT_OCTETS} octets")


def unsendable(login: Login) -> UnusableLogin | None:
    """Return what no mechanism may send, instead of raising it.

    An error that rises from here would take along this frame, which has looked at the secret.
    """
    try:
        name = login.name.encode()
    except UnicodeEncodeError:
        return UnusableLogin("the user name is not Unicode text")
    secret = login.secret.reveal()
    what = "token" if login.is_token else "password"
    if not name or not secret:
        return UnusableLogin(f"the user name or the {what} is empty")
    if any(octet in name for octet in _NEVER_SENT):
        return UnusableLogin("the user name has a line break or NUL")
    if any(octet in secret for octet in _NEVER_SENT):
        return UnusableLogin(f"the {what} has a line break or NUL")
    return None


def printable(words_untrusted: bytes) -> str:
    """Return a server's words as they may stand in an error: printable ASCII, cut short."""
    shown = words_untrusted[:_SHOWN_LIMIT_CHARACTERS].decode("ascii", "replace")
    return "".join(character if " " <= character <= "~" else "?" for character in shown)
