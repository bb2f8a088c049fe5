"""What CAPA lists (RFC 2449 sections 5 and 6), read off the state table.

A capability stands here only when it works to the letter. TOP and UIDL are listed before login
too, because some clients ask only then.
"""

from dataclasses import dataclass

from mailkeep.pop3 import commands
from mailkeep.pop3.states import LEGAL, Phase, Security

_EVERYWHERE = (
    b"TOP",
    b"UIDL",
    b"PIPELINING",
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"EXPIRE NEVER",
    b"LANG",
)


@dataclass(frozen=True, slots=True)
class CapabilityOffers:
    """What a server may offer or not.

    Attributes:
        mechanisms: the SASL mechanisms that AUTH knows on this connection, best first.
        utf8: UTF8 is offered, and names and passwords may be UTF-8 (RFC 6856 section 2.1).
        login_delay_s: whole seconds that must lie between two logins of one account; 0 for none.
    """

    mechanisms: tuple[str, ...]
    utf8: bool
    login_delay_s: int


def list_capabilities(
    phase: Phase, security: Security, offers: CapabilityOffers
) -> tuple[bytes, ...]:
    """Return the lines of CAPA's answer.

    Args:
        phase: AUTHORIZATION, NAMED or TRANSACTION.
        security: what protects the connection now.
        offers: what depends on settings or on the connection.
    """
    legal = LEGAL[phase][security]
    lines = list(_EVERYWHERE)
    if offers.login_delay_s > 0:
        lines.append(b"LOGIN-DELAY %d" % offers.login_delay_s)
    if commands.User in legal or phase is Phase.TRANSACTION:
        lines.extend(_login_lines(offers))
    if commands.Stls in legal:
        lines.append(b"STLS")
    if phase is Phase.TRANSACTION:
        lines.append(b"IMPLEMENTATION Mailkeep")
    return tuple(lines)


def _login_lines(offers: CapabilityOffers) -> tuple[bytes, ...]:
    sasl = b" ".join([b"SASL", *(name.encode() for name in offers.mechanisms)])
    return (b"USER", sasl, b"UTF8 USER") if offers.utf8 else (b"USER", sasl)
