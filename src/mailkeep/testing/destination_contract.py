"""What every destination that is exactly once must keep, as tests.

The seam is `mailkeep.fetch.destinations.seam`. To run them against a destination, subclass
`DestinationContract` in a test module and give it a fixture `place` that returns a `Place`: how a
run opens the destination, and the eyes of another program that reads it. pytest runs it.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import pytest

from mailkeep.fetch.destinations.seam import (
    Destination,
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.names import MessageKey, token_of
from mailkeep.fetch.received import receive_whole

LISTED_AT = 1_700_000_000

HAZARDS = (
    b"",
    b"\n",
    b"\r",
    b"\r\n",
    b"Subject: plain\r\n\r\nbody\r\n",
    b"Subject: no final newline\r\n\r\nbody",
    b"Subject: ends with CR\r\n\r\nbody\r",
    b"Subject: bare LF\n\nbody\n.\n..\n\n\n",
    b"From the first line on\r\nFrom \r\n>From x\r\n>>From y\r\n>\r\n>Fro\r\n From z\r\n\r\nFrom",
    b"Subject: NUL and 8-bit\r\n\r\n\0\xff\xc3\r\n\0",
    b"\r\nFrom nobody Mon Jan  1 00:00:00 2024\r\n\r\n",
    b"\n\nFrom nobody Mon Jan  1 00:00:00 2024\n\nSubject: inside\n\n",
    b">" * 3000 + b"From \r\n",
    b"Subject: big\r\n\r\n" + b"x" * 300_000 + b"\r\nFrom " + b"y\r\n" * 100_000,
)


class Reader(Protocol):
    """Another program that knows the format, written without a line of the destination's."""

    def messages(self) -> list[bytes]:
        """Return the messages in the order in which a reader sees them."""

    def litter(self) -> list[str]:
        """Return the names of files that are no messages and should not be there between runs."""

    def vanish(self) -> None:
        """Take the place away, as an unmounted disk does."""

    def is_there(self) -> bool:
        """Tell whether the place is there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A destination, and another program's view of it.

    Attributes:
        open: opens it as a new run does; it is not prepared yet.
    """

    open: Callable[[], Destination]
    reader: Reader

    def prepared(self) -> Destination:
        """Open it for the first run."""
        destination = self.open()
        destination.prepare(is_known=False)
        return destination

    def restarted(self, mark: int | None) -> Destination:
        """Open it as a later run does.

        Args:
            mark: the last one that was journalled.
        """
        destination = self.open()
        destination.prepare(is_known=True)
        assert destination.recover(mark) == []
        return destination


def slot_of(number: int) -> Slot:
    """Return the slot of the test's message of this number, from 1."""
    token = token_of("alice@mail.example.com", MessageKey(b"uidl%d" % number))
    return Slot(token, LISTED_AT + number // 10, number)


def write(destination: Destination, number: int, pieces: Iterable[bytes]) -> Writer:
    """Begin a message and write it whole."""
    writer = destination.open(slot_of(number))
    for piece in pieces:
        writer.write(piece)
    return writer


def store(destination: Destination, messages: Iterable[bytes], *, first: int = 1) -> int | None:
    """Store messages as one batch and return the mark after it."""
    writers = [write(destination, first + i, [octets]) for i, octets in enumerate(messages)]
    destination.begin_batch()
    outcomes = destination.commit(writers)
    mark = destination.end_batch()
    assert len(outcomes) == len(writers)
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    return mark


def as_found(found: Found, octets: bytes) -> Found:
    """Return what must have been found of a message, wherever it was."""
    received = receive_whole(octets)
    return Found(found.where, received.octets, received.sha256, received.header_sha256)


class DestinationContract:
    """The contract. Subclass it and give it a fixture `place`."""

    def test_octets_are_stored_as_they_came(self, place: Place) -> None:
        """Nothing is decoded, added or taken away, whatever is in a message."""
        destination = place.prepared()
        store(destination, HAZARDS)
        assert place.reader.messages() == list(HAZARDS)
        destination.close()

    def test_what_was_stored_is_found_again_with_its_hashes(self, place: Place) -> None:
        """S-03: a restart adopts what is there by its token, and does not fetch it again."""
        mark = store(place.prepared(), HAZARDS)
        tokens = {slot_of(number).token: number for number in range(1, len(HAZARDS) + 3)}
        found = place.restarted(mark).find(list(tokens))
        assert {tokens[token] for token in found} == set(range(1, len(HAZARDS) + 1))
        for token, message in found.items():
            assert message == as_found(message, HAZARDS[tokens[token] - 1])

    def test_all_that_is_there_can_be_read_back(self, place: Place) -> None:
        """`state rebuild`: every message once, with the hashes of its octets as they came."""
        store(place.prepared(), HAZARDS)
        hashes = sorted(found.sha256 for found in place.open().iterate())
        assert hashes == sorted(hashlib.sha256(octets).digest() for octets in HAZARDS)

    def test_the_cut_between_pieces_does_not_show(self, place: Place) -> None:
        """A message comes in pieces as the network cuts them: every one of two, and single ones."""
        octets = b">From a\r\n\r\n>>From \n\n>F\r\nFrom From \r\n\nFrom"
        splits = [[octets[:cut], octets[cut:]] for cut in range(len(octets) + 1)]
        splits.append([octets[i : i + 1] for i in range(len(octets))])
        destination = place.prepared()
        writers = [write(destination, i + 1, split) for i, split in enumerate(splits)]
        destination.begin_batch()
        destination.commit(writers)
        destination.end_batch()
        assert place.reader.messages() == [octets] * len(splits)

    def test_messages_stand_in_the_order_of_the_server(self, place: Place) -> None:
        """Within a batch and from batch to batch, many within one second."""
        destination = place.prepared()
        messages = [b"message %d\r\n" % i for i in range(1, 61)]
        store(destination, messages[:20])
        store(destination, messages[20:], first=21)
        assert place.reader.messages() == messages

    def test_nothing_is_there_before_the_commit(self, place: Place) -> None:
        """S-01, S-02: what is not durable is no message, neither for readers nor for a restart."""
        destination = place.prepared()
        writers = [write(destination, i + 1, [octets]) for i, octets in enumerate(HAZARDS)]
        assert place.reader.messages() == []
        assert destination.find([slot_of(1).token]) == {}
        for writer in writers:
            writer.abandon()

    def test_an_abandoned_message_leaves_nothing(self, place: Place) -> None:
        """S-01: neither small nor big; and the same message can be begun again."""
        destination = place.prepared()
        for octets in (b"small\r\n", b"big\r\n" * 100_000):
            writer = write(destination, 1, [octets])
            writer.abandon()
            writer.abandon()
            assert place.reader.litter() == []
        store(destination, [b"at last\r\n"])
        assert place.reader.messages() == [b"at last\r\n"]
        assert place.reader.litter() == []

    def test_a_batch_takes_what_it_is_given_and_no_more(self, place: Place) -> None:
        """A message that is still on its way when a batch is committed comes with a later one."""
        destination = place.prepared()
        late = write(destination, 2, [b"late\r\n" * 50_000])
        store(destination, [b"first\r\n"])
        assert place.reader.messages() == [b"first\r\n"]
        late.write(b"end\r\n")
        destination.begin_batch()
        assert len(destination.commit([late])) == 1
        destination.end_batch()
        assert place.reader.messages() == [b"first\r\n", b"late\r\n" * 50_000 + b"end\r\n"]

    def test_an_empty_batch_is_a_batch(self, place: Place) -> None:
        """Nothing to store is no error and changes nothing."""
        destination = place.prepared()
        mark = store(destination, [b"one\r\n"])
        assert store(destination, []) == mark
        assert place.reader.messages() == [b"one\r\n"]

    def test_a_crash_before_the_journal_doubles_nothing(self, place: Place) -> None:
        """S-03: stored, but the rows were not: the run after it finds them and stores no second."""
        destination = place.prepared()
        store(destination, [b"one\r\n"])
        writer = write(destination, 2, [b"two\r\n"])
        mark = destination.begin_batch()
        destination.commit([writer])
        destination.end_batch()  # and here it is killed: the mark in the journal is the one before
        again = place.restarted(mark)
        found = again.find([slot_of(2).token])
        assert found[slot_of(2).token].sha256 == hashlib.sha256(b"two\r\n").digest()
        store(again, [b"three\r\n"], first=3)
        assert place.reader.messages() == [b"one\r\n", b"two\r\n", b"three\r\n"]

    def test_another_run_s_message_on_its_way_is_not_cleared_up(self, place: Place) -> None:
        """Several accounts may store into one place at once: only what a crash left is removed."""
        first = place.prepared()
        writer = write(first, 1, [b"on its way\r\n" * 50_000])
        second = place.restarted(None)
        store(second, [b"second\r\n"], first=2)
        first.begin_batch()
        assert not any(isinstance(outcome, Refusal) for outcome in first.commit([writer]))
        first.end_batch()
        assert sorted(place.reader.messages()) == [b"on its way\r\n" * 50_000, b"second\r\n"]

    def test_accounts_that_share_a_place_lose_nothing(self, place: Place) -> None:
        """What another account stored behind this one's mark is not its to undo."""
        first, second = place.prepared(), place.prepared()
        mark = store(first, [b"first\r\n"])
        store(second, [b"second\r\n"], first=2)
        place.restarted(mark)
        assert place.reader.messages() == [b"first\r\n", b"second\r\n"]

    def test_a_place_that_vanished_is_not_made_anew(self, place: Place) -> None:
        """S-14: an unmounted disk must not get the mail that belongs on it."""
        store(place.prepared(), [b"one\r\n"])
        place.reader.vanish()
        with pytest.raises(DestinationUnavailable, match="vanished") as refused:
            place.open().prepare(is_known=True)
        assert refused.value.hint
        assert not place.reader.is_there()

    def test_a_place_that_vanishes_in_the_middle_stores_nothing(self, place: Place) -> None:
        """S-09: the error names the place, and what is left to do is to let go."""
        destination = place.prepared()
        writer = write(destination, 1, [b"one\r\n"])
        place.reader.vanish()
        with pytest.raises(DestinationUnavailable):
            commit_alone(destination, writer)
        writer.abandon()
        destination.close()
        assert not place.reader.is_there()

    def test_preparing_twice_changes_nothing(self, place: Place) -> None:
        """Every run prepares; mail that is there stays."""
        mark = store(place.prepared(), [b"one\r\n"])
        place.prepared()
        place.restarted(mark)
        assert place.reader.messages() == [b"one\r\n"]

    def test_it_has_one_name_in_all_runs(self, place: Place) -> None:
        """The journal knows a destination by its name."""
        assert place.open().name == place.open().name
        assert place.open().is_exactly_once


def commit_alone(destination: Destination, writer: Writer) -> None:
    """Commit a batch of one message, whatever comes of it."""
    try:
        destination.begin_batch()
        destination.commit([writer])
    finally:
        destination.end_batch()
