"""What both sides of SCRAM-SHA-256 share: keys, signatures and the form of a message.

Sources: RFC 5802, with SHA-256 by RFC 7677. A password is prepared as OpaqueString (RFC 8265
section 4.2), which succeeds the SASLprep that RFC 5802 names; where that is not possible (octets
that are not UTF-8, a tab) it is taken octet for octet, because servers exist that took it so when
it was set, and to a wrong guess they say no.
Known limit: a password with characters that SASLprep replaces by others (the ligature `fi`, a wide
digit, a soft hyphen) gives another key at a server that keeps to SASLprep.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from mailkeep.sasl.mechanism import SaslFailed
from mailkeep.values import NotPrepared, Secret, prepare_password

ITERATIONS_MINIMUM = 4096
"""RFC 7677 section 4. A server that asks for fewer wants an answer that is cheap to guess from."""

ITERATIONS_LIMIT = 2_000_000
"""Three times the 600,000 that OWASP asks for. 1.3 s on one core of a server, and on a small board
still less than the minute that servers wait for a login; each further zero is a way to keep us
busy."""

PROOF_OCTETS = 32

_HASH = "sha256"
_NONCE = re.compile(rb"[!-+\--~]+")
"""Printable ASCII without the comma: RFC 5802 section 7."""
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_COUNT = re.compile(rb"[1-9][0-9]{0,9}")
"""Ten digits are beyond the limit already; 10^30 is not made a number."""
_EXTENSION = re.compile(rb"[A-Za-z]=[^\0]+")
_SASL_NAME = re.compile(rb"(?:[^=,\0]|=2C|=3D)+")
_KNOWN_ATTRIBUTES = frozenset(b"anmrcsipve")


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps instead of a password (RFC 5802 section 3).

    They are secret: a stored key can be guessed from, and a server key plays the server.
    """

    stored_key: Secret
    server_key: Secret
    salt: bytes
    iterations: int

    @classmethod
    def derive(cls, password: Secret, salt: bytes, iterations: int) -> "ScramKeys":
        """Return the keys of a password; takes up to seconds of computing.

        Args:
            salt: random, of its own for each password; 16 octets are good.
            iterations: from `ITERATIONS_MINIMUM` to `ITERATIONS_LIMIT`.

        Raises:
            ValueError: the password or the salt is empty, or the count out of range.
        """
        if not password.reveal() or not salt:
            raise ValueError("SCRAM has no keys for an empty password or salt")
        if not ITERATIONS_MINIMUM <= iterations <= ITERATIONS_LIMIT:
            raise ValueError(f"SCRAM does not go with {iterations} iterations")
        salted = salted_password(password, salt, iterations)
        return cls(stored_key(client_key(salted)), server_key(salted), salt, iterations)


def salted_password(password: Secret, salt: bytes, iterations: int) -> Secret:
    """Return SaltedPassword (RFC 5802 section 3); see above for how a password is prepared."""
    octets = _prepared(password).reveal()
    return Secret(hashlib.pbkdf2_hmac(_HASH, octets, salt, iterations))


def _prepared(password: Secret) -> Secret:
    try:
        return prepare_password(password)
    except NotPrepared:
        return password


def client_key(salted: Secret) -> Secret:
    """Return ClientKey (RFC 5802 section 3)."""
    return Secret(sign(salted, b"Client Key"))


def server_key(salted: Secret) -> Secret:
    """Return ServerKey (RFC 5802 section 3)."""
    return Secret(sign(salted, b"Server Key"))


def stored_key(key_of_client: Secret) -> Secret:
    """Return StoredKey (RFC 5802 section 3)."""
    return Secret(hashlib.sha256(key_of_client.reveal()).digest())


def sign(key: Secret, message: bytes) -> bytes:
    """Return the signature of a message: HMAC of RFC 5802 section 2.2."""
    return hmac.digest(key.reveal(), message, _HASH)


def exclusive_or(one: bytes, other: bytes) -> bytes:
    """Return XOR of two strings of one length (RFC 5802 section 2.2)."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def escape_name(name: bytes) -> bytes:
    """Return a name as it stands in a message (RFC 5802 section 5.1, `n`)."""
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")


def unescape_name(escaped_untrusted: bytes) -> bytes:
    """Return a name out of a message (RFC 5802 section 5.1, `n`).

    Raises:
        SaslFailed: it is empty, has NUL, or an `=` that escapes nothing.
    """
    if not _SASL_NAME.fullmatch(escaped_untrusted):
        raise SaslFailed("SCRAM: the user name is not in the form of RFC 5802")
    return escaped_untrusted.replace(b"=2C", b",").replace(b"=3D", b"=")


def read_attributes(message: bytes, names: bytes) -> list[bytes]:
    """Return the values of the attributes that a message must have, in this order.

    Extensions may follow and are ignored, as RFC 5802 section 5 has it; one of the attributes that
    RFC 5802 defines is none, so nothing comes twice, and `m` (section 5.1) is refused anywhere.

    Args:
        names: one letter each.

    Raises:
        SaslFailed: one is missing, empty, out of order or follows as an extension.
    """
    fields = message.split(b",")
    needed, extensions = fields[: len(names)], fields[len(names) :]
    starts = [field[:2] for field in needed if len(field) > len(b"r=")]
    if starts != [bytes((name, ord("="))) for name in names]:
        raise SaslFailed(f"SCRAM: the message has not {names.decode()} in this order")
    if any(not _EXTENSION.fullmatch(field) for field in extensions):
        raise SaslFailed("SCRAM: something in the message is no attribute")
    if any(field[0] in _KNOWN_ATTRIBUTES for field in extensions):
        raise SaslFailed("SCRAM: the message has an attribute where it does not belong")
    return [field[2:] for field in needed]


def read_count(digits_untrusted: bytes) -> int:
    """Return an iteration count that is neither cheap to guess from nor endless (S-59).

    Raises:
        SaslFailed: it is, or is no number.
    """
    if not _COUNT.fullmatch(digits_untrusted):
        raise SaslFailed("SCRAM: the iteration count is no number that can be used")
    count = int(digits_untrusted)
    if not ITERATIONS_MINIMUM <= count <= ITERATIONS_LIMIT:
        raise SaslFailed(
            f"SCRAM: the server asks for {count} iterations,"
            f" and {ITERATIONS_MINIMUM} to {ITERATIONS_LIMIT} are answered"
        )
    return count


def is_nonce(octets: bytes) -> bool:
    """Tell whether these are the characters of a nonce (RFC 5802 section 5.1, `r`)."""
    return _NONCE.fullmatch(octets) is not None


def checked_nonce(nonce: str) -> bytes:
    """Return a nonce of our own as octets.

    Raises:
        ValueError: it is none; whoever drew it did so wrongly.
    """
    octets = nonce.encode()
    if not is_nonce(octets):
        raise ValueError("a nonce of SCRAM is printable ASCII without a comma")
    return octets


def encode(octets: bytes) -> bytes:
    """Return base64 (RFC 4648 section 4), as SCRAM has it inside its messages."""
    return base64.b64encode(octets)


def decode(text_untrusted: bytes) -> bytes:
    """Return what base64 stands for; nothing outside its alphabet is skipped.

    Raises:
        SaslFailed: it is not base64.
    """
    if not _BASE64.fullmatch(text_untrusted):
        raise SaslFailed("SCRAM: a value is not base64")
    return base64.b64decode(text_untrusted)
