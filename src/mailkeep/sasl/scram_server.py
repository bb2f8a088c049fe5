"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the server's side (RFC 5802, RFC 7677).

It knows no accounts: it says whom the client names, is given the keys of all that is good for that
name (an account's passwords share one salt and count, because the server must speak before it
knows which of them is meant), and says which of them the client has proved.
Known limits: nobody may act for somebody else. An error is told by the protocol (-ERR), not with
`e=`, which would tell a guesser more. How many keys there are shows in the time of the proof, by
some microseconds a key.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from mailkeep.sasl.client import ChannelBinding
from mailkeep.sasl.mechanism import Challenge, KeysWanted, OutOfOrder, SaslFailed, ScramProof
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

KeyPairs = Sequence[tuple[Secret, Secret]]
"""A stored key and a server key (RFC 5802 section 3) for each password that is good."""


@dataclass(frozen=True, slots=True)
class _ClientFirst:
    header: bytes
    flag: bytes
    bare: bytes
    name_untrusted: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class _Begun:
    pass


@dataclass(frozen=True, slots=True)
class _Named:
    first: _ClientFirst


@dataclass(frozen=True, slots=True)
class _FirstSent:
    first: _ClientFirst
    nonce: bytes
    signed: bytes
    """The two messages so far: the beginning of AuthMessage (RFC 5802 section 3)."""
    keys: KeyPairs


@dataclass(frozen=True, slots=True)
class _Over:
    pass


class ScramMechanism:
    """One exchange; see `KeyedMechanism`.

    Args:
        nonce: random, new for each exchange, printable ASCII without a comma.
        binding: of this connection, where the server offers PLUS.
        plus: the client has chosen SCRAM-SHA-256-PLUS.

    Raises:
        ValueError: PLUS without a binding, or a nonce that is none.
    """

    __slots__ = ("_binding", "_nonce", "_plus", "_state")

    def __init__(self, nonce: str, binding: ChannelBinding | None = None, *, plus: bool) -> None:
        if plus and binding is None:
            raise ValueError("SCRAM-SHA-256-PLUS needs a channel binding")
        self._nonce = checked_nonce(nonce)
        self._binding = binding
        self._plus = plus
        self._state: _Begun | _Named | _FirstSent | _Over = _Begun()

    def step(self, response: Secret | None) -> Challenge | KeysWanted | ScramProof:
        """Take client-first-message, then client-final-message (RFC 5802 section 7).

        Raises:
            SaslFailed: one of them is none, is not of this exchange or not of this connection.
        """
        state, self._state = self._state, _Over()
        match state:
            case _Begun() if response is None:
                self._state = state
                return Challenge(b"")
            case _Begun() if response is not None:
                first = _read_client_first(response.reveal())
                self._refuse_flag(first.flag)
                self._state = _Named(first)
                return KeysWanted(first.name_untrusted)
            case _FirstSent() if response is not None:
                return self._judge(response.reveal(), state)
            case _:
                raise SaslFailed("SCRAM: the exchange is over")

    def use_keys(self, salt: bytes, iterations: int, keys: KeyPairs) -> Challenge:
        """Return server-first-message (RFC 5802 section 7).

        Raises:
            OutOfOrder: nobody asked for keys.
            ValueError: there are none.
        """
        if not isinstance(self._state, _Named):
            raise OutOfOrder("SCRAM: keys are used once, after the client gave its name")
        if not keys:
            raise ValueError("SCRAM goes with at least one key")
        first = self._state.first
        nonce = first.nonce + self._nonce
        answer = b"r=%b,s=%b,i=%d" % (nonce, encode(salt), iterations)
        self._state = _FirstSent(first, nonce, first.bare + b"," + answer, keys)
        return Challenge(answer)

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

    def _judge(self, message: bytes, state: _FirstSent) -> ScramProof:
        without_proof, separator, proof = message.rpartition(b",p=")
        if not separator:
            raise SaslFailed("SCRAM: the client's last message has no proof at its end")
        bound, nonce = read_attributes(without_proof, b"cr")
        if not hmac.compare_digest(bound, encode(state.first.header + self._bound_to())):
            raise SaslFailed("SCRAM: the client is bound to another connection")
        if not hmac.compare_digest(nonce, state.nonce):
            raise SaslFailed("SCRAM: the nonce is not the one of this exchange")
        signed = state.signed + b"," + without_proof
        proved, signature = _prove(_read_proof(proof), signed, state.keys)
        final = b"" if proved is None else b"v=" + encode(signature)
        return ScramProof(state.first.name_untrusted, proved, final)

    def _bound_to(self) -> bytes:
        return self._binding.data if self._plus and self._binding else b""


class ScramServer:
    """One exchange for somebody who knows beforehand what the password is.

    Args:
        keys: of the one password, whatever name the client gives.
        nonce: as for `ScramMechanism`, and so are the others.

    Raises:
        ValueError: PLUS without a binding, or a nonce that is none.
    """

    __slots__ = ("_keys", "_mechanism")

    def __init__(
        self, keys: ScramKeys, nonce: str, binding: ChannelBinding | None = None, *, plus: bool
    ) -> None:
        self._keys = keys
        self._mechanism = ScramMechanism(nonce, binding, plus=plus)

    def step(self, message: bytes) -> bytes:
        """Return server-first-message to the client's first, server-final-message to its last.

        Raises:
            SaslFailed: the exchange is over; the client has not proved itself.
        """
        keys = self._keys
        match self._mechanism.step(Secret(message)):
            case KeysWanted():
                pairs = [(keys.stored_key, keys.server_key)]
                return self._mechanism.use_keys(keys.salt, keys.iterations, pairs).data
            case ScramProof(proved=0, final=final):
                return final
            case _:
                raise SaslFailed("SCRAM: the client's proof is wrong")


def _read_client_first(message: bytes) -> _ClientFirst:
    """Return what a client-first-message says (RFC 5802 section 7).

    Raises:
        SaslFailed: it is none, or its client asks to act for somebody else.
    """
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


def _read_proof(proof_untrusted: bytes) -> bytes:
    proof = decode(proof_untrusted)
    if len(proof) != PROOF_OCTETS or encode(proof) != proof_untrusted:
        raise SaslFailed("SCRAM: a proof is one hash in base64, with no bits left over")
    return proof


def _prove(proof: bytes, signed: bytes, keys: KeyPairs) -> tuple[int | None, bytes]:
    """Return which keys a proof is of, and the signature that answers it.

    All keys are tried, and one signature is made even when none fits: the time tells nothing of
    which password it was.
    """
    fits = [_fits(proof, stored, signed) for stored, _ in keys]
    place = fits.index(True) if True in fits else None
    return place, sign(keys[place or 0][1], signed)


def _fits(proof: bytes, stored: Secret, signed: bytes) -> bool:
    """Tell whether a proof is of the key whose hash is stored (RFC 5802 section 3)."""
    return stored_key(Secret(exclusive_or(proof, sign(stored, signed)))) == stored
