"""STLS and TLS are attacked, and what was offered once is missing (S-17, S-60).

Another certificate is another context: set `OddServer.context` (S-18).
"""

from collections.abc import Container, Iterable, Sequence

from mailkeep.testing.odd_server.answers import Action, Answer, Step, err
from mailkeep.testing.odd_server.oddity import Changed, Instead, Oddity, Where
from mailkeep.testing.odd_server.session import OddSession


def refuse_stls(line: bytes = b"-ERR TLS not available\r\n") -> Oddity:
    """List STLS and refuse it (S-17)."""
    return Instead(Where(b"STLS"), line)


def strip_stls() -> Oddity:
    """Do as if there were no STLS: not listed, not known (S-17)."""
    return _StripStls()


def inject_behind_stls(octets: bytes = b"+OK injected\r\n") -> Oddity:
    """Say +OK to STLS with more clear text in the same segment, then shake hands (S-17).

    It is what an attacker in the middle puts there for a client that keeps it in its buffer.
    """
    return Changed(Where(b"STLS"), lambda answer: Answer(answer.status + octets, answer.body))


def clear_text_instead_of_tls(*steps: Step) -> Oddity:
    """Send clear text where a handshake belongs, after STLS or at once (S-17)."""
    return _InsteadOfTls(steps or (b"+OK odd server ready\r\n",))


def hang_up_instead_of_tls(how: Action = Action.CUT) -> Oddity:
    """End, or fall silent, where a handshake belongs."""
    return _InsteadOfTls((how,))


def capabilities_in_clear(*lines: bytes) -> Oddity:
    """List these before TLS and the honest ones in it (S-17: the first list is nobody's word)."""
    return _Capabilities(lines)


def without_capabilities(*names: bytes, sessions: Container[int] | None = None) -> Oddity:
    """Leave capabilities out, a mechanism of SASL too, in some sessions or all (S-60).

    Args:
        names: of capabilities (`PIPELINING`) and mechanisms (`SCRAM-SHA-256`).
        sessions: numbers of sessions, from 1; None for all.
    """
    return _Without(frozenset(name.upper() for name in names), sessions)


class _StripStls(Oddity):
    def instead(self, session: OddSession, /) -> Answer | None:
        """Know no STLS."""
        return err(b"unknown command") if session.command.word == b"STLS" else None

    def lines(self, session: OddSession, lines: Iterable[bytes], /) -> Iterable[bytes]:
        """List no STLS."""
        if session.command.word != b"CAPA":
            return lines
        return [line for line in lines if line != b"STLS"]


class _InsteadOfTls(Oddity):
    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def tls(self, _: OddSession, /) -> Answer | None:
        """Send the steps."""
        return Answer(b"", self._steps)


class _Capabilities(Oddity):
    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = lines

    def lines(self, session: OddSession, lines: Iterable[bytes], /) -> Iterable[bytes]:
        """List others in the clear."""
        return self._lines if session.command.word == b"CAPA" and not session.is_tls else lines


class _Without(Oddity):
    def __init__(self, names: frozenset[bytes], sessions: Container[int] | None) -> None:
        self._names = names
        self._sessions = sessions

    def lines(self, session: OddSession, lines: Iterable[bytes], /) -> Iterable[bytes]:
        """Leave some out."""
        is_here = self._sessions is None or session.number in self._sessions
        if session.command.word != b"CAPA" or not is_here:
            return lines
        return [left for line in lines if (left := self._without(line))]

    def _without(self, line: bytes) -> bytes:
        word, *arguments = line.split(b" ")
        if word in self._names:
            return b""
        if word != b"SASL":
            return line
        mechanisms = [name for name in arguments if name not in self._names]
        return b" ".join((word, *mechanisms)) if mechanisms else b""
