"""Whom to slow down or turn away: what an operator can set about the door.

It must not know the figures of the door's own rules, which nobody can set.
"""

import enum
from pathlib import Path

import msgspec

from mailkeep.site.endpoint import Networks
from mailkeep.site.errors import InvalidSetting
from mailkeep.site.urls import is_url


class Answer(enum.Enum):
    """What to do about a login that is odd."""

    OFF = "off"
    LOG = "log"
    ALERT = "alert"
    """Log it as a warning."""
    REFUSE = "refuse"


class PolicyServerFails(enum.Enum):
    """What to do when the policy server does not answer."""

    OPEN = "open"
    """Let the rest decide."""
    CLOSED = "closed"
    """Tell clients to try again."""


class DoorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to slow down or turn away: `[door]`."""

    allow: Networks = Networks(())
    """Never slowed down or banned; a password that is tried everywhere is refused even so."""
    bans_file: Path | None = None
    """Where the bans in force are written, an address or network a line, for nftables or ipset."""
    places: Path | None = None
    """A MaxMind database (`.mmdb`) of places, the operator's own."""
    new_country: Answer = Answer.LOG
    """About a login from a country where the account has not logged in for 30 days."""
    fast_travel: Answer = Answer.ALERT
    """About two logins that are further apart than a plane flies meanwhile (900 km/h)."""
    policy_server: str = ""
    """The URL of a server that speaks Dovecot's auth-policy protocol; none unless set."""
    policy_server_key: Path | None = None
    """Holds what is sent to it in `X-API-Key`."""
    policy_server_fails: PolicyServerFails = PolicyServerFails.OPEN
    """What happens to logins while it does not answer."""

    def __post_init__(self) -> None:
        if self.policy_server and not is_url(self.policy_server, "http", "https"):
            raise InvalidSetting(
                f'"{self.policy_server}" is not an http or https URL',
                key="policy_server",
                hint="write http://127.0.0.1:8084/ or https://policy.example.com/",
            )
