"""Unique-ids, sizes and numbers that cannot be believed (S-28 to S-41, S-54, S-55)."""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from itertools import count, islice

from mailkeep.testing.odd_server.answers import Answer, Step, err, ok, ok_lines
from mailkeep.testing.odd_server.mailbox import TERMINATOR, OddMessage
from mailkeep.testing.odd_server.oddity import Changed, Entry, Instead, Oddity, Where
from mailkeep.testing.odd_server.session import OddSession

ODD_UIDLS = (
    b"../../../../etc/passwd",
    b"/etc/passwd",
    b"..",
    b".",
    b"a/b\\c",
    b"C:\\mail",
    b"two words",
    b"  spaces  around  ",
    b"\xe4\xf6\xfc",
    b"\xff\xfe",
    b"u" * 71,
    b"u" * 5000,
    b"\x1b[2J\x07",
    b"nul\0nul",
    b"tab\ttab",
    b"'; rm -rf ~; '",
    b'"$(id)"',
    b"%s%n",
    b"-rf",
    "\u202egnp.exe".encode(),
)
"""Unique-ids that break clients (S-35, S-57); RFC 1939 section 7 allows 1 to 70 of 0x21 to 0x7E."""

ODD_COUNTS = (
    b"0",
    b"-1",
    b"1",
    b"4294967296",
    b"18446744073709551616",
    b"1" + b"0" * 30,
    b"1e3",
    b"0x10",
    b"+5",
    "\u0661\u0662".encode(),
    b"",
)
"""Octet counts that are none (S-41)."""


def wrong_octets(count_octets: bytes | Callable[[OddMessage], bytes]) -> Oddity:
    """Announce this for every message, in LIST and in RETR's first line (S-41, S-42)."""
    if isinstance(count_octets, bytes):
        return _Listing(lambda _, entry: replace(entry, octets=count_octets))
    return _Listing(lambda _, entry: replace(entry, octets=count_octets(entry.message)))


def octets_with_lf() -> Oddity:
    """Count every CRLF as one octet (S-41; RFC 1939 section 11 says two)."""
    return wrong_octets(lambda message: b"%d" % (len(message.wire) - message.wire.count(b"\r\n")))


def new_uidls_each_login() -> Oddity:
    """Change all unique-ids from session to session (S-32)."""
    return _Listing(lambda session, entry: replace(entry, uidl=b"%d-" % session.login + entry.uidl))


def reversed_order(logins: Container[int]) -> Oddity:
    """List from the newest, in some logins: numbers say nothing (S-28)."""
    return _Shown(logins, lambda entries: entries[::-1])


def shows_nothing(logins: Container[int]) -> Oddity:
    """Show an empty mailbox in some logins, counted from 1 (S-36)."""
    return _Shown(logins, lambda _: [])


def shows_first(messages: int, logins: Container[int]) -> Oddity:
    """Show only so many in some logins (S-36)."""
    return _Shown(logins, lambda entries: entries[:messages])


def hides_read(batch: int = 250) -> Oddity:
    """Show so many, and those not again that were read in a session ended by QUIT (S-37: Gmail)."""
    return _HidesRead(batch)


def gone_elsewhere(*numbers: int) -> Oddity:
    """List messages that another client has removed: -ERR to RETR, TOP and DELE (S-38)."""
    return _GoneElsewhere(numbers)


def deletes_on_read() -> Oddity:
    """Remove a message once RETR's answer is sent, marked or not (S-39)."""
    return _DeletesOnRead()


def no_uidl() -> Oddity:
    """Neither list nor know UIDL (S-33)."""
    return _Unknown(b"UIDL")


def no_top() -> Oddity:
    """Neither list nor know TOP (S-33)."""
    return _Unknown(b"TOP")


def no_capa() -> Oddity:
    """Know no CAPA, as before RFC 2449."""
    return _Unknown(b"CAPA")


def uidl_fails(times: int | None = None) -> Oddity:
    """Know UIDL and refuse it for now (S-34)."""
    return Instead(Where(b"UIDL", times=times), b"-ERR [SYS/TEMP] index is being rebuilt\r\n")


def top_gives_all() -> Oddity:
    """Give the whole body for every TOP (S-49)."""
    return _TopGivesAll()


def counts_disagree(*, stat: int = 0, scan: int = 0, uidl: int = 0) -> Oddity:
    """Let STAT count more or fewer, and LIST (`scan`) or UIDL leave out so many at the end (S-29).

    Args:
        stat: added to the count.
        scan, uidl: lines that are missing.
    """
    return _CountsDisagree(stat, {b"LIST": scan, b"UIDL": uidl})


def wide_spaces(word: bytes = b"UIDL") -> Oddity:
    """Put several spaces between number and value, as Maillennium does (S-35)."""
    return _Lines(word, lambda lines: (line.replace(b" ", b"   ", 1) for line in lines))


def lines_in_place(word: bytes, *lines: bytes) -> Oddity:
    """Answer CAPA, LIST or UIDL with these lines."""
    return _Lines(word, lambda _: lines)


def endless_lines(word: bytes, line: bytes = b"%d 1") -> Oddity:
    """Answer CAPA, LIST or UIDL with lines without end (S-54); `%d` in a line is counted up."""
    numbered = (line % number if b"%d" in line else line for number in count(1))
    return _Lines(word, lambda _: numbered)


def endless_line(word: bytes, start: bytes = b"1 ") -> Oddity:
    """Answer CAPA, LIST or UIDL with one line without end (S-54)."""

    def body() -> Iterator[Step]:
        yield start
        while True:
            yield b"x" * (1 << 16)

    return Changed(Where(word), lambda answer: replace(answer, body=body()))


def phantom_messages(messages: int) -> Oddity:
    """List so many messages of no octets and send them when asked (S-55)."""
    return _Phantoms(messages)


class _Listing(Oddity):
    def __init__(self, change: Callable[[OddSession, Entry], Entry]) -> None:
        self._change = change

    def listing(self, session: OddSession, entries: list[Entry], /) -> list[Entry]:
        """Change every entry."""
        return [self._change(session, entry) for entry in entries]


class _Shown(Oddity):
    def __init__(
        self, logins: Container[int], change: Callable[[list[Entry]], list[Entry]]
    ) -> None:
        self._logins = logins
        self._change = change

    def listing(self, session: OddSession, entries: list[Entry], /) -> list[Entry]:
        """Change the whole list."""
        return self._change(entries) if session.login in self._logins else entries


class _Lines(Oddity):
    def __init__(self, word: bytes, change: Callable[[Iterable[bytes]], Iterable[bytes]]) -> None:
        self._word = word
        self._change = change

    def lines(self, session: OddSession, lines: Iterable[bytes], /) -> Iterable[bytes]:
        """Change them."""
        return self._change(lines) if session.command.word == self._word else lines


class _HidesRead(Oddity):
    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._read: set[OddMessage] = set()

    def listing(self, _: OddSession, entries: list[Entry], /) -> list[Entry]:
        """Show the next batch."""
        return [entry for entry in entries if entry.message not in self._read][: self._batch]

    def commit(self, session: OddSession, removed: list[OddMessage], /) -> list[OddMessage]:
        """Remember what was read."""
        self._read.update(entry.message for entry in session.retrieved)
        return removed


class _GoneElsewhere(Oddity):
    def __init__(self, numbers: Container[int]) -> None:
        self._numbers = numbers

    def instead(self, session: OddSession, /) -> Answer | None:
        """Refuse them."""
        command = session.command
        is_meant = command.word in {b"RETR", b"TOP", b"DELE"} and command.number in self._numbers
        return err(b"no such message") if is_meant else None


class _DeletesOnRead(Oddity):
    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Remove it when all is sent."""
        if session.command.word != b"RETR" or not answer.is_ok:
            return answer
        return replace(answer, body=self._then_remove(session, answer))

    def _then_remove(self, session: OddSession, answer: Answer) -> Iterator[Step]:
        yield from answer.body
        session.server.mailbox.remove(session.retrieved[-1].message)


class _Unknown(Oddity):
    def __init__(self, word: bytes) -> None:
        self._word = word

    def instead(self, session: OddSession, /) -> Answer | None:
        """Know no such command."""
        return err(b"unknown command") if session.command.word == self._word else None

    def lines(self, session: OddSession, lines: Iterable[bytes], /) -> Iterable[bytes]:
        """List no such capability."""
        if session.command.word != b"CAPA":
            return lines
        return [line for line in lines if line != self._word]


class _TopGivesAll(Oddity):
    def instead(self, session: OddSession, /) -> Answer | None:
        """Give what RETR gives."""
        number = session.command.number
        if session.command.word != b"TOP" or not 1 <= number <= len(session.entries):
            return None
        return replace(ok(b"top"), body=(session.entries[number - 1].message.sent(),))


class _CountsDisagree(Oddity):
    def __init__(self, stat: int, missing: dict[bytes, int]) -> None:
        self._stat = stat
        self._missing = missing

    def lines(self, session: OddSession, lines: Iterable[bytes], /) -> Iterable[bytes]:
        """Leave some out."""
        shown = list(lines)
        return shown[: len(shown) - self._missing.get(session.command.word, 0)]

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Count wrong."""
        if session.command.word != b"STAT" or not answer.is_ok:
            return answer
        _, messages, octets = answer.status.split()
        return ok(b"%d %b" % (int(messages) + self._stat, octets))


class _Phantoms(Oddity):
    def __init__(self, messages: int) -> None:
        self._messages = messages

    def instead(self, session: OddSession, /) -> Answer | None:
        """Answer in the place of a mailbox of this size."""
        if not session.login:
            return None
        word, argument = session.command.word, session.command.argument
        lines = {b"LIST": b"%d 0", b"UIDL": b"%d phantom-%d"}.get(word)
        if lines and not argument:
            fields = lines.count(b"%d")
            numbers = islice(count(1), self._messages)
            return ok_lines(b"listing", (lines % ((number,) * fields) for number in numbers))
        if word == b"STAT":
            return ok(b"%d 0" % self._messages)
        return replace(ok(b"0 octets"), body=(TERMINATOR,)) if word in {b"RETR", b"TOP"} else None
