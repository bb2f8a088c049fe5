"""AUTHORIZATION (RFC 1939 section 4): CAPA, STLS, USER, PASS, AUTH, LANG, UTF8, QUIT.

It ends with `Admitted`, whose command is not answered yet: the answer to a good login is given by
who opens the maildrop. It never sees mail.
"""

from dataclasses import dataclass

from mailkeep.accounts import CheckUnavailable, Claim, PasswordClaim
from mailkeep.pop3 import BEHIND_STLS, LocalProtocolError, OkLines, Refused, commands
from mailkeep.sasl import SaslFailed
from mailkeep.server import replies
from mailkeep.server.before_login.deciding import Deciding, Denied
from mailkeep.server.before_login.exchange import Exchange, ExchangeOver
from mailkeep.server.before_login.gate import Admitted, Gate
from mailkeep.server.before_login.telling import LEFT, Guess, LoginTelling, name_told
from mailkeep.server.before_login.visitor import Visitor
from mailkeep.server.dialogue import COMMANDS_A_TURN, ClosedByUs, Dialogue
from mailkeep.server.wire import Disconnected
from mailkeep.values import Secret

REFUSALS_LIMIT = 3
"""On one connection, then it is closed: a person mistypes once or twice, and each further guess
costs a guesser a handshake."""

_CREDENTIALS = "a login"

_TO_BE_OBEYED = (commands.Pass, commands.Auth, commands.Quit, commands.Stls)
"""Commands that may take time, or end this program."""


@dataclass(frozen=True, slots=True)
class StlsGranted:
    """STLS was answered with +OK: TLS comes next, and then everything from the start."""


@dataclass(frozen=True, slots=True)
class LeftBeforeLogin:
    """The client said QUIT."""


Outcome = Admitted | StlsGranted | LeftBeforeLogin


async def admit(dialogue: Dialogue, gate: Gate, visitor: Visitor) -> Outcome:
    """Talk until somebody is let in, wants TLS, or leaves.

    Raises:
        Disconnected: the connection ended.
        ClosedByUs: it must be closed.
    """
    program = _Program(dialogue, gate, visitor)
    dialogue.wire.expect_within(gate.credentials_s, _CREDENTIALS)
    outcome = None
    while outcome is None:
        if program.hear(b""):
            await dialogue.wire.attend(program.hear)
        outcome = await program.obey()
    return outcome


class _Program:
    """One stretch of AUTHORIZATION; it remembers the name that USER gave.

    What takes no time is answered by `hear`, where its octets arrive; a login, and what ends this
    program, by `obey`, in the connection's task.
    """

    __slots__ = (
        "_command",
        "_deciding",
        "_dialogue",
        "_gate",
        "_name_untrusted",
        "_refusals",
        "_telling",
        "_visitor",
    )

    def __init__(self, dialogue: Dialogue, gate: Gate, visitor: Visitor) -> None:
        self._dialogue = dialogue
        self._gate = gate
        self._visitor = visitor
        self._telling = LoginTelling(gate.sink, visitor)
        self._deciding = Deciding(gate, visitor, dialogue.wire, self._telling)
        self._name_untrusted = b""
        self._command: commands.Command | None = None
        """What is to be obeyed next."""
        self._refusals = 0

    def hear(self, octets: bytes) -> bool:
        """Answer what has arrived; False when somebody must `obey` before more can be heard.

        Raises:
            Disconnected, ClosedByUs: see `admit`.
        """
        dialogue = self._dialogue
        if octets:
            dialogue.core.receive(octets)
        for _ in range(COMMANDS_A_TURN):
            command = dialogue.next_at_hand()
            if command is None:
                return True
            if isinstance(command, commands.User):
                self._name_untrusted = command.name_untrusted
                dialogue.answer(replies.NAME_TAKEN_DOWN)
            elif isinstance(command, _TO_BE_OBEYED):
                self._command = command
                return False
            elif not isinstance(command, Refused):
                self._answer_simple(command)
            if dialogue.core.is_all_read:
                return True
        return False

    async def obey(self) -> Outcome | None:
        """Do what may take time, or let the others have their turn.

        Raises:
            Disconnected, ClosedByUs: see `admit`.
        """
        command, self._command = self._command, None
        match command:
            case commands.Pass(password):
                return await self._decide(PasswordClaim(self._name_untrusted, password), "USER")
            case commands.Auth(mechanism, initial_response):
                return await self._authenticate(mechanism, initial_response)
            case commands.Quit():
                self._dialogue.answer(replies.BYE)
                return LeftBeforeLogin()
            case commands.Stls():
                return self._begin_tls()
            case _:
                await self._dialogue.wire.drain()
        return None

    def _answer_simple(self, command: commands.Command) -> None:
        """Answer a command that changes nothing but how the rest is answered."""
        match command:
            case commands.Capa():
                lines = self._dialogue.core.list_capabilities(self._visitor.capabilities)
                self._dialogue.answer(OkLines(replies.CAPABILITIES, lines))
            case commands.AuthList():
                names = tuple(name.encode() for name in self._visitor.mechanisms)
                self._dialogue.answer(OkLines(replies.MECHANISMS, names))
            case commands.Lang(tag_untrusted):
                self._dialogue.answer_lang(tag_untrusted)
            case commands.Utf8() if self._gate.utf8:
                self._dialogue.utf8 = True
                self._dialogue.answer(replies.UTF8_ON)
            case commands.Utf8():
                self._dialogue.answer(replies.UTF8_NOT_OFFERED)
            case illegal:
                raise LocalProtocolError(f"the state table let {type(illegal).__name__} through")

    def _begin_tls(self) -> StlsGranted:
        """Grant STLS, unless something came behind it that nobody has read yet."""
        if self._dialogue.wire.has_arrived:
            self._dialogue.answer(BEHIND_STLS)
            raise ClosedByUs(BEHIND_STLS.text.decode())
        self._dialogue.answer(replies.BEGIN_TLS)
        return StlsGranted()

    async def _authenticate(self, mechanism: str, initial: Secret | None) -> Admitted | None:
        """Carry one SASL exchange to its end."""
        start = self._visitor.mechanisms.get(mechanism)
        if start is None:
            self._dialogue.answer(replies.UNKNOWN_MECHANISM)
            return None
        exchange = Exchange(self._dialogue, start(), self._visitor, self._gate.check)
        try:
            claim = await exchange.claim(initial)
            return await self._decide(claim, mechanism, exchange)
        except ExchangeOver:
            self._end_after_refusals()
        except SaslFailed:
            self._dialogue.answer(replies.EXCHANGE_FAILED)
        except CheckUnavailable as unavailable:
            name = name_told(exchange.name_untrusted)
            self._telling.deferred(mechanism, name, str(unavailable))
            self._dialogue.answer(replies.CHECK_UNAVAILABLE)
        return None

    async def _decide(
        self, claim: Claim, mechanism: str, exchange: Exchange | None = None
    ) -> Admitted | None:
        """Ask whom a claim lets in; a refusal starts the time for credentials anew."""
        wire = self._dialogue.wire
        wire.lift_deadline()
        outcome = await self._deciding.decide(claim, mechanism)
        if exchange is None and isinstance(outcome, Admitted):
            return outcome
        wire.expect_within(self._gate.credentials_s, _CREDENTIALS)
        match outcome:
            case Admitted() as admitted:
                if exchange is not None:
                    await self._end_admitted(claim, exchange, admitted)
                wire.lift_deadline()
                return admitted
            case Denied(reply, is_guess):
                self._refusals += is_guess
                if exchange is not None and reply is replies.LOGIN_REFUSED:
                    await exchange.end_denied(self._gate.token_hints)
                self._dialogue.answer(reply)
                # Sent now and not with the answers to what waits behind: only so is it found out,
                # between one check and the next, that nobody is there any more to hear them.
                wire.flush()
                self._end_after_refusals()
        return None

    async def _end_admitted(self, claim: Claim, exchange: Exchange, admitted: Admitted) -> None:
        """Say the mechanism's last word; who leaves with it has learnt that he was right."""
        try:
            await exchange.end_admitted()
        except (SaslFailed, ExchangeOver, Disconnected, ClosedByUs):
            owner = str(admitted.account.address)
            self._telling.refused(Guess(claim, admitted.mechanism, owner), LEFT)
            raise

    def _end_after_refusals(self) -> None:
        if self._refusals >= REFUSALS_LIMIT:
            raise ClosedByUs("too many refused logins")
