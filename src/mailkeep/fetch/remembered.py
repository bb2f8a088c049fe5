"""What was seen of an account once and must not get worse silently: pure (S-17, S-60).

Somebody between client and server can take TLS and the strong mechanisms out of what a server
offers. A program that has met them before need not believe it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TLS = "tls"
SCRAM = "scram"
AUTHORITY = "authority"
REMEMBERED = (TLS, SCRAM, AUTHORITY)
_YES = "yes"

_WORSE = {
    TLS: "the connection was encrypted before and would not be now",
    SCRAM: "the server offered SCRAM before and wants the password itself now",
    AUTHORITY: "the certificate was signed by an authority before and only a pin is checked now",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What protects an account in one session; None where it does not matter."""

    tls: bool | None = None
    scram: bool | None = None
    authority: bool | None = None

    def items(self) -> tuple[tuple[str, bool | None], ...]:
        """Return each by the name under which it is remembered."""
        return (TLS, self.tls), (SCRAM, self.scram), (AUTHORITY, self.authority)

    def facts(self) -> dict[str, str]:
        """Return what to remember: only what is good."""
        return {name: _YES for name, value in self.items() if value}


def judge_change(before: Mapping[str, str], seen: Seen) -> list[str]:
    """Return what is worse than it was before, in words; empty if nothing is.

    Args:
        before: what was remembered, by name.
        seen: what is the case now.
    """
    return [
        _WORSE[name] for name, value in seen.items() if value is False and before.get(name) == _YES
    ]


def judge_expire(words: Sequence[str]) -> str | None:
    """Return what to warn of when the server itself deletes mail (RFC 2449 section 6.7, S-39).

    Args:
        words: the arguments of the capability EXPIRE; empty if it is not listed.
    """
    if not words or not re.fullmatch("[0-9]{1,9}", words[0]):  # NEVER, or no number of days
        return None
    if int(words[0]) == 0:
        return "the server deletes mail once it was read: the copy here is the only one"
    return f"the server deletes mail after {words[0]} days, whatever is kept here"
