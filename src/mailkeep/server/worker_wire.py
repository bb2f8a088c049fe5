"""What the supervisor and a worker say to each other over their link. Pure: no I/O, no clock.

A frame is its length (four octets, the highest first), one octet that says what it is, and
MessagePack. Events go in frames of their own (`events.forwarding` knows their form), everything
else is a small message. Both sides number what they ask and answer under that number.

Whatever is read is bounded and of the right kind, or `Malformed`, and ends the link. The settings
go down as Python's own pickle: a worker has them from the process that started it and nobody else.
"""

import pickle
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Annotated, TypeAlias

import msgspec

from mailkeep.site import Site

FRAME_LIMIT_OCTETS = 1 << 20
"""The longest has some hundred events, or the counts of ten thousand prefixes."""

INSIDE_LIMIT = 5000
"""Keys that one `Inside` has of each kind: 250 KB."""

LENGTH_OCTETS = 4

TEXT_LIMIT = 1000
"""Characters of a reason."""

_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
_Account: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Malformed(Exception):
    """What came is no frame of this link; the other side is another version, or broken."""


class Kind(IntEnum):
    """What a frame is."""

    MESSAGE = 0
    EVENTS = 1


_KINDS = {kind.value: kind for kind in Kind}


class _Message(
    msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True, tag=True
):
    """What is said."""


class Begin(_Message, frozen=True):
    """Serve this; the first thing that a worker hears."""

    version: _Word
    """Of the program: a worker that is another one, installed meanwhile, must not begin."""
    worker: _Count
    workers: _Count
    site: bytes
    """As it was when the supervisor began: ports and rooms are opened with that."""
    site_now: bytes
    """With the settings that are in force now."""
    sockets: tuple[_Count, ...]
    """The descriptor of each `[[listen]]` for mail."""


class UseSite(_Message, frozen=True):
    """Use other settings from the next connection on."""

    number: _Number
    site: bytes


class ShowCertificate(_Message, frozen=True):
    """The certificate's files have changed."""

    number: _Number


class LookAtAccount(_Message, frozen=True):
    """Something about an account, or anybody's, has changed: end what may not go on."""

    number: _Number
    account: _Account | None


class LookAgain(_Message, frozen=True):
    """Something has changed without a notice: read anew what is kept about all accounts."""

    number: _Number


class Done(_Message, frozen=True):
    """What was asked under that number is in force."""

    number: _Number


class Room(_Message, frozen=True):
    """Whether the record has room for events that must not be missed."""

    is_there: bool


class TakeOver(_Message, frozen=True):
    """End the session that holds a maildrop, wherever it is, if it has been silent too long."""

    number: _Number
    account: _Account
    after_s: Annotated[float, msgspec.Meta(ge=0)]


class TakenOver(_Message, frozen=True):
    """Whether that maildrop was let go."""

    number: _Number
    is_free: bool


class Inside(_Message, frozen=True):
    """How many are inside: from prefixes and of accounts whose number has changed.

    Up it is what one worker has, down what all others have together. 0 is said too.
    """

    prefixes: dict[_Word, _Count]
    accounts: dict[_Account, _Count]


class Figures(_Message, frozen=True):
    """What is looked up at a scrape."""

    connections: _Count
    checks_running: _Count
    checks_waiting: _Count


class Commands(_Message, frozen=True):
    """Commands that were answered, and how many seconds each took."""

    answered: tuple[tuple[_Word, float], ...]


class Listening(_Message, frozen=True):
    """Clients are let in."""


class CannotBegin(_Message, frozen=True):
    """The worker ends before it has let anybody in."""

    reason: _Text


class Stop(_Message, frozen=True):
    """End in order."""


Down: TypeAlias = (
    Begin
    | UseSite
    | ShowCertificate
    | LookAtAccount
    | LookAgain
    | Room
    | TakeOver
    | TakenOver
    | Inside
    | Stop
)
"""What a worker hears."""

Up: TypeAlias = Done | TakeOver | TakenOver | Inside | Figures | Commands | Listening | CannotBegin
"""What the supervisor hears."""

Asked: TypeAlias = UseSite | ShowCertificate | LookAtAccount | LookAgain
"""What a worker answers with `Done`."""

_ENCODER = msgspec.msgpack.Encoder()
_DOWN: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)
_UP: msgspec.msgpack.Decoder[Up] = msgspec.msgpack.Decoder(Up)


def frame(kind: Kind, body: bytes) -> bytes:
    """Return a frame."""
    return (len(body) + 1).to_bytes(LENGTH_OCTETS) + bytes((kind,)) + body


def encode(message: Down | Up) -> bytes:
    """Return the frame of a message."""
    return frame(Kind.MESSAGE, _ENCODER.encode(message))


def decode_down(body: bytes) -> Down:
    """Return what a worker hears.

    Raises:
        Malformed: it is nothing that a supervisor says.
    """
    try:
        return _DOWN.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as cause:
        raise Malformed(f"not from a supervisor: {cause}") from cause


def decode_up(body: bytes) -> Up:
    """Return what a supervisor hears.

    Raises:
        Malformed: it is nothing that a worker says.
    """
    try:
        return _UP.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as cause:
        raise Malformed(f"not from a worker: {cause}") from cause


def inside_messages(
    prefixes: Mapping[str, int], accounts: Mapping[int, int], *, limit: int = INSIDE_LIMIT
) -> list[Inside]:
    """Return numbers as messages that are short enough, none for nothing."""
    some, more = tuple(prefixes.items()), tuple(accounts.items())
    return [
        Inside(dict(some[at : at + limit]), dict(more[at : at + limit]))
        for at in range(0, max(len(some), len(more)), limit)
    ]


def pack_site(site: Site) -> bytes:
    """Return a site as it is sent to a worker."""
    return pickle.dumps(site)


def unpack_site(octets: bytes) -> Site:
    """Return the site that the supervisor has sent.

    Raises:
        Malformed: it is none.
    """
    site = pickle.loads(octets)  # noqa: S301  # from the process that has started this one
    if not isinstance(site, Site):
        raise Malformed("not a site")
    return site


class Frames:
    """Cuts what arrives into frames; keeps no more than one that is not whole."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> Iterator[tuple[Kind, bytes]]:
        """Yield the frames that are whole now: what each is, and its body.

        Raises:
            Malformed: one is too long, or of no kind.
        """
        octets, start = self._rest + octets if self._rest else octets, 0
        while len(octets) - start >= LENGTH_OCTETS:
            length = int.from_bytes(octets[start : start + LENGTH_OCTETS])
            if not 1 <= length <= FRAME_LIMIT_OCTETS:
                raise Malformed("a frame is too long, or empty")
            end = start + LENGTH_OCTETS + length
            if len(octets) < end:
                break
            kind = _KINDS.get(octets[start + LENGTH_OCTETS])
            if kind is None:
                raise Malformed("a frame is of no kind")
            yield kind, octets[start + LENGTH_OCTETS + 1 : end]
            start = end
        self._rest = octets[start:]
