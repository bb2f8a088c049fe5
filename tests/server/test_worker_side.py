"""What a worker tells goes up in its order, together, and no faster than it is taken."""

import asyncio
from collections.abc import Iterator
from typing import cast

from tests.adversity.test_door_over_socket import in_fake_time, turns

from mailkeep.events import Who, types
from mailkeep.events.forwarding import BATCH_OCTETS, ForwardingSink, unpack
from mailkeep.events.gathering import GatheringSink, no_time
from mailkeep.events.run_types import DeletionPart, DeletionsAsked
from mailkeep.server import worker_wire as wire
from mailkeep.server.worker_side import GATHERED_S, WorkerLink

OPENED = types.ConnectionOpened(session="s", peer="p", listener="l")


class Taken:
    """A transport to a supervisor; it may fall behind with every write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.falls_behind = False
        self.link: WorkerLink | None = None

    def write(self, octets: bytes) -> None:
        self.writes.append(octets)
        if self.falls_behind and self.link is not None:
            self.link._link.pause_writing()

    def is_closing(self) -> bool:
        return False

    def frames(self) -> Iterator[tuple[wire.Kind, bytes]]:
        """Yield what was said."""
        return wire.Frames().feed(b"".join(self.writes))


def linked() -> tuple[WorkerLink, ForwardingSink, Taken]:
    sink, taken = ForwardingSink(), Taken()
    link = taken.link = WorkerLink(sink)
    link._link.connection_made(cast("object", taken))  # type: ignore[arg-type]  # by its shape
    return link, sink, taken


@in_fake_time
async def test_what_is_said_in_one_turn_is_one_write() -> None:
    """The supervisor is woken once, and hears of events before what came after them."""
    link, sink, taken = linked()
    sink.emit(OPENED)
    link.command("STAT", 0.5)
    link.say(wire.Figures(1, 0, 0))
    link.say(wire.Inside({"192.0.2.1/32": 1}, {}))
    await turns()
    assert len(taken.writes) == 1
    commands, events, figures, inside = taken.frames()
    assert wire.decode_up(commands[1]) == wire.Commands((("STAT", 0.5),))
    assert events[0] is wire.Kind.EVENTS
    assert [*unpack(events[1])] == [OPENED]
    assert wire.decode_up(figures[1]) == wire.Figures(1, 0, 0)
    assert wire.decode_up(inside[1]) == wire.Inside({"192.0.2.1/32": 1}, {})


@in_fake_time
async def test_events_wait_for_others_and_then_go_by_themselves() -> None:
    """No longer than they may."""
    link, sink, taken = linked()
    sink.emit(OPENED)
    await asyncio.sleep(GATHERED_S * 0.9)
    assert not taken.writes
    sink.emit(OPENED)
    await asyncio.sleep(GATHERED_S * 0.2)
    ((_, batch),) = taken.frames()
    assert [*unpack(batch)] == [OPENED, OPENED]
    assert link is taken.link


@in_fake_time
async def test_what_is_gathered_goes_with_what_has_happened() -> None:
    """Whoever hears an answer has heard of all that was before it; at the end nothing is left."""
    sink, taken = ForwardingSink(), Taken()
    gathering = GatheringSink(sink, now_ns=no_time)
    link = WorkerLink(sink, gathering.flush)
    link._link.connection_made(cast("object", taken))  # type: ignore[arg-type]  # by its shape
    who, part = Who("s", "a@b", "p", None), DeletionPart("1")
    gathering.emit_in_run(DeletionsAsked, who, part)
    link.say(wire.Figures(1, 0, 0))
    await turns()
    told, figures = taken.frames()
    assert [*unpack(told[1])] == [DeletionsAsked(session="s", account="a@b", peer="p", each=[part])]
    assert wire.decode_up(figures[1]) == wire.Figures(1, 0, 0)
    gathering.emit_in_run(DeletionsAsked, who, part)
    closing = asyncio.ensure_future(link.close())
    await turns()
    assert len([*taken.frames()]) == 3
    closing.cancel()


@in_fake_time
async def test_a_supervisor_that_is_behind_is_not_sent_all_that_waits() -> None:
    """What it has not taken waits here, where it has a limit."""
    link, sink, taken = linked()
    taken.falls_behind = True
    while sink._octets < 3 * BATCH_OCTETS:
        sink.emit(OPENED)
    link.flush()
    await turns()
    assert len(taken.writes) == 1
    assert sink._octets >= BATCH_OCTETS
    taken.falls_behind = False
    link._link.resume_writing()
    link.flush()
    await turns()
    assert sink.is_empty
