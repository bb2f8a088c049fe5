"""What can happen on a site that an operator would want to know, each with its one name.

An event is reported once, by the program that met it, and only if somebody can act on it. Nothing
secret is ever a field.
"""

from enum import Enum
from typing import Protocol


class EventType(Enum):
    """Every event there is."""

    CONNECTION_REFUSED = "connection refused"
    ACCEPTING_PAUSED = "accepting paused"
    ACCEPTING_RESUMED = "accepting resumed"
    CONNECTION_BROKEN = "connection broken"
    LOGIN_ACCEPTED = "login accepted"
    LOGIN_REFUSED = "login refused"
    LOGIN_DEFERRED = "login deferred"
    MAILDROP_BUSY = "maildrop busy"
    MAILDROP_UNAVAILABLE = "maildrop unavailable"
    MAILDROP_TAKEN_OVER = "maildrop taken over"
    MESSAGE_UNREADABLE = "message unreadable"
    MESSAGES_NOT_REMOVED = "messages not removed"
    SESSION_ENDED = "session ended"
    CERTIFICATE_LOADED = "certificate loaded"
    CERTIFICATE_REJECTED = "certificate rejected"
    CERTIFICATE_RENEWED = "certificate renewed"
    SETTINGS_LOADED = "settings loaded"
    SETTINGS_REJECTED = "settings rejected"
    STOPPING = "stopping"
    INTERNAL_ERROR = "internal error"


class EventSink(Protocol):
    """Who is told. Rooms return what happened; only the top row calls this."""

    def emit(self, event: EventType, /, **fields: str | float | None) -> None:
        """Take note of an event; never raises and never waits.

        Args:
            event: which.
            fields: what is known about it, each under the field's own term (`account`, `peer`,
                `reason`); `None` means not known and is left out.
        """
