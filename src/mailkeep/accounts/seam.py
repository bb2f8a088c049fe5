"""Who may log in, as the rest of the program sees it. It imports no database.

A login is asked about in two steps, so that somebody who proves a device's password, which nobody
can guess, is not slowed down with the guessers: `identify` is cheap, says who is named and whether
the proof is sure, and tells nobody anything; `verify` does the rest and decides.

Errors:
    AccountError
        UnknownAccount          no account has that address
        AccountExists           an account has that address already
        UnknownDevice           the account has no device of that name
        DeviceExists            the account has a device of that name already
        TooManyDevices          the account has as many devices as it may
        UnusableDevice          a name that is none, or a certificate that is none
    LoginRefused                whatever the reason, the client hears the same
    CheckUnavailable            the login could not be checked now; never told as a refusal
    TokenRefused                a token is not good
    TokenCheckUnavailable       nobody could tell whether it is
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from mailkeep.values import AccountId, Address, DeviceId, IpAddress, Secret


class AccountError(Exception):
    """Something an operator asked for cannot be done."""


class UnknownAccount(AccountError):
    """No account has that address."""


class AccountExists(AccountError):
    """An account has that address already."""


class UnknownDevice(AccountError):
    """The account has no device of that name."""


class DeviceExists(AccountError):
    """The account has a device of that name already, or the site one of that certificate."""


class TooManyDevices(AccountError):
    """The account has as many devices as it may; one that nobody uses can be revoked."""


class UnusableDevice(AccountError):
    """A device cannot have that name, or a certificate that is named so."""


class AccountState(Enum):
    """Whether an account may log in."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class MainPasswordPolicy(Enum):
    """Whether an account's main password is good for POP3."""

    ALLOW = "allow"
    DEVICES_ONLY = "devices_only"


class May(Enum):
    """What a device may do with mail."""

    READ = "read"
    DELETE = "delete"
    """Read and delete."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account, without its password."""

    id: AccountId
    address: Address
    state: AccountState
    created: datetime
    password_changed: datetime
    main_password: MainPasswordPolicy | None = None
    """None: what the site's settings say."""
    expires: datetime | None = None
    last_used: datetime | None = None
    """When somebody last logged in, by whatever credential; known to some minutes."""


@dataclass(frozen=True, slots=True)
class Device:
    """A named credential of an account, without its password."""

    id: DeviceId
    account: AccountId
    name: str
    may: May
    networks: tuple[IPv4Network | IPv6Network, ...]
    """Where it may log in from; empty for everywhere."""
    until: datetime | None
    """When it stops being good."""
    created: datetime
    last_used: datetime | None
    last_address: str | None
    last_client: str | None
    """What is known of the program: the mechanism and TLS version it used."""
    certificate: str | None = None
    """SHA-256 (hexadecimal) of the client certificate that it is, instead of a password."""


class Refusal(Enum):
    """Why a login was refused: for the log only."""

    UNUSABLE_NAME = "unusable name"
    UNKNOWN_ACCOUNT = "unknown account"
    WRONG_PASSWORD = "wrong password"  # noqa: S105  # a reason, not a password
    DISABLED = "account disabled"
    EXPIRED = "account expired"
    DEVICES_ONLY = "main password not accepted"
    DEVICE_EXPIRED = "device expired"
    DEVICE_ELSEWHERE = "device not allowed from there"
    WRONG_PROOF = "wrong proof"
    BAD_TOKEN = "bad token"  # noqa: S105  # a reason
    UNKNOWN_CERTIFICATE = "unknown certificate"


class LoginRefused(Exception):
    """The credentials do not let anybody in."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class CheckUnavailable(Exception):
    """The login could not be checked now: too many waiting, or the database failed."""


@dataclass(slots=True)
class PasswordClaim:
    """A name and a password, from USER and PASS or PLAIN."""

    name_untrusted: bytes
    password_untrusted: Secret


@dataclass(frozen=True, slots=True)
class ScramClaim:
    """A name, and the number of the credential whose keys the client proved to know.

    `proved` is a place in the keys that `scram_keys` returned for the name; None when the proof was
    wrong for all of them.
    """

    name_untrusted: bytes
    keys: "ScramCredentials"
    proved: int | None


@dataclass(frozen=True, slots=True)
class CertificateClaim:
    """A client certificate that TLS has verified, and the name that EXTERNAL asked for or b""."""

    name_untrusted: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class TokenClaim:
    """An OAuth token, and the name that came with it or b""."""

    name_untrusted: bytes
    token_untrusted: Secret


Claim = PasswordClaim | ScramClaim | CertificateClaim | TokenClaim


@dataclass(frozen=True, slots=True)
class ScramKey:
    """What one credential is proved against (RFC 5802 section 3)."""

    stored_key: Secret
    server_key: Secret
    device: DeviceId | None
    """None for the main password, or for nobody's."""


@dataclass(frozen=True, slots=True)
class ScramCredentials:
    """All of an account's SCRAM keys under its one salt, or nobody's; at least one key."""

    salt: bytes
    iterations: int
    keys: Sequence[ScramKey] = field(repr=False)


@dataclass(slots=True)
class Identified:
    """Who is named, and by what; nothing has been decided."""

    name: str
    """The address that is meant, or the name as it came (made printable) if it can be none."""
    account: AccountId | None
    """Whose it is; None when there is no such account. Never told."""
    is_sure: bool
    """The proof is right and cannot be a guess: a device's password, a certificate, a token."""
    claim: Claim = field(repr=False)
    known: object = field(repr=False)
    """What `verify` needs of what was read; the room's own."""


@dataclass(slots=True)
class Admission:
    """What good credentials let in."""

    account: Account
    device: Device | None
    """None: the main password or a token."""
    by_main_password: bool
    version: int
    """Of the main password; rises with each change."""
    owes_a_hash: bool = False
    """A refusal would have cost a password hash, and these credentials have not: see `pay`."""


class LoginCheck(Protocol):
    """The questions that a login asks."""

    def offers_scram(self) -> bool:
        """Tell whether SCRAM can work for anybody here. Takes no time.

        Programs that prefer it to PLAIN fail with a password that it has no keys of, so it is not
        offered where no account has any.
        """

    async def look_again(self) -> None:
        """Read anew what is kept about all accounts; called at the start and after changes."""

    async def scram_keys(self, name_untrusted: bytes) -> ScramCredentials:
        """Return what a client that names this account is to prove itself against.

        A name that nobody has, or an account without keys, gets a salt that stays the same and keys
        that nobody knows.

        Raises:
            CheckUnavailable: they could not be read.
        """

    async def identify(self, claim: Claim) -> Identified:
        """Find out who is named and whether the proof is one that cannot be guessed. Costs no hash.

        Raises:
            CheckUnavailable: it could not be found out.
        """

    async def verify(self, identified: Identified, source: IpAddress) -> Admission:
        """Return what the claim lets in; what was disabled, revoked or changed meanwhile does not.

        Every refusal of a password costs one password hash, whatever its reason.

        Args:
            identified: what `identify` returned.
            source: where the client is.

        Raises:
            LoginRefused: it lets nobody in.
            CheckUnavailable: it could not be found out.
        """

    async def pay(self, identified: Identified) -> None:
        """Spend the hash that right credentials owe, when they are refused all the same.

        Otherwise, while hashes wait for each other, a quick refusal would say that they are right.

        Args:
            identified: what `identify` returned, and `verify` admitted with `owes_a_hash`.

        Raises:
            CheckUnavailable: too many wait; a wrong password is told the same.
        """

    async def note_use(self, admission: Admission, source: IpAddress, client: str) -> None:
        """Remember that a login succeeded, for last uses; never raises."""

    async def is_still_good(self, admission: Admission) -> bool:
        """Tell whether an open session may go on: nothing was changed, disabled or revoked.

        When it cannot be found out it may.
        """


class TokenRefused(Exception):
    """A token is not good; the text is for the log and holds nothing of it."""


class TokenCheckUnavailable(Exception):
    """Nobody could tell whether a token is good."""


class TokenCheck(Protocol):
    """The question that a login with a token asks. Asked before anybody is slowed down."""

    async def name_of(self, token: Secret) -> str:
        """Return whom the token was issued to, as it says; no account may have that name.

        Raises:
            TokenRefused: it is not good.
            TokenCheckUnavailable: it could not be found out.
        """

    def close(self) -> None:
        """Give back what it holds, such as threads. Safe to call twice."""
