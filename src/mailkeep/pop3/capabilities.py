"""What CAPA lists (RFC 2449 sections 5 and 6), read off the state table.

A capability stands here only when it works to the letter. TOP and UIDL are listed before login
too, because some clients ask only then.
"""

from collections.abc import Iterable

from mailkeep.pop3 import commands
from mailkeep.pop3.states import LEGAL, Phase, Security

_EVERYWHERE = (
    b"TOP",
    b"UIDL",
    b"PIPELINING",
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"EXPIRE NEVER",
)


def list_capabilities(
    phase: Phase, security: Security, mechanisms: Iterable[str]
) -> tuple[bytes, ...]:
    """Return the lines of CAPA's answer.

    Args:
        phase: AUTHORIZATION, NAMED or TRANSACTION.
        security: what protects the connection now.
        mechanisms: the SASL mechanisms that AUTH knows, best first.
    """
    legal = LEGAL[phase][security]
    lines = list(_EVERYWHERE)
    if commands.User in legal or phase is Phase.TRANSACTION:
        lines.append(b"USER")
        lines.append(b" ".join([b"SASL", *(name.encode() for name in mechanisms)]))
    if commands.Stls in legal:
        lines.append(b"STLS")
    if phase is Phase.TRANSACTION:
        lines.append(b"IMPLEMENTATION Mailkeep")
    return tuple(lines)
