"""Dot transparency: how a body with any octets in it fits before a lone dot (RFC 1939 section 3).

A filter that carries its state from piece to piece: a dot is doubled at the start of every line,
wherever the pieces were cut. It takes the wire form, in which every LF has a CR before it, so
"after LF" and "after CRLF" are the same place.
"""

from collections.abc import Sequence

from mailkeep.pop3.replies import TERMINATOR

_OCTETS_A_DOT = 2048
"""A piece with fewer dots than one in so many octets, as of an attachment, is cut where a line
begins with one: to look for single octets and to put together takes a sixth of what `replace` takes
to look for pairs (0.2 and 1.3 ms a MB). One dot more costs as much as 400 octets of `replace`."""

_LF = 10


def stuff(body: bytes, dots: Sequence[int] | None = None) -> bytes:
    """Return a whole body as it is sent; the terminator comes behind it.

    Args:
        body: in wire form.
        dots: where lines begin with a dot, in octets, if that is known. None may be missing; one
            that is somewhere else is not believed.

    Raises:
        ValueError: see `DotStuffer.finish`.
    """
    if dots is not None and body[-2:] == b"\r\n":
        stuffed = _stuffed_at(body, dots) if dots else body
        if stuffed is not None:
            return stuffed
    stuffer = DotStuffer()
    stuffed = stuffer.feed(body)
    stuffer.finish()
    return stuffed


class DotStuffer:
    """Stuffs one body.

    Args:
        is_dot_free: it is known that no line of the body begins with a dot.
    """

    __slots__ = ("_is_dot_free", "_tail")

    def __init__(self, *, is_dot_free: bool = False) -> None:
        self._is_dot_free = is_dot_free
        self._tail = b"\r\n"  # the last two octets; the body starts like every other line

    def feed(self, piece: bytes) -> bytes:
        """Return the next octets of the wire form as they are sent."""
        if not piece:
            return piece
        tail = self._tail
        self._tail = piece[-2:] if len(piece) > 1 else tail[-1:] + piece
        if self._is_dot_free or b"." not in piece:  # a hundredth of the time of the search below
            return piece
        first_is_stuffed = tail.endswith(b"\n") and piece.startswith(b".")
        piece = _stuffed(piece)
        return b"." + piece if first_is_stuffed else piece

    def finish(self) -> bytes:
        """Return the terminator.

        Raises:
            ValueError: the body did not end with CRLF; a client that ends at CRLF "." CRLF alone
                would wait for ever.
        """
        if self._tail != b"\r\n":
            raise ValueError("a body in wire form ends with CRLF")
        return TERMINATOR


def _stuffed_at(body: bytes, dots: Sequence[int]) -> bytes | None:
    """Return a body with these dots doubled; None if no line begins with one of them."""
    parts: list[bytes] = []
    start = 0
    for dot in dots:
        if body[dot - 1 : dot + 1] != b"\n." and (dot or body[:1] != b"."):
            return None
        parts.append(body[start:dot])
        start = dot
    parts.append(body[start:])
    return b".".join(parts)


def _stuffed(piece: bytes) -> bytes:
    """Return a piece with each dot doubled that stands behind a line's end in it."""
    lines: list[bytes] = []
    start, dot = 0, piece.find(b".")
    for _ in range(1 + len(piece) // _OCTETS_A_DOT):
        if dot < 0:
            lines.append(piece[start:])
            return b".".join(lines)
        if dot and piece[dot - 1] == _LF:
            lines.append(piece[start:dot])
            start = dot
        dot = piece.find(b".", dot + 1)
    return piece.replace(b"\n.", b"\n..")
