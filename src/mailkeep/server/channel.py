"""What a connection sends and receives through: nothing at all, or TLS.

`PlainChannel` is the one, `tls.TlsChannel` the other; a connection does not care which it has.
"""

from typing import Protocol


class Channel(Protocol):
    """What stands between the wire and the protocol: nothing, or TLS."""

    @property
    def established(self) -> bool:
        """Whether octets of the protocol may pass."""

    @property
    def peer_closed(self) -> bool:
        """Whether the client said that it sends no more."""

    def receive(self, octets: bytes) -> bytes:
        """Turn what came over the wire into what the protocol reads."""

    def output(self) -> bytes:
        """Return what must go over the wire now."""

    def send(self, plaintext: bytes) -> bytes:
        """Turn what the protocol says into what goes over the wire."""

    def send_records(self, plaintext: bytes) -> list[bytes]:
        """Do the same with much, without putting together what goes over the wire."""

    def close(self) -> bytes:
        """Return the last octets for the wire."""

    def settled(self) -> "Channel":
        """Return what does the same from now on with less around it; ask once it is established."""


class PlainChannel:
    """Clear text: what comes is what is read."""

    established = True
    peer_closed = False

    def receive(self, octets: bytes) -> bytes:
        """Return the same octets."""
        return octets

    def output(self) -> bytes:
        """Return nothing."""
        return b""

    def send(self, plaintext: bytes) -> bytes:
        """Return the same octets."""
        return plaintext

    def send_records(self, plaintext: bytes) -> list[bytes]:
        """Return the same octets."""
        return [plaintext]

    def close(self) -> bytes:
        """Return nothing."""
        return b""

    def settled(self) -> Channel:
        """Return itself."""
        return self


PLAIN = PlainChannel()
