"""What a program sees of a connection: octets in, octets out, and how long it may take.

`before_login` and `after_login` stand on this and not on `connection`, so neither of them can reach
TLS or a socket.
"""

from collections.abc import Callable
from typing import Protocol


class Disconnected(Exception):
    """The connection is over, or must be; the text says why, for the log."""


class Wire(Protocol):
    """One client's connection."""

    @property
    def has_arrived(self) -> bool:
        """Whether octets wait that `receive` would return at once."""

    async def receive(self) -> bytes:
        """Send what is unsent and return what arrives next, at least one octet.

        Raises:
            Disconnected: nothing more will come.
        """

    async def attend(self, hear: Callable[[bytes], bool]) -> None:
        """Send what is unsent and let `hear` take what arrives, until it says that it must stop.

        It is called where octets come off the wire, which spares a task's turn for each command:
        so it must not take long. What it writes is sent when it returns True; after False nothing
        is sent before somebody writes, waits or flushes. What it raises is raised here.

        Raises:
            Disconnected: nothing more will come.
        """

    def write(self, *octets: bytes) -> None:
        """Take octets to be sent; they leave with `receive`, `attend`, `flush`, or when enough have
        come. Those of one call leave together.
        """

    @property
    def is_behind(self) -> bool:
        """Whether the client is behind with reading, so that `drain` would wait for it."""

    def flush(self) -> None:
        """Send what is unsent now."""

    async def drain(self) -> None:
        """Let the other sessions have their turn, and wait while the client is behind with reading.

        Raises:
            Disconnected: it is gone.
        """

    def expect_within(self, seconds: float, what: str) -> None:
        """Set the one deadline: close the connection unless it is lifted or set anew in time.

        Args:
            seconds: from now; 0 for no deadline.
            what: what was waited for, for the log.
        """

    def lift_deadline(self) -> None:
        """Wait as long as it takes."""

    def check_open(self) -> None:
        """Do nothing, if another command may be begun.

        Raises:
            Disconnected: the connection ended while the program was busy, or the server stops.
        """
