"""Whether a password is an account's main one: argon2, off the loop, and what is remembered of it.

Each comparison says whether it has cost an argon2, so that a refusal can be made to cost just one.
"""

from dataclasses import dataclass, replace

from mailkeep.accounts.credentials import Credential, Credentials
from mailkeep.accounts.hashing import HashingPool, QueueFull
from mailkeep.accounts.imported import is_cut, is_imported, verify_imported
from mailkeep.accounts.memory import PasswordMemory
from mailkeep.accounts.passwords import HashUnusable, Passwords
from mailkeep.database import DatabaseUnavailable
from mailkeep.values import Secret

_NO_PASSWORD = Secret(b"")
"""Compared for a password that can be none; `prepare_password` returns no such password."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The end of a comparison."""

    is_right: bool
    has_cost_a_hash: bool
    is_news: bool = False
    """It is right and was not remembered."""


class MainPasswords:
    """Compares main passwords for the logins of one event loop.

    Args:
        credentials: where a renewed hash is kept.
        passwords: how they are hashed.
        pool: where that happens.
        memory: of right ones.
    """

    def __init__(
        self,
        credentials: Credentials,
        passwords: Passwords,
        pool: HashingPool,
        memory: PasswordMemory,
    ) -> None:
        self._credentials = credentials
        self._passwords = passwords
        self._pool = pool
        self._memory = memory

    def recalls(self, credential: Credential, password: Secret | None) -> bool:
        """Tell whether this prepared password was right not long ago. Takes no time."""
        return self._memory.recalls(credential, password or _NO_PASSWORD)

    async def compare(self, credential: Credential, password: Secret | None) -> Compared:
        """Find out whether a password is the main one.

        Args:
            credential: of an account, or nobody's.
            password: prepared; None when it can be none, which is the same work.

        Raises:
            HashUnusable, QueueFull: it could not be found out.
        """
        compared = await self._pool.run(
            self._compare, credential.password_hash, password or _NO_PASSWORD
        )
        return compared if password is not None else replace(compared, is_right=False)

    async def pay(self, password: Secret | None) -> None:
        """Spend one hash, for a refusal that has not cost one.

        Raises:
            HashUnusable, QueueFull: it could not be done.
        """
        await self._pool.run(self._pay, password or _NO_PASSWORD)

    async def keep(self, credential: Credential, password: Secret) -> None:
        """Remember a right password, under a hash with today's settings.

        When the hash cannot be renewed the old one is good, and the next login tries again.
        """
        self._memory.remember(await self._renewed(credential, password), password)

    def _compare(self, kept: str, password: Secret) -> Compared:
        if not is_imported(kept):
            is_right = self._passwords.verify(kept, password)
            return Compared(is_right, has_cost_a_hash=True, is_news=is_right)
        if verify_imported(kept, password):
            return Compared(is_right=True, has_cost_a_hash=False, is_news=True)
        self._pay(password)
        return Compared(is_right=False, has_cost_a_hash=True)

    def _pay(self, password: Secret) -> None:
        self._passwords.verify(self._credentials.nobodys_hash, password)

    async def _renewed(self, credential: Credential, password: Secret) -> Credential:
        kept = credential.password_hash
        if not is_imported(kept) and not self._passwords.needs_rehash(kept):
            return credential
        if is_cut(kept, password):
            # What was typed is right as far as bcrypt looks. A new hash would be of all of it, and
            # whoever knows the first 72 octets could so put his own password in the owner's place.
            return credential
        try:
            password_hash = await self._pool.run(self._passwords.hash, password)
            await self._credentials.renew_hash(credential, password_hash)
        except (DatabaseUnavailable, HashUnusable, QueueFull):
            return credential
        return replace(credential, password_hash=password_hash)
