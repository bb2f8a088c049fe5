"""Each ready-made oddity shows on the wire what its docstring says."""

import asyncio
import re
from collections.abc import Callable, Sequence

import pytest
from tests.harness.client import WireClient
from tests.harness.programs import Port
from tests.testing.talking import (
    ASKS_FOR_PASSWORD,
    BODIES,
    BYE,
    FIRST,
    GONE,
    GREETING,
    IS_IN,
    LOGIN,
    PLAIN,
    RESET,
    SECOND,
    STAT,
    UNKNOWN,
    talk,
    talk_when_greeted,
)

from mailkeep.testing.odd_server import (
    Action,
    Oddity,
    OddMailbox,
    OddMessage,
    OddServer,
    RunningOddServer,
    Where,
    running_odd_server,
)
from mailkeep.testing.odd_server import (
    oddities as odd,
)


def lines(octets: bytes) -> bytes:
    return octets.replace(b"\n", b"\r\n")


Make = Callable[[], Oddity]
MARKED = b"+OK marked\r\n"
LISTING = b"+OK listing\n"
CAPA = b"+OK capabilities\n"
EXTRA = b"+OK injected\r\n"
AFTER_LOGIN: Sequence[tuple[str, Make, bytes, bytes]] = [
    ("honest", Oddity, b"RETR 1\nRETR 2\nQUIT\n", FIRST + SECOND + BYE),
    ("cut body", lambda: odd.cut_body(1, 5), b"RETR 2\nRETR 1\nQUIT\n", SECOND + FIRST[:20]),
    ("cut body at its end", lambda: odd.cut_body(1, -1), b"RETR 1\nQUIT\n", FIRST[:-1]),
    ("cut with RST", lambda: odd.cut_body(1, 5, Action.RESET), b"RETR 1\n", FIRST[:20] + RESET),
    ("cut once", lambda: odd.cut_body(1, 0, Action.HUSH), b"RETR 1\nSTAT\n", FIRST[:15]),
    ("cut an answer", lambda: odd.cut_answer(Where(b"STAT"), 4), b"STAT\nQUIT\n", STAT[:4]),
    ("hang up after", lambda: odd.hang_up_after(Where(b"STAT")), b"STAT\nSTAT\n", STAT),
    ("hang up instead", lambda: odd.hang_up_instead(Where(first=4)), b"STAT\nSTAT\n", STAT),
    ("drop after DELE", lambda: odd.drop_after_dele(2), b"DELE 1\nDELE 2\nQUIT\n", MARKED * 2),
    ("silence", lambda: odd.silence(Where(b"STAT")), b"STAT\nQUIT\n", b""),
    ("drip", lambda: odd.drip(Where(b"STAT"), 0), b"STAT\nQUIT\n", STAT + BYE),
    ("an octet a segment", odd.one_octet_a_segment, b"RETR 1\nQUIT\n", FIRST + BYE),
    ("segments", lambda: odd.in_segments_of(7), b"RETR 1\nQUIT\n", FIRST + BYE),
    ("a split", lambda: odd.split_at(7, Where(b"RETR")), b"RETR 1\nQUIT\n", FIRST + BYE),
    ("QUIT unanswered", odd.close_before_quit_answer, b"DELE 1\nQUIT\n", MARKED),
    ("counts", lambda: odd.wrong_octets(b"-1"), b"LIST 1\nRETR 3\n",
     b"+OK 1 -1\n+OK -1 octets\nc\n.\n"),
    ("counts with LF", odd.octets_with_lf, b"LIST 1\n", b"+OK 1 17\n"),
    ("new uidls", odd.new_uidls_each_login, b"UIDL 1\n", b"+OK 1 1-uidl-1\n"),
    ("reversed", lambda: odd.reversed_order({1}), b"UIDL 1\n", b"+OK 1 uidl-3\n"),
    ("gone", lambda: odd.gone_elsewhere(2), b"RETR 2\nDELE 2\nSTAT\n", GONE * 2 + STAT),
    ("no UIDL", odd.no_uidl, b"UIDL\nSTAT\n", UNKNOWN + STAT),
    ("no TOP", odd.no_top, b"TOP 1 0\nSTAT\n", UNKNOWN + STAT),
    ("no CAPA", odd.no_capa, b"CAPA\nSTAT\n", UNKNOWN + STAT),
    ("UIDL fails", lambda: odd.uidl_fails(1), b"UIDL\nUIDL 1\n",
     b"-ERR [SYS/TEMP] index is being rebuilt\n+OK 1 uidl-1\n"),
    ("TOP gives all", odd.top_gives_all, b"TOP 1 0\n", b"+OK top\n" + FIRST[15:]),
    ("STAT counts more", lambda: odd.counts_disagree(stat=2), b"STAT\n", b"+OK 5 37\n"),
    ("LIST is short", lambda: odd.counts_disagree(scan=2), b"LIST\n", LISTING + b"1 20\n.\n"),
    ("UIDL is short", lambda: odd.counts_disagree(uidl=2), b"UIDL\n", LISTING + b"1 uidl-1\n.\n"),
    ("wide spaces", odd.wide_spaces, b"UIDL\n",
     LISTING + b"1   uidl-1\n2   uidl-2\n3   uidl-3\n.\n"),
    ("other lines", lambda: odd.lines_in_place(b"LIST", b"x", b""), b"LIST\n",
     LISTING + b"x\n\n.\n"),
    ("phantoms", lambda: odd.phantom_messages(2), b"STAT\nLIST\nUIDL\nRETR 2\n",
     b"+OK 2 0\n" + LISTING + b"1 0\n2 0\n.\n"
     + LISTING + b"1 phantom-1\n2 phantom-2\n.\n+OK 0 octets\n.\n"),
    ("unstuffed", odd.unstuffed, b"RETR 1\n", FIRST.replace(b"..", b".")),
    ("over-stuffed", odd.over_stuffed, b"RETR 1\n", FIRST.replace(b"..", b"...")),
    ("an extra reply", lambda: odd.extra_reply(Where(b"STAT")), b"STAT\nQUIT\n",
     STAT + EXTRA + BYE),
    ("an extra reply behind a body", lambda: odd.extra_reply(Where(b"RETR")),
     b"RETR 1\nQUIT\n", FIRST + EXTRA + BYE),
    ("another reply", lambda: odd.answer_with(b"-ERR x\r\n", Where(b"DELE")), b"DELE 1\nSTAT\n",
     b"-ERR x\n+OK 2 17\n"),
    ("lost", lambda: odd.lose_replies(3), b"STAT\nRETR 1\nQUIT\n", STAT + BYE),
    ("doubled", lambda: odd.double_replies(3), b"STAT\nRETR 1\nQUIT\n", STAT + FIRST * 2 + BYE),
    ("merged", lambda: odd.merge_replies(3), b"STAT\nRETR 1\nQUIT\n", STAT + FIRST[:-2] + BYE),
    ("without capabilities", lambda: odd.without_capabilities(b"PIPELINING", b"PLAIN"), b"CAPA\n",
     CAPA + b"USER\nTOP\nUIDL\nRESP-CODES\nAUTH-RESP-CODE\nEXPIRE NEVER\n"
     b"SASL SCRAM-SHA-256 OAUTHBEARER XOAUTH2\n.\n"),
    ("other capabilities", lambda: odd.capabilities_in_clear(b"X"), b"CAPA\n", CAPA + b"X\n.\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "sent", "expected"),
    [row[1:] for row in AFTER_LOGIN],
    ids=[row[0] for row in AFTER_LOGIN],
)
def test_after_login(make: Make, sent: bytes, expected: bytes) -> None:
    """Octets after login, to the last one: `\\n` stands for CRLF where no CR is before it."""
    with running_odd_server(OddMailbox.of(*BODIES), make()) as server:
        received = talk_when_greeted(server, LOGIN + lines(sent))
    assert received == IS_IN + re.sub(rb"(?<!\r)\n", b"\r\n", expected)


BEFORE_LOGIN: Sequence[tuple[str, Make, bytes, bytes]] = [
    ("greeting", lambda: odd.greet_with(b"-ERR x\r\n", Action.CUT), b"QUIT\n", b"-ERR x\n"),
    ("silent greeting", lambda: odd.greet_with(b"", Action.HUSH), b"QUIT\n", b""),
    ("at the door", odd.closed_at_the_door, b"QUIT\n", b""),
    ("lower case", odd.lower_case_ok, b"QUIT\n", b"+ok odd server ready\n+ok bye\n"),
    ("no text", odd.ok_without_text, b"QUIT\n", b"+OK\n+OK\n"),
    ("leading space", odd.leading_space, b"QUIT\n", b" +OK odd server ready\n +OK bye\n"),
    ("escapes", odd.texts, b"QUIT\n", (b"+OK " + odd.TERMINAL_TRICKS + b"\n") * 2),
    ("refuse STLS", odd.refuse_stls, b"STLS\nQUIT\n", GREETING + b"-ERR TLS not available\n" + BYE),
    ("no mailbox", odd.system_permanent, b"AUTH PLAIN %b\n" % PLAIN,
     GREETING + b"-ERR [SYS/PERM] no mailbox\n"),
    ("no AUTH", odd.no_auth, b"AUTH PLAIN\n", GREETING + UNKNOWN),
    ("no initial response", odd.refuse_initial_response,
     b"AUTH PLAIN %b\nAUTH PLAIN\n%b\n" % (PLAIN, PLAIN),
     GREETING + b"-ERR Protocol error\n+ \n+OK 3 messages\n"),
    ("a short initial response", lambda: odd.refuse_initial_response(999),
     b"AUTH PLAIN %b\n" % PLAIN, GREETING + b"+OK 3 messages\n"),
    ("endless challenges", odd.endless_challenges, b"AUTH PLAIN\n\nx\n*\n",
     GREETING + b"+ YW5kIG5vdz8=\n" * 2 + b"-ERR not base64\n-ERR not before login\n"),
    ("bad base64", odd.bad_base64_challenge, b"AUTH PLAIN\n*\n",
     GREETING + b"+ this is *not* base64!\n-ERR cancelled\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "sent", "expected"),
    [row[1:] for row in BEFORE_LOGIN],
    ids=[row[0] for row in BEFORE_LOGIN],
)
def test_before_login(make: Make, sent: bytes, expected: bytes) -> None:
    """Octets from the greeting on, to the last one."""
    with running_odd_server(OddMailbox.of(*BODIES), make()) as server:
        received = talk(server, lines(sent))
    assert received == re.sub(rb"(?<!\r)\n", b"\r\n", expected)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (odd.in_use, b"-ERR [IN-USE] "),
        (odd.locked_without_code, b"-ERR maildrop "),
        (odd.login_delay, b"-ERR [LOGIN-DELAY] "),
        (odd.system_temporary, b"-ERR [SYS/TEMP] "),
        (odd.wrong_password, b"-ERR [AUTH] "),
        (odd.refuse_without_code, b"-ERR no\r\n"),
    ],
)
def test_logins_are_refused_a_number_of_times(make: Callable[[int], Oddity], line: bytes) -> None:
    """S-22 to S-24: the right password, refused twice and then taken."""
    with running_odd_server(OddMailbox(), make(2)) as server:
        received = talk(server, LOGIN * 3 + b"QUIT\r\n")
    replies = received.removeprefix(GREETING).split(ASKS_FOR_PASSWORD)
    assert [reply.startswith(line) for reply in replies[1:]] == [True, True, False]
    assert replies[3] == b"+OK 0 messages\r\n" + BYE


@pytest.mark.parametrize(
    ("make", "sent", "repeated"),
    [
        (lambda: odd.endless_status(Where(b"STAT")), b"STAT", rb"\+OK x+"),
        (lambda: odd.endless_body(1), b"RETR 1",
         rb"\+OK 20 octets\r\n(\S.*\r\n)+\r\n(x+\r\n)+x*\r?"),
        (lambda: odd.endless_body_line(1), b"RETR 1", rb"\+OK 20 octets\r\n(\S.*\r\n)+\r\nx+"),
        (lambda: odd.endless_lines(b"LIST"), b"LIST", rb"\+OK listing\r\n(\d+ 1\r\n)+\d* ?1?\r?"),
        (lambda: odd.endless_lines(b"CAPA", b"X"), b"CAPA", rb"\+OK capabilities\r\n(X\r\n)+X?\r?"),
        (lambda: odd.endless_line(b"UIDL"), b"UIDL", rb"\+OK listing\r\n1 x+"),
        (lambda: odd.phantom_messages(10**9), b"LIST", rb"\+OK listing\r\n(\d+ 0\r\n)+\d* ?0?\r?"),
    ],
)  # fmt: skip
def test_endless_ones_go_on_until_the_client_leaves(
    make: Make, sent: bytes, repeated: bytes
) -> None:
    """S-52 to S-55: 3 MB are read, nothing else is in them, and the server then ends too."""
    with running_odd_server(OddMailbox.of(*BODIES), make()) as server:
        received = talk(server, LOGIN + sent + b"\r\n", limit=3_000_000)
        server.settle()
    assert re.fullmatch(repeated, received.removeprefix(IS_IN))


@pytest.mark.parametrize(
    ("make", "left", "answer"),
    [
        (odd.refuse_quit, 3, b"-ERR some"),
        (lambda: odd.refuse_quit(removes=1), 2, b"-ERR some"),
        (lambda: odd.refuse_quit(removes=None), 1, b"-ERR some"),
        (odd.close_before_quit_answer, 1, b""),
        (lambda: odd.close_before_quit_answer(removes=False), 3, b""),
        (lambda: odd.drop_after_dele(2), 3, b""),
        (Oddity, 1, BYE),
    ],
)
def test_what_is_really_gone(make: Make, left: int, answer: bytes) -> None:
    """S-05 to S-07: two were marked; so many are left, whatever was answered."""
    with running_odd_server(OddMailbox.of(*BODIES), make()) as server:
        received = talk(server, LOGIN + b"DELE 1\r\nDELE 2\r\nQUIT\r\n")
        server.settle()
    assert received.removeprefix(IS_IN + b"+OK marked\r\n" * 2).startswith(answer)
    assert len(server.mailbox.messages) == left


def uidls(server: RunningOddServer, *, read: Sequence[int] = ()) -> list[bytes]:
    """Return what a new session lists, and have it read some."""
    retrieve = b"".join(b"RETR %d\r\n" % number for number in read)
    received = talk(server, LOGIN + b"UIDL\r\n" + retrieve + b"QUIT\r\n")
    server.settle()
    return re.findall(rb"\r\n\d+ (\S+)", received)


def test_what_was_read_is_hidden_from_the_next_session() -> None:
    """S-37: batches as Gmail shows them; what was not read comes again."""
    with running_odd_server(OddMailbox.of(*BODIES), odd.hides_read(2)) as server:
        assert uidls(server, read=(2,)) == [b"uidl-1", b"uidl-2"]
        assert uidls(server, read=(1, 2)) == [b"uidl-1", b"uidl-3"]
        assert uidls(server) == []
        assert len(server.mailbox.messages) == len(BODIES)


def test_a_mailbox_can_look_empty_or_short_for_a_while() -> None:
    """S-36: nothing in the second session, less in the third, all in the fourth."""
    oddities = odd.shows_nothing({2}), odd.shows_first(1, {3})
    with running_odd_server(OddMailbox.of(*BODIES), *oddities) as server:
        assert [len(uidls(server)) for _ in range(4)] == [3, 0, 1, 3]


def test_unique_ids_change_and_reading_deletes() -> None:
    """S-32 and S-39."""
    oddities = odd.new_uidls_each_login(), odd.deletes_on_read()
    with running_odd_server(OddMailbox.of(*BODIES), *oddities) as server:
        assert uidls(server, read=(1,)) == [b"1-uidl-1", b"1-uidl-2", b"1-uidl-3"]
        assert uidls(server) == [b"2-uidl-2", b"2-uidl-3"]


def test_replies_are_reordered_where_two_came_together() -> None:
    """S-26: the second first; one by one they come in order."""
    with running_odd_server(OddMailbox.of(*BODIES), odd.reorder_replies()) as server:
        with WireClient(Port(server.host, server.port)) as client:
            client.read_ok()
            for line in LOGIN.splitlines():
                client.command(line)
            assert client.command(b"STAT") == b"3 37"
            client.send(b"STAT\r\nNOOP\r\n")
            assert [client.read_ok(), client.read_ok()] == [b"", b"3 37"]
        server.settle()


@pytest.mark.parametrize("uidl", odd.ODD_UIDLS)
def test_any_unique_id_is_listed_as_it_is(uidl: bytes) -> None:
    """S-35: octet for octet."""
    with running_odd_server(OddMailbox(OddMessage(uidl, b""))) as server:
        assert b"\r\n1 " + uidl + b"\r\n.\r\n" in talk(server, LOGIN + b"UIDL\r\n")


@pytest.mark.parametrize("name", odd.HOSTILE_BODIES)
def test_hostile_bodies_end_where_they_should(name: str) -> None:
    """S-43 to S-48: for a client that ends at CRLF "." CRLF alone each body is whole."""
    body = odd.HOSTILE_BODIES[name]
    with running_odd_server(OddMailbox.of(body)) as server:
        received = talk(server, LOGIN + b"RETR 1\r\nQUIT\r\n")
    _, sent = received.split(b" octets\r\n", 1)
    wire, behind = (b"\r\n" + sent).split(b"\r\n.\r\n", 1)
    assert wire.replace(b"\r\n.", b"\r\n")[2:] + b"\r\n" * bool(body) == body
    assert behind == BYE


def test_a_lone_dot_ends_the_body_in_its_middle() -> None:
    """S-46: what follows looks like replies, and LIST says that more was to come."""
    message = odd.lone_dot(b"u", b"before\r\n", b"behind\r\n")
    with running_odd_server(OddMailbox(message)) as server:
        received = talk(server, LOGIN + b"RETR 1\r\n")
    assert received.endswith(b"+OK 19 octets\r\nbefore\r\n.\r\nbehind\r\n.\r\n")


async def test_idle_clients_are_hung_up() -> None:
    """S-19: in order, without a word."""
    async with OddServer(OddMailbox(), odd.idle_close(0.01)) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        assert await reader.read() == GREETING
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("octets", odd.ODD_COUNTS)
def test_any_count_is_announced_as_it_is(octets: bytes) -> None:
    """S-41: octet for octet, in LIST and in RETR's first line."""
    with running_odd_server(OddMailbox.of(b"a\r\n"), odd.wrong_octets(octets)) as server:
        received = talk(server, LOGIN + b"LIST 1\r\nRETR 1\r\n")
    assert received.endswith(b"+OK 1 %b\r\n+OK %b octets\r\na\r\n.\r\n" % (octets, octets))


def test_status_lines_end_with_a_bare_lf() -> None:
    """S-50: and nothing else of them changes."""
    with running_odd_server(OddMailbox(), odd.status_ends_with_lf()) as server:
        assert talk(server, b"QUIT\r\n") == b"+OK odd server ready\n+OK bye\n"


def test_a_body_is_much_larger_than_it_is_said_to_be() -> None:
    """S-42: 20 octets are announced, 159,744 come, and then the end."""
    with running_odd_server(OddMailbox.of(*BODIES), odd.body_of(1, 2)) as server:
        received = talk(server, LOGIN + b"RETR 1\r\n")
    body = received.removeprefix(IS_IN + b"+OK 20 octets\r\n")
    assert len(body) == 2 * 79_872 + len(b".\r\n")
    assert body.endswith(b"x\r\n.\r\n")
