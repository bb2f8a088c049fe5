"""A server in a process of its own that can be made short of descriptors.

Run as `python -m tests.adversity.crowded LOOP`; it says its port, then obeys lines on standard
input: `squeeze N` leaves N descriptors free, `release` gives the rest back, `report` says the CPU
seconds so far and how often accepting was paused.
"""

import asyncio
import os
import resource
import sys

import uvloop
from tests.adversity.loopback import CLEAR
from tests.server.parts import Recorder, full_store, make_meeting

from mailkeep.events import EventType
from mailkeep.server import Server, open_listeners
from mailkeep.site import Limits

_held: list[int] = []


def _squeeze(free: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        while True:
            _held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(free):
            os.close(_held.pop())


def _obey(line: str, sink: Recorder) -> str:
    match line.split():
        case ["squeeze", free]:
            _squeeze(int(free))
        case ["release"]:
            while _held:
                os.close(_held.pop())
        case ["report"]:
            times = os.times()
            return f"{times.user + times.system} {len(sink.of(EventType.ACCEPTING_PAUSED))}"
    return "done"


async def _serve() -> None:
    sink = Recorder()
    listeners = open_listeners([CLEAR])
    server = Server(listeners, make_meeting(full_store(), sink=sink, limits=Limits()), sink)
    server.start()
    print(listeners[0].endpoint.port, flush=True)  # noqa: T201  # the parent reads it
    over = asyncio.Event()

    def read() -> None:
        lines = os.read(0, 4096).decode().splitlines()
        for line in lines:
            print(_obey(line, sink), flush=True)  # noqa: T201  # the parent reads it
        if not lines:
            over.set()

    asyncio.get_running_loop().add_reader(0, read)
    await over.wait()
    await server.stop()


if __name__ == "__main__":
    is_uvloop = sys.argv[1] == "uvloop"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if is_uvloop else None) as runner:
        runner.run(_serve())
