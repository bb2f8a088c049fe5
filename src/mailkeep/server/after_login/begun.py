"""A coroutine that is begun where octets arrive, and finished in a task only if it has to wait.

Most answers need nothing that is not at hand, and a task's turn costs as much as such an answer. It
must not know what the coroutine does.

Known limit: until its first wait the coroutine runs in no task, so it may wait for futures but not
ask which task it is in; `asyncio.timeout` does.
"""

import contextlib
from asyncio import CancelledError
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any


def begin(coroutine: Coroutine[Any, None, None]) -> "Begun | None":
    """Run a coroutine until its first wait.

    Returns:
        What is left of it, for a task; None if it has ended.

    Raises:
        Exception: what the coroutine raises.
    """
    try:
        return Begun(coroutine, coroutine.send(None))
    except StopIteration:
        return None


class Begun(Generator[Any, None, None]):
    """A coroutine on its way: to be awaited in a task, once."""

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, None, None], waits_for: object) -> None:
        self._coroutine = coroutine
        self._waits_for = [waits_for]
        """What it has handed out, until a task takes it over."""

    def __await__(self) -> "Begun":
        return self

    def __next__(self) -> Any:
        """Hand on what the coroutine waits for."""
        return self._waits_for.pop() if self._waits_for else self._coroutine.send(None)

    def send(self, value: None, /) -> Any:
        """Do the same; nothing is ever sent in."""
        del value
        return self.__next__()

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
        /,
    ) -> Any:
        """Hand on what went wrong."""
        self._waits_for.clear()
        return self._coroutine.throw(kind, value, traceback)  # type: ignore[arg-type]

    def give_up(self) -> None:
        """Cancel it, if no task has come to it."""
        if self._waits_for:
            with contextlib.suppress(CancelledError, StopIteration):
                self.throw(CancelledError())
