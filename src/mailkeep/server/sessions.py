"""Who is logged in with what: so that a credential that is no longer good ends its sessions.

Known limit: a device or an account that only expires ends its sessions when something else of the
account changes; a session lasts minutes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailkeep.accounts import Admission
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.server.connection import Connection
from mailkeep.server.inside import Inside
from mailkeep.values import AccountId

_REVOKED = "what it logged in with is no longer good"


@dataclass(slots=True, eq=False)
class LoggedIn:
    """One session, from good credentials to its end."""

    connection: Connection
    admission: Admission

    def tell_revoked(self, sink: EventSink) -> None:
        """Tell that what it logged in with is no longer good."""
        sink.emit(
            events.SessionRevoked(
                session=self.connection.session,
                account=str(self.admission.account.address),
                reason=_REVOKED,
            )
        )


class Sessions:
    """The sessions of this process, by account.

    Attributes:
        inside: how many sessions each account has, on the whole site.
    """

    def __init__(self) -> None:
        self.inside: Inside[AccountId] = Inside()
        self._by_account: dict[AccountId, set[LoggedIn]] = {}
        self.looks = 0
        """How often sessions were looked at: whoever logs in meanwhile looks at his own again."""

    def count(self, account: AccountId) -> int:
        """Return how many sessions an account has on the whole site."""
        return self.inside[account]

    def add(self, connection: Connection, admission: Admission) -> LoggedIn:
        """Note that somebody has logged in."""
        session = LoggedIn(connection, admission)
        self._by_account.setdefault(admission.account.id, set()).add(session)
        self.inside.enter(admission.account.id)
        return session

    def remove(self, session: LoggedIn) -> None:
        """Note that a session is over."""
        account = session.admission.account.id
        sessions = self._by_account[account]
        sessions.discard(session)
        self.inside.leave(account)
        if not sessions:
            del self._by_account[account]

    async def end_revoked(
        self,
        account: AccountId | None,
        is_still_good: Callable[[Admission], Awaitable[bool]],
        sink: EventSink,
    ) -> None:
        """End the sessions whose credentials are no longer good.

        Args:
            account: whose; None for everybody's.
            is_still_good: asked about each session.
            sink: told of those that end.
        """
        self.looks += 1
        accounts = tuple(self._by_account) if account is None else (account,)
        sessions = [one for each in accounts for one in self._by_account.get(each, ())]
        for session in sessions:
            if not await is_still_good(session.admission):
                session.tell_revoked(sink)
                session.connection.abort(_REVOKED)
