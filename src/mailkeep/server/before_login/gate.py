"""What the program before login needs of the rest, and who comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass

from mailkeep.accounts import Account, Admission, LoginCheck
from mailkeep.defence import LoginDoor
from mailkeep.events import EventSink
from mailkeep.values import Secret


@dataclass(frozen=True, slots=True)
class TokenHints:
    """What a client whose token was refused is told (RFC 7628 section 3.2.2)."""

    configuration: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """What this program needs of the rest."""

    check: LoginCheck
    door: LoginDoor
    seal: Callable[[Secret], bytes]
    """A keyed hash of a password, by which the door knows it again."""
    sink: EventSink
    credentials_s: float
    """Seconds until whole credentials must have arrived."""
    refusal_s: float = 0.0
    """Seconds before which no refusal is answered."""
    login_delay_s: int = 0
    """Between two logins of an account, for CAPA (RFC 2449 section 6.5)."""
    utf8: bool = False
    """Whether UTF8 is offered (RFC 6856)."""
    token_hints: TokenHints = TokenHints()


@dataclass(slots=True)
class Admitted:
    """Good credentials; the command that brought them waits for its answer."""

    admission: Admission
    mechanism: str
    familiar: bool

    @property
    def account(self) -> Account:
        """Who it is."""
        return self.admission.account

    @property
    def device(self) -> str | None:
        """The name of the device that logged in, if it is one."""
        return self.admission.device.name if self.admission.device else None
