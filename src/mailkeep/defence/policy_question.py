"""Dovecot's auth-policy JSON, as weakforced and others speak it. Pure.

Before a guess is looked at the server is asked (`command=allow`), afterwards it is told what came
of it (`command=report`). Source: Dovecot's manual, "Authentication policy support".

Known limit: Dovecot sends a truncated hash of a nonce, the name and the password as `pwhash`. The
door never sees a password, only its seal, which is one value for one password on every name; so
`pwhash` is the seal's first twelve bits. It counts different passwords as well, and is of no use
together with a Dovecot that asks the same server.
"""

import json
from dataclasses import dataclass
from enum import Enum

from mailkeep.values import IpAddress

LONGEST_WAIT_S = 15
"""A policy server may slow somebody down as much as the door's own curve does."""


class PolicyServerUnavailable(Exception):
    """The policy server did not answer, or not in its language."""


class Command(Enum):
    """What is said to the server."""

    ALLOW = "allow"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """One login, as the server is to know it."""

    login: str
    remote: IpAddress
    session: str
    tls: bool
    seal: bytes | None


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What came of a login."""

    is_success: bool
    is_policy_reject: bool
    """The policy server had said no."""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What the server says."""

    is_rejected: bool
    wait_s: int


def question_octets(question: PolicyQuestion, report: PolicyReport | None = None) -> bytes:
    """Return what is sent: a question, or with `report` a report."""
    fields: dict[str, str | bool] = {
        "login": question.login,
        "pwhash": _password_hash(question.seal),
        "remote": str(question.remote),
        "device_id": "",
        "protocol": "pop3",
        "session_id": question.session,
        "tls": question.tls,
    }
    if report is not None:
        fields["success"] = report.is_success
        fields["policy_reject"] = report.is_policy_reject
    return json.dumps(fields).encode()


def read_answer(octets_untrusted: bytes) -> PolicyAnswer:
    """Return what the server's answer to a question means.

    Raises:
        PolicyServerUnavailable: it is no such answer.
    """
    try:
        answer = json.loads(octets_untrusted)
    except (ValueError, RecursionError) as cause:
        raise PolicyServerUnavailable("its answer is not JSON") from cause
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, int) or isinstance(status, bool):
        raise PolicyServerUnavailable("its answer has no status")
    return PolicyAnswer(
        is_rejected=status < 0,
        wait_s=min(max(status, 0), LONGEST_WAIT_S),
    )


def _password_hash(seal: bytes | None) -> str:
    """Return the first twelve bits as Dovecot writes them: shifted right, whole octets, in hex."""
    if seal is None:
        return ""
    return f"{int.from_bytes(seal[:2]) >> 4:04x}"
