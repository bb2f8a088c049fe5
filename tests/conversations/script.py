r"""Conversations as files: what is said, octet for octet, and by whom.

    # The rule, and its source. More comments as you like.
    # not for dovecot: why it answers otherwise
    # only over stls: why

    <<one>>                     a message that is there at the start, the oldest first
    | Subject: one\n            its octets: line ends are written out, nothing is added
    | \n

    = login                     connect with TLS and log in;   `= connect` stops before USER
    C: STAT                     the client sends the line and CRLF; lines in a row go in one write
    C> NOOP\n                   the client sends these octets as they are
    S: +OK 1 20                 the server sends exactly this and CRLF
    S: -ERR {...}               ... some text that does not start with a response code
    S: 1 {first}                ... one word; the same name later means the same word

Other steps: `= plain` connects to the STLS port and stops before the greeting, `= starttls` does
the handshake, `= deliver NAME` and `= vanish NAME` are other programs' hands (the message is
written with `<<NAME>> later`), `= drop` hangs up without QUIT, `= closed` is the server's end with
nothing before it. A second connection is `=2`, `C2:`, `S2:`. In C lines `{account}`, `{password}`
and `{plain}` (a SASL PLAIN response) stand for the account that the conversation has to itself.

Escapes: \r \n \t \0 \\ \xNN.
"""

import re
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

_STEP = re.compile(r"(?P<kind>[CS=])(?P<connection>[2-9]?)(?P<mark>[:>]?)(?: (?P<text>.*))?")
_MESSAGE = re.compile(r"<<(?P<name>[a-z0-9]+)>>(?P<later> later)?")
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[rnt0\\])")
_SIMPLE = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
_NOT_FOR_DOVECOT = "# not for dovecot: "
_ONLY_OVER = "# only over "
_STEPS = {"login", "connect", "plain", "starttls", "deliver", "vanish", "drop", "closed"}


class BadScript(Exception):
    """A file that is no conversation; the text names the line."""


@dataclass(frozen=True, slots=True)
class Send:
    """What the client sends in one go, line by line."""

    connection: str
    lines: list[bytes]


@dataclass(frozen=True, slots=True)
class Expect:
    """What the server says then: lines without CRLF, placeholders not filled in."""

    connection: str
    lines: list[bytes]


@dataclass(frozen=True, slots=True)
class Do:
    """Something that is not said on the wire."""

    connection: str
    what: str
    name: str


Step = Send | Expect | Do


@dataclass(slots=True)
class Conversation:
    """One file."""

    name: str
    not_for_dovecot: bool = False
    only_over: str | None = None
    first: dict[str, bytes] = field(default_factory=dict)
    later: dict[str, bytes] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name

    def add(self, step: Step) -> None:
        """Add a step; what one side says in several lines in a row is one."""
        last = self.steps[-1] if self.steps else None
        match last, step:
            case Send(before, lines), Send(now, more) if before == now:
                lines.extend(more)
            case Expect(before, lines), Expect(now, more) if before == now:
                lines.extend(more)
            case _:
                self.steps.append(step)


def unescape(text: str) -> bytes:
    """Return the octets that a line of a script stands for."""

    def octets(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        return bytes([int(escape[1:], 16)]) if escape[:1] == b"x" else _SIMPLE[escape]

    return _ESCAPE.sub(octets, text.encode())


def read_conversation(path: Path) -> Conversation:
    """Read a file.

    Raises:
        BadScript: a line means nothing.
    """
    lines = path.read_text().splitlines()
    rule = " ".join(line[2:] for line in takewhile(lambda line: line.startswith("# "), lines))
    if not re.search(r"RFC [0-9]+ section", rule):
        raise BadScript(f"{path}:1: the rule and its source come first")
    return parse_conversation(path.stem, lines)


def parse_conversation(name: str, lines: list[str]) -> Conversation:
    """Return what lines say; see `read_conversation`."""
    conversation = Conversation(name)
    block: tuple[dict[str, bytes], str] | None = None
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            _read_remark(conversation, line)
        elif message := _MESSAGE.fullmatch(line):
            block = conversation.later if message["later"] else conversation.first, message["name"]
            block[0][block[1]] = b""
        elif line.startswith("|") and block:
            block[0][block[1]] += unescape(line[2:])
        elif step := _STEP.fullmatch(line):
            conversation.add(_read_step(step, f"{name}:{number}"))
        elif line:
            raise BadScript(f"{name}:{number}: {line}")
    return conversation


def _read_remark(conversation: Conversation, line: str) -> None:
    if line.startswith(_NOT_FOR_DOVECOT):
        conversation.not_for_dovecot = True
    if line.startswith(_ONLY_OVER):
        conversation.only_over = line.removeprefix(_ONLY_OVER).partition(":")[0]


def _read_step(step: re.Match[str], place: str) -> Step:
    connection, text = step["connection"], step["text"] or ""
    match step["kind"] + step["mark"]:
        case "C:":
            return Send(connection, [unescape(text) + b"\r\n"])
        case "C>":
            return Send(connection, [unescape(text)])
        case "S:":
            return Expect(connection, [unescape(text)])
        case "=" if (what := text.partition(" "))[0] in _STEPS:
            return Do(connection, what[0], what[2])
        case _:
            raise BadScript(f"{place}: no such step")
