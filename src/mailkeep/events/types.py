"""What can happen on a site that an operator would want to know, each with its one name and fields.

An event is reported once, by the program that met it. Nothing secret is ever a field, and what came
from a client unchecked is named so or is marked in the field's text; whoever shows it escapes it.
Fields keep their names: log, audit trail, metrics and exports are read by other programs.

`peer` is an address and a port, `session` one connection's identifier (the same from its first
octet to its last), `account` an address, `device` a device's name.
"""

from collections.abc import Iterator
from enum import Enum
from typing import ClassVar, Protocol

from msgspec import Struct

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
    WORKER_STARTED = "worker started"
    WORKER_ENDED = "worker ended"
    STARTED = "started"
    STOPPING = "stopping"
    EVENTS_DROPPED = "events dropped"
    TRAIL_MENDED = "trail mended"
    TRAIL_FAILED = "trail failed"
    TRAIL_RESUMED = "trail resumed"
    POLICY_SERVER_FAILED = "policy server failed"
    DOOR_FAILED = "door failed"
    INTERNAL_ERROR = "internal error"


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened; `None` in a field means not known.

    A Struct and no dataclass: every session makes some of them, and a frozen dataclass takes eight
    times as long to make. Texts and numbers form no cycle: the
    garbage collector need not look at them.
    """

    type: ClassVar[EventType]

    def known(self) -> Iterator[tuple[str, FieldValue]]:
        """Yield the name and value of every field that is known, in the order of the class."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                yield name, value


class ConnectionOpened(Event, frozen=True, kw_only=True):
    """A client connected."""

    type = EventType.CONNECTION_OPENED
    session: str
    peer: str
    listener: str


class ConnectionRefused(Event, frozen=True, kw_only=True):
    """A client connected and was turned away without a word."""

    type = EventType.CONNECTION_REFUSED
    peer: str
    listener: str
    reason: str
    count: int = 1
    """How many from there since the one told before, this one included."""


class ConnectionBroken(Event, frozen=True, kw_only=True):
    """A connection ended before a login; a session tells its own end."""

    type = EventType.CONNECTION_BROKEN
    session: str
    peer: str
    reason: str


class AcceptingPaused(Event, frozen=True, kw_only=True):
    """No client is let in for a while."""

    type = EventType.ACCEPTING_PAUSED
    reason: str


class AcceptingResumed(Event, frozen=True, kw_only=True):
    """There is room again."""

    type = EventType.ACCEPTING_RESUMED


class TlsAgreed(Event, frozen=True, kw_only=True):
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


class LoginAccepted(Event, frozen=True, kw_only=True):
    """Somebody was let in and has the maildrop."""

    type = EventType.LOGIN_ACCEPTED
    session: str
    account: str
    peer: str
    mechanism: str
    device: str | None = None
    familiar: bool
    """Whether the account has logged in from this network before, within 30 days."""


class LoginRefused(Event, frozen=True, kw_only=True):
    """Somebody was not let in; the client was told nothing of the reason."""

    type = EventType.LOGIN_REFUSED
    session: str
    peer: str
    mechanism: str
    reason: str
    name: str
    """As the client sent it, cut; unchecked. Last: in a log line it may read like other fields."""


class LoginDeferred(Event, frozen=True, kw_only=True):
    """A login could not be checked now; the client was told to try again."""

    type = EventType.LOGIN_DEFERRED
    session: str
    peer: str
    mechanism: str
    reason: str
    name: str


class LoginDelayed(Event, frozen=True, kw_only=True):
    """A login waited before it was looked at."""

    type = EventType.LOGIN_DELAYED
    session: str
    peer: str
    seconds: float
    name: str


class LoginFromNewPlace(Event, frozen=True, kw_only=True):
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


class HotPasswordRight(Event, frozen=True, kw_only=True):
    """A password that is being tried on many accounts was right for this one; it was refused."""

    type = EventType.HOT_PASSWORD_RIGHT
    session: str
    account: str
    peer: str


class MainPasswordGuessedAt(Event, frozen=True, kw_only=True):
    """So many guesses failed that the main password is refused from unfamiliar sources now."""

    type = EventType.MAIN_PASSWORD_GUESSED_AT
    account: str
    failures: int


class PrefixBanned(Event, frozen=True, kw_only=True):
    """Guesses from there are turned away for a while; after an operator's ban everybody is."""

    type = EventType.PREFIX_BANNED
    prefix: str
    seconds: int | None = None
    """None for as long as an operator wants."""
    by: str | None = None
    """The system user who ran the command; None for the door itself."""
    reason: str


class PrefixUnbanned(Event, frozen=True, kw_only=True):
    """An operator lifted a ban."""

    type = EventType.PREFIX_UNBANNED
    prefix: str
    by: str


class MaildropBusy(Event, frozen=True, kw_only=True):
    """The lease was refused: another session has the maildrop."""

    type = EventType.MAILDROP_BUSY
    session: str
    account: str
    peer: str
    device: str | None = None


class MaildropUnavailable(Event, frozen=True, kw_only=True):
    """A maildrop could not be opened."""

    type = EventType.MAILDROP_UNAVAILABLE
    session: str
    account: str
    peer: str
    device: str | None = None
    reason: str


class MaildropTakenOver(Event, frozen=True, kw_only=True):
    """A silent session lost its maildrop to a new one of the same user."""

    type = EventType.MAILDROP_TAKEN_OVER
    session: str
    account: str


class MessageRead(Event, frozen=True, kw_only=True):
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


class MaildropFetched(Event, frozen=True, kw_only=True):
    """One session was sent every message of a maildrop that was not empty."""

    type = EventType.MAILDROP_FETCHED
    session: str
    account: str
    peer: str
    device: str | None = None
    messages: int
    octets: int


class DeletionAsked(Event, frozen=True, kw_only=True):
    """DELE: a message was marked, and is still there."""

    type = EventType.DELETION_ASKED
    session: str
    account: str
    uidl: str


class DeletionsWithdrawn(Event, frozen=True, kw_only=True):
    """RSET took so many marks away."""

    type = EventType.DELETIONS_WITHDRAWN
    session: str
    account: str
    messages: int


class DeletionDone(Event, frozen=True, kw_only=True):
    """A message was removed at a session's QUIT."""

    type = EventType.DELETION_DONE
    session: str
    account: str
    peer: str
    device: str | None = None
    uidl: str


class MessagesNotRemoved(Event, frozen=True, kw_only=True):
    """Marked messages stayed; the client was told."""

    type = EventType.MESSAGES_NOT_REMOVED
    session: str
    account: str
    messages: int
    reason: str


class MessageUnreadable(Event, frozen=True, kw_only=True):
    """A message is there and could not be read."""

    type = EventType.MESSAGE_UNREADABLE
    session: str
    account: str
    uidl: str
    reason: str


class SessionEnded(Event, frozen=True, kw_only=True):
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


class SessionRevoked(Event, frozen=True, kw_only=True):
    """A session ended because what it logged in with is no longer good."""

    type = EventType.SESSION_REVOKED
    session: str
    account: str
    reason: str


class AccountChanged(Event, frozen=True, kw_only=True):
    """An operator, or a policy, changed an account."""

    type = EventType.ACCOUNT_CHANGED
    account: str
    what: str
    by: str
    """The system user who ran the command, or `policy`."""


class DeviceChanged(Event, frozen=True, kw_only=True):
    """An operator, or a policy, changed a device."""

    type = EventType.DEVICE_CHANGED
    account: str
    device: str
    what: str
    by: str


class CertificateLoaded(Event, frozen=True, kw_only=True):
    """New connections are shown this certificate."""

    type = EventType.CERTIFICATE_LOADED
    path: str
    not_after: str


class CertificateRejected(Event, frozen=True, kw_only=True):
    """A certificate cannot be used; the one before stays in force."""

    type = EventType.CERTIFICATE_REJECTED
    reason: str
    hint: str | None = None


class CertificateRenewed(Event, frozen=True, kw_only=True):
    """The site's own authority issued a certificate."""

    type = EventType.CERTIFICATE_RENEWED
    path: str


class SettingsLoaded(Event, frozen=True, kw_only=True):
    """New settings are in force, but for what the hint says."""

    type = EventType.SETTINGS_LOADED
    hint: str | None = None


class SettingsRejected(Event, frozen=True, kw_only=True):
    """New settings cannot be used; the old ones stay in force."""

    type = EventType.SETTINGS_REJECTED
    reason: str
    hint: str | None = None


class WorkerStarted(Event, frozen=True, kw_only=True):
    """A process that serves mail lets clients in."""

    type = EventType.WORKER_STARTED
    worker: int
    """Its place, from 0; a successor has the same."""
    pid: int


class WorkerEnded(Event, frozen=True, kw_only=True):
    """A process that serves mail has died, its sessions with it; another takes its place."""

    type = EventType.WORKER_ENDED
    worker: int
    pid: int | None = None
    how: str
    sessions: int
    """How many had a maildrop open; each tells its own end, too."""
    again_in_s: float
    """When it is replaced."""


class Started(Event, frozen=True, kw_only=True):
    """The server is ready."""

    type = EventType.STARTED
    version: str


class Stopping(Event, frozen=True, kw_only=True):
    """The server takes no new connections and ends."""

    type = EventType.STOPPING
    connections: int


class EventsDropped(Event, frozen=True, kw_only=True):
    """The audit trail could not keep up, and events that may be missed were left out of it."""

    type = EventType.EVENTS_DROPPED
    count: int


class TrailMended(Event, frozen=True, kw_only=True):
    """The audit trail's last record was torn by a crash and was cut off; it was never confirmed."""

    type = EventType.TRAIL_MENDED
    octets: int


class TrailFailed(Event, frozen=True, kw_only=True):
    """The audit trail cannot be written; it is tried again, and logins and deletions may wait."""

    type = EventType.TRAIL_FAILED
    reason: str


class TrailResumed(Event, frozen=True, kw_only=True):
    """The audit trail is written again; if anything is missing, that is told as dropped."""

    type = EventType.TRAIL_RESUMED


class PolicyServerFailed(Event, frozen=True, kw_only=True):
    """The external policy server did not answer; logins go on as the settings say."""

    type = EventType.POLICY_SERVER_FAILED
    reason: str


class DoorFailed(Event, frozen=True, kw_only=True):
    """What the door learns cannot be written down, or its places not be read; logins go on."""

    type = EventType.DOOR_FAILED
    reason: str


class InternalError(Event, frozen=True, kw_only=True):
    """A bug of ours ended one connection."""

    type = EventType.INTERNAL_ERROR
    session: str | None = None
    peer: str | None = None
    reason: str
    trace: str


EVENT_CLASSES: tuple[type[Event], ...] = tuple(Event.__subclasses__())
"""Every class of events; one that tells several of them at once (`run_types`) is none of these."""


class EventSink(Protocol):
    """Who is told. Rooms return what happened; only the top row calls this."""

    def emit(self, event: Event) -> None:
        """Take note of an event; never raises and never waits."""

    def has_room(self) -> bool:
        """Tell whether an event that must not be missed has room; if so, `ready` need not wait."""

    async def ready(self) -> None:
        """Return when an event that must not be missed has room.

        Called before a login is answered and before messages are removed: where there is an audit
        trail that cannot keep up, these wait for it.
        """
