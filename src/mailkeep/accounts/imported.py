"""Password hashes that another server made, in Dovecot's form `{SCHEME}hash`.

They are taken over as they are and checked as they were made, until the first good login brings an
argon2id hash of today. A hash says what its check costs, and a format allows hours, so each scheme
has limits that are kept when a hash is read: no check takes much over a second.

Known limits: an octet-for-octet check of the prepared password (RFC 8265), where Dovecot takes what
was typed. SHA-256-CRYPT and SHA-512-CRYPT are computed in Python and hold the interpreter.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from mailkeep.accounts.passwords import HashUnusable
from mailkeep.sasl.scram import ITERATIONS_LIMIT, ITERATIONS_MINIMUM, ScramKeys
from mailkeep.values import Secret

TEXT_LIMIT_CHARACTERS = 1024
"""The longest that a known program writes is PBKDF2.HEX with some 200."""

ARGON2_MEMORY_LIMIT_KIB = 256 * 1024
"""Four times Dovecot's default; several may be checked at a time."""
ARGON2_WORK_LIMIT_KIB = 1024 * 1024
"""Memory times passes: 1.2 s on one core. Dovecot's default is a fifth of it."""
ARGON2_LANES_LIMIT = 8
"""Each is a thread that the hashing pool does not count."""

BCRYPT_COST_LIMIT = 14
"""1.2 s on one core; each further step doubles it."""
BCRYPT_PASSWORD_OCTETS = 72
"""The algorithm takes no more, and Dovecot cuts there: what follows is not compared."""

SHA_CRYPT_ROUNDS_LIMIT = 700_000
"""0.6 s on one core, 1.6 s for the longest password; passlib writes 656,000 by default, Dovecot
5,000."""
SHA_CRYPT_ROUNDS_MINIMUM = 1000
"""The specification of SHA-crypt (U. Drepper, 2008); systems disagree about hashes below."""
SHA_CRYPT_PASSWORD_LIMIT_OCTETS = 512
"""Each round hashes the password anew, so a long one multiplies the time; libxcrypt takes none that
is longer."""

PBKDF2_ROUNDS_LIMIT = 2_000_000
"""0.7 s on one core; Dovecot writes 5,000. SCRAM has the same limit of its own."""

SALT_LIMIT_OCTETS = 64
"""Programs write 4 to 32."""
SSHA_SALT_MINIMUM_OCTETS = 4
"""What Dovecot writes. With less, many passwords are guessed at a time."""

_HINT = "set a new one with `mailkeep account password`, or `mailkeep account add`"

_OPEN_SCHEMES = frozenset({"PLAIN", "CLEAR", "CLEARTEXT", "PLAIN-TRUNC"})
_WEAK_SCHEMES = frozenset(
    {
        "CRAM-MD5", "DES-CRYPT", "DIGEST-MD5", "HMAC-MD5", "LANMAN", "LDAP-MD5", "MD5", "MD5-CRYPT",
        "NTLM", "OTP", "PLAIN-MD4", "PLAIN-MD5", "RPA", "SCRAM-SHA-1", "SHA", "SHA1", "SHA256",
        "SHA512", "SKEY", "SMD5",
    }
)  # fmt: skip
"""Without a salt, with MD5 or DES, or for a mechanism that is not spoken here."""

_TEXT = re.compile(r"\{([A-Za-z0-9-]+)(?:\.(HEX|B64|BASE64))?\}([!-~]+)", re.IGNORECASE)
_ARGON2 = re.compile(
    r"\$argon2(?:id|i)\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,9})"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""128 bits of salt in 22 letters: the last has only four values."""
_SHA256_CRYPT = re.compile(
    r"\$5\$(?:rounds=([1-9]\d{0,8})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
)
_SHA512_CRYPT = re.compile(
    r"\$6\$(?:rounds=([1-9]\d{0,8})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
)
_PBKDF2 = re.compile(r"\$1\$([!-#%-~]+)\$([1-9]\d{0,9})\$([0-9a-f]{40})")
_SCRAM = re.compile(r"([1-9]\d{0,9}),([A-Za-z0-9+/=]+),([A-Za-z0-9+/=]+),([A-Za-z0-9+/=]+)")


class UnusableHash(Exception):
    """A hash that is not taken over.

    Attributes:
        reason: why, without any part of the hash.
        hint: the next step, for an operator.
    """

    def __init__(self, reason: str, hint: str = _HINT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def read_imported(text: str) -> str:
    """Return what is kept for a hash from Dovecot.

    Returns:
        A PHC string for argon2id, which `passwords` checks; for all others a string that
        `is_imported`.

    Raises:
        UnusableHash: nobody could log in with it, or its check would cost too much.
    """
    name, hash_text = _take_apart(text)
    if name == "CRYPT":
        name = _crypt_scheme(hash_text)
    if name not in _SCHEMES:
        raise _not_taken_over(name)
    _SCHEMES[name].check(hash_text)
    return hash_text if name == "ARGON2ID" else f"{{{name}}}{hash_text}"


def is_imported(kept: str) -> bool:
    """Tell whether a kept hash is checked here, and not by `passwords`."""
    return kept.startswith("{")


def is_cut(kept: str, password: Secret) -> bool:
    """Tell whether a kept hash may be of a longer password than the one that it takes for right.

    Args:
        kept: what `read_imported` returned.
        password: prepared; right.
    """
    return kept.startswith("{BLF-CRYPT}") and len(password.reveal()) >= BCRYPT_PASSWORD_OCTETS


def verify_imported(kept: str, password: Secret) -> bool:
    """Tell whether a prepared password is the one that an imported hash was made from.

    It takes up to a second or two, so it belongs into the hashing pool.

    Args:
        kept: what `read_imported` returned.
        password: prepared.

    Raises:
        HashUnusable: it could not be found out.
    """
    name, _, hash_text = kept.removeprefix("{").partition("}")
    octets = password.reveal()
    if name not in _SCHEMES or not is_imported(kept):
        raise HashUnusable("an imported hash is damaged")
    if b"\0" in octets:
        return False  # crypt(3) would compare what stands before it
    try:
        _SCHEMES[name].check(hash_text)
        return _SCHEMES[name].verify(hash_text, octets)
    except (UnusableHash, ValueError) as cause:
        raise HashUnusable(f"an imported {name} hash is damaged: {cause}") from cause


def scram_keys_of(kept: str) -> ScramKeys | None:
    """Return the keys that an imported SCRAM-SHA-256 hash is; `None` for all others.

    Args:
        kept: what `read_imported` returned.

    Raises:
        UnusableHash: what was kept is damaged.
    """
    prefix = "{SCRAM-SHA-256}"
    return _scram_keys(kept.removeprefix(prefix)) if kept.startswith(prefix) else None


def _take_apart(text: str) -> tuple[str, str]:
    """Return the scheme in capitals and the hash without an encoding around it."""
    if text.startswith(("!", "*")) or text in {"", "x"}:
        raise UnusableHash("there is no password to log in with")
    if len(text) > TEXT_LIMIT_CHARACTERS:
        raise UnusableHash(f"it is longer than {TEXT_LIMIT_CHARACTERS} characters")
    match = _TEXT.fullmatch(text)
    if match is None:
        raise UnusableHash("it is not in the form {SCHEME}hash")
    name, encoding, hash_text = match[1].upper(), (match[2] or "").upper(), match[3]
    if encoding and name not in _SALTED:
        return name, _decoded(hash_text, encoding).decode("ascii", errors="replace")
    if encoding == "HEX":
        return name, base64.b64encode(_decoded(hash_text, encoding)).decode()
    return name, hash_text


def _decoded(hash_text: str, encoding: str) -> bytes:
    try:
        if encoding == "HEX":
            return bytes.fromhex(hash_text)
        return base64.b64decode(hash_text, validate=True)
    except ValueError:
        raise UnusableHash(f"it is not {encoding.lower()}, as its scheme says") from None


def _crypt_scheme(hash_text: str) -> str:
    """Return what crypt(3) would take a hash for."""
    for prefix, name in (("$2", "BLF-CRYPT"), ("$5$", "SHA256-CRYPT"), ("$6$", "SHA512-CRYPT")):
        if hash_text.startswith(prefix):
            return name
    if hash_text.startswith("$argon2"):
        raise UnusableHash(
            "crypt(3) knows no argon2", "write {ARGON2ID} before the hash, or set it as the default"
        )
    if hash_text.startswith(("$y$", "$7$")):
        raise UnusableHash("yescrypt and scrypt cannot be checked here")
    raise UnusableHash("it is made with DES or MD5, or is no hash at all")


def _not_taken_over(name: str) -> UnusableHash:
    if name in _OPEN_SCHEMES:
        return UnusableHash("it is the password itself and not a hash")
    if name in _WEAK_SCHEMES:
        return UnusableHash(f"{{{name}}} is too easily guessed from, or serves another mechanism")
    return UnusableHash("its scheme is not known")


def _damaged(name: str) -> UnusableHash:
    return UnusableHash(f"it is not a whole {name} hash", "was it cut off when it was copied?")


def _too_dear(what: str, limit: int) -> UnusableHash:
    return UnusableHash(f"its check would take too long: {what} is beyond {limit}")


def _check_argon2(hash_text: str, prefix: str) -> None:
    match = _ARGON2.fullmatch(hash_text)
    if match is None or not hash_text.startswith(prefix):
        raise _damaged("argon2")
    memory_kib, passes, lanes = int(match[1]), int(match[2]), int(match[3])
    if memory_kib > ARGON2_MEMORY_LIMIT_KIB:
        raise _too_dear("the memory in KiB", ARGON2_MEMORY_LIMIT_KIB)
    if memory_kib * passes > ARGON2_WORK_LIMIT_KIB:
        raise _too_dear("memory times passes", ARGON2_WORK_LIMIT_KIB)
    if lanes > ARGON2_LANES_LIMIT:
        raise _too_dear("the number of lanes", ARGON2_LANES_LIMIT)
    salt, digest = _unpadded(match[4]), _unpadded(match[5])
    # RFC 9106 section 3.1; a digest under 16 octets could be met by chance.
    if memory_kib < 8 * lanes or not 8 <= len(salt) <= SALT_LIMIT_OCTETS or len(digest) < 16:
        raise _damaged("argon2")


def _unpadded(text: str) -> bytes:
    """Return what base64 without padding stands for, nothing if it is not exactly that."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""
    return octets if base64.b64encode(octets).decode().rstrip("=") == text else b""


def _verify_argon2(hash_text: str, password: bytes) -> bool:
    from argon2.exceptions import VerificationError, VerifyMismatchError
    from argon2.low_level import Type, verify_secret

    try:
        kind = Type.ID if hash_text.startswith("$argon2id$") else Type.I
        return verify_secret(hash_text.encode(), password, kind)
    except VerifyMismatchError:
        return False
    except VerificationError as cause:
        raise HashUnusable(f"argon2: {cause}") from cause


def _check_argon2i(hash_text: str) -> None:
    _check_argon2(hash_text, "$argon2i$")


def _check_argon2id(hash_text: str) -> None:
    _check_argon2(hash_text, "$argon2id$")


def _check_bcrypt(hash_text: str) -> None:
    match = _BCRYPT.fullmatch(hash_text)
    if match is None or int(match[1]) < 4:
        raise _damaged("bcrypt")
    if int(match[1]) > BCRYPT_COST_LIMIT:
        raise _too_dear("the cost", BCRYPT_COST_LIMIT)


def _verify_bcrypt(hash_text: str, password: bytes) -> bool:
    import bcrypt

    return bcrypt.checkpw(password[:BCRYPT_PASSWORD_OCTETS], hash_text.encode())


def _check_sha_crypt(hash_text: str) -> None:
    match = _SHA256_CRYPT.fullmatch(hash_text) or _SHA512_CRYPT.fullmatch(hash_text)
    if match is None:
        raise _damaged("SHA-crypt")
    rounds = int(match[1] or 5000)
    if rounds < SHA_CRYPT_ROUNDS_MINIMUM:
        raise UnusableHash(f"it has fewer than {SHA_CRYPT_ROUNDS_MINIMUM} rounds")
    if rounds > SHA_CRYPT_ROUNDS_LIMIT:
        raise _too_dear("the number of rounds", SHA_CRYPT_ROUNDS_LIMIT)


def _verify_sha_crypt(hash_text: str, password: bytes) -> bool:
    from passlib.hash import sha256_crypt, sha512_crypt  # type: ignore[import-untyped]  # no types

    algorithm = sha256_crypt if hash_text.startswith("$5$") else sha512_crypt
    is_too_long = len(password) > SHA_CRYPT_PASSWORD_LIMIT_OCTETS
    return not is_too_long and bool(algorithm.verify(password, hash_text))


def _check_pbkdf2(hash_text: str) -> None:
    match = _PBKDF2.fullmatch(hash_text)
    if match is None or len(match[1]) > SALT_LIMIT_OCTETS:
        raise _damaged("PBKDF2")
    if int(match[2]) > PBKDF2_ROUNDS_LIMIT:
        raise _too_dear("the number of rounds", PBKDF2_ROUNDS_LIMIT)


def _verify_pbkdf2(hash_text: str, password: bytes) -> bool:
    _, _, salt, rounds, digest = hash_text.split("$")
    found = hashlib.pbkdf2_hmac("sha1", password, salt.encode(), int(rounds))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _check_scram(hash_text: str) -> None:
    _scram_keys(hash_text)


def _scram_keys(hash_text: str) -> ScramKeys:
    match = _SCRAM.fullmatch(hash_text)
    if match is None:
        raise _damaged("SCRAM-SHA-256")
    iterations = int(match[1])
    if iterations > ITERATIONS_LIMIT:
        raise _too_dear("the number of iterations", ITERATIONS_LIMIT)
    if iterations < ITERATIONS_MINIMUM:
        raise UnusableHash(f"it has fewer than {ITERATIONS_MINIMUM} iterations (RFC 7677)")
    salt, stored_key, server_key = (_decoded(match[place], "B64") for place in (2, 3, 4))
    digest_octets = hashlib.sha256().digest_size
    if not 0 < len(salt) <= SALT_LIMIT_OCTETS or {len(stored_key), len(server_key)} != {
        digest_octets
    }:
        raise _damaged("SCRAM-SHA-256")
    return ScramKeys(Secret(stored_key), Secret(server_key), salt, iterations)


def _verify_scram(hash_text: str, password: bytes) -> bool:
    keys = _scram_keys(hash_text)
    found = ScramKeys.derive(Secret(password), keys.salt, keys.iterations) if password else None
    return found is not None and found.stored_key == keys.stored_key


def _check_salted(algorithm: str) -> Callable[[str], None]:
    def check(hash_text: str) -> None:
        salt_octets = len(_decoded(hash_text, "B64")) - hashlib.new(algorithm).digest_size
        if not SSHA_SALT_MINIMUM_OCTETS <= salt_octets <= SALT_LIMIT_OCTETS:
            raise _damaged("salted SHA")

    return check


def _verify_salted(algorithm: str) -> Callable[[str, bytes], bool]:
    """Return the check of RFC 2307's {SSHA}: the digest of password and salt, then the salt."""

    def verify(hash_text: str, password: bytes) -> bool:
        octets = base64.b64decode(hash_text)
        size = hashlib.new(algorithm).digest_size
        digest, salt = octets[:size], octets[size:]
        found = hashlib.new(algorithm, password + salt, usedforsecurity=False).digest()
        return hmac.compare_digest(found, digest)

    return verify


@dataclass(frozen=True, slots=True)
class _Scheme:
    check: Callable[[str], None]
    """Raises UnusableHash."""
    verify: Callable[[str, bytes], bool]


_SALTED = {"SSHA": "sha1", "SSHA256": "sha256", "SSHA512": "sha512"}
"""Which have no text of their own, so that base64 is their ordinary form."""

_SCHEMES = {
    "ARGON2ID": _Scheme(_check_argon2id, _verify_argon2),
    "ARGON2I": _Scheme(_check_argon2i, _verify_argon2),
    "BLF-CRYPT": _Scheme(_check_bcrypt, _verify_bcrypt),
    "SHA256-CRYPT": _Scheme(_check_sha_crypt, _verify_sha_crypt),
    "SHA512-CRYPT": _Scheme(_check_sha_crypt, _verify_sha_crypt),
    "PBKDF2": _Scheme(_check_pbkdf2, _verify_pbkdf2),
    "SCRAM-SHA-256": _Scheme(_check_scram, _verify_scram),
    **{name: _Scheme(_check_salted(sha), _verify_salted(sha)) for name, sha in _SALTED.items()},
}
