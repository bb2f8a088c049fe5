"""One sink of several."""

import io

from tests.events.conftest import Told
from tests.events.samples import EVERY_EVENT, read

from mailkeep.events import Event, types
from mailkeep.events.fanout import NeverFull, Sinks


class Failing(Told):
    """A sink that has a bug."""

    def emit(self, event: Event) -> None:
        super().emit(event)
        raise RuntimeError("no room\nfor this")


def test_a_failing_sink_hurts_no_other_and_is_told_once() -> None:
    """It is given the next event all the same."""
    stream, first, failing, last = io.StringIO(), Told(), Failing(), Told()
    sinks = Sinks(first, failing, last, stream=stream)
    for _ in range(3):
        sinks.emit(read("1"))
    assert [len(sink.events) for sink in (first, failing, last)] == [3, 3, 3]
    assert stream.getvalue() == "Failing fails and is told once: no room\\nfor this\n"


def test_each_sink_that_fails_is_told() -> None:
    """Two of a class are two."""
    stream = io.StringIO()
    sinks = Sinks(Failing(), Failing(), stream=stream)
    for _ in range(3):
        sinks.emit(read("1"))
    assert len(stream.getvalue().splitlines()) == 2


def test_a_sink_is_told_what_it_wants_only() -> None:
    """And the others all the same; each time, not only at the first event of a class."""

    class Choosy(Told):
        def wants(self, kind: type[Event]) -> bool:
            return kind is types.SessionEnded

    before, choosy, behind = Told(), Choosy(), Told()
    sinks = Sinks(before, choosy, behind)
    for event in (*EVERY_EVENT, *EVERY_EVENT):
        sinks.emit(event)
    assert [event.type for event in choosy.events] == [types.SessionEnded.type] * 2
    assert before.events == behind.events == [*EVERY_EVENT, *EVERY_EVENT]


def test_a_closed_stream_is_no_second_failure() -> None:
    """There is nobody left to tell."""
    stream = io.StringIO()
    sinks = Sinks(Failing(), stream=stream)
    stream.close()
    sinks.emit(read("1"))


async def test_ready_waits_for_all() -> None:
    """The audit trail may be any of them."""
    waited = []

    class Waiting(Told):
        async def ready(self) -> None:
            waited.append(self)

    await Sinks(Waiting(), Told(), Waiting()).ready()
    assert len(waited) == 2


async def test_who_is_never_full_is_neither_asked_nor_waited_for() -> None:
    """The log and the figures: an answer that is always the same."""

    class Asked(NeverFull):
        def emit(self, event: Event) -> None:
            del event

        def has_room(self) -> bool:
            raise AssertionError("asked")

        async def ready(self) -> None:
            raise AssertionError("waited for")

    sinks = Sinks(Asked(), Told())
    assert sinks.has_room()
    await sinks.ready()


async def test_who_is_never_full_has_room() -> None:
    """Whoever asks it alone is told so."""
    sink = NeverFull()
    assert sink.has_room()
    await sink.ready()


def test_there_is_room_when_all_have_room() -> None:
    """Then nobody need wait."""

    class Full(Told):
        def has_room(self) -> bool:
            return False

    assert Sinks(Told(), Told()).has_room()
    assert not Sinks(Told(), Full()).has_room()
