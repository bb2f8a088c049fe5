"""What can end a fetch, and the exit code that says so to a script.

    FetchFailed                 an account could not be fetched (or not to its end)
        WrongSettings           2   usage or settings
        LoginRefused            3   the server refuses the credentials
        TokenNeeded             4   a token is missing, expired or cannot be refreshed
        TlsRefused              5   TLS, certificate or pin
        NetworkFailed           6   no connection, or it broke: a later try may help
        ServerBusy              7   [SYS/TEMP], [IN-USE], [LOGIN-DELAY]: a later try will help
        ProtocolBroken          8   the server does not speak POP3 as it should
        StorageFailed           9   disk, permission, destination
        AccountLocked           10  another run has the account
        JournalUnusable         11  the journal is damaged, or of a newer version
        LimitReached            12  a limit of this run ended it; more mail remains
        SuspiciousChange        13  something got worse than it was: the user decides

The codes are those of the table in `docs/fetch.md`. Texts may hold what a server said;
it is untrusted and is made printable where it is shown.
"""

from enum import IntEnum


class FetchExit(IntEnum):
    """What `mailkeep fetch` exits with."""

    DONE = 0
    PARTIAL = 1
    """Some messages failed or are in quarantine; the others are safe."""
    WRONG = 2
    LOGIN = 3
    TOKEN = 4
    TLS = 5
    NETWORK = 6
    BUSY = 7
    PROTOCOL = 8
    STORAGE = 9
    LOCKED = 10
    JOURNAL = 11
    LIMIT = 12
    SUSPICIOUS = 13


class FetchFailed(Exception):
    """An account could not be fetched to its end; what was stored stays stored.

    Attributes:
        hint: the next step, if one is known.
    """

    code = FetchExit.PARTIAL

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


class WrongSettings(FetchFailed):
    """An argument, a setting or a file of settings cannot be used."""

    code = FetchExit.WRONG


class LoginRefused(FetchFailed):
    """The server refuses the credentials; trying again may lock the account."""

    code = FetchExit.LOGIN


class TokenNeeded(FetchFailed):
    """There is no valid token, and none could be had."""

    code = FetchExit.TOKEN


class TlsRefused(FetchFailed):
    """The handshake failed, or the certificate is not one to trust; no password was sent."""

    code = FetchExit.TLS


class NetworkFailed(FetchFailed):
    """There is no connection, or it broke."""

    code = FetchExit.NETWORK


class ServerBusy(FetchFailed):
    """The server says that time will help (RFC 2449 section 8.1, RFC 3206 section 4)."""

    code = FetchExit.BUSY


class ProtocolBroken(FetchFailed):
    """The server's answer is no POP3, or not the answer to what was asked."""

    code = FetchExit.PROTOCOL


class StorageFailed(FetchFailed):
    """Nothing can be stored here now: disk, permission, a destination that vanished."""

    code = FetchExit.STORAGE


class AccountLocked(FetchFailed):
    """Another run fetches this account; the text says which process."""

    code = FetchExit.LOCKED


class JournalUnusable(FetchFailed):
    """The journal is damaged or was written by a newer version."""

    code = FetchExit.JOURNAL


class LimitReached(FetchFailed):
    """A limit of this run ended it; more mail remains."""

    code = FetchExit.LIMIT


class SuspiciousChange(FetchFailed):
    """Something is worse than it was seen before; nobody goes on silently."""

    code = FetchExit.SUSPICIOUS
