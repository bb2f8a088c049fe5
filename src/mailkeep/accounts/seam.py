"""Who may log in, as the rest of the program sees it. It imports no database.

Errors:
    AccountError
        UnknownAccount          no account has that address
        AccountExists           an account has that address already
    LoginRefused                whatever the reason, the client hears the same
    CheckUnavailable            the password could not be checked now; never told as a refusal
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from mailkeep.values import AccountId, Address, Secret


class AccountError(Exception):
    """Something an operator asked for cannot be done."""


class UnknownAccount(AccountError):
    """No account has that address."""


class AccountExists(AccountError):
    """An account has that address already."""


class AccountState(Enum):
    """Whether an account may log in."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Account:
    """One account, without its password."""

    id: AccountId
    address: Address
    state: AccountState
    created: datetime
    password_changed: datetime


class Refusal(Enum):
    """Why a login was refused: for the log only."""

    UNUSABLE_NAME = "unusable name"
    UNKNOWN_ACCOUNT = "unknown account"
    WRONG_PASSWORD = "wrong password"  # noqa: S105  # a reason, not a password
    DISABLED = "account disabled"


class LoginRefused(Exception):
    """The credentials do not let anybody in."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class CheckUnavailable(Exception):
    """The password could not be checked now: too many waiting, or the database failed."""


class PasswordCheck(Protocol):
    """The question that a login asks."""

    async def check(self, name_untrusted: bytes, password_untrusted: Secret) -> Account:
        """Return the account that these credentials let in.

        Every refusal costs exactly one password hash, whatever its reason.

        Raises:
            LoginRefused: they let nobody in.
            CheckUnavailable: it could not be found out.
        """
