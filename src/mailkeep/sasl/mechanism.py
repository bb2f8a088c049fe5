"""The seam between a SASL mechanism and the protocol that carries it (RFC 4422).

A mechanism sees octets; base64, `*` and limits of length are the protocol's (RFC 5034). It checks
nobody's password: it returns what the client sent, and whoever knows accounts decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mailkeep.values import Secret


class SaslFailed(Exception):
    """The other side breaks the mechanism's rules; the text is for operators.

    The text never repeats anything of a response, which holds a password.
    """


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's next words; the protocol encodes them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """A name and a password to be checked, as the client sent them."""

    name_untrusted: bytes
    password_untrusted: Secret


class ServerMechanism(Protocol):
    """One exchange, from the server's side. Start a new one for every AUTH."""

    def step(self, response: Secret | None) -> Challenge | PasswordCredentials:
        """Take the client's response and return what comes next.

        Args:
            response: decoded, and secret because it may hold a password; `None` when the client
                sent no initial response.

        Raises:
            SaslFailed: the exchange is over.
        """


MechanismFactory = Callable[[], ServerMechanism]
"""Starts an exchange."""
