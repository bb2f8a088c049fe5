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

_LANGUAGE = re.compile(rb"\*|[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
"""RFC 4647 section 2.1, language-range."""

INITIAL_RESPONSE_LIMIT_OCTETS = 255
"""RFC 2449 section 4: a command line has at most 255 octets, its CRLF included. A longer initial
response waits for the server's challenge (RFC 5034 section 4)."""


class UnsayableCommand(ValueError):
    """A name, a password, a mechanism or a language has an octet that has no place in the line."""


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
    word = type(command).__name__.upper().encode()
    match command:
        case commands.Retr(number) | commands.Dele(number):
            return b"%b %d" % (word, number)
        case commands.Top(number, body_lines):
            return b"TOP %d %d" % (number, body_lines)
        case commands.List(number) | commands.Uidl(number):
            return word if number is None else b"%b %d" % (word, number)
        case commands.User(name):
            return b"USER " + name
        case commands.Pass(password):
            return b"PASS " + password.reveal()
        case commands.Auth(mechanism, initial):
            return _auth(mechanism, initial)
        case commands.AuthList():
            return b"AUTH"
        case commands.Lang(language):
            return word if language is None else b"LANG " + _checked(language)
        case _:
            return word


def _checked(language: bytes) -> bytes:
    if not _LANGUAGE.fullmatch(language):
        raise UnsayableCommand(f"{language!r} is no language")
    return language


def _auth(mechanism: str, initial: Secret | None) -> bytes:
    if not _MECHANISM.fullmatch(mechanism):
        raise UnsayableCommand(f"{mechanism!r} is no name of a SASL mechanism")
    line = b"AUTH " + mechanism.encode()
    if initial is None:
        return line
    octets = initial.reveal()
    return line + b" " + (binascii.b2a_base64(octets, newline=False) if octets else b"=")
