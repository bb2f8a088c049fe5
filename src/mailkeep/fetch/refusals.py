"""From a server's -ERR to what it means for a run: pure, a table of codes and a few words.

A response code decides where there is one (RFC 2449 section 8, RFC 3206). Without one a server's
words are looked at only to tell "busy" from "refused", because trying again after a refusal locks
accounts and not trying again after "busy" loses nothing but time.
"""

import re

from mailkeep.fetch.failures import (
    FetchFailed,
    LoginRefused,
    ProtocolBroken,
    ServerBusy,
    TokenNeeded,
)
from mailkeep.pop3 import Status

_BUSY_CODES = frozenset({"IN-USE", "LOGIN-DELAY", "SYS/TEMP"})
_BUSY_WORDS = re.compile(
    rb"\b(lock(ed)? by|in use|busy|too many|try again|later|wait"
    rb"|(maildrop|mailbox)\b.*\block(ed)?|lock\b.*\b(maildrop|mailbox))\b"
)
"""A mailbox that is locked is in use (S-22); an account that is locked is no matter of minutes."""


def login_failure(status: Status, *, is_token: bool, detail: str | None = None) -> FetchFailed:
    """Return what a refused login means.

    Args:
        status: the answer to PASS or to AUTH.
        is_token: whether an OAuth token was shown instead of a password.
        detail: what the server said inside the exchange, if it did.
    """
    said = f"{quote(status)} ({detail})" if detail else quote(status)
    if _is_busy(status):
        return ServerBusy(
            f"the server cannot open the mailbox now: {said}",
            hint="another program may have it open; try again in some minutes",
        )
    if is_token:
        return TokenNeeded(f"the server refuses the token: {said}", hint="consent again")
    return LoginRefused(
        f"the server refuses the login: {said}",
        hint="check the user name and the password; repeated tries may lock the account",
    )


def command_failure(status: Status, command: str) -> FetchFailed:
    """Return what a refused command means that no server should refuse."""
    if _is_busy(status):
        return ServerBusy(f"the server cannot answer {command} now: {quote(status)}")
    return ProtocolBroken(f"the server refuses {command}: {quote(status)}")


def quote(status: Status) -> str:
    """Return a server's words for a message; control characters are made visible where shown."""
    code = f"[{status.code_untrusted}] " if status.code_untrusted else ""
    text = status.text_untrusted[:_QUOTED_OCTETS].decode("utf-8", "backslashreplace")
    return code + (text or "without a reason")


_QUOTED_OCTETS = 200
"""S-56: what a server says is quoted, not spread over the screen."""


def _is_busy(status: Status) -> bool:
    if status.code_untrusted:
        return status.code_untrusted in _BUSY_CODES
    return _BUSY_WORDS.search(status.text_untrusted.lower()) is not None
