"""Who may log in: addresses, passwords, states.

`deliver` asks one question of this room and must be quick, so what imports the database or the
password hash (`directory`, `passwords`) is named by `app` alone and not here.
"""

from mailkeep.accounts.seam import (
    Account,
    AccountError,
    AccountExists,
    AccountState,
    CheckUnavailable,
    LoginRefused,
    PasswordCheck,
    Refusal,
    UnknownAccount,
)

__all__ = [
    "Account",
    "AccountError",
    "AccountExists",
    "AccountState",
    "CheckUnavailable",
    "LoginRefused",
    "PasswordCheck",
    "Refusal",
    "UnknownAccount",
]
