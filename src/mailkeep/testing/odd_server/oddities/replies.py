"""Status lines that are odd, and replies that do not match commands (S-26, S-50, S-52, S-56).

Those of pipelining strike only where a command came before the answer to the one before it, so a
client that goes on in lock-step is served well.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from mailkeep.testing.odd_server.answers import Answer, Step
from mailkeep.testing.odd_server.oddity import Changed, Oddity, Where
from mailkeep.testing.odd_server.session import OddSession

TERMINAL_TRICKS = b"\x1b]0;owned\x07\x1b[2J\x1b[31m \x08\x7f\x9b1m " + "\u202e\u2066".encode()
"""Escape codes, 8-bit ones too, and marks that turn the direction of writing (S-56)."""


def lower_case_ok() -> Oddity:
    """Say `+ok` and `-err` (S-50)."""
    return _Statuses(lambda status: status[:4].lower() + status[4:])


def ok_without_text() -> Oddity:
    """Say `+OK` and nothing more, except where the text is the answer (S-50)."""
    return _WithoutText()


def leading_space() -> Oddity:
    """Put a space before every status line (S-50)."""
    return _Statuses(lambda status: b" " + status)


def status_ends_with_lf() -> Oddity:
    """End status lines with a bare LF."""
    return _Statuses(lambda status: status.removesuffix(b"\r\n") + b"\n")


def texts(text: bytes = TERMINAL_TRICKS) -> Oddity:
    """Say this behind every +OK and -ERR whose text is not the answer (S-56)."""
    return _Texts(text)


def answer_with(line: bytes, where: Where) -> Oddity:
    """Do what was asked and say only this."""
    return Changed(where, lambda _: Answer(line))


def endless_status(where: Where, start: bytes = b"+OK ") -> Oddity:
    """Answer with a status line without end (S-52)."""

    def body() -> Iterator[Step]:
        while True:
            yield b"x" * (1 << 16)

    return Changed(where, lambda _: Answer(start, body()))


def extra_reply(where: Where, reply: bytes = b"+OK injected\r\n") -> Oddity:
    """Send one reply too many, behind an answer and in one segment with its first line."""

    def change(answer: Answer) -> Answer:
        steps = list(answer.body)
        if not steps:
            return Answer(answer.status + reply)
        return replace(answer, body=steps).then(reply)

    return Changed(where, change)


def lose_replies(every: int = 3) -> Oddity:
    """Leave out the answer to every n-th command that was pipelined (S-26)."""
    return _EveryNth(every, lambda _: Answer(b""))


def double_replies(every: int = 3) -> Oddity:
    """Send the answer to every n-th command that was pipelined twice (S-26)."""

    def change(answer: Answer) -> Answer:
        steps = list(answer.steps())
        return Answer(b"", [*steps, *steps])

    return _EveryNth(every, change)


def merge_replies(every: int = 3) -> Oddity:
    """Leave off the line's end behind the answer to every n-th pipelined command (S-26)."""

    def change(answer: Answer) -> Answer:
        *steps, last = answer.steps()
        return Answer(
            b"", [*steps, last.removesuffix(b"\r\n") if isinstance(last, bytes) else last]
        )

    return _EveryNth(every, change)


def reorder_replies() -> Oddity:
    """Answer the first of two commands that came together after the second (S-26)."""
    return _Reorder()


class _Statuses(Oddity):
    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change

    def answer(self, _: OddSession, answer: Answer, /) -> Answer:
        """Change the first line."""
        return replace(answer, status=self._change(answer.status)) if answer.status else answer


class _Texts(Oddity):
    def __init__(self, text: bytes) -> None:
        self._text = b" " + text if text else b""

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Change the text where nobody needs it."""
        command, word = session.command, answer.status.split(b" ")[0].strip()
        is_content = command.word == b"STAT" or (
            command.word in {b"LIST", b"UIDL"} and command.argument
        )
        if word not in {b"+OK", b"-ERR"} or (is_content and answer.is_ok):
            return answer
        return replace(answer, status=word + self._text + b"\r\n")


class _WithoutText(_Texts):
    def __init__(self) -> None:
        super().__init__(b"")


class _EveryNth(Oddity):
    def __init__(self, every: int, change: Callable[[Answer], Answer]) -> None:
        self._every = every
        self._change = change
        self._seen = 0

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Count the pipelined ones."""
        if not session.command.early or session.command.word == b"QUIT":
            return answer
        self._seen += 1
        return answer if self._seen % self._every else self._change(answer)


class _Reorder(Oddity):
    def __init__(self) -> None:
        self._held: dict[OddSession, Answer] = {}

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Hold one back while another waits."""
        held = self._held.pop(session, None)
        if held is not None:
            return Answer(b"", chain(answer.steps(), held.steps()))
        if not session.has_waiting:
            return answer
        self._held[session] = answer
        return Answer(b"")
