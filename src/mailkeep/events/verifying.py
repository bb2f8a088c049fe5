"""Verifying the audit trail: which record is the first that is not as it was written.

Every line is read once, from the first to the last, and little is held. What is wrong shows as a
line that does not fit the one before it; which of the two was changed, the line after them tells.

Known limits: what stands behind the last checkpoint is chained and not signed, so `unsigned` of
the last events could have been written by anybody; and a trail that was cut off behind a
checkpoint, or forged with the stolen key, is told only by a witness: a copy of `checkpoints` that
lay elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mailkeep.events.checkpoints import (
    CHECKPOINT_EVENTS,
    PUBLIC_KEY_NAME,
    Checkpoint,
    checkpoint_in,
    is_checkpoint,
    is_signed_by,
    read_public_key,
)
from mailkeep.events.records import (
    NOTHING_BEFORE,
    Line,
    NoRecord,
    digest,
    parse_line,
    record_in,
)
from mailkeep.events.trail_files import file_of, lines_of, numbered_files

UNSIGNED_LIMIT = 2 * CHECKPOINT_EVENTS
"""A writer signs after CHECKPOINT_EVENTS and the rest of a group; twice that was never written."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A trail that is as it was written, as far as can be told.

    Attributes:
        events: how many.
        checkpoints: how many, all with good signatures.
        unsigned: events behind the last checkpoint.
    """

    events: int
    checkpoints: int
    unsigned: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record that is not as it was written.

    Attributes:
        seq: its number, or the number that should be there.
        file: its name in the trail's folder.
        line: in the file, from 1; 0 where there is no line.
        reason: what is wrong, in words.
    """

    seq: int
    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    line: int
    octets: bytes
    gap: str = ""
    """Why there is no line where one must be."""


class _Break(Exception):
    def __init__(self, seq: int, place: _Place, reason: str) -> None:
        super().__init__(reason)
        self.broken = Broken(seq, place.file, place.line, reason)


def verify_trail(
    folder: Path, public_key: Path | None = None, witness: Path | None = None
) -> Verified | Broken:
    """Verify a trail; a line that is being written at its end is left out.

    Args:
        folder: of the trail.
        public_key: the key that signed it; the one in the folder unless said. A copy from
            elsewhere is worth more.
        witness: a copy of the checkpoints, as old as may be.

    Raises:
        OSError: it cannot be read.
        ValueError: the public key or the witness is none.
    """
    key = read_public_key(public_key or folder / PUBLIC_KEY_NAME)
    walk = _Walk(key, _Witness(witness))
    try:
        return walk.verify(folder)
    except _Break as found:
        return found.broken


class _Witness:
    """Checkpoints that somebody kept elsewhere, compared as the trail goes by."""

    def __init__(self, path: Path | None) -> None:
        self._lines = (line.octets for line in lines_of(path) if line.is_whole) if path else None
        self._next = self._read()

    def _read(self) -> tuple[int, bytes] | None:
        octets = next(self._lines, None) if self._lines is not None else None
        if octets is None:
            return None
        try:
            return checkpoint_in(parse_line(octets)).seq, octets
        except NoRecord as cause:
            raise ValueError(f"the witness is damaged: {cause}") from cause

    def compare(self, seq: int, place: _Place) -> None:
        """Compare the trail's checkpoint with the witness's of the same number."""
        if self._next is None or self._next[0] > seq:
            return  # an older copy, or one that missed a checkpoint
        if self._next[1] != place.octets:
            raise _Break(self._next[0], place, "the witness has another checkpoint")
        self._next = self._read()

    def finish(self, seq: int, place: _Place) -> None:
        """Say what the witness has and the trail has not."""
        if self._next is not None:
            known = self._next[0]
            raise _Break(
                min(seq + 1, known), place, f"cut off: the witness knows of record {known}"
            )


class _Walk:
    def __init__(self, key: Ed25519PublicKey, witness: _Witness) -> None:
        self._key = key
        self._witness = witness
        self._before = _Place("", 0, b"")
        self._head = NOTHING_BEFORE
        self._seq = 0
        self._before_seq = 0
        """By which number the line before is named: a run of events by its first."""
        self._signed = Checkpoint(0, NOTHING_BEFORE, NOTHING_BEFORE)
        self._signed_link = NOTHING_BEFORE
        self._checkpoints = 0

    def verify(self, folder: Path) -> Verified:
        places = self._places(folder)
        place = next(places, None)
        while place is not None:
            after = next(places, None)
            self._take(place, after)
            self._before, self._head, place = place, digest(place.octets), after
        self._witness.finish(self._seq, self._before)
        return Verified(self._seq, self._checkpoints, self._seq - self._signed.seq)

    def _places(self, folder: Path) -> Iterator[_Place]:
        """Yield the trail's lines, and a gap where a file or a part of one is missing."""
        number = 1
        while (path := file_of(folder, number)).exists():
            for line, raw in enumerate(lines_of(path), 1):
                if raw.is_whole:
                    yield _Place(path.name, line, raw.octets)
                elif file_of(folder, number + 1).exists():
                    yield _Place(path.name, line, raw.octets, "the line has no end")
            number += 1
        if any(later > number for later, _ in numbered_files(folder)):
            yield _Place(path.name, 0, b"", "the file is missing")

    def _take(self, place: _Place, after: _Place | None) -> None:
        if place.gap:
            raise _Break(self._seq + 1, place, place.gap)
        line = self._parse(place)
        if is_checkpoint(line):
            self._take_checkpoint(place, line)
        else:
            self._take_event(place, line, after)

    def _parse(self, place: _Place) -> Line:
        try:
            line = parse_line(place.octets)
            if is_checkpoint(line):
                checkpoint_in(line)
            else:
                record_in(line)
        except NoRecord as cause:
            raise _Break(self._seq + 1, place, str(cause)) from cause
        return line

    def _take_event(self, place: _Place, line: Line, after: _Place | None) -> None:
        record = record_in(line)
        seq = record.seq
        expected = self._seq + 1
        if seq > expected:
            raise _Break(expected, place, f"missing: record {seq} stands in its place")
        if seq < expected:
            raise _Break(seq, place, f"it stands in the place of record {expected}")
        if line.get("prev") != self._head:
            raise self._misfit(place, after)
        last = seq + record.count - 1
        if last - self._signed.seq > UNSIGNED_LIMIT:
            raise _Break(self._signed.seq + 1, place, "no checkpoint follows where one must")
        self._before_seq, self._seq = seq, last

    def _misfit(self, place: _Place, after: _Place | None) -> _Break:
        """Tell which of two lines that do not fit was changed: the one after tells."""
        if after is not None and not after.gap and _link(after) != digest(place.octets):
            return _Break(self._seq + 1, place, "changed: it fits neither neighbour")
        return self._changed_before("changed: the record after it says so")

    def _changed_before(self, reason: str) -> _Break:
        return _Break(max(self._before_seq, 1), self._before, reason)

    def _take_checkpoint(self, place: _Place, line: Line) -> None:
        checkpoint = checkpoint_in(line)
        if not is_signed_by(self._key, line):
            raise _Break(self._seq, place, "the checkpoint's signature is wrong")
        if checkpoint.seq > self._seq:
            raise _Break(self._seq + 1, place, f"missing: record {checkpoint.seq} was signed here")
        if checkpoint.seq < self._seq:
            raise _Break(checkpoint.seq + 1, place, "it stands before an older checkpoint")
        if checkpoint.previous != self._signed_link:
            raise _Break(self._seq, place, "the checkpoint before it is missing or another")
        if checkpoint.head != self._head:
            first = self._signed.seq + 1
            raise self._changed_before(
                f"changed: it, or all from a record after {first - 1} on, is not what was signed"
            )
        self._witness.compare(checkpoint.seq, place)
        self._signed, self._signed_link = checkpoint, digest(place.octets)
        self._before_seq = checkpoint.seq
        self._checkpoints += 1


def _link(place: _Place) -> str | None:
    """Return what a line says that the line before it is."""
    try:
        line = parse_line(place.octets)
    except NoRecord:
        return None
    return str(line.get("head" if is_checkpoint(line) else "prev"))
