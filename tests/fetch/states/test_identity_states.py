"""S-28 to S-40: which message is which, when numbers, unique-ids and counts cannot be believed.

All unique-ids changing at once, with ten thousand messages, is in `test_migration`.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fetch.states.running import (
    BODIES,
    DAY_S,
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

from mailkeep.fetch.events import Planned
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.rows import State
from mailkeep.testing.odd_server import (
    CAPABILITIES,
    Instead,
    Oddity,
    OddMailbox,
    OddMessage,
    OddServer,
    OddSettings,
    Where,
)
from mailkeep.testing.odd_server import oddities as odd

ALL = once(*BODIES)
OTHER = b"From: z@example.test\r\nSubject: another\r\n\r\nquite another\r\n"
SAME_SIZE = ONE.replace(b"first", b"other").replace(b"one", b"two")


async def test_numbers_are_never_remembered(home: Home) -> None:
    """S-28: the next session lists from the other end; nothing comes again, the right ones go."""
    new = OddMessage(b"new", OTHER)
    async with OddServer(OddMailbox.of(*BODIES), odd.reversed_order({2, 3})) as server:
        await home.fetch(server)
        server.mailbox.add(new)
        assert (await home.fetch(server)).fetched == 1
        assert home.came == [b"new"]
        server.mailbox.remove(server.mailbox.messages[1])
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert home.stored() == once(*BODIES, OTHER)


@pytest.mark.parametrize(
    "oddity",
    [
        odd.counts_disagree(stat=2),
        odd.counts_disagree(stat=-1),
        odd.counts_disagree(scan=1),
        odd.counts_disagree(scan=3),
    ],
    ids=["STAT more", "STAT fewer", "LIST fewer", "LIST none"],
)
async def test_where_counts_disagree_the_unique_ids_decide(home: Home, oddity: Oddity) -> None:
    """S-29: LIST is a hint for sizes and STAT is nothing; all that has a unique-id comes."""
    async with OddServer(OddMailbox.of(*BODIES), oddity) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert (await home.fetch(server, DELETE)).deleted == 3
        assert len(asked(server, b"RETR")) == 3
    assert home.stored() == ALL


async def test_what_has_no_unique_id_in_a_listing_is_not_deleted(home: Home) -> None:
    """S-29: it is warned of, stays, and comes when it is listed again."""
    async with OddServer(OddMailbox.of(*BODIES), odd.counts_disagree(uidl=1)) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.deleted, "different messages" in home.warnings) == (2, True)
        assert server.mailbox.uidls == [b"uidl-3"]
    async with OddServer(server.mailbox) as server:
        assert (await home.fetch(server, DELETE)).deleted == 1
    assert home.stored() == ALL


def twins(first: bytes, second: bytes) -> OddMailbox:
    return OddMailbox(OddMessage(b"twin", first), OddMessage(b"twin", second))


@pytest.mark.parametrize("second", [ONE, SAME_SIZE, TWO], ids=["same", "same size", "other"])
async def test_of_two_messages_with_one_unique_id_both_come_and_none_is_deleted(
    home: Home, second: bytes
) -> None:
    """S-30: nobody can say which of them DELE would hit tomorrow."""
    async with OddServer(twins(ONE, second)) as server:
        for policy in (DELETE, DELETE, KEEP):
            assert (await home.fetch(server, policy)).code == FetchExit.DONE
        assert len(server.mailbox.messages) == 2
        assert len(asked(server, b"RETR")) == 2
    assert home.stored() == once(ONE, second)


async def test_the_twin_that_is_left_is_not_taken_for_the_one_that_is_gone(home: Home) -> None:
    """S-30: it was never fetched, and stands where a stored message stood: it is not deleted."""
    async with OddServer(twins(ONE, SAME_SIZE), odd.gone_elsewhere(2)) as server:
        await home.fetch(server)
        assert home.stored() == once(ONE)
        server.mailbox.remove(server.mailbox.messages[0])
    async with OddServer(server.mailbox) as server:
        for _ in range(3):
            assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert len(server.mailbox.messages) == len(asked(server, b"RETR")) == 1
    assert home.stored() == once(ONE, SAME_SIZE)


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_of_three_twins_those_that_are_left_do_not_come_again(home: Home, gone: int) -> None:
    """S-30: their headers tell that they are here."""
    mailbox = OddMailbox(*(OddMessage(b"twin", body) for body in (ONE, SAME_SIZE, TWO)))
    async with OddServer(mailbox) as server:
        await home.fetch(server)
        mailbox.remove(mailbox.messages[gone])
        for _ in range(2):
            assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert len(asked(server, b"RETR")) == 3
        assert len(mailbox.messages) == 2
    assert home.stored() == once(ONE, SAME_SIZE, TWO)


async def test_a_unique_id_that_is_used_again_is_another_message(home: Home) -> None:
    """S-31: another size makes it doubtful and its header decides: fetched as a new one."""
    async with OddServer(OddMailbox.of(ONE, TWO)) as server:
        await home.fetch(server)
        server.mailbox.change(
            lambda message: replace(message, wire=OTHER) if message.uidl == b"uidl-1" else message
        )
        ended = await home.fetch(server)
        assert (ended.fetched, home.came) == (1, [b"uidl-1"])
        assert (await home.fetch(server, DELETE)).deleted == 2
        assert len(asked(server, b"RETR")) == 3
    assert home.stored() == once(ONE, TWO, OTHER)


async def test_a_unique_id_that_comes_back_for_another_message_is_another_message(
    home: Home,
) -> None:
    """S-31: what it named was deleted long ago."""
    async with OddServer(OddMailbox.of(ONE)) as server:
        await home.fetch(server, DELETE)
        server.mailbox.add(OddMessage(b"uidl-1", SAME_SIZE))
        ended = await home.fetch(server, DELETE)
        assert (ended.fetched, ended.deleted) == (1, 1)
    assert home.stored() == once(ONE, SAME_SIZE)


async def test_another_size_for_the_same_message_is_no_new_message(home: Home) -> None:
    """S-31: a server that counts in another way from now on; the header says it is the same."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
    async with OddServer(server.mailbox, odd.octets_with_lf()) as server:
        ended = await home.fetch(server)
        assert (ended.fetched, asked(server, b"RETR")) == (0, [])
        assert b"TOP" not in words(server, 1) or len(asked(server, b"TOP")) == 3
        await home.fetch(server)
        assert len(asked(server, b"TOP")) == 3
    assert home.stored() == ALL


@pytest.mark.parametrize("oddities", [(), (odd.no_top(),)], ids=["TOP", "no TOP"])
async def test_new_unique_ids_in_every_session_double_nothing(
    home: Home, oddities: tuple[Oddity, ...]
) -> None:
    """S-32: headers, or where they cannot be had the hash of the whole, tell what is here."""
    async with OddServer(OddMailbox.of(*BODIES), odd.new_uidls_each_login(), *oddities) as server:
        for _ in range(3):
            assert (await home.fetch(server)).code == FetchExit.DONE
        assert home.stored() == ALL
        server.mailbox.add(OddMessage(b"new", OTHER))
        assert (await home.fetch(server)).fetched == 1
        assert (await home.fetch(server, DELETE)).deleted == 4
    assert home.stored() == once(*BODIES, OTHER)


async def test_without_unique_ids_headers_tell_messages_apart(home: Home) -> None:
    """S-33: nothing comes twice, what is stored can be deleted, and it is said."""
    async with OddServer(OddMailbox.of(*BODIES), odd.no_uidl()) as server:
        await home.fetch(server)
        assert "no unique-ids" in home.warnings
        server.mailbox.add(OddMessage(b"", OTHER))
        assert (await home.fetch(server)).fetched == 1
        assert len(asked(server, b"RETR")) == 4
        assert (await home.fetch(server, DELETE)).deleted == 4
    assert home.stored() == once(*BODIES, OTHER)


async def test_without_unique_ids_two_messages_with_one_header_both_come(home: Home) -> None:
    """S-33, S-30: the header says nothing then; both are kept on the server."""
    header = b"Subject: same\r\n\r\n"
    async with OddServer(OddMailbox.of(header + ONE, header + TWO), odd.no_uidl()) as server:
        assert (await home.fetch(server, DELETE)).deleted == 0
    assert home.stored() == once(header + ONE, header + TWO)


async def test_without_unique_ids_and_headers_nothing_is_fetched(home: Home) -> None:
    """S-33: everything would come again with every run, so it is refused and said why."""
    async with OddServer(OddMailbox.of(*BODIES), odd.no_uidl(), odd.no_top()) as server:
        ended = await home.fetch(server)
        assert ended.code == FetchExit.PROTOCOL
        assert "told from" in (ended.error_untrusted or "")
        assert asked(server, b"RETR") == []


@pytest.mark.parametrize(
    ("oddity", "code"),
    [
        (odd.uidl_fails(1), FetchExit.BUSY),
        (Instead(Where(b"UIDL", times=1), b"-ERR no\r\n"), FetchExit.PROTOCOL),
        (Instead(Where(b"LIST", times=1), b"-ERR [SYS/TEMP] no\r\n"), FetchExit.BUSY),
        (Instead(Where(b"STAT", times=1), b"-ERR [SYS/TEMP] no\r\n"), FetchExit.BUSY),
    ],
    ids=["UIDL later", "UIDL refused", "LIST later", "STAT later"],
)
async def test_a_uidl_that_fails_now_changes_nothing(home: Home, oddity: Oddity, code: int) -> None:
    """S-34: no falling back to "everything is new", no forgetting; the next run is as always."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        before = home.states()
    async with OddServer(server.mailbox, oddity) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, home.states()) == (code, before)
        assert {b"RETR", b"DELE", b"TOP"}.isdisjoint(words(server))
        assert (await home.fetch(server, DELETE)).deleted == 3


async def test_any_octets_are_a_unique_id_and_none_is_a_path(home: Home) -> None:
    """S-35, S-57: kept as they are, different ones are different, and no file is called so."""
    messages = [
        OddMessage(uidl, b"Subject: %d\r\n\r\n" % place) for place, uidl in enumerate(odd.ODD_UIDLS)
    ]
    async with OddServer(OddMailbox(*messages)) as server:
        assert (await home.fetch(server)).fetched == len(messages)
        assert (await home.fetch(server)).fetched == 0
        known = {uidl.strip(b" ") for uidl in odd.ODD_UIDLS}
        assert home.states().keys() == known
        names = [path.name.split("Q")[1].split("K")[1] for path in home.files()]
        assert all(len(name.partition(".")[0]) == 32 for name in names)
        assert (await home.fetch(server, DELETE)).deleted == len(messages)
    assert home.stored() == once(*(message.wire for message in messages))
    assert home.outside() == []


async def test_wide_spaces_in_a_listing_are_no_part_of_a_unique_id(home: Home) -> None:
    """S-35: what separates is not what is separated, so nothing is new tomorrow."""
    async with OddServer(OddMailbox.of(*BODIES), odd.wide_spaces()) as server:
        await home.fetch(server)
    async with OddServer(server.mailbox) as server:
        assert (await home.fetch(server)).fetched == 0


@pytest.mark.parametrize("oddity", [odd.shows_nothing({2, 3}), odd.shows_first(1, {2, 3})])
async def test_a_mailbox_that_shows_less_makes_nothing_be_forgotten(
    home: Home, oddity: Oddity
) -> None:
    """S-36: whatever the time, what is shown again is known."""
    async with OddServer(OddMailbox.of(*BODIES), oddity) as server:
        await home.fetch(server)
        for _ in range(2):
            home.now += DAY_S
            assert (await home.fetch(server)).code == FetchExit.DONE
        home.now += DAY_S
        assert (await home.fetch(server)).fetched == 0
        assert len(asked(server, b"RETR")) == 3
    assert home.stored() == ALL


async def test_a_mailbox_that_is_suddenly_empty_is_warned_of(home: Home) -> None:
    """S-36: a person may know why."""
    async with OddServer(OddMailbox.of(*BODIES), odd.shows_nothing({2})) as server:
        await home.fetch(server)
        await home.fetch(server)
        assert "shows nothing" in home.warnings
        assert set(home.states().values()) == {State.STORED}


async def test_what_an_empty_listing_settled_wrongly_does_not_come_again(home: Home) -> None:
    """S-36, S-06: QUIT was not answered, then the mailbox looks empty, then all is there again."""
    oddities = odd.close_before_quit_answer(removes=False), odd.shows_nothing({2})
    async with OddServer(OddMailbox.of(*BODIES), *oddities) as server:
        for policy in (DELETE, KEEP, KEEP):
            await home.fetch(server, policy)
        assert len(asked(server, b"RETR")) == 3
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert home.stored() == ALL


async def test_what_is_not_listed_for_a_month_counts_as_gone_and_is_known_when_it_comes_back(
    home: Home,
) -> None:
    """S-36, S-37: grace, and after it the header is asked before anything is fetched again."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        hidden = server.mailbox.messages[2]
        server.mailbox.remove(hidden)
        for _ in range(2):
            home.now += 31 * DAY_S
            server.mailbox.add(OddMessage(b"other-%d" % home.now, OTHER))
            await home.fetch(server)
        assert home.states()[b"uidl-3"] is State.GONE
        server.mailbox.add(hidden)
        assert (await home.fetch(server)).fetched == 0
    assert home.stored()[THREE] == 1


async def test_a_server_that_hides_what_was_read_is_asked_until_nothing_comes(home: Home) -> None:
    """S-37: sessions are repeated, and nothing is forgotten because it is not shown."""
    home.account = {"hides_read_mail": True}
    bodies = [b"Subject: %d\r\n\r\n" % number for number in range(7)]
    async with OddServer(OddMailbox.of(*bodies), odd.hides_read(3)) as server:
        ended = await home.fetch(server)
        assert (ended.code, ended.fetched) == (FetchExit.DONE, 7)
        assert len(server.sessions) == 4
        assert (await home.fetch(server)).fetched == 0
        assert set(home.states().values()) == {State.STORED}
    assert home.stored() == once(*bodies)


async def test_what_another_client_removed_is_skipped(home: Home) -> None:
    """S-38: -ERR to RETR is about one message; the rest comes; when it is unlisted it is gone."""
    async with OddServer(OddMailbox.of(*BODIES), odd.gone_elsewhere(2)) as server:
        ended = await home.fetch(server)
        assert (ended.code, ended.fetched, ended.failed) == (FetchExit.PARTIAL, 2, 1)
        server.mailbox.remove(server.mailbox.messages[1])
    async with OddServer(server.mailbox) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert home.states()[b"uidl-2"] is State.GONE


@pytest.mark.parametrize("argument", [b"0", b"7"])
async def test_a_server_that_deletes_by_itself_is_warned_of(home: Home, argument: bytes) -> None:
    """S-39, RFC 2449 section 6.7: the copy here is or will be the only one."""
    capabilities = (*CAPABILITIES[:-1], b"EXPIRE " + argument)
    settings = OddSettings(capabilities=capabilities)
    async with OddServer(
        OddMailbox.of(*BODIES), odd.deletes_on_read(), settings=settings
    ) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        assert "the server deletes mail" in home.warnings
        assert server.mailbox.uidls == []
    assert home.stored() == ALL


async def test_one_message_in_two_accounts_is_two(tmp_path: Path) -> None:
    """S-40: separate journals, and two files even in one Maildir."""
    first, second = Home(tmp_path / "home"), Home(tmp_path / "second")
    second.to = first.to
    second.account = {"host": "127.0.0.1"}
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        for home in (first, second, first, second):
            assert (await home.fetch(server)).code == FetchExit.DONE
        assert len(asked(server, b"RETR")) == 6
    assert first.stored() == once(*BODIES, *BODIES)


async def test_a_plan_is_told_before_anything_is_asked_for(home: Home) -> None:
    """What will be fetched and deleted is known first: counts, and octets as announced."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server, DELETE)
    assert home.told(Planned) == [Planned(3, 3, sum(map(len, BODIES)), 3, 0)]
    assert home.came == UIDLS
