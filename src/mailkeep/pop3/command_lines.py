"""A command as a client sends it: the counterpart of `commands.parse_command`.

What would end the line early is refused here, whoever typed it: that is how one command becomes two
(CVE-2025-15367 and its relatives).
"""

import binascii
import re

from mailkeep.pop3 import commands
from mailkeep.pop3.commands import Command
from mailkeep.values import Secret

_ENDS_A_LINE = re.compile(rb"[\r\n\0]")
_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")
"""RFC 4422 section 3.1."""

INITIAL_RESPONSE_LIMIT_OCTETS = 255
"""RFC 2449 section 4: a command line has at most 255 octets, its CRLF included. A longer initial
response waits for the server's challenge (RFC 5034 section 4)."""


class UnsayableCommand(ValueError):
    """A name, a password or a mechanism has an octet that would end the line."""


def command_line(command: Command) -> bytes:
    """Return the octets of a command, CRLF last.

    Raises:
        UnsayableCommand: they would be more than one line; the text shows no secret.
    """
    words = _words(command)
    if _ENDS_A_LINE.search(words):
        raise UnsayableCommand("a name or a password has a line break or NUL in it")
    return words + b"\r\n"


def response_line(response: Secret) -> bytes:
    """Return the octets of an answer in an AUTH exchange (RFC 5034 section 4)."""
    return binascii.b2a_base64(response.reveal(), newline=False) + b"\r\n"


CANCEL_LINE = b"*\r\n"
"""Ends an AUTH exchange from the client's side (RFC 5034 section 4)."""


def _words(command: Command) -> bytes:  # noqa: PLR0911  # one row a command
    match command:
        case commands.Retr(number):
            return b"RETR %d" % number
        case commands.Dele(number):
            return b"DELE %d" % number
        case commands.Top(number, body_lines):
            return b"TOP %d %d" % (number, body_lines)
        case commands.List(number):
            return b"LIST" if number is None else b"LIST %d" % number
        case commands.Uidl(number):
            return b"UIDL" if number is None else b"UIDL %d" % number
        case commands.User(name):
            return b"USER " + name
        case commands.Pass(password):
            return b"PASS " + password.reveal()
        case commands.Auth(mechanism, initial):
            return _auth(mechanism, initial)
        case commands.AuthList():
            return b"AUTH"
        case _:
            return type(command).__name__.upper().encode()


def _auth(mechanism: str, initial: Secret | None) -> bytes:
    if not _MECHANISM.fullmatch(mechanism):
        raise UnsayableCommand(f"{mechanism!r} is no name of a SASL mechanism")
    line = b"AUTH " + mechanism.encode()
    if initial is None:
        return line
    octets = initial.reveal()
    return line + b" " + (binascii.b2a_base64(octets, newline=False) if octets else b"=")
