"""Which mechanism a client uses: the best that both sides have, or the one that the user named.

It judges a list and knows no server. That a mechanism was there before and is now missing is known
by whoever remembers (S-60); that passwords need TLS is the protocol's rule.
"""

import re
from collections.abc import Collection

USER_PASS = "USER"  # noqa: S105  # the name of a command, not a password
"""Stands for the commands USER and PASS (RFC 1939 section 7), which are no SASL mechanism."""

PLUS = "SCRAM-SHA-256-PLUS"

PASSWORD_MECHANISMS = (PLUS, "SCRAM-SHA-256", "PLAIN", USER_PASS)
"""Best first. With the first two the password does not leave; PLAIN comes before USER and PASS
because it takes any octets in one response.

Never in here: LOGIN adds nothing to PLAIN; CRAM-MD5, DIGEST-MD5, APOP and NTLM let who listens
guess, and prove nothing of the server; SCRAM-SHA-1 is there only where SCRAM-SHA-256 should be."""

TOKEN_MECHANISMS = ("OAUTHBEARER", "XOAUTH2")
"""Best first: the standard, then what came before it. A token is never sent as a password."""

_ONLY_BY_NAME = ("EXTERNAL",)
"""It depends on a client certificate, which only the user knows to be meant for this."""

_SASL_NAME = re.compile(r"[A-Z0-9_-]{1,20}")
"""RFC 4422 section 3.1; other words of a server are not repeated."""
_SHOWN_LIMIT = 12


class NoMechanism(Exception):
    """There is no way to log in that both sides have and the user allows."""


def choose_mechanism(
    offered: Collection[str],
    *,
    is_token: bool,
    can_bind: bool,
    user_pass: bool,
    forced: str | None,
) -> str:
    """Return the mechanism to log in with: a SASL name in upper case, or `USER`.

    Args:
        offered: SASL in CAPA (RFC 2449 section 6.3), in any case; empty where there is none.
        is_token: the secret is a token of OAuth 2.0, not a password.
        can_bind: the channel binding of this connection is known.
        user_pass: the server takes USER and PASS.
        forced: the one that the user named; it is used or refused, never replaced.

    Raises:
        NoMechanism: none is left, or the named one cannot be used; the text says why.
    """
    there = {name.upper() for name in offered} - {USER_PASS}
    if user_pass:
        there.add(USER_PASS)
    if forced is not None:
        return _judge_forced(forced.upper(), there, is_token=is_token, can_bind=can_bind)
    wanted = TOKEN_MECHANISMS if is_token else PASSWORD_MECHANISMS
    for name in wanted:
        if name in there and (can_bind or name != PLUS):
            return name
    what = "a token" if is_token else "a password"
    raise NoMechanism(f"the server takes {what} in no way that is safe: {_shown(there)}")


def _judge_forced(name: str, there: set[str], *, is_token: bool, can_bind: bool) -> str:
    """Return the name, or say why it cannot be.

    Raises:
        NoMechanism: it is unknown here or there, or does not go with the secret or the connection.
    """
    fitting = TOKEN_MECHANISMS if is_token else PASSWORD_MECHANISMS
    if name not in PASSWORD_MECHANISMS + TOKEN_MECHANISMS + _ONLY_BY_NAME:
        raise NoMechanism(f"the mechanism {_shown({name})} is not one that is spoken here")
    if name not in fitting + _ONLY_BY_NAME:
        have, wants = ("token", "password") if is_token else ("password", "token")
        raise NoMechanism(f"{name} wants a {wants}, and there is a {have}")
    if name not in there:
        raise NoMechanism(f"the server does not offer {name}: {_shown(there)}")
    if name == PLUS and not can_bind:
        raise NoMechanism(f"{name} needs a connection that can be bound to, and this one cannot")
    return name


def _shown(names: set[str]) -> str:
    """Return names of a server as they may stand in an error."""
    shown = sorted(name for name in names if _SASL_NAME.fullmatch(name))
    more = " and more" if len(shown) > _SHOWN_LIMIT else ""
    return (", ".join(shown[:_SHOWN_LIMIT]) or "nothing") + more
