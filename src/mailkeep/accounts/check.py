"""The question that a login asks: whom do this name and this password let in?

The outside learns nothing: whatever is wrong, a refusal has done the same work in the same order,
exactly one argon2 among it. A right password that is remembered costs none. The account is read at
each login, and again after argon2, which may have waited in a queue for seconds: what was disabled
or changed meanwhile is refused.

Known limit: slowing guessers down is not this room's business.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from mailkeep.accounts.credentials import NOBODY, Credential, Credentials
from mailkeep.accounts.hashing import HashingPool, QueueFull
from mailkeep.accounts.memory import PasswordMemory
from mailkeep.accounts.passwords import HashUnusable, Passwords
from mailkeep.accounts.seam import Account, AccountState, CheckUnavailable, LoginRefused, Refusal
from mailkeep.database import DatabaseUnavailable
from mailkeep.values import (
    Address,
    InvalidAddress,
    NotPrepared,
    Secret,
    prepare_password,
)

_NO_NAME = Address("", "")
"""Looked up for a name that can be none; `Address.parse` makes no such address."""

_NO_PASSWORD = Secret(b"")
"""Compared for a password that can be none; `prepare_password` returns no such password."""

_CANNOT_TELL = (DatabaseUnavailable, HashUnusable, QueueFull)


class PasswordChecker:
    """Checks passwords for the logins of one event loop; see `PasswordCheck`."""

    def __init__(
        self,
        credentials: Credentials,
        passwords: Passwords,
        pool: HashingPool,
        *,
        default_domain: str,
        remembered_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing remembered.

        Args:
            credentials: where they are read.
            passwords: how they are hashed.
            pool: where that happens.
            default_domain: what a name without a domain belongs to.
            remembered_s: seconds for which a right password costs no second hash; 0 for none.
            monotonic_s: a clock that only goes forward.
        """
        self._credentials = credentials
        self._passwords = passwords
        self._pool = pool
        self._default_domain = default_domain
        self._memory = PasswordMemory(monotonic_s, lifetime_s=remembered_s)

    async def check(self, name_untrusted: bytes, password_untrusted: Secret) -> Account:
        """Return the account that these credentials let in; see `PasswordCheck`."""
        try:
            return await self._check(name_untrusted, password_untrusted)
        except _CANNOT_TELL as cause:
            raise CheckUnavailable(str(cause)) from cause

    async def _check(self, name_untrusted: bytes, password_untrusted: Secret) -> Account:
        address = _address(name_untrusted, self._default_domain)
        password = _prepared(password_untrusted)
        usable = password or _NO_PASSWORD
        before = await self._credentials.find(address or _NO_NAME)
        remembered = self._memory.recalls(before, usable)
        if remembered and before.account.state is AccountState.ENABLED:
            return before.account
        verified = await self._pool.run(self._passwords.verify, before.password_hash, usable)
        now = await self._credentials.find(address or _NO_NAME)
        right = verified and password is not None and _is_same_password(before, now)
        refusal = decide_login(address, now.account, right=right)
        if refusal is not None:
            raise LoginRefused(refusal)
        self._memory.remember(await self._renewed(now, usable), usable)
        return now.account

    async def _renewed(self, credential: Credential, password: Secret) -> Credential:
        """Return the credential under a hash with today's settings.

        When that cannot be done it is the old one: it is good, and the next login tries again.
        """
        if not self._passwords.needs_rehash(credential.password_hash):
            return credential
        try:
            password_hash = await self._pool.run(self._passwords.hash, password)
            await self._credentials.renew_hash(credential, password_hash)
        except _CANNOT_TELL:
            return credential
        return replace(credential, password_hash=password_hash)


def decide_login(address: Address | None, account: Account, *, right: bool) -> Refusal | None:
    """Return why a login is refused, `None` when it is not.

    Args:
        address: `None` when the name can be none.
        account: the one that the address names, or nobody's.
        right: whether the password was found to be this account's.
    """
    if address is None:
        return Refusal.UNUSABLE_NAME
    if account.id == NOBODY:
        return Refusal.UNKNOWN_ACCOUNT
    if account.state is not AccountState.ENABLED:
        return Refusal.DISABLED
    return None if right else Refusal.WRONG_PASSWORD


def _is_same_password(before: Credential, now: Credential) -> bool:
    return (before.account.id, before.version) == (now.account.id, now.version)


def _address(name_untrusted: bytes, default_domain: str) -> Address | None:
    try:
        return Address.parse(name_untrusted.decode(), default_domain=default_domain)
    except (UnicodeDecodeError, InvalidAddress):
        return None


def _prepared(password_untrusted: Secret) -> Secret | None:
    try:
        return prepare_password(password_untrusted)
    except NotPrepared:
        return None
