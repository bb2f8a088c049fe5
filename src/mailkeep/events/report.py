"""The answer to the question after a break-in: what did each session get, and what is gone?

Made from the account's events alone: pure, exact for a session that was cut off, and the same
whenever it is asked. What a session was sent is what left, whether the other side kept it or not.

Known limits: memory is in proportion to the messages that were read; events that were never
written (before there was a trail) are not guessed at.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from mailkeep.events.peers import address_of
from mailkeep.events.records import Record, fold_name
from mailkeep.events.types import EventType

CUT_OFF = "no end was recorded: it is still open, or was cut off with the server"
"""How a session ended that told no end."""

GONE = "nothing: there is no hold, and what was removed is gone from this site"
"""What can be brought back."""


@dataclass(slots=True)
class MessageTaken:
    """A message that a session was sent, or a part of it.

    Attributes:
        uidl: which.
        first: when it was first sent.
        last: when it was last sent.
        times: how often.
        whole: whether all of it was sent at least once.
        top_lines: the most lines of its body that a TOP asked for, if it was never sent whole.
        octets: the most that was sent at once.
        sha256: of the whole message, where it was known.
    """

    uidl: str
    first: datetime
    last: datetime
    times: int = 0
    whole: bool = False
    top_lines: int | None = None
    octets: int = 0
    sha256: str | None = None

    def add(self, record: Record) -> None:
        """Take one sending into account."""
        self.last = record.at
        self.times += 1
        self.octets = max(self.octets, record.number("octets"))
        self.sha256 = record.text("sha256") or self.sha256
        if record.text("command") == "TOP":
            self.top_lines = max(self.top_lines or 0, record.number("body_lines"))
        elif record.fields.get("complete", True):
            self.whole = True


@dataclass(slots=True)
class Deletion:
    """A message that a session marked; it is removed if `done` is a time.

    Attributes:
        uidl: which.
        asked: when it was marked; None if that was not recorded.
        done: when it was removed.
    """

    uidl: str
    asked: datetime | None = None
    done: datetime | None = None


@dataclass(slots=True)
class SessionReport:
    """What one session did.

    Attributes:
        session: its identifier.
        began: the login; None if it was before the record.
        ended: None if no end was recorded.
        how: it ended, in words.
        peer: address and port.
        mechanism, device, familiar: of the login.
        tls: version and suite; None for clear text, or if it was before the record.
        messages: what it was sent, by uidl.
        whole_maildrop: whether it was sent every message that there was.
        deletions: what it marked or removed, by uidl.
        refused_here: refused logins of the account before it, from the same address.
        refused_elsewhere: and from others; both since the session before.
    """

    session: str
    began: datetime | None = None
    ended: datetime | None = None
    how: str = CUT_OFF
    peer: str | None = None
    mechanism: str | None = None
    device: str | None = None
    familiar: bool | None = None
    tls: str | None = None
    messages: dict[str, MessageTaken] = field(default_factory=dict)
    whole_maildrop: bool = False
    deletions: dict[str, Deletion] = field(default_factory=dict)
    refused_here: int = 0
    refused_elsewhere: int = 0

    @property
    def address(self) -> str:
        """Where it came from."""
        return address_of(self.peer or "unknown")

    @property
    def removed(self) -> list[Deletion]:
        """What is gone."""
        return [deletion for deletion in self.deletions.values() if deletion.done is not None]


@dataclass(slots=True)
class RefusedFrom:
    """Refused logins of the account from one address."""

    address: str
    first: datetime
    last: datetime
    count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one account since a time.

    Attributes:
        account: whose.
        since: from when on; None for as long as there is a record.
        sessions: oldest first.
        refused: refused logins by address.
        changes: of the account and its devices, and what the door said about it.
        can_be_brought_back: in words.
    """

    account: str
    since: datetime | None
    sessions: tuple[SessionReport, ...]
    refused: tuple[RefusedFrom, ...]
    changes: tuple[Record, ...]
    can_be_brought_back: str = GONE

    def left_to(self) -> dict[str, dict[str, MessageTaken]]:
        """Return, by address, the messages that were sent there; of the same message, the most."""
        found: dict[str, dict[str, MessageTaken]] = {}
        for session in self.sessions:
            here = found.setdefault(session.address, {}) if session.messages else {}
            for uidl, taken in session.messages.items():
                here[uidl] = max(here.get(uidl, taken), taken, key=_how_much)
        return found

    def removed(self) -> dict[str, Deletion]:
        """Return what is gone, by uidl."""
        return {gone.uidl: gone for session in self.sessions for gone in session.removed}


_CHANGES = frozenset(
    {
        EventType.ACCOUNT_CHANGED.value,
        EventType.DEVICE_CHANGED.value,
        EventType.LOGIN_FROM_NEW_PLACE.value,
        EventType.HOT_PASSWORD_RIGHT.value,
        EventType.MAIN_PASSWORD_GUESSED_AT.value,
    }
)


def report(
    events: Iterable[Record],
    account: str,
    since: datetime | None,
    *,
    names: Collection[str] = (),
) -> Report:
    """Tell what happened to an account.

    Args:
        events: of the account, of its sessions from their beginning, and the refused logins of its
            names, in the order in which they happened.
        account: its address.
        since: sessions that did nothing since then are left out; None for all.
        names: what the account may be called by who logs in, besides its address.
    """
    collecting = _Collecting(account, names)
    for record in events:
        collecting.take(record, is_asked_for=since is None or record.at >= since)
    return collecting.finish(since)


class _Collecting:
    def __init__(self, account: str, names: Collection[str]) -> None:
        self._account = account
        self._names = {fold_name(name) for name in (account, *names)}
        self._sessions: dict[str, SessionReport] = {}
        self._asked_for: set[str] = set()
        self._tls: dict[str, str] = {}
        self._refused: dict[str, RefusedFrom] = {}
        self._refused_since: dict[str, int] = {}
        self._changes: list[Record] = []

    def take(self, record: Record, *, is_asked_for: bool) -> None:
        session = record.text("session")
        if record.type == EventType.TLS_AGREED.value and session:
            self._tls[session] = f"{record.text('version')} {record.text('suite')}"
        elif record.type == EventType.LOGIN_REFUSED.value:
            if is_asked_for and fold_name(record.text("name") or "") in self._names:
                self._take_refused(record)
        elif record.text("account") == self._account:
            if record.type in _CHANGES and is_asked_for:
                self._changes.append(record)
            take = _OF_SESSION.get(record.type)
            if session and take:
                take(self._session(session, record), record)
                if is_asked_for:
                    self._asked_for.add(session)

    def finish(self, since: datetime | None) -> Report:
        sessions = [self._sessions[name] for name in self._sessions if name in self._asked_for]
        for found in sessions:
            found.tls = self._tls.get(found.session)
        refused = tuple(self._refused.values())
        return Report(self._account, since, tuple(sessions), refused, tuple(self._changes))

    def _session(self, name: str, record: Record) -> SessionReport:
        found = self._sessions.get(name)
        if found is None:
            found = self._sessions[name] = SessionReport(name)
            here = address_of(record.text("peer") or "")
            found.refused_here = self._refused_since.pop(here, 0)
            found.refused_elsewhere = sum(self._refused_since.values())
            self._refused_since.clear()
        found.peer = found.peer or record.text("peer")
        found.device = found.device or record.text("device")
        return found

    def _take_refused(self, record: Record) -> None:
        address = address_of(record.text("peer") or "unknown")
        found = self._refused.setdefault(address, RefusedFrom(address, record.at, record.at))
        found.last = record.at
        found.count += 1
        reason = record.text("reason") or "unknown"
        found.reasons[reason] = found.reasons.get(reason, 0) + 1
        self._refused_since[address] = self._refused_since.get(address, 0) + 1


def _begin(session: SessionReport, record: Record) -> None:
    session.began = record.at
    session.mechanism = record.text("mechanism")
    session.familiar = bool(record.fields.get("familiar"))


def _read(session: SessionReport, record: Record) -> None:
    uidl = record.text("uidl") or ""
    taken = session.messages.setdefault(uidl, MessageTaken(uidl, record.at, record.at))
    taken.add(record)


def _fetch_all(session: SessionReport, _record: Record) -> None:
    session.whole_maildrop = True


def _ask_deletion(session: SessionReport, record: Record) -> None:
    uidl = record.text("uidl") or ""
    session.deletions[uidl] = Deletion(uidl, asked=record.at)


def _withdraw(session: SessionReport, _record: Record) -> None:
    session.deletions.clear()


def _delete(session: SessionReport, record: Record) -> None:
    uidl = record.text("uidl") or ""
    session.deletions.setdefault(uidl, Deletion(uidl)).done = record.at


def _end(session: SessionReport, record: Record) -> None:
    session.ended = record.at
    if session.how == CUT_OFF:
        session.how = record.text("how") or "ended"


def _revoke(session: SessionReport, record: Record) -> None:
    session.how = f"revoked: {record.text('reason')}"


_OF_SESSION: Mapping[str, Callable[[SessionReport, Record], None]] = MappingProxyType(
    {
        EventType.LOGIN_ACCEPTED.value: _begin,
        EventType.MESSAGE_READ.value: _read,
        EventType.MAILDROP_FETCHED.value: _fetch_all,
        EventType.DELETION_ASKED.value: _ask_deletion,
        EventType.DELETIONS_WITHDRAWN.value: _withdraw,
        EventType.DELETION_DONE.value: _delete,
        EventType.SESSION_ENDED.value: _end,
        EventType.SESSION_REVOKED.value: _revoke,
    }
)


def _how_much(taken: MessageTaken) -> tuple[bool, int]:
    return taken.whole, taken.octets
