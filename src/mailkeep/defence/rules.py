"""What an operator can choose about the door, as the door itself understands it."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mailkeep.defence.prefixes import unmapped
from mailkeep.values import IpAddress


class OddAnswer(Enum):
    """What to do about a login that is odd."""

    OFF = "off"
    LOG = "log"
    ALERT = "alert"
    REFUSE = "refuse"


class AddressSet(Protocol):
    """Some networks."""

    def __contains__(self, address: IpAddress, /) -> bool: ...


NOBODY: AddressSet = frozenset()


@dataclass(frozen=True, slots=True)
class DoorRules:
    """The choices; the defaults are those of a site that has made none."""

    allow: AddressSet = NOBODY
    """Never slowed down or banned."""
    new_country: OddAnswer = OddAnswer.LOG
    fast_travel: OddAnswer = OddAnswer.ALERT
    login_delay_s: float = 0
    """Between two logins of an account (RFC 2449 section 6.5); 0 for none."""
    policy_fails_closed: bool = False
    """Whether nobody is let in while the policy server is away."""

    def allows(self, source: IpAddress) -> bool:
        """Tell whether an address is one of `allow`; where that is `NOBODY`, without looking."""
        return self.allow is not NOBODY and unmapped(source) in self.allow
