"""What a client can say: one frozen value a command, and the one place that reads them.

Reading is strict because two readings of one line are an attack: one space between fields, ASCII
digits only, nothing after the last argument but a single space, which some programs send.

Sources: RFC 1939 sections 3, 5, 7; RFC 2449 section 5; RFC 2595 section 4; RFC 5034 section 4;
RFC 6856 sections 2 and 3.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mailkeep.values import MessageNumber, Secret

_NUMBER_DIGITS = 10
"""RFC 1939 sets no limit; four octets hold what no maildrop has."""

_NUMBERS_KEPT = 1024
"""Of each command: programs fetch their messages from 1 on, and most maildrops are small. What is
kept is a number and never more of a line than that."""

_COUNT = re.compile(rb"[0-9]+")
_MECHANISM = re.compile(rb"[A-Za-z0-9_-]{1,20}")
"""RFC 4422 section 3.1, in any case."""

_LANGUAGE = re.compile(rb"\*|[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
"""RFC 4647 section 2.1, language-range."""

_BASE64 = re.compile(rb"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""Python's own strict mode lets padding stand behind a whole group ("AAAA=")."""

_HTTP_VERBS = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"}
)
"""RFC 9110 section 9 and RFC 5789: a browser led here by an attacker (ALPACA), or a scanner."""


class BadCommand(Exception):
    """A line that is no command: an unknown word, or wrong syntax."""


class ObsoleteCommand(Exception):
    """A command of an older POP3 (LAST, RFC 1460), asked for by honest old programs."""


class NotPop3(Exception):
    """The peer speaks another protocol."""


@dataclass(frozen=True, slots=True)
class User:
    """USER name: whose maildrop (RFC 1939 section 7)."""

    name_untrusted: bytes


@dataclass(frozen=True, slots=True)
class Pass:
    """PASS string: the rest of the line, spaces and all (RFC 1939 section 7)."""

    password_untrusted: Secret


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH mechanism [initial-response] (RFC 5034 section 4)."""

    mechanism: str
    initial_response: Secret | None


@dataclass(frozen=True, slots=True)
class AuthList:
    """AUTH alone: which mechanisms are there? Outlook and Thunderbird ask this way."""


@dataclass(frozen=True, slots=True)
class Capa:
    """CAPA (RFC 2449 section 5)."""


@dataclass(frozen=True, slots=True)
class Stls:
    """STLS (RFC 2595 section 4)."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT (RFC 1939 sections 5 and 6)."""


@dataclass(frozen=True, slots=True)
class Stat:
    """STAT (RFC 1939 section 5)."""


@dataclass(frozen=True, slots=True)
class List:
    """LIST [msg] (RFC 1939 section 5)."""

    number: MessageNumber | None


@dataclass(frozen=True, slots=True)
class Retr:
    """RETR msg (RFC 1939 section 5)."""

    number: MessageNumber


@dataclass(frozen=True, slots=True)
class Dele:
    """DELE msg (RFC 1939 section 5)."""

    number: MessageNumber


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP (RFC 1939 section 5)."""


@dataclass(frozen=True, slots=True)
class Rset:
    """RSET (RFC 1939 section 5)."""


@dataclass(frozen=True, slots=True)
class Top:
    """TOP msg n (RFC 1939 section 7)."""

    number: MessageNumber
    body_lines: int


@dataclass(frozen=True, slots=True)
class Uidl:
    """UIDL [msg] (RFC 1939 section 7)."""

    number: MessageNumber | None


@dataclass(frozen=True, slots=True)
class Lang:
    """LANG [language-range]: in which language to answer, or which there are (RFC 6856 section 3).

    The range has the form of one and is nobody's promise; `*` leaves it to the server.
    """

    tag_untrusted: bytes | None


@dataclass(frozen=True, slots=True)
class Utf8:
    """UTF8: the client takes internationalised messages as they are (RFC 6856 section 2)."""


Command = (
    User
    | Pass
    | Auth
    | AuthList
    | Capa
    | Stls
    | Quit
    | Stat
    | List
    | Retr
    | Dele
    | Noop
    | Rset
    | Top
    | Uidl
    | Lang
    | Utf8
)


def parse_command(line: bytes) -> Command:
    """Return what a line says.

    Args:
        line: without its ending.

    Raises:
        BadCommand: it is no command; the text may be told to the client.
        ObsoleteCommand: it is one that nobody needs to offer any more.
        NotPop3: the peer speaks HTTP.
    """
    word, space, rest = line.partition(b" ")
    word = word.upper()
    read = _READERS.get(word)
    if read is not None:
        return read(rest if space else None)
    if word in _HTTP_VERBS:
        raise NotPop3
    if word == b"LAST":
        raise ObsoleteCommand
    raise BadCommand("unknown command")


def decode_base64(encoded: bytes) -> Secret:
    """Return the octets of a SASL response.

    Raises:
        BadCommand: it is not base64 by the letter (RFC 4648 section 4).
    """
    if not _BASE64.fullmatch(encoded):
        raise BadCommand("that is not base64")
    return Secret(binascii.a2b_base64(encoded))


def _fields(rest: bytes | None) -> list[bytes]:
    if not rest:
        return []
    fields = rest.removesuffix(b" ").split(b" ")
    if b"" in fields:
        raise BadCommand("one space stands between fields")
    return fields


def _number(field: bytes) -> MessageNumber:
    # Of `bytes` these are ASCII digits; `int` alone would take signs and underscores, too.
    if field.isdigit() and len(field) <= _NUMBER_DIGITS and (number := int(field)):
        return MessageNumber(number)
    raise BadCommand("a message-number is 1 to 10 digits and counts from 1")


def _alone(command: Command) -> Callable[[bytes | None], Command]:
    def read(rest: bytes | None) -> Command:
        if _fields(rest):
            raise BadCommand("this command takes no argument")
        return command

    return read


def _with_number(make: type[Retr | Dele]) -> Callable[[bytes | None], Command]:
    @lru_cache(_NUMBERS_KEPT)
    def read(rest: bytes | None) -> Command:
        match _fields(rest):
            case [number]:
                return make(_number(number))
            case _:
                raise BadCommand("this command takes one message-number")

    return read


def _with_optional_number(make: type[List | Uidl]) -> Callable[[bytes | None], Command]:
    @lru_cache(_NUMBERS_KEPT)
    def read(rest: bytes | None) -> Command:
        match _fields(rest):
            case []:
                return make(None)
            case [number]:
                return make(_number(number))
            case _:
                raise BadCommand("this command takes at most one message-number")

    return read


def _read_top(rest: bytes | None) -> Command:
    match _fields(rest):
        case [number, count] if _COUNT.fullmatch(count):
            return Top(_number(number), int(count))
        case _:
            raise BadCommand("TOP takes a message-number and a number of lines")


def _read_user(rest: bytes | None) -> Command:
    name = (rest or b"").removesuffix(b" ")
    if not name:
        raise BadCommand("USER takes a name")
    return User(name)


def _read_pass(rest: bytes | None) -> Command:
    if rest is None:
        raise BadCommand("PASS takes a password")
    return Pass(Secret(rest))


def _read_auth(rest: bytes | None) -> Command:
    match _fields(rest):
        case []:
            return AuthList()
        case [mechanism] if _MECHANISM.fullmatch(mechanism):
            return Auth(mechanism.decode().upper(), None)
        case [mechanism, b"="] if _MECHANISM.fullmatch(mechanism):
            return Auth(mechanism.decode().upper(), Secret(b""))
        case [mechanism, initial] if _MECHANISM.fullmatch(mechanism):
            return Auth(mechanism.decode().upper(), decode_base64(initial))
        case _:
            raise BadCommand("AUTH takes a mechanism and at most one initial response")


def _read_lang(rest: bytes | None) -> Command:
    match _fields(rest):
        case []:
            return Lang(None)
        case [language] if _LANGUAGE.fullmatch(language):
            return Lang(language)
        case _:
            raise BadCommand("LANG takes at most one language")


_READERS: Mapping[bytes, Callable[[bytes | None], Command]] = {
    b"USER": _read_user,
    b"PASS": _read_pass,
    b"AUTH": _read_auth,
    b"CAPA": _alone(Capa()),
    b"STLS": _alone(Stls()),
    b"QUIT": _alone(Quit()),
    b"STAT": _alone(Stat()),
    b"LIST": _with_optional_number(List),
    b"RETR": _with_number(Retr),
    b"DELE": _with_number(Dele),
    b"NOOP": _alone(Noop()),
    b"RSET": _alone(Rset()),
    b"TOP": _read_top,
    b"UIDL": _with_optional_number(Uidl),
    b"LANG": _read_lang,
    b"UTF8": _alone(Utf8()),
}
