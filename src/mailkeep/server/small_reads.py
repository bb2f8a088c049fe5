"""How octets get off a socket: little at a time, and through one buffer for all connections.

The loops' own reads are made for uploads: up to 256 KiB at once, which would be kept for everybody
who floods. POP3 clients send short lines. It must not know what is done with the octets.

Known limit: one loop a process, because the buffer is filled and emptied in one turn of it.
"""

import asyncio

ARRIVAL_OCTETS = 8192
"""The most that is read at once: a ClientHello of any real client, or 600 commands."""

_arriving = memoryview(bytearray(ARRIVAL_OCTETS))
"""Where every connection's octets arrive; what was handed over is copied before the next read."""


class SmallReads(asyncio.BufferedProtocol):
    """A protocol that is handed a few KiB at a time."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next octets may be put."""
        del sizehint
        return _arriving

    def buffer_updated(self, nbytes: int) -> None:
        """Take octets out of the buffer."""
        self.data_received(bytes(_arriving[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take octets off the wire."""
        raise NotImplementedError
