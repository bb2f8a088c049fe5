"""Records as events of the Open Cybersecurity Schema Framework (OCSF), version 1.5.

Logins are Authentication, reading and removing is File System Activity, and so on; what has no
class is a Base Event, so that nothing is left out. Fields that a class has no place for are in
`unmapped` under their own names. Pure; the mapping is documented in docs/events.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mailkeep.events.peers import read_peer
from mailkeep.events.records import Record, is_alert, time_text
from mailkeep.events.types import EventType

OCSF_VERSION = "1.5.0"

Part = dict[str, object]

_OTHER = 99
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH = 1, 2, 3, 4
_SUCCESS, _FAILURE = 1, 2
_NEW = 1
"""`status_id` of a finding."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells: the same in every event.

    Attributes:
        host: the site's hostname.
        version: of this program.
    """

    host: str
    version: str


@dataclass(frozen=True, slots=True)
class _Class:
    category: int
    uid: int
    name: str
    parts: Callable[[Record, Source], Part]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How OCSF classes an event; without an activity's number its name is the event's."""

    of: _Class
    activity: int = _OTHER
    activity_name: str | None = None
    status: int = _SUCCESS
    severity: int = _INFORMATIONAL


def to_ocsf(record: Record, source: Source) -> Part:
    """Return a record as an OCSF event."""
    kind = _kind_of(record)
    parts = kind.of.parts(record, source)
    event = _common(record, kind, source) | parts
    left = {n: v for n, v in record.fields.items() if n not in _mapped(kind.of)}
    return event | ({"unmapped": left} if left else {})


def _common(record: Record, kind: _Kind, source: Source) -> Part:
    metadata: Part = {
        "version": OCSF_VERSION,
        "product": _product(source),
        "log_name": "audit trail",
        "event_code": record.type,
        "sequence": record.seq,
        "uid": f"{source.host}:{record.seq}",
        "original_time": time_text(record.at),
    }
    if session := record.text("session"):
        metadata["correlation_uid"] = session
    common: Part = {
        "metadata": metadata,
        "time": int(record.at.timestamp() * 1000),
        "category_uid": kind.of.category,
        "class_uid": kind.of.uid,
        "class_name": kind.of.name,
        "activity_id": kind.activity,
        "activity_name": kind.activity_name or record.type,
        "type_uid": kind.of.uid * 100 + kind.activity,
        "severity_id": kind.severity,
        "status_id": kind.status,
        "message": record.type,
    }
    if reason := record.text("reason") or record.text("how"):
        common["status_detail"] = reason
    return common


def _authentication(record: Record, source: Source) -> Part:
    parts: Part = {
        "user": _user(record),
        "service": {"name": "pop3", "uid": f"pop3@{source.host}", "version": source.version},
        "dst_endpoint": {"hostname": source.host, "svc_name": "pop3"},
        "is_remote": True,
        "logon_type_id": 3,
        "logon_type": "Network",
        "session": {"uid": record.text("session") or "unknown", "is_remote": True},
    }
    if mechanism := record.text("mechanism"):
        parts["auth_protocol"] = mechanism
        is_oauth = mechanism in {"OAUTHBEARER", "XOAUTH2"}
        parts["auth_protocol_id"] = 6 if is_oauth else _OTHER
    seconds = record.fields.get("seconds")
    if isinstance(seconds, int | float):
        parts["duration"] = int(seconds * 1000)
    return parts | _src_endpoint(record)


def _account_change(record: Record, source: Source) -> Part:
    del source
    by = record.text("by") or "unknown"
    return {
        "user": _user(record),
        "actor": {"user": _named(by, by)},
    }


def _network_activity(record: Record, source: Source) -> Part:
    parts: Part = {
        "dst_endpoint": {"hostname": source.host, "svc_name": "pop3"},
        "connection_info": {
            "direction_id": 1,
            "direction": "Inbound",
            "protocol_name": "tcp",
            "protocol_num": 6,
        },
    }
    if record.type == EventType.TLS_AGREED.value:
        tls: Part = {"version": record.text("version"), "cipher": record.text("suite")}
        if sni := record.text("server_name"):
            tls["sni"] = sni
        parts["tls"] = tls
    return parts | _src_endpoint(record)


def _file_activity(record: Record, source: Source) -> Part:
    uidl = record.text("uidl")
    file: Part = {"name": uidl or "all messages", "type_id": 1 if uidl else 2}
    if sha256 := record.text("sha256"):
        file["hashes"] = [{"algorithm_id": 3, "algorithm": "SHA-256", "value": sha256}]
    session = {"uid": record.text("session") or "unknown", "is_remote": True}
    parts: Part = {
        "actor": {"user": _user(record), "session": session},
        "device": _server(source),
        "file": file,
    }
    peer = read_peer(record.text("peer") or "")
    if peer:
        seen = {"name": "unmapped.peer", "type_id": 2, "value": str(peer.address)}
        parts["observables"] = [seen]
    return parts


def _finding(record: Record, source: Source) -> Part:
    account = record.text("account") or "unknown"
    uid = f"{source.host}:{record.seq}"
    parts: Part = {
        "finding_info": {"uid": uid, "title": f"{record.type}: {account}"},
        "is_alert": is_alert(record),
        "resources": [{"name": account, "uid": account, "type": "account"}],
    }
    endpoint = _src_endpoint(record)
    return parts | ({"evidences": [endpoint]} if endpoint else {})


def _application_lifecycle(record: Record, source: Source) -> Part:
    version = record.text("version") or source.version
    return {"app": _product(source) | {"version": version}}


def _nothing(record: Record, source: Source) -> Part:
    del record, source
    return {}


def _server(source: Source) -> Part:
    host = source.host
    return {"hostname": host, "name": host, "uid": host, "type_id": 1, "type": "Server"}


def _user(record: Record) -> Part:
    name = record.text("account") or record.text("name") or "unknown"
    user = _named(name, name)
    if device := record.text("device"):
        user["credential_uid"] = device
    return user


def _named(name: str, uid: str) -> Part:
    account: Part = {"name": name, "uid": uid, "type_id": _OTHER, "type": "Mailkeep"}
    return {"name": name, "uid": uid, "type_id": 1, "type": "User", "account": account}


def _src_endpoint(record: Record) -> Part:
    peer = read_peer(record.text("peer") or "")
    if peer is None:
        return {}
    endpoint: Part = {"ip": str(peer.address)}
    if peer.port is not None:
        endpoint["port"] = peer.port
    return {"src_endpoint": endpoint}


def _product(source: Source) -> Part:
    return {"name": "Mailkeep", "vendor_name": "Mailkeep", "version": source.version}


_BASE = _Class(0, 0, "Base Event", _nothing)
_FILE = _Class(1, 1001, "File System Activity", _file_activity)
_FINDING = _Class(2, 2004, "Detection Finding", _finding)
_ACCOUNT = _Class(3, 3001, "Account Change", _account_change)
_LOGIN = _Class(3, 3002, "Authentication", _authentication)
_NETWORK = _Class(4, 4001, "Network Activity", _network_activity)
_APPLICATION = _Class(6, 6002, "Application Lifecycle", _application_lifecycle)

_KINDS: Mapping[EventType, _Kind] = MappingProxyType(
    {
        EventType.LOGIN_ACCEPTED: _Kind(_LOGIN, 1, "Logon"),
        EventType.LOGIN_REFUSED: _Kind(_LOGIN, 1, "Logon", _FAILURE, _LOW),
        EventType.LOGIN_DEFERRED: _Kind(_LOGIN, 1, "Logon", _FAILURE, _LOW),
        EventType.LOGIN_DELAYED: _Kind(_LOGIN, 1, "Logon", 0),
        EventType.SESSION_ENDED: _Kind(_LOGIN, 2, "Logoff"),
        EventType.SESSION_REVOKED: _Kind(_LOGIN, 2, "Logoff"),
        EventType.LOGIN_FROM_NEW_PLACE: _Kind(_FINDING, 1, "Create", _NEW, _MEDIUM),
        EventType.HOT_PASSWORD_RIGHT: _Kind(_FINDING, 1, "Create", _NEW, _HIGH),
        EventType.MAIN_PASSWORD_GUESSED_AT: _Kind(_FINDING, 1, "Create", _NEW, _MEDIUM),
        EventType.ACCOUNT_CHANGED: _Kind(_ACCOUNT),
        EventType.DEVICE_CHANGED: _Kind(_ACCOUNT),
        EventType.CONNECTION_OPENED: _Kind(_NETWORK, 1, "Open"),
        EventType.CONNECTION_REFUSED: _Kind(_NETWORK, 5, "Refuse", _FAILURE),
        EventType.CONNECTION_BROKEN: _Kind(_NETWORK, 2, "Close"),
        EventType.TLS_AGREED: _Kind(_NETWORK),
        EventType.MESSAGE_READ: _Kind(_FILE, 2, "Read"),
        EventType.MESSAGE_UNREADABLE: _Kind(_FILE, 2, "Read", _FAILURE, _LOW),
        EventType.MAILDROP_FETCHED: _Kind(_FILE, 2, "Read"),
        EventType.DELETION_DONE: _Kind(_FILE, 4, "Delete"),
        EventType.MESSAGES_NOT_REMOVED: _Kind(_FILE, 4, "Delete", _FAILURE, _LOW),
        EventType.STARTED: _Kind(_APPLICATION, 3, "Start"),
        EventType.STOPPING: _Kind(_APPLICATION, 4, "Stop"),
        EventType.INTERNAL_ERROR: _Kind(_BASE, status=_FAILURE, severity=_MEDIUM),
        EventType.TRAIL_FAILED: _Kind(_BASE, status=_FAILURE, severity=_HIGH),
        EventType.DOOR_FAILED: _Kind(_BASE, status=_FAILURE, severity=_MEDIUM),
        EventType.EVENTS_DROPPED: _Kind(_BASE, status=_FAILURE, severity=_HIGH),
        EventType.PREFIX_BANNED: _Kind(_BASE, severity=_LOW),
    }
)

_ACCOUNT_ACTIVITIES = MappingProxyType(
    {
        "added": (1, "Create"),
        "enabled": (2, "Enable"),
        "main password changed": (3, "Password Change"),
        "disabled": (5, "Disable"),
        "removed": (6, "Delete"),
    }
)
"""Of an account; what happens to a device is a change of its account."""

_ALWAYS_MAPPED = frozenset({"session", "reason", "how"})
_MAPPED: Mapping[int, frozenset[str]] = MappingProxyType(
    {
        1001: frozenset({"account", "device", "uidl", "sha256"}),
        2004: frozenset({"account"}),
        3001: frozenset({"account", "device", "by"}),
        3002: frozenset({"account", "device", "name", "mechanism", "peer", "seconds"}),
        4001: frozenset({"peer", "suite", "server_name", "version"}),
        6002: frozenset({"version"}),
    }
)


def _kind_of(record: Record) -> _Kind:
    try:
        event_type = EventType(record.type)
    except ValueError:
        return _Kind(_BASE, status=0)
    if event_type is EventType.ACCOUNT_CHANGED:
        what, _, _ = (record.text("what") or "").partition(":")  # behind it are particulars
        found = _ACCOUNT_ACTIVITIES.get(what)
        return _Kind(_ACCOUNT, *found) if found else _Kind(_ACCOUNT)
    return _KINDS.get(event_type, _Kind(_BASE))


def _mapped(of: _Class) -> frozenset[str]:
    return _ALWAYS_MAPPED | _MAPPED.get(of.uid, frozenset())
