"""What a session must do, told a second time and as plainly as possible, to be compared with it.

It shares no line with the server: it knows what its lines mean because whoever made them says so.
It answers one question a line: which replies must come. Texts, bodies and lengths are not its
business; the conversations have those.
"""

import base64
import binascii
from dataclasses import dataclass, field
from enum import Enum, auto

BAD_BEFORE_LOGIN = 10
BAD_AFTER_LOGIN = 20
REFUSALS = 3
MESSAGES = 4

OK, ERR, MORE = b"+OK", b"-ERR", b"+"


class Means(Enum):
    """What a line means where it is a command."""

    USER = auto()
    RIGHT_PASSWORD = auto()
    WRONG_PASSWORD = auto()
    RIGHT_AUTH = auto()
    """AUTH with an initial response that logs in."""
    WRONG_AUTH = auto()
    BROKEN_AUTH = auto()
    """AUTH with an initial response that breaks the mechanism's rules."""
    UNKNOWN_AUTH = auto()
    PLAIN_BEGUN = auto()
    """AUTH PLAIN without an initial response."""
    BAD_TOKEN = auto()
    """AUTH OAUTHBEARER with a token that is not good."""
    LISTED = auto()
    """AUTH alone."""
    CAPA = auto()
    LANG = auto()
    LANG_LIST = auto()
    LANG_UNKNOWN = auto()
    UTF8 = auto()
    STLS = auto()
    QUIT = auto()
    STAT = auto()
    NOOP = auto()
    RSET = auto()
    LIST = auto()
    """LIST or UIDL of everything."""
    LIST_ONE = auto()
    """LIST or UIDL of one message."""
    RETR = auto()
    """RETR or TOP."""
    DELE = auto()
    LAST = auto()
    HTTP = auto()
    NOTHING = auto()
    """No command at all."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and what whoever made it knows of it."""

    octets: bytes
    """Without its end."""
    means: Means
    number: int = 0
    """The message that it names."""
    logs_in: bool = False
    """As an answer in an exchange of PLAIN it logs in."""
    is_guess: bool = False
    """As such an answer it is well formed and wrong."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What must come."""

    status: bytes
    body: bool = False


class Phase(Enum):
    """Where the session stands."""

    STRANGER = auto()
    NAMED = auto()
    EXCHANGE = auto()
    """Of PLAIN."""
    PROVING = auto()
    """The client's proof of SCRAM is awaited, and it is not made of lines that are drawn."""
    PROVED = auto()
    """Nothing but an empty answer is left of an exchange of SCRAM."""
    TOKEN_REFUSED = auto()
    """The next line, whatever it is, ends an exchange of OAUTHBEARER."""
    INSIDE = auto()
    ENCRYPTING = auto()
    """Whatever comes next belongs to TLS."""
    OVER = auto()


_ONLY_INSIDE = {
    Means.STAT,
    Means.NOOP,
    Means.RSET,
    Means.LIST,
    Means.LIST_ONE,
    Means.RETR,
    Means.DELE,
}
_LOGINS = {
    Means.USER,
    Means.RIGHT_AUTH,
    Means.WRONG_AUTH,
    Means.BROKEN_AUTH,
    Means.UNKNOWN_AUTH,
    Means.PLAIN_BEGUN,
    Means.BAD_TOKEN,
    Means.LISTED,
}
_PASSWORDS = {Means.RIGHT_PASSWORD, Means.WRONG_PASSWORD}
_ALWAYS = {Means.CAPA, Means.LANG, Means.LANG_LIST, Means.LANG_UNKNOWN, Means.QUIT}


@dataclass(slots=True)
class Model:
    """One session."""

    stls_first: bool
    utf8: bool
    busy: bool
    """Somebody else has the maildrop."""
    phase: Phase = Phase.STRANGER
    marked: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    bad: int = 0
    refusals: int = 0
    logins: int = 0

    def take(self, line: Line) -> list[Reply]:  # noqa: PLR0911  # one row a state
        """Return what must come for a line, if it is looked at now."""
        match self.phase:
            case Phase.OVER | Phase.ENCRYPTING:
                return []
            case Phase.EXCHANGE:
                return [self._answer_plain(line)]
            case Phase.PROVING:
                return [self._end_exchange(line)]
            case Phase.PROVED:
                return [self._log_in() if line.octets in {b"", b"\r"} else self._end_exchange(line)]
            case Phase.TOKEN_REFUSED:
                return [self._end_of_token(line)]
            case _ if line.means is Means.HTTP:
                self.phase = Phase.OVER
                return []
            case _ if line.means is Means.LAST:
                self._leave_named()
                return [Reply(ERR)]
            case _ if not self._is_legal(line.means):
                return [self._count_bad()]
            case _:
                self.bad = 0
                return [self._inside(line) if self.phase is Phase.INSIDE else self._outside(line)]

    def _is_legal(self, means: Means) -> bool:
        if means in _ALWAYS:
            return True
        if self.phase is Phase.INSIDE:
            return means in _ONLY_INSIDE or means is Means.UTF8
        if means is Means.STLS:
            return True
        if self.stls_first:
            return False
        if means in _PASSWORDS:
            return self.phase is Phase.NAMED
        return means in _LOGINS or means is Means.UTF8

    def _count_bad(self) -> Reply:
        self.bad += 1
        limit = BAD_AFTER_LOGIN if self.phase is Phase.INSIDE else BAD_BEFORE_LOGIN
        self._leave_named()
        if self.bad == limit:
            self.phase = Phase.OVER
        return Reply(ERR)

    def _leave_named(self) -> None:
        if self.phase is not Phase.INSIDE:
            self.phase = Phase.STRANGER

    def _outside(self, line: Line) -> Reply:  # noqa: PLR0911  # one row a command
        self.phase = Phase.STRANGER
        match line.means:
            case Means.USER:
                self.phase = Phase.NAMED
                return Reply(OK)
            case Means.RIGHT_PASSWORD | Means.RIGHT_AUTH:
                return self._log_in()
            case Means.WRONG_PASSWORD | Means.WRONG_AUTH:
                return self.refuse()
            case Means.PLAIN_BEGUN:
                self.phase = Phase.EXCHANGE
                return Reply(MORE)
            case Means.BAD_TOKEN:
                self.refusals += 1
                self.phase = Phase.TOKEN_REFUSED
                return Reply(MORE)
            case Means.BROKEN_AUTH | Means.UNKNOWN_AUTH:
                return Reply(ERR)
            case Means.STLS:
                self.phase = Phase.ENCRYPTING
                return Reply(OK)
            case Means.UTF8:
                return Reply(OK if self.utf8 else ERR)
            case other:
                return self._anywhere(other)

    def _inside(self, line: Line) -> Reply:  # noqa: PLR0911  # one row a command
        gone = not 1 <= line.number <= MESSAGES or line.number in self.marked
        match line.means:
            case Means.DELE:
                if gone:
                    return Reply(ERR)
                self.marked.add(line.number)
                return Reply(OK)
            case Means.RETR:
                return Reply(ERR) if gone else Reply(OK, body=True)
            case Means.LIST_ONE:
                return Reply(ERR if gone else OK)
            case Means.LIST:
                return Reply(OK, body=True)
            case Means.RSET:
                self.marked.clear()
                return Reply(OK)
            case Means.STAT | Means.NOOP | Means.UTF8:
                return Reply(OK)
            case other:
                return self._anywhere(other)

    def _anywhere(self, means: Means) -> Reply:
        match means:
            case Means.QUIT:
                self.removed, self.marked = self.marked, set()
                self.phase = Phase.OVER
                return Reply(OK)
            case Means.LANG_UNKNOWN:
                return Reply(ERR)
            case Means.LANG:
                return Reply(OK)
            case _:
                return Reply(OK, body=True)

    def _answer_plain(self, line: Line) -> Reply:
        if line.logs_in:
            return self._log_in()
        if line.is_guess:
            return self.refuse()
        return self._end_exchange(line)

    def _end_exchange(self, line: Line) -> Reply:
        """End an exchange that leads nowhere; only what is no answer at all counts as bad."""
        self.phase = Phase.STRANGER
        is_answer = line.octets == b"*" or is_base64(line.octets)
        return Reply(ERR) if is_answer else self._count_bad()

    def _end_of_token(self, line: Line) -> Reply:
        """Three guesses close a connection however the client takes the third refusal."""
        reply = self._end_exchange(line)
        self._close_after_three()
        return reply

    def _log_in(self) -> Reply:
        self.phase = Phase.STRANGER
        if self.busy:
            self.refusals = 0
            return Reply(ERR)
        self.logins += 1
        self.phase = Phase.INSIDE
        return Reply(OK)

    def refuse(self) -> Reply:
        """Return what must come for a wrong guess."""
        self.phase = Phase.STRANGER
        self.refusals += 1
        self._close_after_three()
        return Reply(ERR)

    def _close_after_three(self) -> None:
        if self.refusals >= REFUSALS:
            self.phase = Phase.OVER


def is_base64(octets: bytes) -> bool:
    """Tell whether a line is base64 by the letter (RFC 4648 section 4)."""
    try:
        return base64.b64encode(base64.b64decode(octets, validate=True)) == octets
    except binascii.Error:
        return False
