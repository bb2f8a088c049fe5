"""The seam between a SASL mechanism and the protocol that carries it (RFC 4422).

A mechanism sees octets; base64, `*` and the length of a line are the protocol's (RFC 5034). It
checks nobody's password, token or certificate: it returns what the client sent or proved, and
whoever knows accounts decides. Who drives it: give `step` each response; on a `Challenge` send it
and come back with the answer, on anything else decide, and do what the value's own text says.
Known limit: nobody acts for somebody else, in any mechanism.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from mailkeep.values import Secret


class SaslFailed(Exception):
    """The other side breaks the mechanism's rules; the text is for operators.

    The text never repeats anything of a response, which holds a password.
    """


class OutOfOrder(Exception):
    """The program that drives a mechanism called it at the wrong moment; a bug of ours."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's next words; the protocol encodes them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """A name and a password to be checked, as the client sent them."""

    name_untrusted: bytes
    password_untrusted: Secret


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """Whom the client names before it proves anything: go on with `KeyedMechanism.use_keys`.

    A name that nobody has gets keys too, made up and the same each time, or the answer tells which
    names there are.
    """

    name_untrusted: bytes


@dataclass(frozen=True, slots=True)
class ScramProof:
    """What the client proved, once for the whole exchange.

    Attributes:
        proved: the place of the keys that it knows the password to; None when it knows none.
        final: the server's own proof (RFC 5802 section 7, server-final-message); b"" when there is
            none. It says that the password was right, so nobody sends it before the login is
            decided. Who lets the client in challenges with it, takes an empty response, and only
            then says +OK (RFC 5034 section 4).
    """

    name_untrusted: bytes
    proved: int | None
    final: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenCredentials:
    """A token of OAuth 2.0 to be checked; when it is bad, go on with `TokenMechanism.refuse`.

    Attributes:
        name_untrusted: whose mail is wanted; b"" when the client leaves it to the token.
        token: as it was sent. It is empty when the client only asks which scope it needs
            (RFC 7628 section 4.3), and an empty token is a bad one.
    """

    name_untrusted: bytes
    token: Secret


@dataclass(frozen=True, slots=True)
class CertificateAsked:
    """The client wants to be who its certificate says: this name, or b"" for whoever that is."""

    name_untrusted: bytes


MechanismOutcome = (
    Challenge | PasswordCredentials | KeysWanted | ScramProof | TokenCredentials | CertificateAsked
)


class ServerMechanism(Protocol):
    """One exchange, from the server's side. Start a new one for every AUTH."""

    def step(self, response: Secret | None) -> MechanismOutcome:
        """Take the client's response and return what comes next.

        Args:
            response: decoded, and secret because it may hold a password; `None` when the client
                sent no initial response.

        Raises:
            SaslFailed: the exchange is over.
        """


@runtime_checkable
class KeyedMechanism(ServerMechanism, Protocol):
    """A mechanism that asks for keys before the client has proved anything."""

    def use_keys(
        self, salt: bytes, iterations: int, keys: Sequence[tuple[Secret, Secret]]
    ) -> Challenge:
        """Return the challenge that follows `KeysWanted`.

        Args:
            salt: of all these keys.
            iterations: of all these keys.
            keys: a stored key and a server key for each password that is good; at least one.

        Raises:
            OutOfOrder: nobody asked for keys.
            ValueError: there are none.
        """


@runtime_checkable
class TokenMechanism(ServerMechanism, Protocol):
    """A mechanism that tells the client what is wrong with its token."""

    def refuse(self, configuration: str, scope: str) -> Challenge:
        """Return the challenge that says that the token is bad; -ERR follows the answer to it.

        Args:
            configuration: URL of the issuer's OpenID configuration; "" for none.
            scope: that a token must have, words between spaces; "" for any.

        Raises:
            OutOfOrder: no token has come.
        """


MechanismFactory = Callable[[], ServerMechanism]
"""Starts an exchange."""
