"""The store of Maildirs keeps the contract of stores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailkeep.maildrop.maildir import Written, deliver
from mailkeep.maildrop.maildir.digests import Digest, remember_delivered
from mailkeep.maildrop.maildir.names import base_of, uidl_of
from mailkeep.testing.maildir_site import ACCOUNT, ALICE, MaildirSite, maildir_site
from mailkeep.testing.store_contract import Mailbox, StoreContract, whole, wire_form
from mailkeep.values import Index, Uidl


class MaildirNeighbour:
    """Other programs' hands in a Maildir: here an MTA that knows nothing of sizes in names."""

    def __init__(self, site: MaildirSite) -> None:
        self.site = site
        self._times = count(1_700_000_000)

    def put(self, stored: bytes, fields: bytes = b"") -> Uidl:
        base = b"%d.P1Q1.host%b" % (next(self._times), fields)
        self.site.put(base, stored, folder="new")
        return uidl_of(base)

    def put_internationalised(self, stored: bytes) -> Uidl:
        return self.put(stored, b",U=1")

    def remove(self, uidl: Uidl) -> None:
        for path in self._files():
            if uidl_of(base_of(os.fsencode(path.name))) == uidl:
                path.unlink()

    def uidls(self) -> set[Uidl]:
        return {uidl_of(base_of(os.fsencode(path.name))) for path in self._files()}

    def _files(self) -> list[Path]:
        return [*self.site.maildir.glob("new/*"), *self.site.maildir.glob("cur/*")]


class FlaggingNeighbour(MaildirNeighbour):
    """Beside an IMAP server: every message has been moved to cur and has flags."""

    def put(self, stored: bytes, fields: bytes = b"") -> Uidl:
        uidl = super().put(stored, fields)
        for path in self.site.maildir.glob("new/*"):
            flags = "S" if len(stored) % 2 else ""
            path.rename(self.site.maildir / "cur" / f"{path.name}:2,{flags}")
        return uidl


class OwnDelivery(MaildirNeighbour):
    """What our own delivery puts there, with sizes in the name."""

    def put(self, stored: bytes, fields: bytes = b"") -> Uidl:
        message = self.site.maildir.parent / "message"
        message.write_bytes(stored)
        with message.open("rb") as source:
            base = deliver(
                self.site.maildir,
                source,
                "mail.example.com",
                is_internationalised=bool(fields),
                on_written=self._remember,
            )
        return uidl_of(base)

    def _remember(self, base: bytes, written: Written) -> None:
        digest = Digest(base, written.stamp, bytes.fromhex(written.sha256))
        remember_delivered(self.site.digests, digest)


@contextmanager
def mailbox_in(folder: Path, neighbour: type[MaildirNeighbour]) -> Iterator[Mailbox]:
    with maildir_site(folder) as site:
        yield Mailbox(site.store, ACCOUNT, ALICE, neighbour(site))


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
    with TemporaryDirectory() as folder, mailbox_in(Path(folder), OwnDelivery) as mailbox:
        for stored in messages:
            mailbox.neighbour.put(stored)
        maildrop = await mailbox.open()
        for place, stored in enumerate(messages):
            assert await whole(maildrop, place) == wire_form(stored)
            assert maildrop.listing.octets(Index(place)) == len(wire_form(stored))
        await maildrop.close()
