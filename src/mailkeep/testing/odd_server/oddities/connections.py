"""The network ends, stalls or crumbles (S-05 to S-07, S-15, S-16, S-19 to S-21, S-24, S-47)."""

from collections.abc import Container, Iterator
from dataclasses import replace

from mailkeep.testing.odd_server.answers import GREETING, Action, Answer, Pause, Step, take
from mailkeep.testing.odd_server.mailbox import OddMessage
from mailkeep.testing.odd_server.oddity import Changed, Instead, Oddity, Where
from mailkeep.testing.odd_server.session import OddSession


def cut_body(
    number: int, after_octets: int, how: Action = Action.CUT, *, times: int | None = 1
) -> Oddity:
    """Cut RETR's answer after so many octets of the body as it is on the wire (S-15, S-16).

    Args:
        number: of the message.
        after_octets: a negative number leaves off so many at the end of all.
        how: CUT (FIN, no close_notify), CLOSE (in order), RESET, or HUSH to fall silent (S-20).
        times: how often; None for always.
    """

    def change(answer: Answer) -> Answer:
        return replace(answer, body=take(answer.body, after_octets)).then(how)

    return Changed(Where(b"RETR", number, times=times), change)


def cut_answer(where: Where, after_octets: int, how: Action = Action.CUT) -> Oddity:
    """Cut an answer after so many octets, its first line counted (S-15, S-16, S-20)."""
    return Changed(where, lambda answer: Answer(b"", take(answer.steps(), after_octets)).then(how))


def hang_up_after(where: Where, how: Action = Action.CUT) -> Oddity:
    """End the connection right behind an answer (S-19, S-21)."""
    return Changed(where, lambda answer: answer.then(how))


def hang_up_instead(where: Where, how: Action = Action.CUT) -> Oddity:
    """End the connection and neither do nor answer what was asked (S-21)."""
    return Instead(where, how)


def drop_after_dele(nth: int = 1, how: Action = Action.CUT, *, times: int | None = 1) -> Oddity:
    """Answer the n-th DELE and end; nothing is removed (S-05; RFC 1939 section 6).

    Args:
        times: how many DELE from there on; None for every one.
    """
    return hang_up_after(Where(b"DELE", first=nth, times=times), how)


def close_before_quit_answer(
    how: Action = Action.CUT, *, removes: bool = True, times: int | None = 1
) -> Oddity:
    """Take QUIT, remove what is marked or not, and end without an answer (S-06)."""
    where = Where(b"QUIT", times=times)
    if not removes:
        return Instead(where, how)
    return Changed(where, lambda _: Answer(b"", (how,)))


def refuse_quit(*, removes: int | None = 0, times: int | None = 1) -> Oddity:
    """Answer QUIT with -ERR where something was marked (S-07; RFC 1939 section 6).

    Args:
        removes: so many of the marked are gone all the same; None for all.
        times: how many of such QUITs.
    """
    return _RefuseQuit(removes, times)


def idle_close(after_s: float) -> Oddity:
    """End in order when no command came for so long (S-19)."""
    oddity = Oddity()
    oddity.idle_s = after_s
    return oddity


def silence(where: Where) -> Oddity:
    """Take a command and never say a word again (S-20)."""
    return Instead(where, Action.HUSH)


def drip(where: Where, pause_s: float) -> Oddity:
    """Send an answer octet by octet with pauses between them (S-20)."""

    def slowly(answer: Answer) -> Iterator[Step]:
        for step in _in_pieces(answer, 1):
            yield step
            yield Pause(pause_s)

    return Changed(where, lambda answer: Answer(b"", slowly(answer)))


def one_octet_a_segment() -> Oddity:
    """Send everything octet by octet; with TLS, a record each (S-47)."""
    return in_segments_of(1)


def in_segments_of(octets: int) -> Oddity:
    """Send everything in segments of so many octets (S-47)."""
    return Changed(Where(), lambda answer: Answer(b"", _in_pieces(answer, octets)))


def split_at(octets: int, where: Where) -> Oddity:
    """Send an answer in two segments (S-47); go through all numbers for every split."""

    def split(answer: Answer) -> Iterator[Step]:
        whole = b"".join(step for step in answer.steps() if isinstance(step, bytes))
        yield from (piece for piece in (whole[:octets], whole[octets:]) if piece)

    return Changed(where, lambda answer: Answer(b"", split(answer)))


def greet_with(line: bytes, how: Action | None = None, *, times: int | None = None) -> Oddity:
    """Greet with this line, and end there if `how` says so; an empty line is silence."""
    steps: tuple[Step, ...] = () if how is None else (how,)
    return Changed(Where(GREETING, times=times), lambda _: Answer(line, steps))


def closed_at_the_door(
    how: Action = Action.CUT, *, sessions: Container[int] | None = None
) -> Oddity:
    """Take the connection and end it before the greeting (a server that is full)."""
    return Changed(Where(GREETING, sessions=sessions), lambda _: Answer(b"", (how,)))


class _RefuseQuit(Oddity):
    def __init__(self, removes: int | None, times: int | None) -> None:
        self._removes = removes
        self._times = times
        self._refused: set[OddSession] = set()

    def commit(self, session: OddSession, removed: list[OddMessage], /) -> list[OddMessage]:
        """Remove some."""
        if not removed or (self._times is not None and len(self._refused) >= self._times):
            return removed
        self._refused.add(session)
        return removed[: self._removes]

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """Refuse where `commit` did."""
        if session.command.word != b"QUIT" or session not in self._refused:
            return answer
        return Answer(b"-ERR some deleted messages not removed\r\n")


def _in_pieces(answer: Answer, octets: int) -> Iterator[Step]:
    for step in answer.steps():
        if isinstance(step, bytes):
            yield from (step[at : at + octets] for at in range(0, len(step), octets))
        else:
            yield step
