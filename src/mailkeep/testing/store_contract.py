"""What every store of maildrops must keep, as tests (see `mailkeep.maildrop.seam`).

To run them against a store, subclass `StoreContract` in a test module and give it a fixture
`mailbox` that returns a `Mailbox`: the store, one of its accounts, and the hands of a neighbour who
delivers to it and removes from it without the store's doing. pytest and pytest-asyncio run it.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pytest

from mailkeep.maildrop import (
    Maildrop,
    MaildropBusy,
    MaildropStore,
    MaildropUnavailable,
    MessageGone,
    Removal,
)
from mailkeep.values import AccountId, Address, Index, Uidl, is_uidl

TIMEOUT_S = 30.0

HAZARDS = (
    b"",
    b"\n",
    b"\r",
    b"Subject: no final newline\n\nbody",
    b"Subject: stored with CRLF\r\n\r\nbody\r\n",
    b"Subject: mixed\r\n\nlone \r in a line\n\r\r\n.\n..\n",
    b"Subject: NUL and 8-bit\n\n\0\xff\xc3\n\0",
    b"no empty line at all\n",
    b"\nno header\n",
    b"Subject: ends with CR\n\nbody\r",
    b"Subject: long\n\n" + b"x" * 300_000 + b"\n." + b"y\n" * 100_000,
)

T = TypeVar("T")


class Neighbour(Protocol):
    """Another program with its hands in the mailbox."""

    def put(self, stored: bytes) -> Uidl:
        """Deliver a message, later than all before, and return its unique-id."""

    def put_internationalised(self, stored: bytes) -> Uidl:
        """Deliver a message that came with SMTPUTF8."""

    def remove(self, uidl: Uidl) -> None:
        """Remove a message behind the store's back."""

    def uidls(self) -> set[Uidl]:
        """Return what is really there."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A store, one account of it, and its neighbour."""

    store: MaildropStore
    account: AccountId
    address: Address
    neighbour: Neighbour

    async def open(self) -> Maildrop:
        """Open the account's maildrop."""
        return await self.store.open(self.account, self.address, timeout_s=TIMEOUT_S)

    async def listed(self) -> list[Uidl]:
        """Return the unique-ids that a new session sees."""
        maildrop = await self.open()
        try:
            return uidls_of(maildrop)
        finally:
            await maildrop.close()


def wire_form(stored: bytes) -> bytes:
    """Return what is sent of a message: RFC 1939 section 3, on a whole message."""
    wire = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


def uidls_of(maildrop: Maildrop) -> list[Uidl]:
    """Return the unique-ids of a session in order."""
    return [maildrop.listing.uidl(Index(place)) for place in range(len(maildrop.listing))]


async def whole(maildrop: Maildrop, place: int, *, body_lines: int | None = None) -> bytes:
    """Read a message, or its top, to the end."""
    body = await maildrop.read(Index(place), body_lines=body_lines)
    pieces = []
    while piece := await body.next_piece():
        pieces.append(piece)
    body.close()
    body.close()
    return b"".join(pieces)


async def digest(maildrop: Maildrop, place: int, *, body_lines: int | None = None) -> str | None:
    """Read a message, or its top, to the end, and return what is told of it then."""
    body = await maildrop.read(Index(place), body_lines=body_lines)
    while await body.next_piece():
        pass
    body.close()
    return body.sha256


async def soon(attempt: Awaitable[T]) -> T:
    """Wait for what must happen without anybody's help."""
    return await asyncio.wait_for(attempt, TIMEOUT_S)


class StoreContract:
    """The contract. Subclass it and give it a fixture `mailbox`."""

    async def test_an_empty_maildrop_opens(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 3: a maildrop may hold zero messages."""
        maildrop = await mailbox.open()
        assert len(maildrop.listing) == 0
        assert maildrop.listing.total_octets == 0
        assert await maildrop.commit(()) == Removal((), (), ())
        await maildrop.close()

    async def test_messages_are_listed_oldest_first(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 4: numbered from the first; clients rely on the oldest being it."""
        delivered = [mailbox.neighbour.put(b"message %d\n" % i) for i in range(20)]
        assert await mailbox.listed() == delivered

    async def test_what_is_sent_is_the_wire_form_and_as_long_as_announced(
        self, mailbox: Mailbox
    ) -> None:
        """RFC 1939 sections 3 and 11: CRLF ends lines, and the size is the octets sent."""
        for stored in HAZARDS:
            mailbox.neighbour.put(stored)
        maildrop = await mailbox.open()
        for place, stored in enumerate(HAZARDS):
            assert await whole(maildrop, place) == wire_form(stored)
            assert maildrop.listing.octets(Index(place)) == len(wire_form(stored))
        sizes = [len(wire_form(stored)) for stored in HAZARDS]
        assert maildrop.listing.total_octets == sum(sizes)
        await maildrop.close()

    async def test_top_is_header_empty_line_and_n_lines(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 7: TOP; more lines than there are send the whole message."""
        mailbox.neighbour.put(b"Subject: x\n\none\ntwo")
        maildrop = await mailbox.open()
        assert await whole(maildrop, 0, body_lines=0) == b"Subject: x\r\n\r\n"
        assert await whole(maildrop, 0, body_lines=1) == b"Subject: x\r\n\r\none\r\n"
        assert await whole(maildrop, 0, body_lines=2) == b"Subject: x\r\n\r\none\r\ntwo\r\n"
        assert await whole(maildrop, 0, body_lines=10**12) == await whole(maildrop, 0)
        await maildrop.close()

    async def test_top_of_every_hazard_to_the_end_is_the_message(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 7: TOP with more lines than the message has sends all of it."""
        for stored in HAZARDS:
            mailbox.neighbour.put(stored)
        maildrop = await mailbox.open()
        for place, stored in enumerate(HAZARDS):
            assert await whole(maildrop, place, body_lines=10**9) == wire_form(stored)
        await maildrop.close()

    @pytest.mark.parametrize("body_lines", [None, 0, 3, 10**9])
    async def test_whatever_is_sent_of_a_message_its_digest_is_of_all_of_it(
        self, mailbox: Mailbox, body_lines: int | None
    ) -> None:
        """A record of what left names the message; RETR and TOP, first and later readings agree."""
        for stored in HAZARDS:
            mailbox.neighbour.put(stored)
        expected = [hashlib.sha256(wire_form(stored)).hexdigest() for stored in HAZARDS]
        for _ in range(2):
            maildrop = await mailbox.open()
            for place, sha256 in enumerate(expected):
                assert await digest(maildrop, place, body_lines=body_lines) == sha256
                assert await digest(maildrop, place) == sha256
            await maildrop.close()

    async def test_what_is_at_hand_is_what_would_be_read(self, mailbox: Mailbox) -> None:
        """A store may have any message at hand or none, and has no other one: first and later."""
        for stored in HAZARDS:
            mailbox.neighbour.put(stored)
        for _ in range(3):
            maildrop = await mailbox.open()
            for place, stored in enumerate(HAZARDS):
                message = maildrop.at_hand(Index(place))
                body = await maildrop.read(Index(place))
                wire = b""
                while piece := await body.next_piece():
                    wire += piece
                body.close()
                assert wire == wire_form(stored)
                if message is not None:
                    assert message.octets == wire
                    assert message.sha256 in {body.sha256, None}
                    assert not (message.is_dot_free and b"\n." in b"\n" + wire)
            await maildrop.close()

    async def test_whoever_asks_what_is_at_hand_may_read_anything_next(
        self, mailbox: Mailbox
    ) -> None:
        """What is not at hand says nothing of this message nor of others, nor of its top."""
        messages = [b"Subject: %d\n\nbody\n" % number for number in range(6)]
        for stored in messages:
            mailbox.neighbour.put(stored)
        maildrop = await mailbox.open()
        for asked in range(6):
            for read in range(6):
                message = maildrop.at_hand(Index(asked))
                assert message is None or message.octets == wire_form(messages[asked])
                assert await whole(maildrop, read, body_lines=0) == b"Subject: %d\r\n\r\n" % read
                assert await whole(maildrop, read) == wire_form(messages[read])
        await maildrop.close()

    async def test_what_is_gone_is_not_at_hand(self, mailbox: Mailbox) -> None:
        """Reading tells of it (RFC 1939 section 5); what never was there is not at hand either."""
        uidls = [mailbox.neighbour.put(b"message %d\n" % i) for i in range(2)]
        for _ in range(2):
            maildrop = await mailbox.open()
            assert await whole(maildrop, 1) == b"message 1\r\n"
            await maildrop.close()
        maildrop = await mailbox.open()
        mailbox.neighbour.remove(uidls[1])
        assert maildrop.at_hand(Index(1)) is None
        with pytest.raises(MessageGone):
            await maildrop.read(Index(1))
        assert maildrop.at_hand(Index(-1)) is None
        assert maildrop.at_hand(Index(2)) is None
        await maildrop.close()

    async def test_nothing_is_at_hand_without_the_lease(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 4: what may be somebody else's by now is not handed out."""
        for number in range(4):
            mailbox.neighbour.put(b"message %d\n" % number)
        for _ in range(2):
            maildrop = await mailbox.open()
            for place in range(3):
                assert await whole(maildrop, place)
            await maildrop.close()
            assert [maildrop.at_hand(Index(place)) for place in range(4)] == [None] * 4

    async def test_what_is_said_to_be_free_of_dots_is(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 3: who believes it stuffs nothing; first and later readings."""
        for stored in (*HAZARDS, b".", b"a\n.\n", b"a\r\n..b\r\n", b"no dots\n"):
            mailbox.neighbour.put(stored)
        for _ in range(2):
            maildrop = await mailbox.open()
            for place in range(len(maildrop.listing)):
                body = await maildrop.read(Index(place))
                wire = b""
                was_free = body.is_dot_free
                while piece := await body.next_piece():
                    wire += piece
                body.close()
                if was_free or body.is_dot_free:
                    assert not wire.startswith(b".")
                    assert b"\n." not in wire
            await maildrop.close()

    async def test_only_what_came_so_is_internationalised(self, mailbox: Mailbox) -> None:
        """RFC 6856 section 5, and old 8-bit mail, which is no such message, goes out as it is."""
        octets = b"Subject: \xc3\xbc\n\n\xff\n"
        mailbox.neighbour.put(octets)
        mailbox.neighbour.put_internationalised(octets)
        maildrop = await mailbox.open()
        marks = [maildrop.is_internationalised(Index(place)) for place in range(2)]
        assert marks == [False, True]
        assert await whole(maildrop, 1) == wire_form(octets)
        with pytest.raises(IndexError):
            maildrop.is_internationalised(Index(2))
        await maildrop.close()

    async def test_there_is_no_message_before_the_first(self, mailbox: Mailbox) -> None:
        """A message-number taken for an index must not reach the last message (DELE 0)."""
        mailbox.neighbour.put(b"x\n")
        maildrop = await mailbox.open()
        with pytest.raises(IndexError):
            maildrop.listing.uidl(Index(-1))
        with pytest.raises(IndexError):
            maildrop.listing.octets(Index(-1))
        with pytest.raises(IndexError):
            await maildrop.read(Index(-1))
        with pytest.raises(IndexError):
            maildrop.is_internationalised(Index(-1))
        with pytest.raises(IndexError):
            await maildrop.read(Index(1))
        await maildrop.close()

    async def test_new_mail_is_not_seen_by_an_open_session(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 4: numbers are fixed for the length of a session."""
        first = mailbox.neighbour.put(b"first\n")
        maildrop = await mailbox.open()
        second = mailbox.neighbour.put(b"second\n")
        assert uidls_of(maildrop) == [first]
        await maildrop.close()
        assert await mailbox.listed() == [first, second]

    async def test_a_vanished_message_leaves_a_hole(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 5: numbers do not shift; the one that is gone cannot be read."""
        uidls = [mailbox.neighbour.put(b"message %d\n" % i) for i in range(3)]
        maildrop = await mailbox.open()
        mailbox.neighbour.remove(uidls[1])
        with pytest.raises(MessageGone):
            await maildrop.read(Index(1))
        assert uidls_of(maildrop) == uidls
        assert await whole(maildrop, 2) == b"message 2\r\n"
        await maildrop.close()

    async def test_commit_removes_exactly_what_it_is_asked_to(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 6: the UPDATE state removes the messages marked, and only those."""
        uidls = [mailbox.neighbour.put(b"message %d\n" % i) for i in range(5)]
        maildrop = await mailbox.open()
        removal = await maildrop.commit([uidls[3], uidls[1]])
        assert removal == Removal(removed=(uidls[1], uidls[3]), gone=(), failed=())
        assert mailbox.neighbour.uidls() == {uidls[0], uidls[2], uidls[4]}
        await maildrop.close()
        assert await mailbox.listed() == [uidls[0], uidls[2], uidls[4]]

    async def test_what_was_gone_already_is_told_apart(self, mailbox: Mailbox) -> None:
        """A neighbour's removal is no failure of QUIT (RFC 1939 section 6)."""
        uidls = [mailbox.neighbour.put(b"message %d\n" % i) for i in range(3)]
        maildrop = await mailbox.open()
        mailbox.neighbour.remove(uidls[0])
        removal = await maildrop.commit(uidls[:2])
        assert removal == Removal(removed=(uidls[1],), gone=(uidls[0],), failed=())
        await maildrop.close()

    async def test_a_session_without_commit_removes_nothing(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 6: a session that ends without QUIT must not remove any message."""
        uidls = [mailbox.neighbour.put(b"message %d\n" % i) for i in range(3)]
        maildrop = await mailbox.open()
        await whole(maildrop, 0)
        await maildrop.close()
        assert mailbox.neighbour.uidls() == set(uidls)

    async def test_mail_that_came_meanwhile_survives_the_commit(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 6: only what was marked goes; what is marked is named by unique-id."""
        first = mailbox.neighbour.put(b"first\n")
        maildrop = await mailbox.open()
        second = mailbox.neighbour.put(b"second\n")
        await maildrop.commit([first])
        await maildrop.close()
        assert mailbox.neighbour.uidls() == {second}

    async def test_a_commit_of_what_was_never_listed_removes_nothing(
        self, mailbox: Mailbox
    ) -> None:
        """A unique-id that the session has not seen is a caller's mistake, found before harm."""
        uidl = mailbox.neighbour.put(b"x\n")
        maildrop = await mailbox.open()
        later = mailbox.neighbour.put(b"y\n")
        with pytest.raises(ValueError, match="not in the listing"):
            await maildrop.commit([uidl, later])
        assert mailbox.neighbour.uidls() == {uidl, later}
        await maildrop.close()

    async def test_a_session_commits_at_most_once(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 6: UPDATE is entered once; a second commit is a caller's mistake."""
        uidl = mailbox.neighbour.put(b"x\n")
        maildrop = await mailbox.open()
        await maildrop.commit(())
        with pytest.raises(RuntimeError):
            await maildrop.commit([uidl])
        assert mailbox.neighbour.uidls() == {uidl}
        await maildrop.close()

    async def test_nothing_is_removed_without_the_lease(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 4: only the session that holds the lock may remove messages."""
        uidl = mailbox.neighbour.put(b"x\n")
        maildrop = await mailbox.open()
        await maildrop.close()
        with pytest.raises(MaildropUnavailable):
            await maildrop.commit([uidl])
        assert mailbox.neighbour.uidls() == {uidl}

    async def test_a_second_session_is_refused_until_the_first_has_closed(
        self, mailbox: Mailbox
    ) -> None:
        """RFC 1939 section 4: an exclusive-access lock on the maildrop."""
        maildrop = await mailbox.open()
        with pytest.raises(MaildropBusy):
            await mailbox.open()
        await maildrop.close()
        await maildrop.close()
        second = await mailbox.open()
        await maildrop.close()  # must not give back what is not its own any more
        with pytest.raises(MaildropBusy):
            await mailbox.open()
        await second.close()

    async def test_a_cancelled_opening_gives_the_lease_back(self, mailbox: Mailbox) -> None:
        """A client that leaves while its maildrop opens must not lock itself out."""
        mailbox.neighbour.put(b"x\n")
        for turns in range(4):
            opening = asyncio.ensure_future(mailbox.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            (result,) = await asyncio.gather(opening, return_exceptions=True)
            if not isinstance(result, BaseException):
                await result.close()
            again = await soon(self._open_when_free(mailbox))
            await again.close()

    async def test_a_cancelled_commit_is_whole_and_keeps_the_lease_until_then(
        self, mailbox: Mailbox
    ) -> None:
        """RFC 1939 section 6: once UPDATE has begun nobody else may see half of it."""
        uidls = {mailbox.neighbour.put(b"message %d\n" % i) for i in range(50)}
        maildrop = await mailbox.open()
        commit = asyncio.ensure_future(maildrop.commit(uidls))
        await asyncio.sleep(0)
        commit.cancel()
        await asyncio.gather(commit, return_exceptions=True)
        await maildrop.close()
        again = await soon(self._open_when_free(mailbox))
        assert uidls_of(again) == []
        await again.close()

    async def test_unique_ids_are_legal_unique_and_stay(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 7: 1 to 70 characters 0x21 to 0x7E, persistent across sessions."""
        for i in range(20):
            mailbox.neighbour.put(b"the same message\n" if i % 2 else b"message %d\n" % i)
        first = await mailbox.listed()
        assert all(map(is_uidl, first))
        assert len(set(first)) == len(first) == 20
        assert await mailbox.listed() == first

    async def test_a_unique_id_is_not_given_again(self, mailbox: Mailbox) -> None:
        """RFC 1939 section 7: never reused, not even for the same octets after a removal."""
        stored = b"the same message\n"
        uidl = mailbox.neighbour.put(stored)
        maildrop = await mailbox.open()
        await maildrop.commit([uidl])
        await maildrop.close()
        assert mailbox.neighbour.put(stored) != uidl
        assert uidl not in await mailbox.listed()

    async def test_a_body_can_be_dropped_at_any_piece(self, mailbox: Mailbox) -> None:
        """A client that leaves in the middle of RETR leaves nothing behind."""
        mailbox.neighbour.put(b"x\n" * 1_000_000)
        maildrop = await mailbox.open()
        for pieces in range(3):
            body = await maildrop.read(Index(0))
            for _ in range(pieces):
                assert await body.next_piece()
            body.close()
            body.close()
        assert len(await whole(maildrop, 0)) == 3_000_000
        await maildrop.close()

    @staticmethod
    async def _open_when_free(mailbox: Mailbox) -> Maildrop:
        while True:
            try:
                return await mailbox.open()
            except MaildropBusy:
                await asyncio.sleep(0)
