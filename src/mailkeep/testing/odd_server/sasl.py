"""The SASL exchanges of the odd server, honest ones (RFC 4616, 5802, 7628, Google's XOAUTH2).

They know one user's password and token, and no protocol: base64 and `*` are the session's.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from mailkeep.sasl.client import ChannelBinding
from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.sasl.scram import ITERATIONS_MINIMUM, ScramKeys
from mailkeep.sasl.scram_server import ScramServer
from mailkeep.testing.odd_server.oddity import Exchange, Outcome
from mailkeep.values import Secret

_BEARER_REFUSED = b'{"status":"invalid_token","schemes":"bearer","scope":"mail"}'
"""RFC 7628 section 3.2.2; XOAUTH2 has its own keys, and clients show it as text at most."""


@dataclass(frozen=True, slots=True)
class Login:
    """The one user of the odd server: what a test logs in with."""

    user: bytes = b"alice"
    password: bytes = field(default=b"secret of a test", repr=False)
    token: bytes = field(default=b"token-of-a-test", repr=False)


class PlainExchange:
    """PLAIN (RFC 4616)."""

    def __init__(self, login: Login) -> None:
        self._right = [b"", login.user], login.user, login.password

    def step(self, response: bytes | None) -> Outcome:
        """See `Exchange`."""
        if response is None:
            return b""
        authzid, _, rest = response.partition(b"\0")
        authcid, _, password = rest.partition(b"\0")
        authzids, user, right = self._right
        return authzid in authzids and authcid == user and password == right


class BearerExchange:
    """OAUTHBEARER and XOAUTH2: a token, and where it is wrong an answer that says so first."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._is_refused = False

    def step(self, response: bytes | None) -> Outcome:
        """See `Exchange`."""
        if self._is_refused:
            return False
        if response is None:
            return b""
        fields = response.split(b"\1")
        names = {b"n,a=" + self._login.user + b",", b"user=" + self._login.user}
        if fields[0] in names and b"auth=Bearer " + self._login.token in fields[1:]:
            return True
        self._is_refused = True
        return _BEARER_REFUSED


class ScramExchange:
    """SCRAM-SHA-256 and -PLUS: the proofs are the library's, the order of POP3 is here."""

    def __init__(self, login: Login, binding: ChannelBinding | None, *, plus: bool) -> None:
        keys = _keys(login.password)
        self._server = ScramServer(keys, secrets.token_urlsafe(18), binding, plus=plus)
        self._is_proved = False
        self._name = b"n=" + login.user.replace(b"=", b"=3D").replace(b",", b"=2C")

    def step(self, response: bytes | None) -> Outcome:
        """See `Exchange`."""
        if self._is_proved:
            return response == b""
        if response is None:
            return b""
        try:
            challenge = self._server.step(response)
        except SaslFailed:
            return False
        self._is_proved = challenge.startswith(b"v=")
        return challenge if self._is_proved or self._name in response.split(b",") else False


def make_exchange(name: str, login: Login, binding: ChannelBinding | None) -> Exchange | None:
    """Return the exchange of a mechanism, None for one that is not known or cannot be bound."""
    if name == "SCRAM-SHA-256-PLUS":
        return ScramExchange(login, binding, plus=True) if binding else None
    if name == "SCRAM-SHA-256":
        return ScramExchange(login, binding, plus=False)
    make = _SIMPLE.get(name)
    return make(login) if make else None


_SIMPLE: Mapping[str, Callable[[Login], Exchange]] = {
    "PLAIN": PlainExchange,
    "OAUTHBEARER": BearerExchange,
    "XOAUTH2": BearerExchange,
}


@cache
def _keys(password: bytes) -> ScramKeys:
    """Return the keys of a password, computed once a process."""
    return ScramKeys.derive(Secret(password), b"a salt for tests", ITERATIONS_MINIMUM)
