"""A login is refused, put off or played with (S-22 to S-25, S-59)."""

import base64
from collections.abc import Callable

from mailkeep.testing.odd_server.answers import Answer
from mailkeep.testing.odd_server.oddity import Exchange, Instead, Oddity, Outcome, Where
from mailkeep.testing.odd_server.session import OddSession


def refuse_login(line: bytes, *, times: int | None = None) -> Oddity:
    """Refuse the right password with this line, so many times or always."""
    return _RefuseLogin(line, times)


def in_use(times: int | None = None) -> Oddity:
    """Another session has the maildrop (S-22; RFC 2449 section 8.1.2)."""
    return refuse_login(b"-ERR [IN-USE] maildrop locked by another session\r\n", times=times)


def locked_without_code(times: int | None = None) -> Oddity:
    """The same in words alone, as older servers say it (S-22)."""
    return refuse_login(b"-ERR maildrop already locked\r\n", times=times)


def login_delay(times: int | None = None) -> Oddity:
    """The client comes too soon (S-23; RFC 2449 section 8.1.1)."""
    return refuse_login(b"-ERR [LOGIN-DELAY] wait before the next login\r\n", times=times)


def system_temporary(times: int | None = None) -> Oddity:
    """Something of the server's is broken for now (S-22; RFC 3206 section 4)."""
    return refuse_login(b"-ERR [SYS/TEMP] mail store not available\r\n", times=times)


def system_permanent() -> Oddity:
    """Something of the server's is broken for good (RFC 3206 section 4)."""
    return refuse_login(b"-ERR [SYS/PERM] no mailbox\r\n")


def wrong_password(times: int | None = None) -> Oddity:
    """The credentials are wrong, with the code that says so (S-24; RFC 3206 section 4).

    With `times` it is the login that is accepted at try `times + 1`.
    """
    return refuse_login(b"-ERR [AUTH] wrong name or password\r\n", times=times)


def refuse_without_code(times: int | None = None) -> Oddity:
    """The login is refused and nobody knows why (S-24)."""
    return refuse_login(b"-ERR no\r\n", times=times)


def no_auth() -> Oddity:
    """AUTH is not known, whatever CAPA lists: the next mechanism may be tried (S-24)."""
    return Instead(Where(b"AUTH"), b"-ERR unknown command\r\n")


def refuse_initial_response(longer_than_octets: int = 0) -> Oddity:
    """Refuse a response in the line of AUTH itself, as Microsoft 365 does with a long one."""
    return _RefuseInitialResponse(longer_than_octets)


def endless_challenges(challenge: bytes = b"and now?") -> Oddity:
    """Ask one challenge after the other, for ever (S-59)."""
    return _ChangedExchange(lambda _: challenge)


def bad_base64_challenge(line: bytes = b"+ this is *not* base64!\r\n") -> Oddity:
    """Send this for every challenge (S-59)."""
    return _ChallengeLine(line)


def wrong_server_signature() -> Oddity:
    """Say in SCRAM that the proof is right with a signature that is not (S-59, RFC 5802)."""

    def change(outcome: Outcome) -> Outcome:
        if isinstance(outcome, bytes) and outcome.startswith(b"v="):
            return b"v=" + base64.b64encode(bytes(32))
        return outcome

    return _ChangedExchange(change)


def without_server_signature() -> Oddity:
    """Say +OK in SCRAM and never prove that the password is known (S-59)."""

    def change(outcome: Outcome) -> Outcome:
        return True if isinstance(outcome, bytes) and outcome.startswith(b"v=") else outcome

    return _ChangedExchange(change)


def scram_iterations(count: bytes) -> Oddity:
    """Ask SCRAM for so many iterations: `1` to guess cheaply, `10**30` to stop a client (S-59)."""

    def change(outcome: Outcome) -> Outcome:
        if isinstance(outcome, bytes) and outcome.startswith(b"r="):
            return outcome.rpartition(b",i=")[0] + b",i=" + count
        return outcome

    return _ChangedExchange(change)


def scram_foreign_nonce() -> Oddity:
    """Answer SCRAM with a nonce that does not begin with the client's (RFC 5802 section 5)."""

    def change(outcome: Outcome) -> Outcome:
        if isinstance(outcome, bytes) and outcome.startswith(b"r="):
            return b"r=foreign," + outcome.partition(b",")[2]
        return outcome

    return _ChangedExchange(change)


class _RefuseLogin(Oddity):
    def __init__(self, line: bytes, times: int | None) -> None:
        self._line = line
        self._left = times

    def login(self, _: OddSession, /) -> bytes | None:
        """Refuse while there are times left."""
        if self._left is None:
            return self._line
        self._left -= 1
        return self._line if self._left >= 0 else None


class _RefuseInitialResponse(Oddity):
    def __init__(self, longer_than_octets: int) -> None:
        self._limit = longer_than_octets

    def instead(self, session: OddSession, /) -> Answer | None:
        """Refuse the whole line."""
        _, _, initial = session.command.argument.partition(b" ")
        if session.command.word != b"AUTH" or not initial or len(initial) <= self._limit:
            return None
        return Answer(b"-ERR Protocol error\r\n")


class _ChallengeLine(Oddity):
    def __init__(self, line: bytes) -> None:
        self._line = line

    def answer(self, _: OddSession, answer: Answer, /) -> Answer:
        """Replace challenges."""
        return Answer(self._line) if answer.status.startswith(b"+ ") else answer


class _ChangedExchange(Oddity):
    def __init__(self, change: Callable[[Outcome], Outcome]) -> None:
        self._change = change

    def exchange(self, _: OddSession, _mechanism: str, exchange: Exchange, /) -> Exchange:
        """Put the change behind every step."""
        return _Wrapped(exchange, self._change)


class _Wrapped:
    def __init__(self, honest: Exchange, change: Callable[[Outcome], Outcome]) -> None:
        self._honest = honest
        self._change = change

    def step(self, response: bytes | None) -> Outcome:
        """See `Exchange`."""
        return self._change(self._honest.step(response))
