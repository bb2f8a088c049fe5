"""Whom to slow down, turn away or ban, as a login asks it.

Three calls an attempt: `ask` before a guess is looked at, which returns when it may be, and then
exactly one of `fail`, `succeed` and `give_up`. Between them the attempt holds one of its prefix's
places; while `ask` waits it holds none. All of it goes over a socket as it stands, so that several
workers can share one door: hence the calls are async and their arguments plain values.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mailkeep.values import AccountId, DeviceId, IpAddress


class Turning(Enum):
    """Why the door turned somebody away: for the log only, but for LOGIN_DELAY."""

    THROTTLED = "throttled"
    BANNED = "banned"
    HOT_PASSWORD = "password tried on many accounts"  # noqa: S105  # a reason
    GUESSED_AT = "main password refused from unfamiliar sources"
    NEW_COUNTRY = "new country"
    FAST_TRAVEL = "too far away since the last login"
    POLICY_SERVER = "policy server"
    LOGIN_DELAY = "too soon after the last login"


class DoorUnavailable(Exception):
    """The door cannot answer now (a policy server that must be asked is away): try again later."""


@dataclass(slots=True)
class Attempt:
    """One guess, or one login of an owner; at first nobody knows which."""

    session: str
    source: IpAddress
    name: str
    """The address meant, or whatever was sent (`accounts.Identified.name`)."""
    mechanism: str
    password_seal: bytes | None
    """A keyed hash of the password that was sent (`Seals`); None where none was."""
    is_sure: bool
    """It proves a credential that cannot be guessed, and so is none."""
    tls: bool = True


@dataclass(slots=True)
class Let:
    """The guess may be looked at; it holds a place until it is reported."""

    ticket: int
    delayed_s: float
    """How long `ask` waited because of failures before, for the log; 0 for not at all."""
    familiar: bool
    """This prefix has succeeded on this account within 30 days, or the proof is sure."""


@dataclass(frozen=True, slots=True)
class Turned:
    """It is not looked at, and is answered as a wrong password is."""

    reason: Turning
    delayed_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is, as far as the operator's file tells."""

    country: str | None
    """ISO 3166-1 alpha-2."""
    latitude: float | None
    longitude: float | None


@dataclass(slots=True)
class Success:
    """Credentials that are right."""

    account: AccountId
    device: DeviceId | None
    by_main_password: bool


@dataclass(frozen=True, slots=True)
class Welcome:
    """What to do about right credentials."""

    refused: Turning | None
    """None: let them in."""
    familiar: bool
    """The account has logged in from this prefix within 30 days: a stolen device's password is
    unfamiliar where the thief is."""
    odd: Turning | None = None
    """NEW_COUNTRY or FAST_TRAVEL, whether refused or only to be told."""
    is_alert: bool = False
    """The oddity is to be told as a warning."""
    country: str | None = None
    country_before: str | None = None
    bans: tuple["Ban", ...] = ()
    """Made because right credentials were refused: they count as a wrong guess does."""


@dataclass(frozen=True, slots=True)
class Ban:
    """Nobody is let in from a prefix."""

    prefix: str
    """`192.0.2.7/32`, `2001:db8::/64`, or any network that an operator names."""
    seconds: int | None
    """From now; None until an operator lifts it."""
    reason: str


FAMILIAR, UNFAMILIAR = Welcome(None, familiar=True), Welcome(None, familiar=False)
"""What nearly everybody hears whose credentials are right: nothing is odd about them."""


@dataclass(frozen=True, slots=True)
class Consequences:
    """What a failed guess brought about, to be told."""

    ban: Ban | None = None
    """The source's own."""
    other_bans: tuple[Ban, ...] = ()
    """Of others who tried the same password before it was hot."""
    guessed_at: int | None = None
    """The account's main password is refused from unfamiliar sources from now on, after so many
    failures."""


class LoginDoor(Protocol):
    """The door of a site."""

    def admits(self, source: IpAddress) -> bool:
        """Tell whether a new connection from there may be made at all. Takes no time."""

    def has_good_past(self, source: IpAddress) -> bool:
        """Tell whether somebody has logged in from this prefix within 30 days. Takes no time."""

    async def ask(self, attempt: Attempt) -> Let | Turned:
        """Return when the guess may be looked at, or that it will not be.

        Cancelling gives the place up.

        Raises:
            DoorUnavailable: it cannot be found out now.
        """

    async def fail(self, let: Let, *, account: AccountId | None) -> Consequences:
        """Count a wrong guess.

        Args:
            let: what `ask` returned.
            account: the one that was named; None when there is none.

        Raises:
            DoorUnavailable: it cannot be counted; the client must not learn that it was wrong.
        """

    async def succeed(self, let: Let, success: Success) -> Welcome:
        """Decide about right credentials, and remember the source if they are let in.

        Raises:
            DoorUnavailable: it cannot be decided; the client must not learn that they were right.
        """

    async def give_up(self, let: Let) -> None:
        """Count nothing: it could not be checked, or the client has gone."""
