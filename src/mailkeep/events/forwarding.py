"""Events on their way from a worker to the process that keeps the record: gathered, and unpacked.

A worker's sink gathers what happens there and hands it over in batches, encoded once. What must
not be missed waits in `ready` while the record has no room, as it does in one process; what may be
missed is counted instead when too much waits here.

It must not know how a batch travels. Known limit: what was gathered and not handed over yet is lost
with a worker that is killed, some hundredths of a second of it.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from mailkeep.events.run_types import RUNS, Run, events_in
from mailkeep.events.trail import MUST_NOT_MISS
from mailkeep.events.types import EVENT_CLASSES, Event, EventsDropped

BATCH_OCTETS = 65_536
"""So much is handed over at once: some 300 events, a millisecond of the other side's time."""

EVENT_LIMIT_OCTETS = 131_072
"""No event is longer but one with a trace that nobody could read."""

WAITING_OCTETS = 1 << 20
"""With so much waiting `ready` waits and other events are dropped: 5,000 events, which the other
side takes in a few hundredths of a second unless it is stuck."""

LIMIT_OCTETS = 8 << 20
"""No event at all is kept beyond this."""

_ARRAY_32 = b"\xdd"
"""The head of a list whose length has four octets (MessagePack's specification, "array")."""

_PACK = msgspec.msgpack.Encoder().encode
_BATCH = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])
_DECODERS: dict[str, msgspec.msgpack.Decoder[Event]] = {
    kind.__name__: msgspec.msgpack.Decoder(kind) for kind in (*EVENT_CLASSES, *RUNS)
}


class NoEvents(ValueError):
    """What came is no batch of events."""


class ForwardingSink:
    """Gathers a worker's events; see `EventSink`. Belongs to one event loop."""

    def __init__(self) -> None:
        self.on_events: Callable[[], None] = lambda: None
        """Called at the first event of a batch, and again when the batch is full."""
        self._items: list[bytes] = []
        self._octets = 0
        self._dropped = 0
        self._has_room = True
        self._waiting: set[asyncio.Future[None]] = set()

    def emit(self, event: Event) -> None:
        """Take note of an event; see `EventSink`."""
        before = self._octets
        item = b"" if before >= WAITING_OCTETS and _has_no_place(event, before) else _encode(event)
        if not item or len(item) > EVENT_LIMIT_OCTETS:
            self._dropped += events_in(event)
            return
        self._items.append(item)
        self._octets = after = before + len(item)
        if not before or before // BATCH_OCTETS != after // BATCH_OCTETS:
            self.on_events()

    def has_room(self) -> bool:
        """Tell whether `ready` need not wait; see `EventSink`."""
        return self._has_room and self._octets < WAITING_OCTETS

    async def ready(self) -> None:
        """Return when an event that must not be missed has room; see `EventSink`."""
        while not self.has_room():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.add(turn)
            try:
                await turn
            finally:
                self._waiting.discard(turn)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be handed over."""
        return not (self._items or self._dropped)

    @property
    def is_full(self) -> bool:
        """Whether what waits is worth a batch."""
        return self._octets >= BATCH_OCTETS

    def take(self) -> bytes:
        """Hand over what waits, or a first part of it, encoded; b"" for nothing."""
        if self._dropped:
            item = _encode(EventsDropped(count=self._dropped))
            self._items.append(item)
            self._octets += len(item)
            self._dropped = 0
        taken, octets = 0, 0
        while taken < len(self._items) and octets < BATCH_OCTETS:
            octets += len(self._items[taken])
            taken += 1
        items, self._items = self._items[:taken], self._items[taken:]
        self._octets -= octets
        self._let_on()
        return b"".join((_ARRAY_32, len(items).to_bytes(4), *items)) if items else b""

    def note_room(self, *, is_there: bool) -> None:
        """Take note whether the record has room."""
        self._has_room = is_there
        self._let_on()

    def _let_on(self) -> None:
        if self._waiting and self.has_room():
            for turn in self._waiting:
                if not turn.done():
                    turn.set_result(None)


def unpack(batch: bytes) -> Iterator[Event]:
    """Yield the events of a batch.

    Args:
        batch: what `take` returned.

    Raises:
        NoEvents: it is none, holds an event that is not known here, or says when one happened.
    """
    try:
        for name, fields_of_it in _BATCH.decode(batch):
            event = _DECODERS[name].decode(fields_of_it)
            if isinstance(event, Run) and event.at_us:
                raise NoEvents("the time is the record's to say")
            yield event
    except (msgspec.MsgspecError, UnicodeError, KeyError, RecursionError) as cause:
        raise NoEvents(f"not a batch of events: {cause}") from cause


def _has_no_place(event: Event, octets: int) -> bool:
    """Tell whether an event is left out where so many octets wait: too many for most."""
    return octets >= LIMIT_OCTETS or event.type not in MUST_NOT_MISS


def _encode(event: Event) -> bytes:
    try:
        return _PACK((type(event).__name__, event))
    except UnicodeEncodeError:
        return _PACK((type(event).__name__, _sendable(event)))


def _sendable(event: Event) -> Event:
    """Write what UTF-8 has no form for (half a surrogate pair) as an escape."""
    texts = {
        name: value.encode("utf-8", "backslashreplace").decode()
        for name, value in event.known()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(event, **texts)
