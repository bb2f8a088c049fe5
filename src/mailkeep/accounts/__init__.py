"""Who may log in: addresses, passwords, devices, states.

`deliver` asks one question of this room and must be quick, so what imports the database or the
password hash (`directory`, `passwords`) is named by `app` alone and not here.
The seam itself is imported when a name of it is asked for: its many small classes take longer to
make than a message to deliver.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailkeep.accounts.seam import (
        Account,
        AccountError,
        AccountExists,
        AccountState,
        Admission,
        CertificateClaim,
        CheckUnavailable,
        Claim,
        Device,
        DeviceExists,
        Identified,
        LoginCheck,
        LoginRefused,
        MainPasswordPolicy,
        May,
        PasswordClaim,
        Refusal,
        ScramClaim,
        ScramCredentials,
        ScramKey,
        TokenCheck,
        TokenCheckUnavailable,
        TokenClaim,
        TokenRefused,
        TooManyDevices,
        UnknownAccount,
        UnknownDevice,
        UnusableDevice,
    )


__all__ = [
    "Account",
    "AccountError",
    "AccountExists",
    "AccountState",
    "Admission",
    "CertificateClaim",
    "CheckUnavailable",
    "Claim",
    "Device",
    "DeviceExists",
    "Identified",
    "LoginCheck",
    "LoginRefused",
    "MainPasswordPolicy",
    "May",
    "PasswordClaim",
    "Refusal",
    "ScramClaim",
    "ScramCredentials",
    "ScramKey",
    "TokenCheck",
    "TokenCheckUnavailable",
    "TokenClaim",
    "TokenRefused",
    "TooManyDevices",
    "UnknownAccount",
    "UnknownDevice",
    "UnusableDevice",
]


def __getattr__(name: str) -> object:
    """Import the seam when it is needed (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mailkeep.accounts import seam

    return getattr(seam, name)
