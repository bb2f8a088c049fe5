"""A process that writes events until it is killed before its n-th step on the disk.

Run by the kill tests: `killed_trail.py FOLDER DATABASE STEP`. It prints the number of the last
event that the trail says is durable, again and again; with step 0 it goes on until it is killed.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from mailkeep.events import Event, trail_database
from mailkeep.events.run_types import MessagesRead, ReadPart
from mailkeep.events.trail import open_trail

EVENTS = 20_000
STEPS = ("open", "write", "fsync", "ftruncate", "close")


class Nobody:
    def emit(self, event: Event) -> None:
        del event

    def has_room(self) -> bool:
        return True

    async def ready(self) -> None:
        return


def kill_before(step: int) -> None:
    """Make the process end by SIGKILL when the trail's thread comes to that step."""
    steps = count(1)

    def killing(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if threading.current_thread().name == "trail" and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, killing(getattr(os, name)))
    trail_database.add_records = killing(trail_database.add_records)  # type: ignore[assignment]  # the same call


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


async def write(folder: Path, database: Path) -> None:
    opened = open_trail(folder, database, Nobody(), group_s=0)
    for n in range(EVENTS):
        await opened.ready()
        part = ReadPart(str(n), n, "RETR", complete=True)
        opened.emit(MessagesRead(session="s", account="a@b", peer="p", each=[part]))
        if n % 50 == 0:
            say(opened.confirmed)
        if n % 400 == 0:  # telling is so quick that a kill would come before the first group
            await opened.settled()
    opened.close()
    say(opened.confirmed)


def main() -> None:
    step = int(sys.argv[3])
    if step:
        kill_before(step)
    asyncio.run(write(Path(sys.argv[1]), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
