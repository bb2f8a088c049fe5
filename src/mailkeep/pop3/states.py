"""Every rule about states, as tables; no other file decides what a command may be said in.

The states of RFC 1939 section 3 are AUTHORIZATION, TRANSACTION and UPDATE. AUTHORIZATION is cut
finer here: NAMED is the moment straight after a good USER, the only one in which PASS means
anything (RFC 1939 section 7); EXCHANGE is the middle of an AUTH (RFC 5034 section 4), where a line
is an answer and no command. ENCRYPTING follows a good STLS: what comes next is TLS and not ours.
UPDATE has no commands, so the session is CLOSED for the client as soon as QUIT was said.

`capabilities` reads the same tables, so what is advertised is what works.
"""

from collections.abc import Mapping
from enum import Enum

from mailkeep.pop3 import commands
from mailkeep.pop3.commands import Command


class Phase(Enum):
    """Where a session stands."""

    AUTHORIZATION = "authorization"
    NAMED = "named"
    EXCHANGE = "exchange"
    TRANSACTION = "transaction"
    ENCRYPTING = "encrypting"
    CLOSED = "closed"

    __hash__ = object.__hash__  # each is one object; Enum's own hash costs more than the look-up


class Security(Enum):
    """What protects the connection, and so what may be said before login."""

    __hash__ = object.__hash__

    TLS = "tls"
    """Encrypted: from the first octet, or since STLS."""
    STLS_FIRST = "stls first"
    """Clear text; nobody logs in before STLS (RFC 8314 section 3.3)."""
    CLEARTEXT_ALLOWED = "cleartext allowed"
    """Clear text from a network that the operator named; STLS is still offered."""


CommandKind = type[Command]

_ALWAYS: frozenset[CommandKind] = frozenset({commands.Capa, commands.Lang, commands.Quit})
_LOGIN: frozenset[CommandKind] = frozenset(
    # RFC 6856 section 2: UTF8 is said before login, and no STLS after it.
    {commands.User, commands.Auth, commands.AuthList, commands.Utf8}
)
_NAMED: frozenset[CommandKind] = frozenset({commands.Pass})
_STLS: frozenset[CommandKind] = frozenset({commands.Stls})
_MAIL: frozenset[CommandKind] = frozenset(
    {
        commands.Stat,
        commands.List,
        commands.Retr,
        commands.Dele,
        commands.Noop,
        commands.Rset,
        commands.Top,
        commands.Uidl,
        commands.Utf8,  # Outlook says it here
    }
)
_NOTHING: frozenset[CommandKind] = frozenset()

LEGAL: Mapping[Phase, Mapping[Security, frozenset[CommandKind]]] = {
    Phase.AUTHORIZATION: {
        Security.TLS: _ALWAYS | _LOGIN,
        Security.STLS_FIRST: _ALWAYS | _STLS,
        Security.CLEARTEXT_ALLOWED: _ALWAYS | _LOGIN | _STLS,
    },
    Phase.NAMED: {
        Security.TLS: _ALWAYS | _LOGIN | _NAMED,
        Security.STLS_FIRST: _NOTHING,  # USER is not legal there, so nobody gets here
        Security.CLEARTEXT_ALLOWED: _ALWAYS | _LOGIN | _NAMED | _STLS,
    },
    Phase.EXCHANGE: dict.fromkeys(Security, _NOTHING),
    Phase.TRANSACTION: {
        Security.TLS: _ALWAYS | _MAIL,
        Security.STLS_FIRST: _NOTHING,  # nobody logs in there, so nobody gets here
        Security.CLEARTEXT_ALLOWED: _ALWAYS | _MAIL,
    },
    Phase.ENCRYPTING: dict.fromkeys(Security, _NOTHING),
    Phase.CLOSED: dict.fromkeys(Security, _NOTHING),
}
"""Which commands may be said; everything else is -ERR and counts as bad."""

_AFTER_OK: Mapping[CommandKind, Phase] = {
    commands.User: Phase.NAMED,
    commands.Pass: Phase.TRANSACTION,
    commands.Auth: Phase.TRANSACTION,
    commands.Stls: Phase.ENCRYPTING,
}
_STAYS: Mapping[Phase, Phase] = {
    Phase.AUTHORIZATION: Phase.AUTHORIZATION,
    Phase.NAMED: Phase.AUTHORIZATION,  # PASS comes straight after USER, or not at all
    Phase.EXCHANGE: Phase.AUTHORIZATION,
    Phase.TRANSACTION: Phase.TRANSACTION,
    Phase.ENCRYPTING: Phase.ENCRYPTING,
    Phase.CLOSED: Phase.CLOSED,
}


def phase_after(phase: Phase, kind: CommandKind, *, ok: bool) -> Phase:
    """Return where a session stands once a legal command was answered.

    Args:
        phase: where it stood.
        kind: what was said; `Auth` for every step of its exchange.
        ok: whether the answer was +OK.
    """
    if kind is commands.Quit:
        return Phase.CLOSED
    if ok and kind in _AFTER_OK:
        return _AFTER_OK[kind]
    return _STAYS[phase]


def phase_after_refusal(phase: Phase) -> Phase:
    """Return where a session stands after a line that was no legal command."""
    return _STAYS[phase]
