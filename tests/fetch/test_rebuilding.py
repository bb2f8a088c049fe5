"""What a journal knows holds over all runs, and a lost one is made anew: nothing comes twice."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.harness.site import PASSWORD, RunningSite
from tests.messages import naive_wire_form

from mailkeep.fetch.account import Account, TlsPolicy, Transport
from mailkeep.fetch.destinations.folder import FolderDestination
from mailkeep.fetch.destinations.maildir import MaildirDestination
from mailkeep.fetch.destinations.mbox import MboxDestination
from mailkeep.fetch.destinations.pipe import PipeDestination
from mailkeep.fetch.destinations.seam import Destination
from mailkeep.fetch.events import Ended, Event
from mailkeep.fetch.failures import AccountLocked, FetchExit, ProtocolBroken, StorageFailed
from mailkeep.fetch.importing.found import SeenMessage
from mailkeep.fetch.journal import Journal, open_journal
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.policy import Initial, Larger, Policy
from mailkeep.fetch.rebuilding import Rebuilt, import_seen, rebuild_account
from mailkeep.fetch.rows import IMPORTED, MANGLED, State
from mailkeep.fetch.run import AccountRun
from mailkeep.fetch.state_folder import AccountFolder
from mailkeep.sasl import Login
from mailkeep.testing.odd_server import Login as OddLogin
from mailkeep.testing.odd_server import OddMailbox, OddMessage, OddServer, oddities
from mailkeep.values import Secret

NOW = 1_700_000_000
MAIL = [b"Subject: %d\n\nbody %d\n" % (number, number) for number in range(4)]
DELETE = Policy(delete=True)


@dataclass
class Mailbox:
    """An account and what it is fetched into.

    Attributes:
        account: where it is.
        password: of its user.
        folder: of everything that is here.
    """

    account: Account
    password: str
    folder: Path

    @property
    def state(self) -> AccountFolder:
        return AccountFolder.of(self.folder / "state", self.account.name)

    @property
    def maildir(self) -> Path:
        return self.folder / "Mail"

    async def fetch(self, *destinations: Destination, policy: Policy | None = None) -> Ended:
        """Run as `mailkeep fetch` does, into the Maildir if nothing else is said."""
        told: list[Event] = []
        run = AccountRun(
            self.account,
            policy or Policy(),
            lambda: destinations or (MaildirDestination(self.maildir),),
            self.state,
            self._login,
            lambda _, event: told.append(event),
        )
        ended = await run.fetch()
        assert ended.code == FetchExit.DONE, ended
        return ended

    async def rebuild(self, *destinations: Destination) -> Rebuilt:
        some = destinations or (MaildirDestination(self.maildir),)
        return await rebuild_account(self.account, self.state, some, self._login)

    def lose_journal(self) -> None:
        shutil.rmtree(self.state.path)

    def stored(self) -> list[bytes]:
        """Return the messages in the Maildir."""
        return [file.read_bytes() for file in self.files()]

    def files(self) -> list[Path]:
        return sorted([*self.maildir.glob("new/*"), *self.maildir.glob("cur/*")])

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        with contextlib.closing(open_journal(self.state.journal)) as journal:
            yield journal

    async def _login(self) -> Login:
        return Login(self.account.user, Secret(self.password.encode()))


def on_site(served: RunningSite, folder: Path, name: str, *messages: bytes) -> Mailbox:
    """Return a mailbox that `mailkeep serve` serves."""
    served.add_account(name)
    served.deliver(name, *messages)
    trust = TlsPolicy(authorities=served.ca)
    port = served.pop3s.number
    return Mailbox(Account("localhost", port, Transport.TLS, name, trust), PASSWORD, folder)


def on_odd(server: OddServer, folder: Path) -> Mailbox:
    """Return a mailbox that the odd server serves."""
    login = OddLogin()
    account = Account("127.0.0.1", server.port, Transport.CLEARTEXT, login.user.decode())
    return Mailbox(account, login.password.decode(), folder)


def as_a_mail_program(file: Path, *, keeps_name: bool) -> None:
    """Move a message to `cur`, as a program that shows it does, or one that copies it."""
    name = f"{file.name}:2,S" if keeps_name else f"1700000000.M1P{file.stat().st_ino}.other:2,"
    file.rename(file.parent.parent / "cur" / name)


@pytest.mark.parametrize("keeps_name", [True, False])
async def test_messages_are_found_by_their_name_or_by_header_and_size(
    served: RunningSite, tmp_path: Path, keeps_name: bool
) -> None:
    """S-10: after `state rebuild` nothing comes again, and what is new comes once."""
    mailbox = on_site(served, tmp_path, f"rebuilt{keeps_name}".lower(), *MAIL)
    assert (await mailbox.fetch()).fetched == 4
    for file in mailbox.files():
        as_a_mail_program(file, keeps_name=keeps_name)
    mailbox.lose_journal()
    assert await mailbox.rebuild() == Rebuilt(listed=4, known=4)
    with mailbox.journal() as journal:
        assert journal.counts() == {State.STORED: 4}
        assert len(journal.deletable([f"maildir:{mailbox.maildir}"])) == 4
    served.deliver(mailbox.account.user, b"Subject: new\n\n")
    assert (await mailbox.fetch()).fetched == 1
    assert len(mailbox.stored()) == 5


async def test_what_is_not_here_is_not_known(served: RunningSite, tmp_path: Path) -> None:
    """A message that the user has removed or lost is fetched again; the others are not."""
    mailbox = on_site(served, tmp_path, "removed", *MAIL)
    await mailbox.fetch()
    mailbox.files()[2].unlink()
    mailbox.lose_journal()
    assert await mailbox.rebuild() == Rebuilt(listed=4, known=3)
    assert (await mailbox.fetch()).fetched == 1
    assert sorted(mailbox.stored()) == sorted(map(naive_wire_form, MAIL))


async def test_every_destination_must_have_a_message(served: RunningSite, tmp_path: Path) -> None:
    """What counts as stored may be deleted from the server: so it is stored in all."""
    mailbox = on_site(served, tmp_path, "several", *MAIL)
    spool = tmp_path / "spool"
    spool.mkdir()
    everywhere = (
        MaildirDestination(mailbox.maildir),
        MboxDestination(tmp_path / "mbox", spool),
        FolderDestination(tmp_path / "dir"),
    )
    await mailbox.fetch(*everywhere)
    mailbox.files()[1].unlink()
    mailbox.lose_journal()
    assert await mailbox.rebuild(*everywhere[1:]) == Rebuilt(listed=4, known=4)
    mailbox.lose_journal()
    assert await mailbox.rebuild(*everywhere) == Rebuilt(listed=4, known=3)
    with mailbox.journal() as journal:
        names = [one.name for one in everywhere]
        assert len(journal.deletable(names)) == 3


async def test_a_journal_that_is_still_there_keeps_what_it_knows(
    served: RunningSite, tmp_path: Path
) -> None:
    """Whoever rebuilds without need loses nothing."""
    mailbox = on_site(served, tmp_path, "kept", *MAIL)
    await mailbox.fetch()
    with mailbox.journal() as journal:
        before = journal.settled(), journal.counts()
    await mailbox.rebuild()
    with mailbox.journal() as journal:
        assert (journal.settled(), journal.counts()) == before
    assert (await mailbox.fetch()).fetched == 0


async def test_a_pipe_cannot_be_read_back(served: RunningSite, tmp_path: Path) -> None:
    """Nobody knows what became of it; exit code 9, and no journal that claims anything."""
    mailbox = on_site(served, tmp_path, "piped", *MAIL)
    with pytest.raises(StorageFailed) as refused:
        await mailbox.rebuild(PipeDestination(["/bin/cat"], tmp_path))
    assert refused.value.code is FetchExit.STORAGE
    with mailbox.journal() as journal:
        assert journal.is_empty()


async def test_a_rebuild_waits_for_no_run(served: RunningSite, tmp_path: Path) -> None:
    """S-11: the account's lock is one for all who write its journal."""
    mailbox = on_site(served, tmp_path, "locked")
    mailbox.state.make()
    with mailbox.state.locked(), pytest.raises(AccountLocked):
        await mailbox.rebuild()


def message(uidl: bytes, wire: bytes, octets: bytes | None = None) -> OddMessage:
    return OddMessage(uidl, wire, octets)


LETTER = b"Subject: letter\r\n\r\n" + b"dear Alice\r\n" * 20
OTHER = b"Subject: other\r\n\r\n" + b"dear Bob\r\n" * 20


async def test_twins_are_told_apart_by_their_place(tmp_path: Path) -> None:
    """S-30: two messages under one unique-id have two names here, and both are found again."""
    mails = OddMailbox(
        message(b"A", LETTER), message(b"A", OTHER), message(b"B", LETTER + b"x\r\n")
    )
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        assert (await mailbox.fetch()).fetched == 3
        mailbox.lose_journal()
        assert await mailbox.rebuild() == Rebuilt(listed=3, known=3)
        assert (await mailbox.fetch()).fetched == 0
        assert len(mailbox.stored()) == 3


async def test_one_file_stands_for_one_message(tmp_path: Path) -> None:
    """Two messages of one header and one size may differ; only one of them is here for sure."""
    other = LETTER.replace(b"Alice", b"Carol")
    mails = OddMailbox(message(b"A", LETTER), message(b"B", other))
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch()
        for file in mailbox.files():
            if file.read_bytes() == LETTER:
                as_a_mail_program(file, keeps_name=False)
            else:
                file.unlink()
        mailbox.lose_journal()
        assert await mailbox.rebuild() == Rebuilt(listed=2, known=1)


Losing = pytest.mark.parametrize("rebuilds", [True, False], ids=["rebuilt", "found by itself"])


@Losing
async def test_a_unique_id_that_now_names_another_message_is_fetched(
    tmp_path: Path, rebuilds: bool
) -> None:
    """S-10, S-31: our file has the name and is another message; it must not be taken for it."""
    mails = OddMailbox(message(b"A", LETTER), message(b"B", LETTER + b"more\r\n"))
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch()
        mailbox.lose_journal()
        mails.change(lambda old: replace(old, wire=OTHER) if old.uidl == b"A" else old)
        if rebuilds:
            assert await mailbox.rebuild() == Rebuilt(listed=2, known=1)
        assert (await mailbox.fetch(policy=DELETE)).fetched == 1
        assert sorted(mailbox.stored()) == sorted([LETTER, LETTER + b"more\r\n", OTHER])
        assert mails.messages == ()


@Losing
async def test_a_server_that_counts_wrongly_is_believed_by_headers(
    tmp_path: Path, rebuilds: bool
) -> None:
    """S-10, S-41: sizes that count LF for CRLF make nothing new."""
    mails = OddMailbox(message(b"A", LETTER), message(b"B", OTHER))
    async with OddServer(mails, oddities.octets_with_lf()) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch()
        mailbox.lose_journal()
        if rebuilds:
            assert await mailbox.rebuild() == Rebuilt(listed=2, known=2)
        ended = await mailbox.fetch()
        assert (ended.fetched, ended.adopted) == (0, 0 if rebuilds else 2)
        assert sorted(mailbox.stored()) == sorted([LETTER, OTHER])


@Losing
async def test_a_header_that_is_here_is_not_the_message(tmp_path: Path, rebuilds: bool) -> None:
    """S-10, S-46: of a message that was too large only the header is stored: it stays there."""
    large = LETTER + b"x" * 5000 + b"\r\n"
    mails = OddMailbox(message(b"A", large), message(b"B", OTHER))
    headers = Policy(delete=True, larger_than=1000, larger=Larger.HEADERS)
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch(policy=replace(headers, delete=False))
        mailbox.lose_journal()
        if rebuilds:
            await mailbox.rebuild()
        await mailbox.fetch(policy=headers)
        assert mails.uidls == [b"A"]
        assert sorted(mailbox.stored()) == sorted([b"Subject: letter\r\n\r\n", OTHER])
        with mailbox.journal() as journal:
            assert journal.states()[b"A"] is State.HEADER
        await mailbox.fetch(policy=DELETE)
        assert mails.uidls == []
        assert large in mailbox.stored()


async def test_without_unique_ids_there_is_nothing_to_connect(tmp_path: Path) -> None:
    """S-33: such a server's messages are known by their headers anyway."""
    async with OddServer(OddMailbox.of(LETTER), oddities.no_uidl()) as server:
        mailbox = on_odd(server, tmp_path)
        mailbox.maildir.mkdir()
        MaildirDestination(mailbox.maildir).prepare(is_known=False)
        with pytest.raises(ProtocolBroken, match="unique-ids"):
            await mailbox.rebuild()


async def test_without_top_names_must_do(tmp_path: Path) -> None:
    """RFC 1939 section 7: TOP is optional; what cannot be compared is fetched again."""
    mails = OddMailbox(message(b"A", LETTER), message(b"B", OTHER))
    async with OddServer(mails, oddities.no_top()) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch()
        as_a_mail_program(mailbox.files()[0], keeps_name=False)
        mailbox.lose_journal()
        assert await mailbox.rebuild() == Rebuilt(listed=2, known=1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(open_journal(tmp_path / "journal.db")) as journal:
        yield journal


def seen(*messages: SeenMessage) -> Sequence[SeenMessage]:
    return messages


def test_what_another_program_has_seen_is_left_and_never_deleted(journal: Journal) -> None:
    """It is proved safe nowhere here."""
    count = import_seen(journal, seen(SeenMessage(b"A", NOW), SeenMessage(b"B", None)), now=NOW)
    assert count == 2
    assert journal.settled() == {b"A": None, b"B": None}
    assert {row.note for row in journal.rows(State.LEFT)} == {IMPORTED}
    assert journal.deletable(["maildir:x"]) == {}


def test_a_mangled_unique_id_is_noted_as_such(journal: Journal) -> None:
    """getmail writes `-` for `/`; the next listing tells what it was."""
    import_seen(journal, seen(SeenMessage(b"a-b", NOW, is_mangled=True)), now=NOW)
    assert journal.mangled() == [b"a-b"]
    assert {row.note for row in journal.rows(State.LEFT)} == {MANGLED}


def test_a_message_that_was_fetched_in_part_is_fetched_whole(journal: Journal) -> None:
    """Thunderbird keeps headers of large mail; they are not the mail."""
    import_seen(journal, seen(SeenMessage(b"A", NOW, is_whole=False)), now=NOW)
    (row,) = journal.others()
    assert (row.state, row.key) == (State.HEADER, MessageKey(b"A"))
    assert journal.settled() == {}


def test_an_import_takes_nothing_back(journal: Journal) -> None:
    """Importing twice, or late, or the same message in two ways, changes no row that is there."""
    import_seen(journal, seen(SeenMessage(b"A", NOW)), now=NOW)
    rows = journal.rows(State.LEFT)
    again = seen(
        SeenMessage(b"A", NOW),
        SeenMessage(b"A", NOW, is_whole=False),
        SeenMessage(b"A", NOW, is_mangled=True),
    )
    import_seen(journal, again, now=NOW + 5)
    assert journal.rows(State.LEFT) == rows
    assert journal.counts() == {State.LEFT: 1}


async def test_imported_mail_does_not_come_again(tmp_path: Path) -> None:
    """The import's whole purpose, over a real session: new mail comes, old mail stays, twice."""
    mails = OddMailbox(message(b"a/b", LETTER), message(b"c-d", OTHER), message(b"new", LETTER))
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        mailbox.state.make()
        with mailbox.journal() as journal:
            some = [SeenMessage(uidl, NOW, is_mangled=True) for uidl in (b"a-b", b"c-d")]
            import_seen(journal, some, now=NOW)
        assert (await mailbox.fetch(policy=DELETE)).fetched == 1
        assert mails.uidls == [b"a/b", b"c-d"]
        assert (await mailbox.fetch(policy=DELETE)).fetched == 0
        assert mailbox.stored() == [LETTER]


@pytest.mark.parametrize("rest", [[], [b"Subject: large\r\n\r\n" + b"x" * 3000]])
async def test_a_first_run_with_nothing_to_note_was_the_first_all_the_same(
    tmp_path: Path, rest: list[bytes]
) -> None:
    """`--initial none` leaves what was there before it, and not the first mail that comes later."""
    mails = OddMailbox.of(*rest)
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        small = Policy(larger_than=2000)
        assert (await mailbox.fetch(policy=small)).fetched == 0
        mails.add(message(b"new", LETTER))
        nothing_old = replace(small, initial=Initial.NONE)
        assert (await mailbox.fetch(policy=nothing_old)).fetched == 1
        assert mailbox.stored() == [LETTER]


async def test_mail_that_a_server_gives_back_is_known_for_ever(tmp_path: Path) -> None:
    """A backup of the server was put back: nothing is fetched again, and it is deleted again."""
    old = (message(b"A", LETTER), message(b"B", OTHER))
    mails = OddMailbox(*old)
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        assert (await mailbox.fetch(policy=DELETE)).deleted == 2
        for _ in range(2):
            mails.add(*old)
            ended = await mailbox.fetch()
            assert (ended.fetched, ended.adopted) == (0, 2)
            ended = await mailbox.fetch()
            assert (ended.fetched, ended.adopted) == (0, 0), "once known it stays known"
            assert (await mailbox.fetch(policy=DELETE)).deleted == 2
            assert mails.messages == ()
        assert sorted(mailbox.stored()) == sorted([LETTER, OTHER])


async def test_a_unique_id_that_is_used_again_never_counts_as_stored(tmp_path: Path) -> None:
    """S-31: not even where its message came as a header first, whole later, and was deleted."""
    large = LETTER + b"x" * 5000 + b"\r\n"
    mails = OddMailbox(message(b"A", large))
    async with OddServer(mails) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch(policy=Policy(larger_than=1000, larger=Larger.HEADERS))
        await mailbox.fetch(policy=DELETE)
        assert mails.messages == ()
        mails.add(message(b"A", OTHER))
        ended = await mailbox.fetch(policy=DELETE)
        assert (ended.fetched, ended.deleted) == (1, 1)
        assert sorted(mailbox.stored()) == sorted([b"Subject: letter\r\n\r\n", large, OTHER])


@pytest.mark.parametrize("has_top", [True, False])
async def test_new_unique_ids_for_old_mail_bring_nothing_twice(
    tmp_path: Path, has_top: bool
) -> None:
    """S-32: headers tell, and without TOP the content; the run after that asks for nothing."""
    mails = OddMailbox(message(b"A", LETTER), message(b"B", OTHER))
    async with OddServer(mails, *([] if has_top else [oddities.no_top()])) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch()
        mails.change(lambda old: replace(old, uidl=b"new-" + old.uidl))
        ended = await mailbox.fetch()
        assert (ended.fetched, ended.adopted) == (0, 2)
        ended = await mailbox.fetch()
        assert (ended.fetched, ended.adopted) == (0, 0)
        assert sorted(mailbox.stored()) == sorted([LETTER, OTHER])
        assert (await mailbox.fetch(policy=DELETE)).deleted == 2


@pytest.mark.parametrize("has_top", [True, False])
async def test_a_server_that_begins_to_count_otherwise_brings_nothing_twice(
    tmp_path: Path, has_top: bool
) -> None:
    """S-31, S-41: another size makes a message doubtful, its header or content settles it."""
    mails = OddMailbox(message(b"A", LETTER), message(b"B", OTHER))
    async with OddServer(mails, *([] if has_top else [oddities.no_top()])) as server:
        mailbox = on_odd(server, tmp_path)
        await mailbox.fetch()
        mails.change(lambda old: replace(old, octets=b"%d" % (len(old.wire) - 20)))
        ended = await mailbox.fetch()
        assert (ended.fetched, ended.adopted) == (0, 2)
        ended = await mailbox.fetch()
        assert (ended.fetched, ended.adopted) == (0, 0)
        assert sorted(mailbox.stored()) == sorted([LETTER, OTHER])
        assert (await mailbox.fetch(policy=DELETE)).deleted == 2
