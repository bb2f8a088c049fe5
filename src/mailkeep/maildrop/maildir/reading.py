"""Reading one message of a Maildir, piece by piece, and only if it is what was announced.

A client takes the announced size at its word, so the last octets are not handed out before the
file is known to end there; a message of up to one piece is found out before anything is promised.
A message whose digest is not known is hashed on its way, once in its life: 1 ms of a thread a MB.
For TOP that means that the rest of it is read then too, before its top is answered.

Three parts: an open file (`MessageFile`), the session's side of it (`FileBody`), which has at most
one hop to a thread under way, and a message that was read to its end (`WholeBody`). The event loop
itself reads what is in the page cache, where the system promises not to wait (`RWF_NOWAIT`), and
nothing else. None of them knows where the file is.
"""

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import local
from typing import NamedTuple

from mailkeep.maildrop.hops import outcome
from mailkeep.maildrop.maildir.digests import AS_SENT, Digest, Found
from mailkeep.maildrop.maildir.stamps import stamp_of
from mailkeep.maildrop.seam import MessageUnreadable, WholeMessage
from mailkeep.message import TopCut, WireDigest, WireForm, digest_of, wire_form

PIECE_OCTETS = 1 << 17
"""Read at once. It stays in the processor's cache on its way (measured: 64 KiB to 1 MiB are alike);
on the wire it is at most twice as long, and no more of a message is in memory."""

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)  # Linux; elsewhere every piece is a hop


class _Arriving(local):
    """Where a loop reads to; what it read is copied at once. Each thread has one, so each loop."""

    def __init__(self) -> None:
        self.octets = memoryview(bytearray(PIECE_OCTETS))


_arriving = _Arriving()


class Known(NamedTuple):
    """What is known of a message before it is read, and who learns what turns out."""

    announced: int
    """The octets of the whole wire form."""
    stored_octets: int
    """Of its file as it was when it was opened."""
    digest: Digest | None
    """What was found out when it was read before."""
    on_wrong_size: Callable[[], None]
    """Called when the file is not as long on the wire as was announced."""
    on_found: Callable[[Found], None]
    """Called with what was not known."""


class MessageFile:
    """An open file on its way to the wire. Used by one thread at a time.

    Args:
        descriptor: of the file; closed at the end, at an error and by `close`.
        known: of the message.
        body_lines: what TOP asks for; `None` for the whole message.
    """

    __slots__ = (
        "_cut",
        "_descriptor",
        "_finding_out",
        "_form",
        "_gathered_octets",
        "_is_wrong",
        "_known",
        "_offset",
        "_pieces",
        "_sent",
        "ended",
        "is_dot_free",
        "sha256",
    )

    def __init__(self, descriptor: int, known: Known, *, body_lines: int | None) -> None:
        self._descriptor = descriptor
        self._offset = 0
        self._known = known
        self._cut = None if body_lines is None else TopCut(body_lines)
        digest = known.digest
        self._finding_out = None if digest else WireDigest()
        self._form: WireForm | WireDigest | None = self._finding_out or WireForm()
        self._pieces: list[bytes] = []
        self._gathered_octets = 0
        self._is_wrong = False
        self._sent = 0
        self.sha256 = digest.sha256.hex() if digest else None
        """As far as it is known."""
        self.is_dot_free = digest is not None and digest.is_dot_free
        """Whether it is known that no line begins with a dot."""
        self.ended = False
        """Whether there are no more octets."""
        if digest and digest.marks & AS_SENT:
            self._form = None

    @property
    def may_be_cached(self) -> bool:
        """Whether it is worth to try `read_cached_piece`; hashing is work for a thread."""
        return bool(_NOWAIT) and self._finding_out is None and self._cut is None

    def read_piece(self) -> bytes:
        """Return the next octets of the wire form; `ended` tells whether they were the last.

        Blocks: for worker threads.

        Raises:
            MessageUnreadable: reading failed, or the size is not what was announced.
        """
        try:
            while not (self.ended or self._is_wrong or self._is_piece()):
                self._take(os.pread(self._descriptor, self._next_octets(), self._offset))
        except OSError as cause:
            self.close()
            raise MessageUnreadable(f"reading failed: {cause}") from cause
        if self._is_wrong:
            self.close()
            self._known.on_wrong_size()
            raise MessageUnreadable(
                f"the message is not the {self._known.announced} octets announced"
            )
        return self._gathered()

    def read_cached_piece(self) -> bytes | None:
        """Return what `read_piece` would, or `None` if that may have to wait for a disk.

        Never blocks and never raises. What it has read by then is not lost.
        """
        arriving = _arriving.octets
        try:
            while not (self.ended or self._is_wrong or self._is_piece()):
                count = os.preadv(self._descriptor, [arriving], self._offset, _NOWAIT)
                self._take(bytes(arriving[:count]))
        except OSError:  # it is not in the cache, or what is wrong is found by the hop
            return None
        return None if self._is_wrong else self._gathered()

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self.ended = True
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _next_octets(self) -> int:
        """Return how much to ask for: no more than there is, and one octet to see a file grow."""
        return min(PIECE_OCTETS, max(self._known.stored_octets - self._offset, 0) + 1)

    def _take(self, chunk: bytes) -> None:
        """Take the next octets of the file, none at its end."""
        self._offset += len(chunk)
        self._gathered_octets += len(chunk)
        self._pieces.append(self._wire_form(chunk))

    def _is_piece(self) -> bool:
        """Tell whether enough was read to hand it out.

        Where all that was announced has come, the file must have ended too.
        """
        return self._gathered_octets >= PIECE_OCTETS and (
            self._cut is not None or self._sent < self._known.announced
        )

    def _gathered(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        self._gathered_octets = 0
        if self.ended:
            self._learn()
            self.close()
        return b"".join(pieces)

    def _wire_form(self, chunk: bytes) -> bytes:
        wire = self._formed(chunk)
        self.ended = not chunk
        if self._cut is not None:  # a part has no size that could be wrong
            wire = self._cut.feed(wire)
            if self._cut.done and not self.ended:
                self.ended = True
                self._find_out_the_rest()
            return wire
        self._sent += len(wire)
        announced = self._known.announced
        self._is_wrong = self._sent > announced or (self.ended and self._sent < announced)
        return wire

    def _formed(self, chunk: bytes) -> bytes:
        if self._form is None:
            return chunk
        return self._form.feed(chunk) if chunk else self._form.finish()

    def _find_out_the_rest(self) -> None:
        """Read on behind what TOP sends, for the digest alone."""
        try:
            while self._finding_out is not None:
                chunk = os.pread(self._descriptor, PIECE_OCTETS, self._offset)
                self._offset += len(chunk)
                self._formed(chunk)
                if not chunk:
                    return
        except OSError:  # what TOP sends has been read: it is not refused for the rest
            self._finding_out = None

    def _learn(self) -> None:
        found = self._finding_out
        if found is not None:
            self.sha256 = found.sha256
            self.is_dot_free = found.dots == []
            self._known.on_found(Found(bytes.fromhex(self.sha256), found.is_as_fed, found.dots))


def start_reading(
    descriptor: int, known: Known, *, body_lines: int | None
) -> "WholeMessage | Started":
    """Read a message, or its top, to its end if that is in the first piece, else that piece.

    Blocks: for worker threads.

    Args:
        descriptor: of the message's file; closed when it has been read.
        known: of the message.
        body_lines: what TOP asks for; `None` for the whole message.

    Raises:
        MessageUnreadable: reading failed, or the size is not what was announced.
    """
    if body_lines is None and known.stored_octets < PIECE_OCTETS:
        whole = _read_short(descriptor, known)
        if whole is not None:
            return whole
    file = MessageFile(descriptor, known, body_lines=body_lines)
    piece = file.read_piece()
    if not file.ended:
        return file, piece
    return WholeMessage(piece, file.sha256, () if file.is_dot_free else None)


def _read_short(descriptor: int, known: Known) -> WholeMessage | None:
    """Read a short message in one step; `None` if it is not what it is known to be.

    Less than was asked for is the end of a file, and what is wrong is found by who reads on.
    """
    try:
        stored = os.pread(descriptor, known.stored_octets + 1, 0)
    except OSError:
        return None
    if len(stored) != known.stored_octets:
        return None
    if known.digest is None:
        whole = find_out(stored, known.announced, known.on_found)
    else:
        whole = whole_message(stored, known.announced, known.digest)
    if whole is not None:
        os.close(descriptor)
    return whole


def find_out(
    stored: bytes, announced: int, on_found: Callable[[Found], None]
) -> WholeMessage | None:
    """Return a message that was read for the first time, if it is as long as was announced.

    Args:
        stored: the octets of its whole file.
        announced: the octets of the whole wire form.
        on_found: see `Known`.
    """
    wire = wire_form(stored)
    if len(wire) != announced:
        return None
    sha256, dots = digest_of(wire)
    on_found(Found(sha256, len(wire) == len(stored), dots))  # the wire form only ever grows
    return WholeMessage(wire, sha256.hex(), dots)


def whole_message(stored: bytes, announced: int, digest: Digest) -> WholeMessage | None:
    """Return a message whose file was read to its end, if it is as long as was announced."""
    wire = stored if digest.marks & AS_SENT else wire_form(stored)
    if len(wire) != announced:
        return None
    return WholeMessage(wire, digest.sha256.hex(), digest.places_of_dots)


class Opened(NamedTuple):
    """What the event loop has opened without waiting, and of what it should be the file."""

    descriptor: int
    """Of whatever has the message's name."""
    device: int
    """`st_dev` of the message's file."""
    announced: int
    """The octets of the whole wire form."""
    digest: Digest
    """What was found out when the message was read before."""

    def status(self) -> os.stat_result | None:
        """Return what there is to know of the file, if it is the very one that was read before.

        Raises:
            OSError: it cannot be asked.
        """
        status = os.fstat(self.descriptor)
        is_it = status.st_dev == self.device and stamp_of(status) == self.digest.stamp
        return status if is_it else None


def read_at_once(opened: Opened) -> WholeMessage | None:
    """Read a short message that is as it was and in the page cache; `None` if it is any different.

    Never waits and never raises. The descriptor is closed.
    """
    arriving = _arriving.octets
    try:
        status = opened.status()
        if status is None:
            return None
        count = os.preadv(opened.descriptor, [arriving], 0, _NOWAIT)
    except OSError:
        return None
    finally:
        os.close(opened.descriptor)
    if count != status.st_size:
        return None
    return whole_message(bytes(arriving[:count]), opened.announced, opened.digest)


def begin_at_once(opened: Opened, on_wrong_size: Callable[[], None]) -> "Started | None":
    """Read the first piece of a long message as `read_at_once` reads a short one.

    Args:
        opened: its descriptor is closed unless it is returned.
        on_wrong_size: see `Known`.
    """
    try:
        status = opened.status()
    except OSError:
        status = None
    if status is None:
        os.close(opened.descriptor)
        return None
    known = Known(opened.announced, status.st_size, opened.digest, on_wrong_size, _knows_already)
    file = MessageFile(opened.descriptor, known, body_lines=None)
    piece = file.read_cached_piece()
    if not piece or file.ended:
        file.close()
        return None
    return file, piece


def _knows_already(_found: Found) -> None:
    """Learn nothing."""


class WholeBody:
    """A message, or the top of one, that was read to its end (see `Body`)."""

    __slots__ = ("_piece", "is_dot_free", "sha256")

    def __init__(self, read: WholeMessage) -> None:
        self._piece = read.octets
        self.sha256 = read.sha256
        self.is_dot_free = read.is_dot_free

    async def next_piece(self) -> bytes:
        """Return all of it, then `b""` (see `Body.next_piece`)."""
        piece, self._piece = self._piece, b""
        return piece

    def close(self) -> None:
        """Let go of it."""
        self._piece = b""


Started = tuple[MessageFile, bytes]
"""A message's file, and the first piece of it."""


class FileBody:
    """A message on its way out (see `Body`).

    Args:
        file: whose first piece has been read, and has not ended.
        first: that piece.
        hops: where reading happens that may have to wait.
    """

    __slots__ = ("_closed", "_file", "_first", "_hop", "_hops")

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

    @property
    def is_dot_free(self) -> bool:
        """Whether no line begins with a dot, as far as it is known (see `Body.is_dot_free`)."""
        return self._file.is_dot_free

    async def next_piece(self) -> bytes:
        """Return the next octets, `b""` at the end (see `Body.next_piece`)."""
        if self._closed or self._hop is not None:
            raise MessageUnreadable("the body was closed, or a piece of it was given up")
        if self._first or self._file.ended:
            first, self._first = self._first, b""
            return first
        if self._file.may_be_cached:
            cached = self._file.read_cached_piece()
            if cached is not None:
                return cached
        self._hop = self._hops.submit(self._file.read_piece)
        piece = await outcome(self._hop)
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
