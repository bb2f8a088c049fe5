"""How passwords are kept: argon2id, in the PHC string format.

It knows no account. Known limit: an older hash with cheaper settings takes less time to check than
the hash that stands in for an account that is not there, until its owner has logged in once.
"""

import base64
import secrets
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from mailkeep.values import Secret

MEMORY_KIB = 19 * 1024
TIME_COST = 2
PARALLELISM = 1
"""OWASP Password Storage Cheat Sheet: argon2id with m=19456 (19 MiB), t=2, p=1."""

_SALT_OCTETS = 16
_HASH_OCTETS = 32


class HashUnusable(Exception):
    """A password could not be hashed or compared: a damaged hash, or no memory left."""


class Passwords(Protocol):
    """A way to keep passwords, which are prepared already; each call takes tens of milliseconds."""

    def hash(self, password: Secret) -> str:
        """Return what to keep.

        Raises:
            HashUnusable: it could not be computed.
        """

    def verify(self, kept: str, password: Secret) -> bool:
        """Tell whether `password` is the one that `kept` was made from.

        Raises:
            HashUnusable: it could not be found out.
        """

    def needs_rehash(self, kept: str) -> bool:
        """Tell whether `kept` was made with other settings than today's. Takes no time."""

    def nobodys_hash(self) -> str:
        """Return a hash that no password has, and that takes as long as any other to check."""


class Argon2Passwords:
    """Argon2id (RFC 9106); see `Passwords`."""

    def __init__(
        self,
        *,
        time_cost: int = TIME_COST,
        memory_kib: int = MEMORY_KIB,
        parallelism: int = PARALLELISM,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost,
            memory_cost=memory_kib,
            parallelism=parallelism,
            hash_len=_HASH_OCTETS,
            salt_len=_SALT_OCTETS,
        )

    def hash(self, password: Secret) -> str:
        """Return a PHC string with a salt of its own; see `Passwords`."""
        try:
            return self._hasher.hash(password.reveal())
        except HashingError as cause:
            raise HashUnusable(f"argon2: {cause}") from cause

    def verify(self, kept: str, password: Secret) -> bool:
        """Compare, in a time that does not depend on the password; see `Passwords`."""
        try:
            return self._hasher.verify(kept, password.reveal())
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as cause:
            raise HashUnusable(f"argon2: {cause}") from cause

    def needs_rehash(self, kept: str) -> bool:
        """Compare the settings; see `Passwords`."""
        return self._hasher.check_needs_rehash(kept)

    def nobodys_hash(self) -> str:
        """Return today's settings with a random salt and a random result; see `Passwords`."""
        settings = self._hasher
        cost = f"m={settings.memory_cost},t={settings.time_cost},p={settings.parallelism}"
        return f"$argon2id$v=19${cost}${_random(_SALT_OCTETS)}${_random(_HASH_OCTETS)}"


def _random(octets: int) -> str:
    """Return random octets in the PHC format's base64, which has no padding."""
    return base64.b64encode(secrets.token_bytes(octets)).rstrip(b"=").decode()
