"""S-64 to S-70: destinations that fail for one message, for all, or in the middle.

What a destination does by itself is in `tests/fetch/destinations`; here is what a run makes of it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.fetch.states.running import (
    BODIES,
    DELETE,
    KEEP,
    ONE,
    THREE,
    TWO,
    UIDLS,
    Home,
    asked,
    once,
    words,
)

from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.mbox import MboxDestination
from mailkeep.fetch.destinations.pipe import PipeDestination
from mailkeep.fetch.destinations.seam import (
    DestinationUnavailable,
    Found,
    Refusal,
    Slot,
    Stored,
    Writer,
)
from mailkeep.fetch.events import MessageFailed
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.rows import State
from mailkeep.testing.odd_server import OddMailbox, OddServer
from mailkeep.testing.odd_server import oddities as odd

ALL = once(*BODIES)


class Kept:
    """One message in memory."""

    def __init__(self) -> None:
        self.octets = b""

    def write(self, octets: bytes) -> None:
        self.octets += octets

    def abandon(self) -> None:
        self.octets = b""


class Moody:
    """A destination in memory that refuses what it is told to; as a program or LMTP would.

    Attributes:
        refuses: messages that it does not take.
        is_broken: whether it takes nothing at all.
        taken: what it was given, in order.
    """

    is_exactly_once = False

    def __init__(self, name: str = "memory:") -> None:
        self.name = name
        self.refuses: set[bytes] = set()
        self.is_broken = False
        self.taken: list[bytes] = []

    def prepare(self, *, is_known: bool) -> None:
        del is_known

    def recover(self, mark: int | None) -> list[str]:
        del mark
        return []

    def find(self, tokens: Collection[str]) -> Mapping[str, Found]:
        del tokens
        return {}

    def iterate(self) -> Iterator[Found]:
        raise DestinationUnavailable("not to be read back")

    def open(self, slot: Slot) -> Kept:
        del slot
        return Kept()

    def begin_batch(self) -> int | None:
        return None

    def commit(self, batch: Sequence[Writer]) -> list[Stored | Refusal]:
        if self.is_broken:
            raise DestinationUnavailable("broken", hint="mend it")
        messages = [kept.octets for kept in batch if isinstance(kept, Kept)]
        self.taken += [message for message in messages if message not in self.refuses]
        return [Refusal("no") if m in self.refuses else Stored("memory") for m in messages]

    def end_batch(self) -> int | None:
        return None

    def close(self) -> None:
        """Keep what was taken."""


@pytest.fixture
def moody(home: Home) -> Moody:
    """A destination beside the Maildir."""
    moody = Moody()
    home.destinations = [MaildirDestination(home.maildir), moody]
    return moody


async def test_what_one_destination_refuses_is_offered_to_that_one_again(
    home: Home, moody: Moody
) -> None:
    """S-64, S-66: the other has it and gets it once; no DELE until both have it."""
    moody.refuses = {TWO}
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.failed, ended.deleted) == (FetchExit.PARTIAL, 1, 2)
        assert server.mailbox.uidls == [b"uidl-2"]
        moody.refuses = set()
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.deleted) == (FetchExit.DONE, 1)
    assert home.stored() == ALL
    assert sorted(moody.taken) == sorted(BODIES)


async def test_a_destination_that_takes_nothing_ends_the_run_and_the_other_is_not_doubled(
    home: Home, moody: Moody
) -> None:
    """S-64: what the other has is marked; nothing is deleted; the next run goes on."""
    moody.is_broken = True
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.hint) == (FetchExit.STORAGE, "mend it")
        assert b"DELE" not in words(server)
        moody.is_broken = False
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert home.stored() == ALL
    assert moody.taken == [*BODIES]


async def test_a_destination_that_is_added_gets_new_mail_and_keeps_old_mail_on_the_server(
    home: Home, moody: Moody
) -> None:
    """S-64: what it does not have is not safe in every destination."""
    both, home.destinations = home.destinations, None
    async with OddServer(OddMailbox.of(ONE)) as server:
        await home.fetch(server, KEEP)
        home.destinations = both
        server.mailbox.add(*OddMailbox.of(ONE, TWO).messages[1:])
        assert (await home.fetch(server, DELETE)).deleted == 1
        assert server.mailbox.uidls == [b"uidl-1"]
    assert moody.taken == [TWO]


@pytest.mark.parametrize(
    "reaction", ["exit 75", "kill -9 $$", "sleep 300"], ids=["TEMPFAIL", "signal", "hang"]
)
async def test_a_program_that_fails_for_one_message_gets_the_others(
    home: Home, reaction: str
) -> None:
    """S-65: it is ended after its time, asked again in the next run, and nothing is lost."""
    record, flag = home.folder / "record", home.folder / "flag"
    home.folder.mkdir()
    script = f'm=$(mktemp); cat > "$m"; grep -q two "$m" && [ ! -e {flag} ] && {{ {reaction}; }}'
    command = ["sh", "-c", f'{script}; cat "$m" >> {record}; rm "$m"']
    home.destinations = [PipeDestination(command, home.folder / "spool", time_limit_s=0.5)]
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.fetched, ended.deleted) == (FetchExit.PARTIAL, 2, 2)
        flag.touch()
        assert (await home.fetch(server, DELETE)).deleted == 1
    assert record.read_bytes() == ONE + THREE + TWO


async def test_a_message_that_nobody_takes_goes_to_quarantine_and_stays_on_the_server(
    home: Home, moody: Moody
) -> None:
    """S-68, S-66: after three tries its octets are set aside; the rest goes on; nothing bounces."""
    moody.refuses = {TWO}
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        codes = [(await home.fetch(server, DELETE)).code for _ in range(3)]
        assert codes == [FetchExit.PARTIAL] * 3
        assert home.told(MessageFailed)[0].quarantined
        assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert len(asked(server, b"RETR")) == 5
        assert server.mailbox.uidls == [b"uidl-2"]
    kept = [path.read_bytes() for path in home.state.quarantine.glob("*.eml")]
    assert kept == [TWO]
    assert home.stored() == ALL
    assert home.states()[b"uidl-2"] is State.QUARANTINED


async def test_what_is_in_quarantine_is_asked_for_again_when_the_user_says_so(
    home: Home, moody: Moody
) -> None:
    """S-68: the reason may be gone; without being told so nothing takes it out."""
    moody.refuses = {TWO}
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        for _ in range(4):
            await home.fetch(server)
        moody.refuses = set()
        assert (await home.fetch(server)).fetched == 0
        ended = await home.fetch(server, retry=True)
    assert (ended.code, ended.fetched) == (FetchExit.DONE, 1)
    assert home.states()[b"uidl-2"] is State.STORED
    assert moody.taken.count(TWO) == 1


async def test_a_message_at_which_the_server_always_dies_does_not_stop_the_rest(
    home: Home,
) -> None:
    """S-68: it is set aside after three tries."""
    async with OddServer(OddMailbox.of(*BODIES), odd.cut_body(1, 9, times=None)) as server:
        for _ in range(3):
            await home.fetch(server)
        assert server.mailbox.uidls == UIDLS
        assert len([line for line in asked(server, b"RETR") if line == b"RETR 1"]) <= 4
    assert home.stored() == ALL - once(ONE)


async def test_an_mbox_that_another_program_holds_ends_the_run_in_order(
    home: Home,
) -> None:
    """S-69: nothing is deleted; when it is free again all of it comes, once."""
    home.to = [f"mbox:{home.folder / 'inbox'}"]
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        server.mailbox.add(*OddMailbox.of(*BODIES, ONE).messages[3:])
        lock = home.folder / "inbox.lock"
        lock.write_text("1\n")
        home.destinations = [
            MboxDestination(home.folder / "inbox", home.state.spool, lock_timeout_s=0.1)
        ]
        ended = await home.fetch(server, DELETE)
        assert ended.code == FetchExit.STORAGE
        assert len(server.mailbox.uidls) == 4
        lock.unlink()
        home.destinations = None
        assert (await home.fetch(server, DELETE)).deleted == 4
    assert (home.folder / "inbox").read_bytes().count(b"\nSubject: ") == 4


async def test_a_torn_batch_in_an_mbox_is_cut_off_before_the_next_begins(home: Home) -> None:
    """S-69: a run died while it appended; the file is cut back and each message is in it once."""
    inbox = home.folder / "inbox"
    home.to = [f"mbox:{inbox}"]
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        whole = inbox.read_bytes()
        with home.journal() as journal:
            (mark,) = journal.execute("SELECT mark FROM destination").fetchone()
        assert mark == len(whole)
        start = whole.rindex(b"From ", 0, whole.index(b"Subject: three"))
        with home.journal() as journal:
            journal.execute("UPDATE destination SET mark = ?", (start,))
        home.forget(b"uidl-3")
        inbox.write_bytes(whole[:-20])
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert inbox.read_bytes() == whole


async def test_a_maildir_without_hard_links_on_another_device_is_as_good(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-70: no link(2), and nothing is renamed from one place's disk to another's."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    elsewhere = tmp_path / "disk"
    elsewhere.mkdir()
    home.folder.mkdir()
    home.maildir.symlink_to(elsewhere, target_is_directory=True)
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert home.stored() == ALL


@pytest.mark.parametrize("separator", [":2,S", "!2,S", ";2,RS"])
async def test_any_separator_of_flags_leaves_a_message_known(home: Home, separator: str) -> None:
    """S-70: file systems that cannot have a colon; our own names have none."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        for path in home.files():
            assert ":" not in path.name
            path.rename(home.maildir / "cur" / f"{path.name}{separator}")
        home.forget(*UIDLS)
        assert (await home.fetch(server)).adopted == 3
    assert home.stored() == ALL
