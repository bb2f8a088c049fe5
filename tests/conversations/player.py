"""Playing a conversation against a running server.

Two judges of what comes back: ours must send exactly what the file says; another server's texts are
free, so of it only the status of each reply and the number of its lines are compared.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.conversations.script import Conversation, Do, Expect, Send, Step
from tests.harness.client import WireClient
from tests.harness.programs import Port

_PLACEHOLDER = re.compile(rb"\{(\.\.\.|[a-z]+)\}")
_TEXT = rb"[^\[\r\n][^\r\n]*"
"""No text but a response code starts with a bracket (RFC 2449 section 8)."""

_WORD = rb"[\x21-\x7e]+"
_WITH_BODY = re.compile(rb"(?i:CAPA|RETR .*|TOP .*|LIST|UIDL|AUTH)[ ]?\r?\n")
"""Commands that a good answer has a body for (RFC 1939 section 3, RFC 2449 section 5)."""


class Host(Protocol):
    """A running server that conversations are played against."""

    pop3s: Port
    pop3: Port
    ca: Path
    password: str
    judges_text: bool

    def add_account(self, name: str) -> None:
        """Make an account with an empty maildrop."""

    def deliver(self, account: str, message: bytes) -> str:
        """Deliver as another program would; return what `vanish` takes."""

    def vanish(self, account: str, key: str) -> None:
        """Remove a message as another program would."""


class WrongAnswer(AssertionError):
    """The server did not say what the conversation says."""


@dataclass(slots=True)
class _Line:
    """One connection, and what was sent on it and not answered yet."""

    client: WireClient
    unanswered: list[bytes] = field(default_factory=list)


class Player:
    """Plays one conversation once."""

    def __init__(self, conversation: Conversation, host: Host, *, over: str, account: str) -> None:
        """Prepare.

        Args:
            conversation: what to play.
            host: against whom.
            over: `tls` for the POP3S port, `stls` for the other.
            account: a name that nobody had.
        """
        self._conversation = conversation
        self._host = host
        self._over = over
        self._lines: dict[str, _Line] = {}
        self._delivered: dict[str, str] = {}
        plain = base64.b64encode(f"\0{account}\0{host.password}".encode())
        self._account = account
        self._words = {
            b"account": account.encode(),
            b"password": host.password.encode(),
            b"plain": plain,
        }

    def play(self) -> None:
        """Play it to its end.

        Raises:
            WrongAnswer: the server said something else.
        """
        self._host.add_account(self._account)
        for name in self._conversation.first:
            self._deliver(name)
        try:
            for step in self._conversation.steps:
                self._take(step)
            assert not self._lines, "the conversation leaves a connection open"
        finally:
            for line in self._lines.values():
                line.client.close()

    def _take(self, step: Step) -> None:
        match step:
            case Do():
                self._do(step)
            case Send(connection, lines):
                line = self._lines[connection]
                line.unanswered = [self._fill(octets) for octets in lines]
                line.client.send(b"".join(line.unanswered))
            case Expect(connection, lines) if self._host.judges_text:
                self._judge_text(self._lines[connection], lines)
            case Expect(connection, lines):
                self._judge_shape(self._lines[connection], lines)

    def _do(self, step: Do) -> None:
        match step.what:
            case "login" | "connect" | "plain":
                self._connect(step)
            case "starttls":
                self._lines[step.connection].client.start_tls(self._host.ca)
            case "deliver":
                self._deliver(step.name)
            case "vanish":
                self._host.vanish(self._account, self._delivered[step.name])
            case "drop":
                self._lines.pop(step.connection).client.drop()
            case "closed":
                self._expect_end(self._lines.pop(step.connection).client)

    def _deliver(self, name: str) -> None:
        message = {**self._conversation.first, **self._conversation.later}[name]
        self._delivered[name] = self._host.deliver(self._account, message)

    def _connect(self, step: Do) -> None:
        """Open a connection as far as the step says."""
        by_tls = self._over == "tls" and step.what != "plain"
        client = WireClient(self._host.pop3s if by_tls else self._host.pop3)
        self._lines[step.connection] = _Line(client)
        if step.what == "plain":
            return
        if by_tls:
            client.start_tls(self._host.ca)
            client.read_ok()
        else:
            client.read_ok()
            client.command(b"STLS")
            client.start_tls(self._host.ca)
        if step.what == "login":
            client.command(self._fill(b"USER {account}"))
            client.command(self._fill(b"PASS {password}"))

    def _expect_end(self, client: WireClient) -> None:
        with client:
            if rest := client.read_end():
                raise WrongAnswer(f"before the end came {rest!r}")

    def _fill(self, octets: bytes) -> bytes:
        return _PLACEHOLDER.sub(lambda found: self._words[found[1]], octets)

    def _judge_text(self, line: _Line, expected: list[bytes]) -> None:
        """Compare every octet; what is left open is remembered."""
        for pattern in expected:
            received = line.client.read_line()
            found = re.fullmatch(self._compiled(pattern) + rb"\r\n", received, re.DOTALL)
            if found is None:
                raise WrongAnswer(f"{self._conversation.name}: not {pattern!r} but {received!r}")
            self._words |= {name.encode(): word for name, word in found.groupdict().items()}

    def _compiled(self, pattern: bytes) -> bytes:
        parts = _PLACEHOLDER.split(pattern)
        parts[::2] = [re.escape(part) for part in parts[::2]]
        parts[1::2] = [self._hole(name) for name in parts[1::2]]
        return b"".join(parts)

    def _hole(self, name: bytes) -> bytes:
        if name == b"...":
            return _TEXT
        return (
            re.escape(self._words[name]) if name in self._words else b"(?P<%b>%b)" % (name, _WORD)
        )

    def _judge_shape(self, line: _Line, expected: list[bytes]) -> None:
        """Compare the status of each reply and how many lines its body has."""
        sent, line.unanswered = line.unanswered or [b"\n"], []
        lines = iter(expected)
        for command in sent:
            wanted = shape_of(command, lines)
            came = shape_of(command, iter(lambda: line.client.read_line().removesuffix(b"\r\n"), 0))
            if came != wanted:
                raise WrongAnswer(f"{self._conversation.name}: {command!r}: {came}, not {wanted}")


def shape_of(command: bytes, lines: Iterator[bytes]) -> tuple[bytes, int]:
    """Return the status of the reply to a command, and the lines of its body.

    Args:
        command: as it was sent.
        lines: as they come, without CRLF; those of this reply are taken.
    """
    status = next(lines).partition(b" ")[0]
    body = 0
    if status == b"+OK" and _WITH_BODY.fullmatch(command):
        while next(lines) != b".":
            body += 1
    return status, body
