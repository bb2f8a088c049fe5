"""S-41 to S-51: where a message begins and ends, whatever is said of its size."""

import ssl

import pytest
from tests.fetch.states.running import (
    BODIES,
    DELETE,
    KEEP,
    ONE,
    THREE,
    TWO,
    Home,
    asked,
    once,
    words,
)

from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.policy import Larger, Policy
from mailkeep.fetch.rows import SUSPECT, State
from mailkeep.testing.odd_server import (
    CAPABILITIES,
    Answer,
    Changed,
    Oddity,
    OddMailbox,
    OddMessage,
    OddServer,
    OddSettings,
    Where,
)
from mailkeep.testing.odd_server import oddities as odd

ALL = once(*BODIES)
LOCK_STEP = OddSettings(capabilities=tuple(c for c in CAPABILITIES if c != b"PIPELINING"))
SMALL = Policy(limit_octets=100_000)
DOTS = b"Subject: dots\r\n\r\n.\r\n..\r\n.dot\r\n...\r\nend.\r\n"
HEADER = b"Subject: x\r\n\r\n"


@pytest.mark.parametrize("octets", odd.ODD_COUNTS, ids=repr)
async def test_a_size_is_a_hint_and_the_terminator_decides(home: Home, octets: bytes) -> None:
    """S-41: whatever LIST and RETR say, the message comes whole; nothing of ours breaks."""
    async with OddServer(OddMailbox.of(*BODIES), odd.wrong_octets(octets)) as server:
        ended = await home.fetch(server)
        is_huge = octets == b"4294967296"  # a size that may be one, above the limit
        assert ended.code == FetchExit.DONE
        assert home.stored() == (once() if is_huge else ALL)
        assert (await home.fetch(server)).fetched == 0


async def test_octets_counted_with_lf_alone_are_no_sign_of_a_cut(home: Home) -> None:
    """S-41: a server that counts a line's end as one is believed to have sent all."""
    async with OddServer(OddMailbox.of(*BODIES), odd.octets_with_lf()) as server:
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert home.stored() == ALL


async def test_a_message_far_above_its_announced_size_is_given_up_and_the_rest_comes(
    home: Home,
) -> None:
    """S-42: it is cut off at the limit, nothing of it is stored, and it is kept on the server."""
    async with OddServer(OddMailbox.of(*BODIES), odd.body_of(2, 2)) as server:
        ended = await home.fetch(server, SMALL)
        assert (ended.code, ended.fetched, ended.failed) == (FetchExit.PARTIAL, 2, 1)
        assert home.stored() == once(ONE, THREE)
        assert server.mailbox.uidls[1] == b"uidl-2"


async def test_a_message_that_is_always_too_long_goes_to_quarantine(home: Home) -> None:
    """S-42: after three runs it is not asked for any more."""
    async with OddServer(OddMailbox.of(*BODIES), odd.body_of(2, 2)) as server:
        codes = [(await home.fetch(server, SMALL)).code for _ in range(4)]
        assert codes == [FetchExit.PARTIAL] * 3 + [FetchExit.DONE]
        assert home.states()[b"uidl-2"] is State.QUARANTINED
        assert len([line for line in asked(server, b"RETR") if line == b"RETR 2"]) == 3
        await home.fetch(server, Policy(delete=True, limit_octets=100_000))
        assert server.mailbox.uidls == [b"uidl-2"]


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (HEADER + b"no line's end", HEADER + b"no line's end\r\n"),
        (HEADER + b"ends with a dot.", HEADER + b"ends with a dot.\r\n"),
        (HEADER + b"bare LF\n", HEADER + b"bare LF\n\r\n"),
        (HEADER + b"bare CR\r", HEADER + b"bare CR\r\r\n"),
        (HEADER + b"line\r\n.", HEADER + b"line\r\n.\r\n"),
    ],
)
async def test_a_last_line_without_end_is_kept_as_it_came(
    home: Home, wire: bytes, expected: bytes
) -> None:
    """S-43: the CRLF before the terminator is the message's, and nothing else is added."""
    async with OddServer(OddMailbox.of(wire, ONE)) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert home.stored() == once(expected, ONE)


@pytest.mark.parametrize("settings", [OddSettings(), LOCK_STEP], ids=["pipelined", "lock-step"])
async def test_nothing_but_crlf_dot_crlf_ends_a_message(home: Home, settings: OddSettings) -> None:
    """S-44, S-48, S-51: lone LF and CR, NUL, 8-bit, false ends with false replies behind them."""
    bodies = [*odd.HOSTILE_BODIES.values()]
    async with OddServer(OddMailbox.of(*bodies), settings=settings) as server:
        ended = await home.fetch(server, DELETE)
        assert (ended.code, ended.fetched) == (FetchExit.DONE, len(bodies))
        assert server.mailbox.uidls == []
        assert len(server.sessions) == 1
    assert home.stored() == once(*bodies)


STARTS = b"Subject: dots\r\n\r\n.dot\r\n..\r\n...\r\nend\r\n"


@pytest.mark.parametrize(
    ("oddity", "expected"),
    [
        (Oddity(), STARTS),
        (odd.unstuffed(), STARTS.replace(b"\r\n.", b"\r\n")),
        (odd.over_stuffed(), STARTS.replace(b"\r\n.", b"\r\n..")),
    ],
    ids=["honest", "unstuffed", "over-stuffed"],
)
async def test_exactly_one_dot_is_taken_from_a_line_that_starts_with_one(
    home: Home, oddity: Oddity, expected: bytes
) -> None:
    """S-45, RFC 1939 section 3: whether the server doubled it or not, or twice."""
    async with OddServer(OddMailbox.of(STARTS), oddity) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert home.stored() == once(expected)


CUT = HEADER + b"before\r\n"


@pytest.mark.parametrize("settings", [OddSettings(), LOCK_STEP], ids=["pipelined", "lock-step"])
@pytest.mark.parametrize("behind", [b"behind\r\n" * 100, b"behind\r\n", b"+OK\r\n", b""])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_message_that_ends_early_is_kept_on_the_server(
    home: Home, settings: OddSettings, behind: bytes, place: int
) -> None:
    """S-46: a lone dot that was not doubled: what came is stored, and never deleted."""
    messages = [OddMessage(b"uidl-1", ONE), OddMessage(b"uidl-2", TWO)]
    messages.insert(place, odd.lone_dot(b"cut", CUT, behind))
    async with OddServer(OddMailbox(*messages), settings=settings) as server:
        for _ in range(4):
            await home.fetch(server, DELETE)
        assert server.mailbox.uidls == [b"cut"]
    assert home.stored() == once(ONE, TWO, CUT)
    assert home.note(b"cut") == SUSPECT


async def test_a_message_much_shorter_than_announced_is_kept_on_the_server(home: Home) -> None:
    """S-46: nothing else gives it away."""
    async with OddServer(OddMailbox(OddMessage(b"cut", ONE, octets=b"5000"))) as server:
        for policy in (KEEP, DELETE):
            assert (await home.fetch(server, policy)).code == FetchExit.DONE
        assert server.mailbox.uidls == [b"cut"]
    assert home.stored() == once(ONE)


@pytest.mark.parametrize("octets", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("tls", [False, True])
async def test_how_a_body_is_cut_into_segments_does_not_matter(
    safe_home: Home, context: ssl.SSLContext, octets: int, tls: bool
) -> None:
    """S-47: octet by octet, and in records of TLS; every split of one is in `tests/pop3`."""
    settings = OddSettings(context=context if tls else None)
    cut = odd.in_segments_of(octets)
    async with OddServer(OddMailbox.of(DOTS, ONE), cut, settings=settings) as server:
        assert (await safe_home.fetch(server, DELETE)).deleted == 2
    assert safe_home.stored() == once(DOTS, ONE)


async def test_every_split_of_a_body_gives_the_same_message(home: Home) -> None:
    """S-47: two segments, at every place there is."""
    sent = len(b"+OK 54 octets\r\n") + len(DOTS) + 6
    splits = [odd.split_at(at, Where(b"RETR", at)) for at in range(1, sent)]
    async with OddServer(OddMailbox.of(*[DOTS] * (sent - 1)), *splits) as server:
        assert (await home.fetch(server)).fetched == sent - 1
    assert home.stored() == once(*[DOTS] * (sent - 1))


LARGE = b"Subject: large\r\nX-Long: " + b"x" * 100 + b"\r\n\r\n" + b"body line\r\n" * 10_000
HEADERS = Policy(larger_than=1000, larger=Larger.HEADERS)


async def test_of_a_whole_message_for_top_only_the_header_is_used(home: Home) -> None:
    """S-49: where headers are wanted, nothing behind the empty line is stored."""
    async with OddServer(OddMailbox.of(LARGE, ONE), odd.top_gives_all()) as server:
        assert (await home.fetch(server, HEADERS)).code == FetchExit.DONE
        assert home.stored() == once(LARGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", ONE)


async def test_a_header_that_was_stored_alone_is_followed_by_the_whole(home: Home) -> None:
    """S-49: once the limit allows it; until then the message is never deleted."""
    async with OddServer(OddMailbox.of(LARGE, ONE)) as server:
        await home.fetch(server, Policy(larger_than=1000, larger=Larger.HEADERS, delete=True))
        assert server.mailbox.uidls == [b"uidl-1"]
        assert (await home.fetch(server, DELETE)).deleted == 1
    assert home.stored()[LARGE] == 1


async def test_headers_are_told_apart_though_top_gives_all(home: Home) -> None:
    """S-49, S-33: the whole body behind a header changes nothing about whose header it is."""
    oddities = odd.no_uidl(), odd.top_gives_all()
    async with OddServer(OddMailbox.of(*BODIES, LARGE), *oddities) as server:
        await home.fetch(server)
    async with OddServer(server.mailbox, odd.no_uidl()) as server:
        assert (await home.fetch(server)).fetched == 0
    assert home.stored() == once(*BODIES, LARGE)


@pytest.mark.parametrize(
    "oddity",
    [odd.lower_case_ok(), odd.ok_without_text(), odd.texts(b"20 Messages"), odd.texts(b"  x  ")],
    ids=["lower case", "no text", "other text", "spaces"],
)
async def test_what_follows_the_first_word_of_an_answer_does_not_matter(
    home: Home, oddity: Oddity
) -> None:
    """S-50: tolerant where nothing hangs on it."""
    async with OddServer(OddMailbox.of(*BODIES), oddity) as server:
        assert (await home.fetch(server, DELETE)).deleted == 3
    assert home.stored() == ALL


@pytest.mark.parametrize(
    "oddity",
    [
        odd.leading_space(),
        odd.status_ends_with_lf(),
        Changed(Where(b"RETR"), lambda answer: Answer(b"OK\r\n", answer.body)),
        Changed(Where(b"RETR"), lambda answer: Answer(b"+OKAY\r\n", answer.body)),
        Changed(Where(b"RETR"), lambda answer: Answer(b"\r\n", answer.body)),
    ],
    ids=["space", "LF", "OK", "+OKAY", "empty"],
)
async def test_the_first_word_of_an_answer_is_one_of_two(home: Home, oddity: Oddity) -> None:
    """S-50: anything else is no POP3, and nothing is stored or deleted on its word."""
    async with OddServer(OddMailbox.of(*BODIES), oddity) as server:
        code = (await home.fetch(server, DELETE)).code
        assert code in {FetchExit.PROTOCOL, FetchExit.PARTIAL}
        assert b"DELE" not in words(server)
    assert not home.files()


async def test_broken_headers_are_stored_as_they_are(home: Home) -> None:
    """S-51: nothing is decoded on the way."""
    bodies = [
        b"Subject: =?utf-8?q?=ff=fe?= \xff\xfe\r\nFrom\r\n: x\r\n\r\n\x80\x81\r\n",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n" + bytes(range(256)) + b"\r\n",
        b" folded: from the start\r\n\tand on\r\n\r\nx\r\n",
        b"Date: 99 Foo 0000 99:99\r\nReceived: ;;;\r\n\r\nx\r\n",
    ]
    async with OddServer(OddMailbox.of(*bodies)) as server:
        assert (await home.fetch(server)).code == FetchExit.DONE
    assert home.stored() == once(*bodies)
