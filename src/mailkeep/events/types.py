"""What can happen on a site that an operator would want to know, each with its one name and fields.

An event is reported once, by the program that met it. Nothing secret is ever a field, and what came
from a client unchecked is named so or is marked in the field's text; whoever shows it escapes it.
Fields keep their names: log, audit trail, metrics and exports are read by other programs.

`peer` is an address and a port, `session` one connection's identifier (the same from its first
octet to its last), `account` an address, `device` a device's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from typing import ClassVar, Protocol

FieldValue = str | int | float | bool


class EventType(Enum):
    """Every event there is."""

    CONNECTION_OPENED = "connection opened"
    CONNECTION_REFUSED = "connection refused"
    CONNECTION_BROKEN = "connection broken"
    ACCEPTING_PAUSED = "accepting paused"
    ACCEPTING_RESUMED = "accepting resumed"
    TLS_AGREED = "tls agreed"
    LOGIN_ACCEPTED = "login accepted"
    LOGIN_REFUSED = "login refused"
    LOGIN_DEFERRED = "login deferred"
    LOGIN_DELAYED = "login delayed"
    LOGIN_FROM_NEW_PLACE = "login from new place"
    HOT_PASSWORD_RIGHT = "hot password right"  # noqa: S105  # an event, not a password
    MAIN_PASSWORD_GUESSED_AT = "main password guessed at"  # noqa: S105  # the same
    PREFIX_BANNED = "prefix banned"
    PREFIX_UNBANNED = "prefix unbanned"
    MAILDROP_BUSY = "maildrop busy"
    MAILDROP_UNAVAILABLE = "maildrop unavailable"
    MAILDROP_TAKEN_OVER = "maildrop taken over"
    MESSAGE_READ = "message read"
    MESSAGE_UNREADABLE = "message unreadable"
    MAILDROP_FETCHED = "maildrop fetched"
    DELETION_ASKED = "deletion asked"
    DELETIONS_WITHDRAWN = "deletions withdrawn"
    DELETION_DONE = "deletion done"
    MESSAGES_NOT_REMOVED = "messages not removed"
    SESSION_ENDED = "session ended"
    SESSION_REVOKED = "session revoked"
    ACCOUNT_CHANGED = "account changed"
    DEVICE_CHANGED = "device changed"
    CERTIFICATE_LOADED = "certificate loaded"
    CERTIFICATE_REJECTED = "certificate rejected"
    CERTIFICATE_RENEWED = "certificate renewed"
    SETTINGS_LOADED = "settings loaded"
    SETTINGS_REJECTED = "settings rejected"
    STARTED = "started"
    STOPPING = "stopping"
    EVENTS_DROPPED = "events dropped"
    TRAIL_MENDED = "trail mended"
    TRAIL_FAILED = "trail failed"
    TRAIL_RESUMED = "trail resumed"
    POLICY_SERVER_FAILED = "policy server failed"
    DOOR_FAILED = "door failed"
    INTERNAL_ERROR = "internal error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `None` in a field means not known."""

    type: ClassVar[EventType]

    def known(self) -> Iterator[tuple[str, FieldValue]]:
        """Yield the name and value of every field that is known, in the order of the class."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield field.name, value


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened(Event):
    """A client connected."""

    type = EventType.CONNECTION_OPENED
    session: str
    peer: str
    listener: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRefused(Event):
    """A client connected and was turned away without a word."""

    type = EventType.CONNECTION_REFUSED
    peer: str
    listener: str
    reason: str
    count: int = 1
    """How many from there since the one told before, this one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBroken(Event):
    """A connection ended before a login; a session tells its own end."""

    type = EventType.CONNECTION_BROKEN
    session: str
    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptingPaused(Event):
    """No client is let in for a while."""

    type = EventType.ACCEPTING_PAUSED
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptingResumed(Event):
    """There is room again."""

    type = EventType.ACCEPTING_RESUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsAgreed(Event):
    """A handshake succeeded; `server_name` is what the client called (RFC 6066 section 3)."""

    type = EventType.TLS_AGREED
    session: str
    peer: str
    version: str
    suite: str
    group: str | None = None
    server_name: str | None = None
    client_certificate: str | None = None
    """SHA-256 of the certificate that the client showed, in hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAccepted(Event):
    """Somebody was let in and has the maildrop."""

    type = EventType.LOGIN_ACCEPTED
    session: str
    account: str
    peer: str
    mechanism: str
    device: str | None = None
    familiar: bool
    """Whether the account has logged in from this network before, within 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(Event):
    """Somebody was not let in; the client was told nothing of the reason."""

    type = EventType.LOGIN_REFUSED
    session: str
    peer: str
    mechanism: str
    reason: str
    name: str
    """As the client sent it, cut; unchecked. Last: in a log line it may read like other fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginDeferred(Event):
    """A login could not be checked now; the client was told to try again."""

    type = EventType.LOGIN_DEFERRED
    session: str
    peer: str
    mechanism: str
    reason: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginDelayed(Event):
    """A login waited before it was looked at."""

    type = EventType.LOGIN_DELAYED
    session: str
    peer: str
    seconds: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFromNewPlace(Event):
    """An account's owner, or somebody else, logs in from where he cannot be or never was."""

    type = EventType.LOGIN_FROM_NEW_PLACE
    session: str
    account: str
    peer: str
    country: str | None = None
    before: str | None = None
    """The country of the login before."""
    reason: str
    refused: bool
    is_alert: bool
    """Whether the settings want it told as a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotPasswordRight(Event):
    """A password that is being tried on many accounts was right for this one; it was refused."""

    type = EventType.HOT_PASSWORD_RIGHT
    session: str
    account: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MainPasswordGuessedAt(Event):
    """So many guesses failed that the main password is refused from unfamiliar sources now."""

    type = EventType.MAIN_PASSWORD_GUESSED_AT
    account: str
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixBanned(Event):
    """Guesses from there are turned away for a while; after an operator's ban everybody is."""

    type = EventType.PREFIX_BANNED
    prefix: str
    seconds: int | None = None
    """None for as long as an operator wants."""
    by: str | None = None
    """The system user who ran the command; None for the door itself."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixUnbanned(Event):
    """An operator lifted a ban."""

    type = EventType.PREFIX_UNBANNED
    prefix: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaildropBusy(Event):
    """The lease was refused: another session has the maildrop."""

    type = EventType.MAILDROP_BUSY
    session: str
    account: str
    peer: str
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaildropUnavailable(Event):
    """A maildrop could not be opened."""

    type = EventType.MAILDROP_UNAVAILABLE
    session: str
    account: str
    peer: str
    device: str | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaildropTakenOver(Event):
    """A silent session lost its maildrop to a new one of the same user."""

    type = EventType.MAILDROP_TAKEN_OVER
    session: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRead(Event):
    """A message, its top, or a part of it when the connection broke off, was sent."""

    type = EventType.MESSAGE_READ
    session: str
    account: str
    peer: str
    device: str | None = None
    command: str
    """`RETR` or `TOP`."""
    body_lines: int | None = None
    """What TOP asked for."""
    uidl: str
    octets: int
    """Of the message in wire form that were handed to the connection."""
    complete: bool = True
    """Whether those were all that was asked for."""
    sha256: str | None = None
    """Of the whole message in wire form, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaildropFetched(Event):
    """One session was sent every message of a maildrop that was not empty."""

    type = EventType.MAILDROP_FETCHED
    session: str
    account: str
    peer: str
    device: str | None = None
    messages: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionAsked(Event):
    """DELE: a message was marked, and is still there."""

    type = EventType.DELETION_ASKED
    session: str
    account: str
    uidl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionsWithdrawn(Event):
    """RSET took so many marks away."""

    type = EventType.DELETIONS_WITHDRAWN
    session: str
    account: str
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionDone(Event):
    """A message was removed at a session's QUIT."""

    type = EventType.DELETION_DONE
    session: str
    account: str
    peer: str
    device: str | None = None
    uidl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesNotRemoved(Event):
    """Marked messages stayed; the client was told."""

    type = EventType.MESSAGES_NOT_REMOVED
    session: str
    account: str
    messages: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUnreadable(Event):
    """A message is there and could not be read."""

    type = EventType.MESSAGE_UNREADABLE
    session: str
    account: str
    uidl: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """A session that had a maildrop is over, with its sums."""

    type = EventType.SESSION_ENDED
    session: str
    account: str
    peer: str
    device: str | None = None
    how: str
    seconds: float
    retrieved: int
    topped: int
    octets: int
    deleted: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked(Event):
    """A session ended because what it logged in with is no longer good."""

    type = EventType.SESSION_REVOKED
    session: str
    account: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged(Event):
    """An operator, or a policy, changed an account."""

    type = EventType.ACCOUNT_CHANGED
    account: str
    what: str
    by: str
    """The system user who ran the command, or `policy`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceChanged(Event):
    """An operator, or a policy, changed a device."""

    type = EventType.DEVICE_CHANGED
    account: str
    device: str
    what: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateLoaded(Event):
    """New connections are shown this certificate."""

    type = EventType.CERTIFICATE_LOADED
    path: str
    not_after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRejected(Event):
    """A certificate cannot be used; the one before stays in force."""

    type = EventType.CERTIFICATE_REJECTED
    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRenewed(Event):
    """The site's own authority issued a certificate."""

    type = EventType.CERTIFICATE_RENEWED
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsLoaded(Event):
    """New settings are in force, but for what the hint says."""

    type = EventType.SETTINGS_LOADED
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRejected(Event):
    """New settings cannot be used; the old ones stay in force."""

    type = EventType.SETTINGS_REJECTED
    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """The server is ready."""

    type = EventType.STARTED
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Event):
    """The server takes no new connections and ends."""

    type = EventType.STOPPING
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(Event):
    """The audit trail could not keep up, and events that may be missed were left out of it."""

    type = EventType.EVENTS_DROPPED
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailMended(Event):
    """The audit trail's last record was torn by a crash and was cut off; it was never confirmed."""

    type = EventType.TRAIL_MENDED
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFailed(Event):
    """The audit trail cannot be written; it is tried again, and logins and deletions may wait."""

    type = EventType.TRAIL_FAILED
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailResumed(Event):
    """The audit trail is written again; if anything is missing, that is told as dropped."""

    type = EventType.TRAIL_RESUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyServerFailed(Event):
    """The external policy server did not answer; logins go on as the settings say."""

    type = EventType.POLICY_SERVER_FAILED
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorFailed(Event):
    """What the door learns cannot be written down, or its places not be read; logins go on."""

    type = EventType.DOOR_FAILED
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalError(Event):
    """A bug of ours ended one connection."""

    type = EventType.INTERNAL_ERROR
    session: str | None = None
    peer: str | None = None
    reason: str
    trace: str


class EventSink(Protocol):
    """Who is told. Rooms return what happened; only the top row calls this."""

    def emit(self, event: Event) -> None:
        """Take note of an event; never raises and never waits."""

    async def ready(self) -> None:
        """Return when an event that must not be missed has room.

        Called before a login is answered and before messages are removed: where there is an audit
        trail that cannot keep up, these wait for it.
        """
