"""How a process of the server runs: its event loop, its memory, its threads' turns."""

import asyncio
import ctypes
import gc
import os
import sys
from collections.abc import Coroutine

SWITCH_S = 0.000_5
"""How long a thread may keep Python's lock while others want it; Python's own 5 ms are a tenth of
what a session may notice, and the loop lets go of the lock at each piece of TLS."""

NEW_OBJECTS = 10_000
"""So many more objects are made than let go before Python looks for cycles among them; its own 700
are made by one session. A megabyte or two waits that long at most, and hardly any of it is in
cycles."""

MAPPED_FROM_OCTETS = 4 << 20
KEPT_OCTETS = 2 * MAPPED_FROM_OCTETS
"""What malloc asks the kernel for alone, and what it keeps for the next: more than any piece of
mail on its way, less than the memory of a password hash."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""Parameters of mallopt(3), from glibc's malloc.h."""


def run_process(main: Coroutine[object, object, None]) -> None:
    """Run a server's coroutine in this process, tuned for it."""
    tune_malloc()
    sys.setswitchinterval(SWITCH_S)
    tune_collector()
    run_loop(main)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_loop(main: Coroutine[object, object, None]) -> None:
    """Run a coroutine in the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def tune_collector() -> None:
    """Let the garbage collector look at what sessions make, and never again at the program itself.

    Everything that was imported would else be looked through again and again: 6 to 13 % of the
    time of a session.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def tune_malloc() -> None:
    """Make glibc's malloc fit a server with a few threads; elsewhere nothing happens (mallopt(3)).

    One arena: each thread would otherwise keep what it once needed to open a big maildrop (12 MB a
    session of 100,000 messages instead of 9). And fixed thresholds: with those that glibc begins
    with, encrypting a megabyte costs three times as much, because its memory goes back to the
    kernel each time; with those that it learns, the 19 MiB of a password hash never do.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_OCTETS)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_OCTETS)
