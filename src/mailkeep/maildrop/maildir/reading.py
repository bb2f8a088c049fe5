"""Reading one message of a Maildir, piece by piece, and only if it is what was announced.

A client takes the announced size at its word, so the last octets are not handed out before the
file is known to end there; a message of up to one piece is found out before anything is promised.
A message whose digest is not known is hashed on its way, once in its life: 1 ms of a thread a MB.
For TOP that means that the rest of it is read then too, before its top is answered.
Two parts: what happens in a worker thread (`MessageFile`), and the session's side of it
(`FileBody`), which has at most one hop to a thread under way. Neither knows where the file is.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import NoReturn

from mailkeep.maildrop.seam import MessageUnreadable
from mailkeep.message import TopCut, WireForm

PIECE_OCTETS = 1 << 17
"""Read at once. A hop to a thread costs 50 to 100 us, reading and converting this much about as
long; on the wire it is at most twice as long, and no more of a message is in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a message before it is read, and who learns what turns out."""

    announced: int
    """The octets of the whole wire form."""
    sha256: str | None
    """Of the whole wire form, in hexadecimal digits."""
    on_wrong_size: Callable[[], None]
    """Called when the file is not as long on the wire as was announced."""
    on_digest: Callable[[str], None]
    """Called with the digest when it was not known."""


class MessageFile:
    """An open file on its way to the wire. Blocks: for worker threads, one at a time.

    Args:
        descriptor: of the file; closed at the end, at an error and by `close`.
        known: of the message.
        body_lines: what TOP asks for; `None` for the whole message.
    """

    def __init__(self, descriptor: int, known: Known, *, body_lines: int | None) -> None:
        self._descriptor = descriptor
        self._known = known
        self._cut = None if body_lines is None else TopCut(body_lines)
        self._form = WireForm()
        self._hash = None if known.sha256 else hashlib.sha256()
        self._sent = 0
        self.sha256 = known.sha256
        """As far as it is known."""
        self.ended = False
        """Whether there are no more octets."""

    def read_piece(self) -> bytes:
        """Return the next octets of the wire form; `ended` tells whether they were the last.

        Raises:
            MessageUnreadable: reading failed, or the size is not what was announced.
        """
        pieces = []
        try:
            while not self.ended:
                chunk = os.read(self._descriptor, PIECE_OCTETS)
                pieces.append(self._wire_form(chunk))
                if len(chunk) == PIECE_OCTETS and not self._must_end_here():
                    break
        except OSError as cause:
            self.close()
            raise MessageUnreadable(f"reading failed: {cause}") from cause
        if self.ended:
            self._finish_digest()
            self.close()
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self.ended = True
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _wire_form(self, chunk: bytes) -> bytes:
        wire = self._hashed(self._form.feed(chunk) if chunk else self._form.finish())
        self.ended = not chunk
        if self._cut is not None:  # a part has no size that could be wrong
            wire = self._cut.feed(wire)
            if self._cut.done and not self.ended:
                self.ended = True
                self._hash_the_rest()
            return wire
        self._sent += len(wire)
        announced = self._known.announced
        if self._sent > announced or (self.ended and self._sent < announced):
            self._refuse()
        return wire

    def _must_end_here(self) -> bool:
        """Tell whether all that was announced has come, so that the file must have ended too."""
        return self._cut is None and self._sent >= self._known.announced

    def _hashed(self, wire: bytes) -> bytes:
        if self._hash is not None:
            self._hash.update(wire)
        return wire

    def _hash_the_rest(self) -> None:
        """Read on behind what TOP sends, for the digest alone."""
        try:
            while self._hash is not None:
                chunk = os.read(self._descriptor, PIECE_OCTETS)
                self._hashed(self._form.feed(chunk) if chunk else self._form.finish())
                if not chunk:
                    return
        except OSError:  # what TOP sends has been read: it is not refused for the rest
            self._hash = None

    def _finish_digest(self) -> None:
        if self._hash is not None:
            self.sha256 = self._hash.hexdigest()
            self._known.on_digest(self.sha256)

    def _refuse(self) -> NoReturn:
        self.close()
        self._known.on_wrong_size()
        raise MessageUnreadable(f"the message is not the {self._known.announced} octets announced")


class FileBody:
    """A message on its way out (see `Body`).

    Args:
        file: whose first piece has been read.
        first: that piece.
        hops: where reading happens.
    """

    def __init__(self, file: MessageFile, first: bytes, hops: Executor) -> None:
        self._file = file
        self._first = first
        self._hops = hops
        self._hop: Future[bytes] | None = None
        self._closed = False

    @property
    def sha256(self) -> str | None:
        """The digest of the whole message, as far as it is known (see `Body.sha256`)."""
        return self._file.sha256

    async def next_piece(self) -> bytes:
        """Return the next octets, `b""` at the end (see `Body.next_piece`)."""
        if self._closed or self._hop is not None:
            raise MessageUnreadable("the body was closed, or a piece of it was given up")
        if self._first or self._file.ended:
            first, self._first = self._first, b""
            return first
        self._hop = self._hops.submit(self._file.read_piece)
        piece = await asyncio.wrap_future(self._hop)
        self._hop = None
        return piece

    def close(self) -> None:
        """Let go of the file, when the hop under way ends. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._first = b""
        if self._hop is None:
            self._file.close()
        else:
            self._hop.add_done_callback(lambda _: self._file.close())
