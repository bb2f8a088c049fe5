"""The store of Maildirs keeps the contract of stores."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailkeep.maildrop.lease import Leases
from mailkeep.maildrop.maildir import MaildirPaths, deliver
from mailkeep.maildrop.maildir.names import base_of, uidl_of
from mailkeep.maildrop.maildir.store import MaildirStore
from mailkeep.testing.store_contract import Mailbox, StoreContract, whole, wire_form
from mailkeep.values import AccountId, Address, Index, Uidl

ACCOUNT = AccountId(7)
ALICE = Address("alice", "example.com")


class MaildirNeighbour:
    """Other programs' hands in a Maildir: here an MTA that knows nothing of sizes in names."""

    def __init__(self, maildir: Path) -> None:
        self._maildir = maildir
        self._times = count(1_700_000_000)

    def put(self, stored: bytes) -> Uidl:
        for folder in ("tmp", "new", "cur"):
            (self._maildir / folder).mkdir(parents=True, exist_ok=True)
        base = b"%d.P1Q1.host" % next(self._times)
        (self._maildir / "new" / os.fsdecode(base)).write_bytes(stored)
        return uidl_of(base)

    def remove(self, uidl: Uidl) -> None:
        for path in self._files():
            if uidl_of(base_of(os.fsencode(path.name))) == uidl:
                path.unlink()

    def uidls(self) -> set[Uidl]:
        return {uidl_of(base_of(os.fsencode(path.name))) for path in self._files()}

    def _files(self) -> list[Path]:
        return [*self._maildir.glob("new/*"), *self._maildir.glob("cur/*")]


class FlaggingNeighbour(MaildirNeighbour):
    """Beside an IMAP server: every message has been moved to cur and has flags."""

    def put(self, stored: bytes) -> Uidl:
        uidl = super().put(stored)
        for path in self._maildir.glob("new/*"):
            path.rename(self._maildir / "cur" / f"{path.name}:2,{'S' * (len(stored) % 2)}")
        return uidl


class OwnDelivery(MaildirNeighbour):
    """What our own delivery puts there, with sizes in the name."""

    def put(self, stored: bytes) -> Uidl:
        message = self._maildir.parent / "message"
        message.write_bytes(stored)
        with message.open("rb") as source:
            return uidl_of(deliver(self._maildir, source, "mail.example.com"))


@contextmanager
def mailbox_in(site: Path, neighbour: type[MaildirNeighbour]) -> Iterator[Mailbox]:
    paths = MaildirPaths(site, "mail/{domain}/{local}")
    paths.of(ALICE).parent.mkdir(parents=True)
    leases = Leases(site / "run" / "leases")
    with ThreadPoolExecutor(1) as opening, ThreadPoolExecutor(2) as files:
        store = MaildirStore(paths, leases, site / "index", opening=opening, files=files)
        yield Mailbox(store, ACCOUNT, ALICE, neighbour(paths.of(ALICE)))
    leases.close()


class TestMaildirStore(StoreContract):
    """The contract, on Maildirs whichever way the mail came."""

    @pytest.fixture(params=[MaildirNeighbour, FlaggingNeighbour, OwnDelivery])
    def mailbox(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mailbox]:
        with mailbox_in(tmp_path, request.param) as mailbox:
            yield mailbox


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
async def test_any_octets_are_sent_in_wire_form_at_the_announced_size(
    messages: list[bytes],
) -> None:
    """RFC 1939 sections 3 and 11, for any octets as messages."""
    with TemporaryDirectory() as site, mailbox_in(Path(site), OwnDelivery) as mailbox:
        for stored in messages:
            mailbox.neighbour.put(stored)
        maildrop = await mailbox.open()
        for place, stored in enumerate(messages):
            assert await whole(maildrop, place) == wire_form(stored)
            assert maildrop.listing.octets(Index(place)) == len(wire_form(stored))
        await maildrop.close()
