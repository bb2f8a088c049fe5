"""Records as documents of the Elastic Common Schema (ECS), version 8.11.

Keys are dotted, as ECS names its fields. What ECS has no field for is under `mailkeep.`, a name
of our own, as its guidelines ask. Pure; the mapping is documented in docs/events.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mailkeep.events.peers import read_peer
from mailkeep.events.records import Record, is_alert, time_text
from mailkeep.events.types import EventType

ECS_VERSION = "8.11.0"
"""What documents say they conform to; a test holds the names against a list of ECS's own."""

Document = dict[str, object]

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Kind:
    """How ECS classes an event: `event.category`, `event.type`, `event.outcome`, `event.kind`."""

    categories: tuple[str, ...]
    types: tuple[str, ...]
    outcome: str = "success"
    kind: str = "event"


_FAILED = "failure"

_KINDS: Mapping[EventType, _Kind] = MappingProxyType(
    {
        EventType.CONNECTION_OPENED: _Kind(("network",), ("connection", "start")),
        EventType.CONNECTION_REFUSED: _Kind(("network",), ("connection", "denied"), _FAILED),
        EventType.CONNECTION_BROKEN: _Kind(("network",), ("connection", "end"), "unknown"),
        EventType.TLS_AGREED: _Kind(("network",), ("connection", "protocol")),
        EventType.LOGIN_ACCEPTED: _Kind(("authentication", "session"), ("start",)),
        EventType.LOGIN_REFUSED: _Kind(("authentication",), ("start",), _FAILED),
        EventType.LOGIN_DEFERRED: _Kind(("authentication",), ("start",), _FAILED),
        EventType.LOGIN_DELAYED: _Kind(("authentication",), ("info",), "unknown"),
        EventType.LOGIN_FROM_NEW_PLACE: _Kind(("authentication",), ("info",), "unknown", "alert"),
        EventType.HOT_PASSWORD_RIGHT: _Kind(("authentication",), ("info",), _FAILED, "alert"),
        EventType.MAIN_PASSWORD_GUESSED_AT: _Kind(("authentication",), ("info",), _FAILED, "alert"),
        EventType.PREFIX_BANNED: _Kind(("intrusion_detection",), ("denied",)),
        EventType.PREFIX_UNBANNED: _Kind(("intrusion_detection",), ("allowed",)),
        EventType.MAILDROP_BUSY: _Kind(("session",), ("info",), _FAILED),
        EventType.MAILDROP_UNAVAILABLE: _Kind(("session",), ("info",), _FAILED),
        EventType.MAILDROP_TAKEN_OVER: _Kind(("session",), ("end",)),
        EventType.MESSAGE_READ: _Kind(("email", "file"), ("info", "access")),
        EventType.MESSAGE_UNREADABLE: _Kind(("email", "file"), ("info", "access"), _FAILED),
        EventType.MAILDROP_FETCHED: _Kind(("email", "file"), ("info", "access")),
        EventType.DELETION_ASKED: _Kind(("email",), ("info",)),
        EventType.DELETIONS_WITHDRAWN: _Kind(("email",), ("info",)),
        EventType.DELETION_DONE: _Kind(("email", "file"), ("info", "deletion")),
        EventType.MESSAGES_NOT_REMOVED: _Kind(("email", "file"), ("info", "deletion"), _FAILED),
        EventType.SESSION_ENDED: _Kind(("session",), ("end",)),
        EventType.SESSION_REVOKED: _Kind(("session",), ("end",)),
        EventType.ACCOUNT_CHANGED: _Kind(("iam",), ("user", "change")),
        EventType.DEVICE_CHANGED: _Kind(("iam",), ("user", "change")),
        EventType.CERTIFICATE_LOADED: _Kind(("configuration",), ("change",)),
        EventType.CERTIFICATE_REJECTED: _Kind(("configuration",), ("change",), _FAILED),
        EventType.CERTIFICATE_RENEWED: _Kind(("configuration",), ("change",)),
        EventType.SETTINGS_LOADED: _Kind(("configuration",), ("change",)),
        EventType.SETTINGS_REJECTED: _Kind(("configuration",), ("change",), _FAILED),
        EventType.WORKER_STARTED: _Kind(("process",), ("start",)),
        EventType.WORKER_ENDED: _Kind(("process",), ("end",), _FAILED),
        EventType.STARTED: _Kind(("process",), ("start",)),
        EventType.STOPPING: _Kind(("process",), ("end",)),
        EventType.ACCEPTING_PAUSED: _Kind(("network",), ("info",), "unknown"),
        EventType.ACCEPTING_RESUMED: _Kind(("network",), ("info",), "unknown"),
        EventType.EVENTS_DROPPED: _Kind(("process",), ("info",), _FAILED),
        EventType.TRAIL_MENDED: _Kind(("process",), ("info",), "unknown"),
        EventType.TRAIL_FAILED: _Kind(("process",), ("info",), _FAILED),
        EventType.TRAIL_RESUMED: _Kind(("process",), ("info",)),
        EventType.POLICY_SERVER_FAILED: _Kind(("process",), ("info",), _FAILED),
        EventType.DOOR_FAILED: _Kind(("process",), ("info",), _FAILED),
        EventType.INTERNAL_ERROR: _Kind(("process",), ("info",), _FAILED),
    }
)

_OTHERWISE = _Kind(("process",), ("info",), "unknown")
"""An event that a newer program wrote."""

_FIELDS = MappingProxyType(
    {
        "account": "user.name",
        "name": "user.name",
        "reason": "event.reason",
        "uidl": "email.local_id",
        "octets": "server.bytes",
        "suite": "tls.cipher",
        "group": "tls.curve",
        "server_name": "tls.client.server_name",
        "country": "source.geo.country_iso_code",
        "trace": "error.stack_trace",
    }
)
"""Fields of events that ECS has one field for; the others are `mailkeep.` and their own name."""

_HANDLED = frozenset({"peer", "version", "client_certificate", "sha256", "seconds"})


def to_ecs(record: Record, *, host: str, version: str) -> Document:
    """Return a record as an ECS document.

    Args:
        record: what happened.
        host: the site's hostname.
        version: of this program.
    """
    document = _common(record, host, version)
    for name, value in record.fields.items():
        if name not in _HANDLED:
            document[_field(record, name)] = value
    return document | _who(record) | _source(record) | _tls(record) | _rest(record)


def _field(record: Record, name: str) -> str:
    if name == "octets" and "session" not in record.fields:
        return "mailkeep.octets"  # of a file, not sent to anybody
    return _FIELDS.get(name, f"mailkeep.{name}")


def _common(record: Record, host: str, version: str) -> Document:
    kind = _kind_of(record)
    return {
        "@timestamp": time_text(record.at),
        "ecs.version": ECS_VERSION,
        "event.kind": kind.kind if is_alert(record) else "event",
        "event.category": list(kind.categories),
        "event.type": list(kind.types),
        "event.outcome": kind.outcome,
        "event.action": record.type.replace(" ", "-"),
        "event.module": "mailkeep",
        "event.dataset": "mailkeep.events",
        "event.sequence": record.seq,
        "host.hostname": host,
        "service.type": "mailkeep",
        "service.version": version,
    }


def _kind_of(record: Record) -> _Kind:
    try:
        return _KINDS[EventType(record.type)]
    except (ValueError, KeyError):
        return _OTHERWISE


def _who(record: Record) -> Document:
    """Return who did it; a change is done to an account by somebody else."""
    account, by = record.text("account"), record.text("by")
    if by is not None:
        return {"user.name": by, "user.target.name": account, "related.user": [by, account]}
    name = account or record.text("name")
    if name is None:
        return {}
    return {"related.user": [name]} | ({"user.email": account} if account else {})


def _source(record: Record) -> Document:
    text = record.text("peer")
    if text is None:
        return {}
    peer = read_peer(text)
    if peer is None:
        return {"source.address": text}
    found: Document = {
        "source.address": str(peer.address),
        "source.ip": str(peer.address),
        "related.ip": [str(peer.address)],
        "network.transport": "tcp",
        "network.protocol": "pop3",
    }
    return found if peer.port is None else found | {"source.port": peer.port}


def _tls(record: Record) -> Document:
    if record.type != EventType.TLS_AGREED.value:
        version = record.text("version")
        return {} if version is None else {"mailkeep.version": version}
    found: Document = {
        "tls.established": True,
        "tls.version": (record.text("version") or "").removeprefix("TLSv"),
        "tls.version_protocol": "tls",
    }
    certificate = record.text("client_certificate")
    return found | ({"tls.client.hash.sha256": certificate.upper()} if certificate else {})


def _rest(record: Record) -> Document:
    found: Document = {}
    seconds = record.fields.get("seconds")
    if isinstance(seconds, int | float):
        found["event.duration"] = int(seconds * _NANOSECONDS)
    if sha256 := record.text("sha256"):
        found["related.hash"] = [sha256]
    if record.type == EventType.INTERNAL_ERROR.value:
        found["error.message"] = record.text("reason")
    return found
