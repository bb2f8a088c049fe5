"""How a process of the server runs: its event loop, its memory, its threads' turns."""

import asyncio
import ctypes
import os
import sys
from collections.abc import Coroutine

SWITCH_S = 0.000_5
"""How long a thread may keep Python's lock while others want it; Python's own 5 ms are a tenth of
what a session may notice, and the loop lets go of the lock at each piece of TLS."""

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
