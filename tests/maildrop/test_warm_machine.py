"""Whatever neighbours do to a Maildir between sessions, a session sees what is there then."""

import asyncio
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)
from tests.maildrop.warm_sites import big_from, by_a_neighbour, warm_site

from mailkeep.maildrop import Listing
from mailkeep.testing.store_contract import uidls_of, whole, wire_form
from mailkeep.values import Index

Message = tuple[bytes, bytes]
"""Base name and stored octets."""


class Neighbours(RuleBasedStateMachine):
    """Deliveries, IMAP servers, users and our own sessions take turns."""

    messages = Bundle("messages")

    big_from = 1_000

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(big_from(self.big_from))
        self._folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self._process = self._stack.enter_context(ExitStack())
        self.site = self._process.enter_context(warm_site(self._folder))
        self._loop = asyncio.new_event_loop()
        self.there: dict[bytes, bytes] = {}
        self._number = 0
        for name in ("tmp", "new", "cur"):
            (self.site.maildir / name).mkdir(parents=True)

    def teardown(self) -> None:
        self._loop.close()
        self._stack.close()

    @rule(
        target=messages,
        stored=st.sampled_from([b"", b"a\n", b"a\r\n", b".\nb", b"x" * 300 + b"\n"]),
        is_named=st.booleans(),
        time_s=st.integers(1, 30),
        folder=st.sampled_from(["new", "cur"]),
    )
    def put(self, stored: bytes, is_named: bool, time_s: int, folder: str) -> bytes:
        """A delivery, perhaps of an old message, perhaps with its size in its name."""
        self._number += 1
        size = b",W=%d" % len(wire_form(stored)) if is_named else b""
        base = b"%d.%d%b" % (time_s, self._number, size)
        with self._change():
            self.site.put(base + b":2," * (folder == "cur"), stored, folder=folder)
        self.there[base] = stored
        return base

    @rule(base=messages, flags=st.sampled_from(["", "S", "RS", "FRS"]))
    def flag(self, base: bytes, flags: str) -> None:
        """An IMAP server moves a message to cur and sets its flags."""
        if base in self.there:
            with self._change():
                (path,) = self._files(base)
                path.rename(self.site.maildir / "cur" / f"{base.decode()}:2,{flags}")

    @rule(target=messages, base=consumes(messages))
    def remove(self, base: bytes) -> object:
        """Somebody else removes a message."""
        if self.there.pop(base, None) is not None:
            with self._change():
                (path,) = self._files(base)
                path.unlink()
        return multiple()

    @rule(base=messages)
    def delete_in_a_session(self, base: bytes) -> None:
        """We remove one ourselves."""
        if base in self.there:
            del self.there[base]
            with self._change():
                self._loop.run_until_complete(self._commit(base))

    @rule(has_lost_all=st.booleans(), is_damaged=st.booleans())
    def start_anew(self, has_lost_all: bool, is_damaged: bool) -> None:
        """Another process takes over, with what is remembered on disk or without."""
        self._process.close()
        for path in self.site.index.glob("*.listing"):
            if has_lost_all:
                path.unlink()
            elif is_damaged:
                octets = path.read_bytes()
                path.write_bytes(octets[:-9] + bytes([octets[-9] ^ 1]) + octets[-8:])
        self.site = self._process.enter_context(warm_site(self._folder))

    @rule()
    def put_what_is_no_message(self) -> None:
        """A folder and a hidden file are none."""
        with self._change():
            (self.site.maildir / "cur" / f"9.folder{self._number}").mkdir(exist_ok=True)
            self.site.put(f".hidden{self._number}")

    @rule()
    def read_all(self) -> None:
        """Every message is what it is, at the size that was announced."""
        self._loop.run_until_complete(self._read_all())

    @invariant()
    def a_session_sees_what_is_there(self) -> None:
        """The names, in order, and the sizes; the second time from memory."""
        for _ in range(2):
            listing = self._loop.run_until_complete(self._listing())
            uidls = listing.uidls()
            assert uidls == sorted(self.there, key=lambda base: (int(base.split(b".")[0]), base))
            sizes = [len(wire_form(self.there[uidl])) for uidl in uidls]
            assert listing.sizes() == sizes
            assert listing.total_octets == sum(sizes)

    async def _listing(self) -> Listing:
        maildrop = await self.site.open()
        await maildrop.close()
        return maildrop.listing

    async def _commit(self, base: bytes) -> None:
        maildrop = await self.site.open()
        (uidl,) = [uidl for uidl in uidls_of(maildrop) if uidl == base]
        assert (await maildrop.commit([uidl])).removed == (uidl,)
        await maildrop.close()

    async def _read_all(self) -> None:
        maildrop = await self.site.open()
        for place, uidl in enumerate(uidls_of(maildrop)):
            wire = await whole(maildrop, place)
            assert wire == wire_form(self.there[uidl])
            assert maildrop.listing.octets(Index(place)) == len(wire)
        await maildrop.close()

    def _files(self, base: bytes) -> list[Path]:
        found = (self.site.maildir / name for name in ("new", "cur"))
        return [
            path
            for folder in found
            for path in folder.iterdir()
            if path.name.partition(":")[0] == base.decode()
        ]

    def _change(self) -> AbstractContextManager[None]:
        return by_a_neighbour(self.site.maildir / "new", self.site.maildir / "cur")


class NeighboursOfABigMaildir(Neighbours):
    """The same where a change is found without reading everything anew."""

    big_from = 1


TestNeighboursOfABigMaildir = NeighboursOfABigMaildir.TestCase
TestNeighboursOfABigMaildir.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None
)
TestNeighbours = Neighbours.TestCase
TestNeighbours.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
