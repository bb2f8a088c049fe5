"""How a worker and the process that has the door speak with each other. Pure: no I/O, no clock.

JSON lines over the control socket. A request's first field says what it is, `door`, an answer's,
`answer`. A worker numbers what it asks and never uses a number twice; answers come in any order
under the number of what they answer. An attempt is known by the number of its `ask`; the door's
own ticket stays where it is, so that nobody reports what another has asked. `give_up` has no
answer: it takes back an `ask`, whether that still waits or has been let.

An answer may say that it lasts: who was let in may come again from there with the same proof
(`again`, reported now and then), or a source may connect, without a question. `taken_back`, which
answers nothing, ends that.

Whatever is read is bounded and of the right kind, or `Malformed`. A password goes as its seal.

Known limit: a name that is longer than any address goes as the hash that it is counted under.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from mailkeep.defence import (
    Attempt,
    Ban,
    Consequences,
    Let,
    Success,
    Turned,
    Turning,
    Welcome,
)
from mailkeep.defence.counters import name_key
from mailkeep.values import AccountId, DeviceId, IpAddress

REQUEST_LIMIT_OCTETS = 4096
"""The longest has a name of 320 characters, 1920 octets when each is escaped, and some words."""

ANSWER_LIMIT_OCTETS = 65_536
"""The longest names the bans that one password has brought about, a line of text for each."""

NAME_LIMIT_CHARACTERS = 320
"""No address is longer (RFC 5321 section 4.5.3.1)."""

TEXT_LIMIT_CHARACTERS = 300
"""Reasons are sentences."""

BANS_LIMIT = 16
"""A hot password bans those who tried it on six names; further ones it bans one at a time."""

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Id: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT_CHARACTERS)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT_CHARACTERS)]


_Message = TypeVar("_Message")


class Malformed(Exception):
    """What came is no line of this protocol; the other side is another version, or broken."""


class _Request(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="door"):
    """What a worker sends."""


class _Answer(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, tag_field="answer"
):
    """What it hears."""

    number: Number


class Ask(_Request, frozen=True, tag="ask"):
    """May a guess be looked at?"""

    number: Number
    session: _Word
    source: _Word
    name: _Name
    mechanism: _Word
    seal: _Word | None
    sure: bool
    tls: bool

    @classmethod
    def of(cls, number: int, attempt: Attempt) -> "Ask":
        """Return an attempt as it is sent."""
        return cls(
            number=number,
            session=attempt.session,
            source=str(attempt.source),
            name=sendable_name(attempt.name),
            mechanism=attempt.mechanism,
            seal=None if attempt.password_seal is None else attempt.password_seal.hex(),
            sure=attempt.is_sure,
            tls=attempt.tls,
        )

    def attempt(self) -> Attempt:
        """Return it as the door takes it.

        Raises:
            Malformed: its source or its seal is none.
        """
        return _attempt(self)


class Again(_Request, frozen=True, tag="again"):
    """It was right, and let in because the same was let in a while ago."""

    number: Number
    session: _Word
    source: _Word
    name: _Name
    mechanism: _Word
    seal: _Word | None
    sure: bool
    tls: bool
    account: _Id
    device: _Id | None
    main: bool

    @classmethod
    def of(cls, number: int, attempt: Attempt, success: Success) -> "Again":
        """Return it as it is sent."""
        ask = Ask.of(number, attempt)
        return cls(
            **msgspec.structs.asdict(ask),
            account=success.account,
            device=success.device,
            main=success.by_main_password,
        )

    def attempt(self) -> Attempt:
        """Return the attempt as the door takes it.

        Raises:
            Malformed: its source or its seal is none.
        """
        return _attempt(self)

    def success(self) -> Success:
        """Return the success as the door takes it."""
        device = None if self.device is None else DeviceId(self.device)
        return Success(AccountId(self.account), device, self.main)


class Fail(_Request, frozen=True, tag="fail"):
    """It was wrong."""

    number: Number
    let: Number
    account: _Id | None

    def whose(self) -> AccountId | None:
        """Return the account that was named."""
        return None if self.account is None else AccountId(self.account)


class Succeed(_Request, frozen=True, tag="succeed"):
    """It was right."""

    number: Number
    let: Number
    account: _Id
    device: _Id | None
    main: bool

    @classmethod
    def of(cls, number: int, let: int, success: Success) -> "Succeed":
        """Return a success as it is sent."""
        return cls(number, let, success.account, success.device, success.by_main_password)

    def success(self) -> Success:
        """Return it as the door takes it."""
        device = None if self.device is None else DeviceId(self.device)
        return Success(AccountId(self.account), device, self.main)


class GiveUp(_Request, frozen=True, tag="give_up"):
    """Nobody wants to know any more."""

    let: Number


class Look(_Request, frozen=True, tag="look"):
    """May a source connect, and has it a good past?"""

    number: Number
    source: _Word

    def whence(self) -> IpAddress:
        """Return the address.

        Raises:
            Malformed: it is none.
        """
        return _source(self.source)


class Ping(_Request, frozen=True, tag="ping"):
    """Are you there?"""

    number: Number


class Allowed(_Answer, frozen=True, tag="let"):
    """A guess may be looked at; it holds a place until it is reported."""

    delayed_s: _Seconds
    familiar: bool

    @classmethod
    def of(cls, number: int, let: Let) -> "Allowed":
        """Return it as it is sent, without its ticket."""
        return cls(number, let.delayed_s, let.familiar)

    def let(self) -> Let:
        """Return it as a worker takes it; its ticket is the number that it was asked under."""
        return Let(self.number, self.delayed_s, self.familiar)


class TurnedAway(_Answer, frozen=True, tag="turned"):
    """It is not looked at."""

    reason: Turning
    delayed_s: _Seconds

    @classmethod
    def of(cls, number: int, turned: Turned) -> "TurnedAway":
        """Return it as it is sent."""
        return cls(number, turned.reason, turned.delayed_s)

    def turned(self) -> Turned:
        """Return it as a worker takes it."""
        return Turned(self.reason, self.delayed_s)


class _BanSent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    prefix: _Word
    seconds: _Count | None
    reason: _Text


_Bans: TypeAlias = Annotated[tuple[_BanSent, ...], msgspec.Meta(max_length=BANS_LIMIT)]


class Counted(_Answer, frozen=True, tag="counted"):
    """What a wrong guess brought about."""

    ban: _BanSent | None
    others: _Bans
    guessed_at: _Count | None

    @classmethod
    def of(cls, number: int, came_of_it: Consequences) -> "Counted":
        """Return it as it is sent."""
        own = None if came_of_it.ban is None else _sent(came_of_it.ban)
        return cls(number, own, _all_sent(came_of_it.other_bans), came_of_it.guessed_at)

    def consequences(self) -> Consequences:
        """Return it as a worker takes it."""
        own = None if self.ban is None else _ban(self.ban)
        return Consequences(own, tuple(map(_ban, self.others)), self.guessed_at)


class Welcomed(_Answer, frozen=True, tag="welcome"):
    """What to do about right credentials."""

    refused: Turning | None
    familiar: bool
    odd: Turning | None
    alert: bool
    country: _Text | None
    before: _Text | None
    bans: _Bans
    lasts: bool
    """The same may come again without asking."""

    @classmethod
    def of(cls, number: int, welcome: Welcome, *, lasts: bool = False) -> "Welcomed":
        """Return it as it is sent."""
        return cls(
            number=number,
            refused=welcome.refused,
            familiar=welcome.familiar,
            odd=welcome.odd,
            alert=welcome.is_alert,
            country=None if welcome.country is None else _sendable(welcome.country),
            before=None if welcome.country_before is None else _sendable(welcome.country_before),
            bans=_all_sent(welcome.bans),
            lasts=lasts,
        )

    def welcome(self) -> Welcome:
        """Return it as a worker takes it."""
        return Welcome(
            refused=self.refused,
            familiar=self.familiar,
            odd=self.odd,
            is_alert=self.alert,
            country=self.country,
            country_before=self.before,
            bans=tuple(map(_ban, self.bans)),
        )


class Looked(_Answer, frozen=True, tag="looked"):
    """What is known of a source."""

    admits: bool
    good_past: bool
    lasts: bool
    """The source may connect again without asking."""


class Unavailable(_Answer, frozen=True, tag="unavailable"):
    """It cannot be found out now."""

    reason: _Text

    @classmethod
    def of(cls, number: int, reason: str) -> "Unavailable":
        """Return it as it is sent."""
        return cls(number, _sendable(reason))


class Pong(_Answer, frozen=True, tag="pong"):
    """I am here."""


class TakenBack(
    msgspec.Struct,
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
    tag_field="answer",
    tag="taken_back",
):
    """What lasted does so no longer, where it is about one of these; about anything if none is."""

    name: _Name | None = None
    prefix: _Word | None = None
    seal: _Word | None = None
    banned: bool = False
    """The prefix is banned."""

    def abouts(self) -> list[str | bytes]:
        """Return what it is about; nothing for everything.

        Raises:
            Malformed: its seal is none.
        """
        seal = None if self.seal is None else _octets(self.seal)
        return [about for about in (self.name, self.prefix, seal) if about is not None]


Request: TypeAlias = Ask | Again | Fail | Succeed | GiveUp | Look | Ping
Answer: TypeAlias = Allowed | TurnedAway | Counted | Welcomed | Looked | Unavailable | Pong
Said: TypeAlias = Answer | TakenBack
"""What a worker hears."""

_ENCODER = msgspec.json.Encoder()
_REQUESTS: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_SAID: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


def encode(message: Request | Said) -> bytes:
    """Return a message as the line it is sent as."""
    return _ENCODER.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Return what a worker sent.

    Args:
        line: without its end, no longer than `REQUEST_LIMIT_OCTETS`.

    Raises:
        Malformed: it is no request.
    """
    return _decoded(_REQUESTS.decode, line)


def decode_said(line: bytes) -> Said:
    """Return what a worker is answered, or told.

    Args:
        line: without its end, no longer than `ANSWER_LIMIT_OCTETS`.

    Raises:
        Malformed: it is no answer.
    """
    return _decoded(_SAID.decode, line)


class Lines:
    """Cuts what arrives into lines; keeps no more than one that is not whole."""

    __slots__ = ("_limit_octets", "_rest")

    def __init__(self, limit_octets: int) -> None:
        self._limit_octets = limit_octets
        self._rest = b""

    def feed(self, octets: bytes) -> list[bytes]:
        """Return the lines that are whole now, without their ends.

        Raises:
            Malformed: one is too long.
        """
        *whole, self._rest = (self._rest + octets).split(b"\n")
        if max(map(len, (*whole, self._rest))) > self._limit_octets:
            self._rest = b""
            raise Malformed("a line is too long")
        return whole


def _decoded(decode: Callable[[bytes], _Message], line: bytes) -> _Message:
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as cause:
        raise Malformed(f"not a line about the door: {cause}") from cause


def _attempt(sent: Ask | Again) -> Attempt:
    return Attempt(
        session=sent.session,
        source=_source(sent.source),
        name=sent.name,
        mechanism=sent.mechanism,
        password_seal=None if sent.seal is None else _octets(sent.seal),
        is_sure=sent.sure,
        tls=sent.tls,
    )


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:TEXT_LIMIT_CHARACTERS]


def sendable_name(name: str) -> str:
    """Return what a name is counted by; JSON has no half of a surrogate pair (RFC 8259, 8.2)."""
    whole = name.encode("utf-8", "backslashreplace").decode()
    return whole if len(whole) <= NAME_LIMIT_CHARACTERS else name_key(whole)


def _source(text: str) -> IpAddress:
    try:
        return ip_address(text)
    except ValueError as cause:
        raise Malformed("a source is an address") from cause


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as cause:
        raise Malformed("a seal is hexadecimal") from cause


def _sent(ban: Ban) -> _BanSent:
    return _BanSent(ban.prefix, ban.seconds, _sendable(ban.reason))


def _all_sent(bans: tuple[Ban, ...]) -> tuple[_BanSent, ...]:
    return tuple(map(_sent, bans[:BANS_LIMIT]))


def _ban(sent: _BanSent) -> Ban:
    return Ban(sent.prefix, sent.seconds, sent.reason)
