"""The honest answers before login: CAPA, STLS, USER, PASS, AUTH, QUIT (RFC 1939, 2595, 5034)."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from mailkeep.testing.odd_server.answers import Answer, Heard, err, ok, ok_lines
from mailkeep.testing.odd_server.oddity import Exchange
from mailkeep.testing.odd_server.sasl import make_exchange

if TYPE_CHECKING:
    from mailkeep.testing.odd_server.session import OddSession

WRONG = err(b"[AUTH] wrong name or password")


def capabilities(session: "OddSession") -> Answer:
    """Answer CAPA with what the settings say for this state."""
    return ok_lines(b"capabilities", session.odd_lines(_capabilities(session)))


def _capabilities(session: "OddSession") -> Iterator[bytes]:
    settings = session.server.settings
    if session.login and settings.capabilities_after_login is not None:
        yield from settings.capabilities_after_login
        return
    yield from settings.capabilities
    if settings.mechanisms:
        yield b"SASL " + " ".join(settings.mechanisms).encode()
    if settings.offers_stls and not session.is_tls:
        yield b"STLS"


class Authorization:
    """One session's."""

    def __init__(self, session: "OddSession") -> None:
        self._session = session
        self._user: bytes | None = None
        self._exchange: Exchange | None = None
        self._answers: Mapping[bytes, Callable[[bytes], Answer]] = {
            b"CAPA": self._capa,
            b"STLS": self._stls,
            b"USER": self._name,
            b"PASS": self._pass,
            b"AUTH": self._auth,
            b"QUIT": self._quit,
        }

    @property
    def is_exchanging(self) -> bool:
        """Whether the next line is a response of SASL."""
        return self._exchange is not None

    def answer(self, command: Heard) -> Answer:
        """Do what is asked."""
        answer = self._answers.get(command.word)
        return answer(command.argument) if answer else err(b"not before login")

    def respond(self, line: bytes) -> Answer:
        """Go on with an exchange."""
        exchange, self._exchange = self._exchange, None
        if line == b"*" or exchange is None:
            return err(b"cancelled")
        return self._step(exchange, line)

    def _capa(self, _: bytes) -> Answer:
        return capabilities(self._session)

    def _quit(self, _: bytes) -> Answer:
        self._session.is_ending = True
        return ok(b"bye")

    def _name(self, argument: bytes) -> Answer:
        self._user = argument
        return ok(b"and the password?")

    def _stls(self, _: bytes) -> Answer:
        if self._session.is_tls or not self._session.server.settings.offers_stls:
            return err(b"no TLS to start")
        self._session.starts_tls = True
        return ok(b"begin")

    def _pass(self, password: bytes) -> Answer:
        login = self._session.server.settings.login
        if self._user is None:
            return err(b"USER first")
        is_right = (self._user, password) == (login.user, login.password)
        self._user = None
        return self._session.begin_transaction() if is_right else WRONG

    def _auth(self, argument: bytes) -> Answer:
        server = self._session.server
        if not argument:
            return ok_lines(b"mechanisms", [name.encode() for name in server.settings.mechanisms])
        word, _, initial = argument.partition(b" ")
        name = word.decode("ascii", "replace").upper()
        binding = server.settings.binding if self._session.is_tls else None
        exchange = make_exchange(name, server.settings.login, binding)
        if exchange is None or name not in server.settings.mechanisms:
            return err(b"no such mechanism")
        for oddity in self._session.oddities:
            exchange = oddity.exchange(self._session, name, exchange)
        return self._step(exchange, initial or None)

    def _step(self, exchange: Exchange, encoded: bytes | None) -> Answer:
        try:
            response = encoded and base64.b64decode(encoded.removeprefix(b"="), validate=True)
        except binascii.Error:
            return err(b"not base64")
        outcome = exchange.step(response)
        if isinstance(outcome, bytes):
            self._exchange = exchange
            return Answer(b"+ %b\r\n" % base64.b64encode(outcome))
        return self._session.begin_transaction() if outcome else WRONG
