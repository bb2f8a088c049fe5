"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the server's side (RFC 5802, RFC 7677).

It knows no accounts: read the name with `scram_name_in`, look up its keys, then start the exchange
with them. A server-final that is returned means that the client knows the password; the protocol
sends it as a challenge, takes an empty response, and says +OK (RFC 5034 section 4).
Known limits: nobody may act for somebody else. An error is told by the protocol (-ERR), not with
`e=`, which would tell a guesser more. Keys for a name that nobody has are the caller's to make up,
the same each time, or the salt tells which names there are.
"""

import hmac
from dataclasses import dataclass

from mailkeep.sasl.client import ChannelBinding
from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.sasl.scram import (
    PROOF_OCTETS,
    ScramKeys,
    checked_nonce,
    decode,
    encode,
    exclusive_or,
    is_nonce,
    read_attributes,
    sign,
    stored_key,
    unescape_name,
)
from mailkeep.values import Secret


@dataclass(frozen=True, slots=True)
class _Begun:
    pass


@dataclass(frozen=True, slots=True)
class _FirstSent:
    header: bytes
    nonce: bytes
    signed: bytes
    """The two messages so far: the beginning of AuthMessage (RFC 5802 section 3)."""


@dataclass(frozen=True, slots=True)
class _Over:
    pass


@dataclass(frozen=True, slots=True)
class _ClientFirst:
    header: bytes
    flag: bytes
    bare: bytes
    name_untrusted: bytes
    nonce: bytes


class ScramServer:
    """One exchange.

    Args:
        keys: of the name that the client gave.
        nonce: random, new for each exchange, printable ASCII without a comma.
        binding: of this connection, where the server offers PLUS.
        plus: the client has chosen SCRAM-SHA-256-PLUS.

    Raises:
        ValueError: PLUS without a binding, or a nonce that is none.
    """

    def __init__(
        self, keys: ScramKeys, nonce: str, binding: ChannelBinding | None = None, *, plus: bool
    ) -> None:
        if plus and binding is None:
            raise ValueError("SCRAM-SHA-256-PLUS needs a channel binding")
        self._keys = keys
        self._nonce = checked_nonce(nonce)
        self._binding = binding
        self._plus = plus
        self._state: _Begun | _FirstSent | _Over = _Begun()

    def step(self, message: bytes) -> bytes:
        """Return server-first-message to the client's first, server-final-message to its last.

        Raises:
            SaslFailed: the exchange is over; the client has not proved itself.
        """
        state, self._state = self._state, _Over()
        match state:
            case _Begun():
                answer, self._state = self._begin(_read_client_first(message))
                return answer
            case _FirstSent():
                return self._end(message, state)
            case _:
                raise SaslFailed("SCRAM: the exchange is over")

    def _begin(self, first: _ClientFirst) -> tuple[bytes, _FirstSent]:
        self._refuse_flag(first.flag)
        nonce = first.nonce + self._nonce
        salt, count = encode(self._keys.salt), b"%d" % self._keys.iterations
        answer = b"r=" + nonce + b",s=" + salt + b",i=" + count
        return answer, _FirstSent(first.header, nonce, first.bare + b"," + answer)

    def _refuse_flag(self, flag: bytes) -> None:
        """Keep to RFC 5802 section 6: a client that could bind and was told that we cannot, fails.

        Somebody has taken PLUS off the list on its way.
        """
        if self._plus and self._binding is not None:
            if flag != b"p=" + self._binding.kind.encode():
                raise SaslFailed("SCRAM: the client does not bind as the server does")
        elif flag == b"y" and self._binding is not None:
            raise SaslFailed("SCRAM: the client was told that the server cannot bind, and it can")
        elif flag not in {b"n", b"y"}:
            raise SaslFailed("SCRAM: the client binds in a mechanism that does not")

    def _end(self, message: bytes, state: _FirstSent) -> bytes:
        without_proof, separator, proof = message.rpartition(b",p=")
        if not separator:
            raise SaslFailed("SCRAM: the client's last message has no proof at its end")
        bound, nonce = read_attributes(without_proof, b"cr")
        if not hmac.compare_digest(bound, encode(state.header + self._bound_to())):
            raise SaslFailed("SCRAM: the client is bound to another connection")
        if not hmac.compare_digest(nonce, state.nonce):
            raise SaslFailed("SCRAM: the nonce is not the one of this exchange")
        signed = state.signed + b"," + without_proof
        if not _proves(decode(proof), self._keys.stored_key, signed):
            raise SaslFailed("SCRAM: the client's proof is wrong")
        return b"v=" + encode(sign(self._keys.server_key, signed))

    def _bound_to(self) -> bytes:
        return self._binding.data if self._plus and self._binding else b""


def scram_name_in(message: bytes) -> bytes:
    """Return the name in the client's first message; nobody has checked it.

    Raises:
        SaslFailed: this is no client-first-message (RFC 5802 section 7).
    """
    return _read_client_first(message).name_untrusted


def _read_client_first(message: bytes) -> _ClientFirst:
    flag, first_comma, rest = message.partition(b",")
    authzid, second_comma, bare = rest.partition(b",")
    if not first_comma or not second_comma:
        raise SaslFailed("SCRAM: the client's first message has no gs2 header")
    name, nonce = read_attributes(bare, b"nr")
    if authzid not in {b"", b"a=" + name}:
        raise SaslFailed("SCRAM: the client asks to act for somebody else")
    if not is_nonce(nonce):
        raise SaslFailed("SCRAM: the client's nonce is none")
    header = flag + b"," + authzid + b","
    return _ClientFirst(header, flag, bare, unescape_name(name), nonce)


def _proves(proof: bytes, stored: Secret, signed: bytes) -> bool:
    """Tell whether a proof is of the key whose hash is stored (RFC 5802 section 3)."""
    if len(proof) != PROOF_OCTETS:
        return False
    return stored_key(Secret(exclusive_or(proof, sign(stored, signed)))) == stored
