"""One sink of several."""

import io

from tests.events.conftest import Told
from tests.events.samples import read

from mailkeep.events import Event
from mailkeep.events.fanout import Sinks


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


def test_there_is_room_when_all_have_room() -> None:
    """Then nobody need wait."""

    class Full(Told):
        def has_room(self) -> bool:
            return False

    assert Sinks(Told(), Told()).has_room()
    assert not Sinks(Told(), Full()).has_room()
