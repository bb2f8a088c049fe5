"""The honest answers after login: STAT, LIST, UIDL, RETR, TOP, DELE, RSET, NOOP, CAPA, QUIT.

Source: RFC 1939 sections 5 to 7. Numbers are checked as a client may send them; the rest of a line
is not: judging clients by the letter is not this server's work.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from mailkeep.testing.odd_server.answers import Answer, Heard, err, ok, ok_body, ok_lines
from mailkeep.testing.odd_server.authorization import capabilities
from mailkeep.testing.odd_server.mailbox import stuff, top
from mailkeep.testing.odd_server.oddity import Entry

if TYPE_CHECKING:
    from mailkeep.testing.odd_server.session import OddSession

_NOBODY = err(b"no such message")


class Transaction:
    """One session's.

    Attributes:
        deleted: numbers that are marked.
        retrieved: what RETR was said +OK for.
    """

    def __init__(self, session: "OddSession") -> None:
        self._session = session
        self.deleted: set[int] = set()
        self.retrieved: list[Entry] = []
        self._answers: Mapping[bytes, Callable[[Heard], Answer]] = {
            b"STAT": self._stat,
            b"LIST": self._list,
            b"UIDL": self._uidl,
            b"RETR": self._retr,
            b"TOP": self._top,
            b"DELE": self._dele,
            b"RSET": self._rset,
            b"NOOP": self._noop,
            b"CAPA": self._capa,
            b"QUIT": self._quit,
        }

    def answer(self, command: Heard) -> Answer:
        """Do what is asked."""
        answer = self._answers.get(command.word)
        return answer(command) if answer else err(b"unknown command")

    def _shown(self) -> Iterator[tuple[int, Entry]]:
        """Yield what is not marked, with its number."""
        for number, entry in enumerate(self._session.entries, 1):
            if number not in self.deleted:
                yield number, entry

    def _find(self, command: Heard) -> Entry | None:
        number = command.number
        if number in self.deleted or not 1 <= number <= len(self._session.entries):
            return None
        return self._session.entries[number - 1]

    def _stat(self, _: Heard) -> Answer:
        shown = [entry for _, entry in self._shown()]
        return ok(b"%d %d" % (len(shown), sum(map(_counted, shown))))

    def _list(self, command: Heard) -> Answer:
        return self._scan(command, lambda entry: entry.octets)

    def _uidl(self, command: Heard) -> Answer:
        return self._scan(command, lambda entry: entry.uidl)

    def _scan(self, command: Heard, value: Callable[[Entry], bytes]) -> Answer:
        if command.argument:
            entry = self._find(command)
            return ok(b"%d %b" % (command.number, value(entry))) if entry else _NOBODY
        lines = (b"%d %b" % (number, value(entry)) for number, entry in self._shown())
        return ok_lines(b"listing", self._session.odd_lines(lines))

    def _retr(self, command: Heard) -> Answer:
        entry = self._find(command)
        if not entry:
            return _NOBODY
        self.retrieved.append(entry)
        return ok_body(entry.octets + b" octets", entry.message.sent())

    def _top(self, command: Heard) -> Answer:
        entry = self._find(command)
        _, _, count = command.argument.partition(b" ")
        if not entry:
            return _NOBODY
        if not count.isdigit():
            return err(b"how many lines?")
        return ok_body(b"top", stuff(top(entry.message.wire, int(count))))

    def _dele(self, command: Heard) -> Answer:
        if not self._find(command):
            return _NOBODY
        self.deleted.add(command.number)
        return ok(b"marked")

    def _rset(self, _: Heard) -> Answer:
        self.deleted.clear()
        return ok(b"unmarked")

    def _noop(self, _: Heard) -> Answer:
        return ok()

    def _capa(self, _: Heard) -> Answer:
        return capabilities(self._session)

    def _quit(self, _: Heard) -> Answer:
        removed = [self._session.entries[number - 1].message for number in sorted(self.deleted)]
        for oddity in self._session.oddities:
            removed = oddity.commit(self._session, removed)
        self._session.server.mailbox.remove(*removed)
        self._session.is_ending = True
        return ok(b"bye")


def _counted(entry: Entry) -> int:
    """Return what STAT adds up, which must be numbers."""
    return int(entry.octets) if entry.octets.isdigit() else len(entry.message.wire)
