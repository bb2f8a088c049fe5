"""Right passwords, remembered for a while, so that a poller does not cost an argon2 each minute.

It keeps no password: per account one keyed hash over everything that makes a login that login,
under a key that lives and dies with the process. A changed password has another version and another
hash, so it is not the one remembered; nothing has to be forgotten by hand.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

from mailkeep.accounts.credentials import Credential
from mailkeep.values import AccountId, Secret

REMEMBERED_LIMIT = 50_000
"""Accounts; about 300 octets each, 15 MB. Beyond it the one unused for longest pays argon2."""


_SEAL_OCTETS = 32
"""Keyed BLAKE2b (RFC 7693): as good as HMAC-SHA-256, which OpenSSL looks up anew for 30 us."""


class PasswordMemory:
    """Remembers the last right password of each account. Belongs to one thread."""

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        *,
        lifetime_s: float,
        limit: int = REMEMBERED_LIMIT,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._lifetime_s = lifetime_s
        self._limit = limit
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[AccountId, tuple[bytes, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._remembered)

    def recalls(self, credential: Credential, password: Secret) -> bool:
        """Tell whether this prepared password was right for this credential not long ago."""
        seal = self._seal(credential, password)
        kept, until = self._remembered.get(credential.account.id, (b"", 0.0))
        if not hmac.compare_digest(kept, seal) or self._monotonic_s() >= until:
            return False
        self._remembered.move_to_end(credential.account.id)
        return True

    def remember(self, credential: Credential, password: Secret) -> None:
        """Take note that argon2 found this password right just now."""
        account = credential.account.id
        until = self._monotonic_s() + self._lifetime_s
        self._remembered[account] = (self._seal(credential, password), until)
        self._remembered.move_to_end(account)
        while len(self._remembered) > self._limit:
            self._remembered.popitem(last=False)

    def _seal(self, credential: Credential, password: Secret) -> bytes:
        """Bind account, version, hash and password; the lengths keep one from running into another.

        The hash carries a random salt, so a database restored from a backup, where a version comes
        a second time, is told apart too.
        """
        kept = credential.password_hash.encode()
        sizes = f"{credential.account.id} {credential.version} {len(kept)} ".encode()
        sealed = sizes + kept + password.reveal()
        return hashlib.blake2b(sealed, key=self._key, digest_size=_SEAL_OCTETS).digest()
