"""An account to fetch: where it is, how to reach it, and nothing secret.

Known limit: an account is known by `user@host`; a mailbox that moves to another host is another
account, and content hashes keep its mail from coming twice.
"""

import re
import ssl
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mailkeep.fetch.failures import WrongSettings
from mailkeep.tls.hostnames import InvalidHostname, a_label_form, read_ip_address

DEFAULT_TIMEOUT_S = 60.0
"""For one thing to happen on the network. RFC 1939 section 3 lets a server wait ten minutes; a
server that says nothing for a minute is given up, and what was stored stays stored."""


class Transport(Enum):
    """How the connection is protected."""

    TLS = "pop3s"
    """TLS from the first octet (RFC 8314 section 3.3)."""
    STLS = "pop3"
    """STLS before anything else, or nothing (RFC 2595 section 4)."""
    CLEARTEXT = "cleartext"
    """No protection: loopback, or a network that the user vouches for."""


_PORTS = {Transport.TLS: 995, Transport.STLS: 110, Transport.CLEARTEXT: 110}
_SCHEMES = {
    "pop3s": Transport.TLS,
    "pops": Transport.TLS,
    "pop3": Transport.STLS,
    "pop": Transport.STLS,
}


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """Whom to trust.

    Attributes:
        authorities: a PEM file of authorities beside the system's.
        pins: SHA-256 of certificates or of public keys (SubjectPublicKeyInfo), 32 octets each. With
            pins alone exactly these are trusted, whoever signed them; with `authorities` too, both
            must hold.
        certificate, key: of the client, PEM.
        minimum: TLS 1.2 or 1.3.
        is_unchecked: take any certificate, to look at it; only for a connection that sends nothing.
    """

    authorities: Path | None = None
    pins: tuple[bytes, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    is_unchecked: bool = False

    @property
    def verifies(self) -> bool:
        """Whether an authority must have signed the certificate; with pins alone they decide."""
        return not self.is_unchecked and (not self.pins or self.authorities is not None)


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox on one server.

    Attributes:
        host: a name in ASCII (xn-- form) or an address.
        user: as the server wants it.
        mechanism: the one that must be used (`PLAIN`, `SCRAM-SHA-256`, `USER`, ...), or None for
            the best that both sides have.
        timeout_s: for one thing to happen on the network.
        hides_read_mail: the server lists a part of the mailbox, and the next part in the next
            session (Gmail); sessions are repeated until nothing new comes.
        may_be_clear: clear text is allowed beyond loopback.
    """

    host: str
    port: int
    transport: Transport
    user: str
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    mechanism: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    hides_read_mail: bool = False
    may_be_clear: bool = False

    @property
    def name(self) -> str:
        """What the account is known by, here and in its journal."""
        return f"{self.user}@{self.host}"


_HIDING_HOSTS = frozenset({"pop.gmail.com", "pop.googlemail.com"})


def parse_url(text: str) -> Account:
    """Return the account that a URL names: `pop3s://alice@mail.example.com[:995]`.

    Raises:
        WrongSettings: it names none, or has a password in it.
    """
    if re.search(r"[\x00-\x20\x7f]", text):  # urlsplit takes some of them out without a word
        raise WrongSettings("a URL has no spaces and no control characters", hint=_EXAMPLE)
    try:
        parts = urlsplit(text)
        has_password = parts.password is not None
        port = None if has_password else parts.port
        user = unquote(parts.username or "", errors="strict")
    except ValueError:
        # What is no URL may have a password anywhere, and the cause quotes a part of it.
        raise WrongSettings("this is not a URL", hint=_EXAMPLE) from None
    if has_password:
        raise WrongSettings(
            "a password in a URL can be read by everybody on this machine",
            hint="leave it out: it is asked for; or see --password-stdin and --password-command",
        )
    transport = _SCHEMES.get(parts.scheme)
    if transport is None:
        raise WrongSettings(f"{_without_password(text)} is no POP3 URL", hint=_EXAMPLE)
    if parts.path.strip("/") or parts.query or parts.fragment:
        shown = _without_password(text)
        raise WrongSettings(f"{shown} has something behind the host", hint=_EXAMPLE)
    if not user:
        raise WrongSettings(f"{text} names no user", hint=_EXAMPLE)
    if port == 0:
        raise WrongSettings("a port is a number from 1 to 65535", hint=_EXAMPLE)
    return make_account(parts.hostname or "", user, transport, port)


def _without_password(text: str) -> str:
    """Return a text that is no URL of ours as it may be shown."""
    return re.sub(r":(?!//[^:]*$).*@", ":...@", text)


_EXAMPLE = "write pop3s://alice@mail.example.com"


def make_account(host: str, user: str, transport: Transport, port: int | None = None) -> Account:
    """Return an account with the usual port of its transport.

    Raises:
        WrongSettings: the host is none, or the user has a line break or NUL (S-58), or octets that
            are no text.
    """
    if re.search(r"[\r\n\0\ud800-\udfff]", user) or not user:
        raise WrongSettings("a user name is text, not empty, without a line break")
    named = host_name(host)
    return Account(
        host=named,
        port=_PORTS[transport] if port is None else port,
        transport=transport,
        user=user,
        hides_read_mail=named in _HIDING_HOSTS,
    )


def host_name(host: str) -> str:
    """Return a host in the form in which it is called and compared.

    Raises:
        WrongSettings: it is neither a name nor an address.
    """
    if (address := read_ip_address(host)) is not None:
        return str(address)
    try:
        return a_label_form(host)
    except InvalidHostname as cause:
        raise WrongSettings(str(cause)) from cause
