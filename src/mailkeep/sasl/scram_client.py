"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the client's side (RFC 5802, RFC 7677).

The password never leaves, and the server proves that it knows it too: without its signature a +OK
is worth nothing. With PLUS both prove that they are on the same TLS connection.
The name is sent as it is, not prepared: servers differ, and the user knows what theirs wants.
"""

import hmac
from dataclasses import dataclass

from mailkeep.sasl.client import (
    ChannelBinding,
    CredentialsRefused,
    Login,
    printable,
    refuse_oversized,
    unsendable,
)
from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.sasl.scram import (
    checked_nonce,
    client_key,
    decode,
    encode,
    escape_name,
    exclusive_or,
    is_nonce,
    read_attributes,
    read_count,
    salted_password,
    server_key,
    sign,
    stored_key,
)
from mailkeep.values import Secret

_WRONG_LOGIN = frozenset({"invalid-proof", "unknown-user", "invalid-username-encoding"})
"""Of the errors of RFC 5802 section 7: name or password are at fault, not the connection."""


@dataclass(frozen=True, slots=True)
class _NotStarted:
    pass


@dataclass(frozen=True, slots=True)
class _FirstSent:
    pass


@dataclass(frozen=True, slots=True)
class _FinalSent:
    signature: Secret
    """What the server must answer with."""


@dataclass(frozen=True, slots=True)
class _Verified:
    pass


@dataclass(frozen=True, slots=True)
class _Over:
    pass


@dataclass(frozen=True, slots=True)
class ServerFirst:
    """The server's first message, checked (RFC 5802 section 7, server-first-message)."""

    nonce: bytes
    salt: bytes
    iterations: int


class ScramClient:
    """SCRAM from the client's side; see `ClientMechanism`.

    Args:
        nonce: random, new for each exchange, printable ASCII without a comma; 18 octets in base64
            are good (RFC 5802 section 5.1, `r`).
        binding: of this connection, if we can bind.
        plus: speak SCRAM-SHA-256-PLUS.
        offers_plus: the server lists it. Where we can bind and it does not, we say so under our
            signature, and a list that was shortened on the way is found out (RFC 5802 section 6).

    Raises:
        ValueError: PLUS without a binding, or a nonce that is none.
    """

    refusal: str | None = None

    def __init__(
        self,
        login: Login,
        nonce: str,
        binding: ChannelBinding | None = None,
        *,
        plus: bool,
        offers_plus: bool,
    ) -> None:
        if plus and binding is None:
            raise ValueError("SCRAM-SHA-256-PLUS needs a channel binding")
        self._login = login
        self._nonce = checked_nonce(nonce)
        self._header = _gs2_header(binding, plus=plus, offers_plus=offers_plus)
        self._bound_to = binding.data if plus and binding else b""
        self._plus = plus
        self._state: _NotStarted | _FirstSent | _FinalSent | _Verified | _Over = _NotStarted()

    @property
    def name(self) -> str:
        """Say what AUTH calls it (RFC 7677 section 3)."""
        return "SCRAM-SHA-256-PLUS" if self._plus else "SCRAM-SHA-256"

    def start(self) -> Secret:
        """Return client-first-message (RFC 5802 section 7).

        Raises:
            UnusableLogin: the name or the password is empty or has NUL, CR or LF.
        """
        if wrong := unsendable(self._login):
            raise wrong
        self._state = _FirstSent()
        return Secret(self._header + self._bare())

    def step(self, challenge: bytes) -> Secret:
        """Prove the password, then check the server's proof.

        Raises:
            CredentialsRefused: the server says that the name or the password is wrong.
            SaslFailed: the server breaks the rules, or its proof is wrong.
        """
        state, self._state = self._state, _Over()
        refuse_oversized(challenge)
        match state:
            case _FirstSent():
                _refuse_error(challenge)
                response, self._state = self._answer(challenge)
                return Secret(response)
            case _FinalSent(signature=signature):
                _refuse_error(challenge)
                _verify(challenge, signature)
                self._state = _Verified()
                return Secret(b"")
            case _:
                raise SaslFailed("SCRAM: the server asks for more than there is")

    def finish(self) -> None:
        """Take +OK for good only when the server's signature was right (S-59).

        Raises:
            SaslFailed: the server has not proved that it knows the password.
        """
        if not isinstance(self._state, _Verified):
            raise SaslFailed(
                "SCRAM: the server says +OK and has not proved that it knows the password"
            )

    def _bare(self) -> bytes:
        return b"n=" + escape_name(self._login.name.encode()) + b",r=" + self._nonce

    def _answer(self, challenge: bytes) -> tuple[bytes, _FinalSent]:
        """Return client-final-message, and what the server must say to it."""
        asked = read_server_first(challenge, self._nonce)
        bound = encode(self._header + self._bound_to)
        without_proof = b"c=" + bound + b",r=" + asked.nonce
        signed = b",".join((self._bare(), challenge, without_proof))
        salted = salted_password(self._login.secret, asked.salt, asked.iterations)
        key = client_key(salted)
        proof = exclusive_or(key.reveal(), sign(stored_key(key), signed))
        expected = sign(server_key(salted), signed)
        return without_proof + b",p=" + encode(proof), _FinalSent(Secret(expected))


def read_server_first(challenge: bytes, nonce: bytes) -> ServerFirst:
    """Return what the server asks for, once it is no trick (RFC 5802 section 5.1).

    Raises:
        SaslFailed: the nonce does not begin with ours or adds nothing to it, the salt is empty, or
            the count is out of bounds.
    """
    nonce_of_both, salt, count = read_attributes(challenge, b"rsi")
    if not nonce_of_both.startswith(nonce) or not is_nonce(nonce_of_both):
        raise SaslFailed("SCRAM: the nonce does not begin with ours")
    if len(nonce_of_both) == len(nonce):
        raise SaslFailed("SCRAM: the server has added nothing to the nonce")
    return ServerFirst(nonce_of_both, decode(salt), read_count(count))


def _gs2_header(binding: ChannelBinding | None, *, plus: bool, offers_plus: bool) -> bytes:
    """Return what we say about binding (RFC 5802 sections 6 and 7).

    `y` means "I could and you cannot". Where the server can, and the user asked for the mechanism
    without PLUS, `y` would be a lie that the server must take for an attack: then it is `n`.
    """
    if plus and binding is not None:
        return b"p=" + binding.kind.encode() + b",,"
    return b"n,," if binding is None or offers_plus else b"y,,"


def _refuse_error(challenge: bytes) -> None:
    """Say what the server says is wrong; it comes in its last message (RFC 5802 section 7)."""
    if not challenge.startswith(b"e="):
        return
    said = printable(challenge[2:].partition(b",")[0])
    if said in _WRONG_LOGIN:
        raise CredentialsRefused(f"SCRAM: the server refuses name or password: {said}")
    raise SaslFailed(f"SCRAM: the server gives up: {said}")


def _verify(challenge: bytes, expected: Secret) -> None:
    (signature,) = read_attributes(challenge, b"v")
    if not hmac.compare_digest(signature, encode(expected.reveal())):
        raise SaslFailed("SCRAM: the server's signature is wrong: it does not know the password")
