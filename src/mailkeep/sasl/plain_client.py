"""PLAIN from the client's side: a name and a password in one response (RFC 4616).

That it needs TLS is the protocol's rule. The password goes out octet for octet: it is the server
that prepares it (RFC 4616 section 2).
"""

from mailkeep.sasl.client import Login, unsendable
from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.values import Secret


class PlainClient:
    """PLAIN from the client's side; see `ClientMechanism`."""

    name = "PLAIN"
    refusal: str | None = None

    def __init__(self, login: Login) -> None:
        self._login = login

    def start(self) -> Secret:
        """Return `NUL authcid NUL passwd` (RFC 4616 section 2).

        Raises:
            UnusableLogin: a field is empty or has NUL, CR or LF.
        """
        if wrong := unsendable(self._login):
            raise wrong
        name = self._login.name.encode()
        return Secret(b"\0" + name + b"\0" + self._login.secret.reveal())

    def step(self, challenge: bytes) -> Secret:
        """Refuse: the one response was all.

        Raises:
            SaslFailed: always.
        """
        raise SaslFailed(f"PLAIN: the server asks for more, with {len(challenge)} octets")

    def finish(self) -> None:
        """Take +OK as it is: PLAIN proves nothing about the server, TLS does."""
