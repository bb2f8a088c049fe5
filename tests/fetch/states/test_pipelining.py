"""S-26, S-27: many commands under way, with servers that mean PIPELINING and others."""

from collections import Counter
from collections.abc import Callable

import pytest
from tests.fetch.states.running import (
    BODIES,
    DELETE,
    KEEP,
    Home,
    asked,
    once,
    words,
)

from mailkeep.fetch import download
from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.run import PIPELINING
from mailkeep.testing.odd_server import (
    CAPABILITIES,
    Answer,
    Changed,
    Heard,
    Oddity,
    OddMailbox,
    OddMessage,
    OddServer,
    OddSession,
    OddSettings,
    Where,
)
from mailkeep.testing.odd_server import oddities as odd

MANY = [b"Subject: %d\r\n\r\n" % n + b"line\r\n" * (n % 40) for n in range(60)]
NO_PIPELINING = tuple(c for c in CAPABILITIES if c != b"PIPELINING")


class UnderWay(Oddity):
    """Counts what a client has asked for and not been answered yet.

    Attributes:
        most: commands at once.
        most_octets: announced octets at once.
    """

    def __init__(self) -> None:
        self.most = self.most_octets = 0
        self._waiting: list[int] = []

    def heard(self, session: OddSession, command: Heard, /) -> None:
        """Count."""
        if command.word == b"RETR":
            octets = session.entries[command.number - 1].octets
            self._waiting.append(int(octets))
            self.most = max(self.most, len(self._waiting))
            self.most_octets = max(self.most_octets, sum(self._waiting))

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Count down."""
        if session.command.word == b"RETR":
            self._waiting.pop(0)
        return answer


def early(server: OddServer, session: int) -> bool:
    """Tell whether a session had any command before the answer to the one before it."""
    return any(command.early for command in server.sessions[session - 1].commands)


async def test_many_commands_are_under_way_and_no_more_than_the_window(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-27: bounded by count, so that a server need not keep thousands of commands."""
    monkeypatch.setattr(download, "WINDOW_COMMANDS", 20)
    under_way = UnderWay()
    async with OddServer(OddMailbox.of(*MANY), under_way) as server:
        assert (await home.fetch(server)).fetched == len(MANY)
        assert early(server, 1)
    assert 10 <= under_way.most <= 20
    assert home.stored() == once(*MANY)


async def test_no_more_octets_are_under_way_than_the_window(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-27: bounded by what was announced, plus the message that fills it."""
    monkeypatch.setattr(download, "WINDOW_OCTETS", 100_000)
    under_way = UnderWay()
    bodies = [b"Subject: %d\r\n\r\n" % n + b"x" * 10_000 + b"\r\n" for n in range(60)]
    async with OddServer(OddMailbox.of(*bodies), under_way) as server:
        assert (await home.fetch(server)).fetched == len(bodies)
    assert 50_000 <= under_way.most_octets <= 120_000


async def test_a_server_that_reads_nothing_while_it_writes_is_no_deadlock(home: Home) -> None:
    """S-27, RFC 2449 section 6.6: we read while we write."""
    bodies = [b"Subject: %d\r\n\r\n" % n + b"x" * 20_000 + b"\r\n" for n in range(300)]
    settings = OddSettings(hears_while_answering=False, buffer_octets=4096)
    async with OddServer(OddMailbox.of(*bodies), settings=settings) as server:
        assert (await home.fetch(server)).fetched == len(bodies)
        assert early(server, 1)
    assert home.stored() == once(*bodies)


async def test_without_the_capability_every_command_waits(home: Home) -> None:
    """RFC 2449 section 6.6: only who says so gets commands early."""
    settings = OddSettings(capabilities=NO_PIPELINING)
    async with OddServer(OddMailbox.of(*MANY), settings=settings) as server:
        assert (await home.fetch(server, DELETE)).deleted == len(MANY)
        assert not early(server, 1)
    assert home.stored() == once(*MANY)


async def test_nothing_is_pipelined_across_a_login(home: Home) -> None:
    """S-26: what changes the state is answered before anything else is said."""
    async with OddServer(OddMailbox.of(*BODIES)) as server:
        await home.fetch(server)
        commands = server.sessions[0].commands
        place = next(n for n, command in enumerate(commands) if command.word == b"AUTH")
        assert not any(command.early for command in commands[: place + 3])


@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "make",
    [odd.lose_replies, odd.double_replies, odd.merge_replies],
    ids=["lost", "doubled", "merged"],
)
async def test_replies_that_do_not_match_lose_and_double_nothing(
    home: Home, make: Callable[[int], Oddity], every: int
) -> None:
    """S-26: the connection is closed, it is remembered, and the rest comes in lock-step."""
    home.account = {"timeout_s": 0.5}
    async with OddServer(OddMailbox.of(*MANY), make(every)) as server:
        await home.fetch(server, KEEP)
        assert early(server, 1)
        await home.fetch(server, DELETE)
        await home.fetch(server, DELETE)
        assert not early(server, len(server.sessions))
        assert server.mailbox.uidls == []
    assert home.stored() == once(*MANY)
    assert home.facts()[PIPELINING] == "broken"


async def test_replies_in_another_order_lose_and_double_nothing(home: Home) -> None:
    """S-26: the length that was announced for each tells."""
    async with OddServer(OddMailbox.of(*MANY), odd.reorder_replies()) as server:
        for policy in (KEEP, DELETE, DELETE):
            await home.fetch(server, policy)
        assert server.mailbox.uidls == []
        assert not early(server, len(server.sessions))
    assert home.stored() == once(*MANY)


async def test_what_was_found_broken_is_remembered(home: Home) -> None:
    """S-26: the next runs do not try again."""
    async with OddServer(OddMailbox.of(*MANY), odd.reorder_replies()) as server:
        await home.fetch(server)
        assert early(server, 1)
    async with OddServer(server.mailbox) as server:
        server.mailbox.add(*[OddMessage(b"new-%d" % n, body) for n, body in enumerate(BODIES)])
        assert (await home.fetch(server)).fetched == 3
        assert not early(server, 1)


async def test_one_silence_is_no_broken_pipelining(home: Home) -> None:
    """S-26, S-20: it may be the network's: the rest of the run is slow, the next is not."""
    home.account = {"timeout_s": 0.3}
    silence = odd.silence(Where(b"RETR", first=30, times=1))
    async with OddServer(OddMailbox.of(*MANY), silence) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
        server.mailbox.add(*OddMailbox.of(*BODIES).messages)
        assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert [early(server, n) for n in (1, 2, 3)] == [True, False, True]
        assert home.facts()[PIPELINING] == ""
    assert home.stored() == once(*MANY, *BODIES)


async def test_answers_of_one_length_that_were_lost_are_found_out_by_their_headers(
    home: Home,
) -> None:
    """S-26: where lengths say nothing, what came is compared with TOP before anything goes."""
    bodies = [b"Subject: %02d\r\n\r\nbody\r\n" % number for number in range(40)]
    home.account = {"timeout_s": 0.3}
    lost = Changed(Where(b"RETR", 20, early=True), lambda _: Answer(b""))
    async with OddServer(OddMailbox.of(*bodies), lost) as server:
        assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert server.mailbox.uidls == []
        assert not early(server, 2)
    assert set(home.stored()) == set(bodies)


async def test_answers_of_one_length_that_were_doubled_lose_nothing(home: Home) -> None:
    """S-26: two copies are better than none, and the server is not asked like that again."""
    bodies = [b"Subject: %02d\r\n\r\nbody\r\n" % number for number in range(40)]
    async with OddServer(OddMailbox.of(*bodies), odd.double_replies(20)) as server:
        for _ in range(2):
            await home.fetch(server, DELETE)
        assert server.mailbox.uidls == []
    assert set(home.stored()) == set(bodies)
    assert home.facts()[PIPELINING] == "broken"


async def test_a_connection_that_breaks_is_no_broken_pipelining(home: Home) -> None:
    """S-26: the network is at fault, so the next session is as fast as the first."""
    async with OddServer(OddMailbox.of(*MANY), odd.cut_body(30, 5)) as server:
        await home.fetch(server)
        assert early(server, 2)
    assert home.stored() == once(*MANY)
    assert PIPELINING not in home.facts()


async def test_sizes_of_its_own_are_no_broken_pipelining(home: Home) -> None:
    """S-26, S-41: some messages one by one tell that the server only counts in another way."""
    async with OddServer(OddMailbox.of(*MANY), odd.octets_with_lf()) as server:
        assert (await home.fetch(server, DELETE)).code == FetchExit.DONE
        assert server.mailbox.uidls == []
        assert words(server, 2).count(b"RETR") < len(MANY) / 2
        assert [early(server, n) for n in (1, 2, 3)] == [True, False, True]
        assert len(asked(server, b"RETR")) < 2 * len(MANY)
        server.mailbox.add(*OddMailbox.of(*BODIES).messages)
        assert (await home.fetch(server)).fetched == 3
        assert len(server.sessions) == 4
        assert early(server, 4)
    assert home.stored() == once(*MANY, *BODIES)


class WhenDeleted(Oddity):
    """Looks at the disk at the moment at which DELE is heard."""

    def __init__(self, look: Callable[[], Counter[bytes]]) -> None:
        self.seen: list[Counter[bytes]] = []
        self._look = look

    def heard(self, _session: OddSession, command: Heard, /) -> None:
        """Look."""
        if command.word == b"DELE":
            self.seen.append(self._look())


@pytest.mark.parametrize("capabilities", [CAPABILITIES, NO_PIPELINING], ids=["early", "lock-step"])
async def test_dele_is_said_for_nothing_that_is_not_durable(
    home: Home, capabilities: tuple[bytes, ...]
) -> None:
    """S-26: when the first DELE arrives, all that is deleted lies here and is journalled."""

    def look() -> Counter[bytes]:
        with home.journal() as journal:
            query = "SELECT count(*) FROM message WHERE state = 0 AND sha256 IS NOT NULL"
            (journalled,) = journal.execute(query).fetchone()
        assert journalled == len(MANY)
        return home.stored()

    looking = WhenDeleted(look)
    settings = OddSettings(capabilities=capabilities)
    async with OddServer(OddMailbox.of(*MANY), looking, settings=settings) as server:
        assert (await home.fetch(server, DELETE)).deleted == len(MANY)
        assert words(server).index(b"DELE") > len(MANY)
    assert looking.seen[0] == once(*MANY)
    assert len(asked(server, b"DELE")) == len(MANY)


async def test_a_message_is_journalled_before_it_is_asked_for(home: Home) -> None:
    """S-03: whatever is asked for can be found by its name after a crash."""
    missing: list[bytes] = []

    class WhenAsked(Oddity):
        def heard(self, session: OddSession, command: Heard, /) -> None:
            if command.word == b"RETR":
                uidl = session.entries[command.number - 1].uidl
                missing.extend([uidl] if uidl not in home.states() else [])

    async with OddServer(OddMailbox.of(*MANY), WhenAsked()) as server:
        assert (await home.fetch(server)).fetched == len(MANY)
    assert missing == []
