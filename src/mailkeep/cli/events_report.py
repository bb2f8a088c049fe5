"""How `mailkeep events report` looks, for people and as JSON. The JSON's names stay."""

from collections.abc import Iterator
from datetime import datetime

from mailkeep.cli.events_times import show_time
from mailkeep.events.records import Record, time_text
from mailkeep.events.report import (
    Deletion,
    MessageTaken,
    RefusedFrom,
    Report,
    SessionReport,
)


def report_lines(report: Report) -> Iterator[str]:
    """Yield a report's lines for people; what came from outside is not made printable here."""
    since = f"since {show_time(report.since)}" if report.since else "since the record begins"
    yield f"{report.account}, {since} (all times are UTC)"
    yield ""
    yield from _totals(report)
    for session in report.sessions:
        yield ""
        yield from _session_lines(session)
    if report.refused:
        yield ""
        yield "Refused logins:"
        for refused in report.refused:
            yield f"  {_refused_line(refused)}"
    if report.changes:
        yield ""
        yield "Changes and warnings:"
        for record in report.changes:
            told = ", ".join(f"{name}={value}" for name, value in record.fields.items())
            yield f"  {show_time(record.at)}  {record.type}: {told}"


def describe_report(report: Report) -> dict[str, object]:
    """Return a report as `--json` shows it."""
    return {
        "account": report.account,
        "since": _json_time(report.since),
        "sessions": [_describe_session(session) for session in report.sessions],
        "left_to": {
            address: [_describe_message(taken) for taken in messages.values()]
            for address, messages in report.left_to().items()
        },
        "removed": [_describe_deletion(gone) for gone in report.removed().values()],
        "can_be_brought_back": [],
        "refused": [_describe_refused(refused) for refused in report.refused],
        "changes": [_describe_change(record) for record in report.changes],
    }


def _totals(report: Report) -> Iterator[str]:
    yield f"Sessions: {len(report.sessions)}"
    left = report.left_to()
    yield f"Messages that left: {len({uidl for there in left.values() for uidl in there})}"
    for address, messages in left.items():
        octets = sum(taken.octets for taken in messages.values())
        yield f"  to {address}: {_counted(len(messages))}, {octets} octets"
    removed = report.removed()
    yield f"Messages removed: {len(removed)}"
    if removed:
        yield f"  Can be brought back: {report.can_be_brought_back}"


def _session_lines(session: SessionReport) -> Iterator[str]:
    yield f"Session {session.session}"
    familiar = {True: "familiar", False: "UNFAMILIAR", None: "unknown"}[session.familiar]
    yield f"  from      {session.peer or 'unknown'} ({familiar})"
    yield f"  began     {show_time(session.began)}"
    yield f"  ended     {show_time(session.ended)}: {session.how}"
    device = f", device {session.device}" if session.device else ""
    yield f"  login     {session.mechanism or 'unknown'}{device}"
    yield f"  tls       {session.tls or 'none, or not recorded'}"
    refused = f"{session.refused_here} from there, {session.refused_elsewhere} from elsewhere"
    yield f"  refused   before it, since the session before: {refused}"
    whole = ", the WHOLE maildrop" if session.whole_maildrop else ""
    yield f"  was sent  {_counted(len(session.messages))}{whole}"
    for taken in session.messages.values():
        yield f"    {_message_line(taken)}"
    for deletion in session.deletions.values():
        yield f"    {_deletion_line(deletion)}"


def _message_line(taken: MessageTaken) -> str:
    times = show_time(taken.first)
    if taken.times > 1:
        times = f"{taken.times} times, {times} to {show_time(taken.last)}"
    digest = taken.sha256 or "sha256 not known"
    return f"{taken.uidl}  {_how_much(taken)}  {taken.octets} octets  {digest}  {times}"


def _counted(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages} messages"


def _how_much(taken: MessageTaken) -> str:
    if taken.whole:
        return "RETR"
    return "RETR, cut off" if taken.top_lines is None else f"TOP {taken.top_lines}"


def _deletion_line(deletion: Deletion) -> str:
    if deletion.done is None:
        return f"{deletion.uidl}  marked {show_time(deletion.asked)}, not removed"
    return f"{deletion.uidl}  REMOVED {show_time(deletion.done)}"


def _refused_line(refused: RefusedFrom) -> str:
    reasons = ", ".join(f"{reason} ({count})" for reason, count in refused.reasons.items())
    times = f"{show_time(refused.first)} to {show_time(refused.last)}"
    return f"{refused.count} from {refused.address}, {times}: {reasons}"


def _describe_session(session: SessionReport) -> dict[str, object]:
    return {
        "session": session.session,
        "began": _json_time(session.began),
        "ended": _json_time(session.ended),
        "how": session.how,
        "peer": session.peer,
        "mechanism": session.mechanism,
        "device": session.device,
        "familiar": session.familiar,
        "tls": session.tls,
        "whole_maildrop": session.whole_maildrop,
        "refused_here": session.refused_here,
        "refused_elsewhere": session.refused_elsewhere,
        "messages": [_describe_message(taken) for taken in session.messages.values()],
        "deletions": [_describe_deletion(found) for found in session.deletions.values()],
    }


def _describe_message(taken: MessageTaken) -> dict[str, object]:
    return {
        "uidl": taken.uidl,
        "whole": taken.whole,
        "top_lines": taken.top_lines,
        "octets": taken.octets,
        "sha256": taken.sha256,
        "times": taken.times,
        "first": _json_time(taken.first),
        "last": _json_time(taken.last),
    }


def _describe_deletion(found: Deletion) -> dict[str, object]:
    asked, done = _json_time(found.asked), _json_time(found.done)
    return {"uidl": found.uidl, "asked": asked, "done": done}


def _describe_refused(refused: RefusedFrom) -> dict[str, object]:
    return {
        "address": refused.address,
        "count": refused.count,
        "first": _json_time(refused.first),
        "last": _json_time(refused.last),
        "reasons": refused.reasons,
    }


def _describe_change(record: Record) -> dict[str, object]:
    return {"time": _json_time(record.at), "event": record.type} | dict(record.fields)


def _json_time(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)
