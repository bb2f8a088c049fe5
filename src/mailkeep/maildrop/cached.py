"""What the system has in memory, opened without waiting for a disk, by the event loop itself.

`openat2` with `RESOLVE_CACHED` (Linux 5.12) opens what it finds in memory and refuses the rest. It
is called with Python's lock held: a thread that opens, asks and reads lets go of that lock at each
call and has to win it back from the loop. A session of twenty RETRs made 570 calls of futex(2) for
that, and makes 28.

Only a file system that can promise not to wait when it reads (`RWF_NOWAIT`) is trusted not to wait
when it opens; a network's cannot. Elsewhere, and on other systems, the answer is always no.

It knows nothing of mail.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Callable

NOT_CACHED = -1
"""Instead of a descriptor: whoever wants it must ask in a thread."""

_HERE = -100
"""AT_FDCWD: paths begin where the process is (openat(2))."""

_OPENAT2 = 437
"""The number of the call, the same on all processors (openat2(2))."""

_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_CACHED = 0x20
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


_HOW = struct.Struct("=QQQ")
"""`struct open_how`: flags, mode, and how the path is followed."""


def open_how(flags: int, *, follows_links: bool = True) -> bytes:
    """Return what `open_cached` takes.

    Args:
        flags: as of open(2).
        follows_links: whether any part of the path may be a link, as far as the flags allow.
    """
    resolve = _RESOLVE_CACHED if follows_links else _RESOLVE_CACHED | _RESOLVE_NO_SYMLINKS
    return _HOW.pack(flags | os.O_CLOEXEC, 0, resolve)


def open_cached(path: bytes, how: bytes) -> int:
    """Open a file or folder that the system can find in memory. Never waits and never raises.

    Args:
        path: of it.
        how: what `open_how` returned.

    Returns:
        A descriptor, or `NOT_CACHED`, whatever the reason.
    """
    if _call is None:
        return NOT_CACHED
    return _call(_OPENAT2, _HERE, path, how, _HOW.size)


_Call = Callable[[int, int, bytes, bytes, int], int]


def _find_call() -> _Call | None:
    """Return syscall(2), which keeps Python's lock, where there is the one that is wanted."""
    if not (sys.platform == "linux" and _NOWAIT):
        return None
    call = ctypes.PyDLL(None).syscall
    call.restype = ctypes.c_long
    call.argtypes = [
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    return call


_call = _find_call()
_promising: dict[int, bool] = {}


def promises(device: int) -> bool:
    """Tell whether a file system is known to promise not to wait.

    Args:
        device: `st_dev` of its files.
    """
    return _promising.get(device, False)


def learn_promise(device: int, descriptor: int) -> None:
    """Find out whether a file system promises not to wait, if that is not known. May wait.

    Args:
        device: `st_dev` of its files.
        descriptor: of one of them.
    """
    if device in _promising:
        return
    try:
        os.preadv(descriptor, [bytearray(1)], 0, _NOWAIT)
    except BlockingIOError:  # it is not in memory, and was not waited for
        _promising[device] = True
    except OSError:
        _promising[device] = False
    else:
        _promising[device] = True
