"""Standard streams that cannot be written any more: a full disk, a pipe without a reader.

What Python still holds for such a stream is tried again when the process ends, and when that fails
the exit code becomes 120. Here it goes nowhere, so that the exit code is that of the fetch.
"""

import contextlib
import os
from typing import TextIO


def drop_if_lost(stream: TextIO) -> None:
    """Give a stream up if what it holds cannot be written. Never raises."""
    try:
        stream.flush()
    except OSError:
        drop(stream)


def drop(stream: TextIO) -> None:
    """Let everything that is written to a stream from now on go nowhere. Never raises."""
    with contextlib.suppress(OSError):  # it has no descriptor: then there is nothing to mend
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
