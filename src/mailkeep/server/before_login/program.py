"""AUTHORIZATION (RFC 1939 section 4): CAPA, STLS, USER, PASS, AUTH, QUIT.

It ends with `Admitted`, whose command is not answered yet: the answer to a good login is given by
who opens the maildrop. It never sees mail.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mailkeep.accounts import Account, CheckUnavailable, LoginRefused, PasswordCheck
from mailkeep.events import EventSink, EventType
from mailkeep.pop3 import BEHIND_STLS, LocalProtocolError, OkLines, commands
from mailkeep.sasl import MechanismFactory, PasswordCredentials, SaslFailed
from mailkeep.server import replies
from mailkeep.server.dialogue import ClosedByUs, Dialogue
from mailkeep.values import Secret


@dataclass(frozen=True, slots=True)
class Admitted:
    """Good credentials; the command that brought them waits for its answer."""

    account: Account
    mechanism: str


@dataclass(frozen=True, slots=True)
class StlsGranted:
    """STLS was answered with +OK: TLS comes next, and then everything from the start."""


@dataclass(frozen=True, slots=True)
class LeftBeforeLogin:
    """The client said QUIT."""


Outcome = Admitted | StlsGranted | LeftBeforeLogin


@dataclass(frozen=True, slots=True)
class Gate:
    """What this program needs of the rest."""

    passwords: PasswordCheck
    mechanisms: Mapping[str, MechanismFactory]
    sink: EventSink
    credentials_s: float
    """Seconds until whole credentials must have arrived."""


_CREDENTIALS = "a login"

_NAME_TOLD_OCTETS = 320
"""No address is longer (RFC 5321 section 4.5.3.1). A SASL name may have 9 KiB, which escaping makes
64: the journal cuts such a line in two (LineMax of journald.conf(5)), and what a stranger wrote
would begin the second."""


async def admit(dialogue: Dialogue, gate: Gate, peer: str) -> Outcome:
    """Talk until somebody is let in, wants TLS, or leaves.

    Raises:
        Disconnected: the connection ended.
        ClosedByUs: it must be closed.
    """
    program = _Program(dialogue, gate, peer)
    dialogue.wire.expect_within(gate.credentials_s, _CREDENTIALS)
    outcome = None
    while outcome is None:
        outcome = await program.step()
    return outcome


class _Program:
    """One stretch of AUTHORIZATION; it remembers the name that USER gave."""

    __slots__ = ("_dialogue", "_gate", "_name_untrusted", "_peer")

    def __init__(self, dialogue: Dialogue, gate: Gate, peer: str) -> None:
        self._dialogue = dialogue
        self._gate = gate
        self._peer = peer
        self._name_untrusted = b""

    async def step(self) -> Outcome | None:
        """Answer one command."""
        match await self._dialogue.next_command():
            case commands.User(name_untrusted):
                self._name_untrusted = name_untrusted
                self._dialogue.answer(replies.NAME_TAKEN_DOWN)
            case commands.Pass(password):
                credentials = PasswordCredentials(self._name_untrusted, password)
                return await self._check(credentials, "USER")
            case commands.Auth(mechanism, initial_response):
                return await self._exchange(mechanism, initial_response)
            case commands.Quit():
                self._dialogue.answer(replies.BYE)
                return LeftBeforeLogin()
            case commands.Stls():
                return self._begin_tls()
            case commands.Capa():
                lines = self._dialogue.core.list_capabilities(tuple(self._gate.mechanisms))
                self._dialogue.answer(OkLines(replies.CAPABILITIES, lines))
            case commands.AuthList():
                names = tuple(name.encode() for name in self._gate.mechanisms)
                self._dialogue.answer(OkLines(replies.MECHANISMS, names))
            case illegal:
                raise LocalProtocolError(f"the state table let {type(illegal).__name__} through")
        return None

    def _begin_tls(self) -> StlsGranted:
        """Grant STLS, unless something came behind it that nobody has read yet."""
        if self._dialogue.wire.has_arrived:
            self._dialogue.answer(BEHIND_STLS)
            raise ClosedByUs(BEHIND_STLS.text.decode())
        self._dialogue.answer(replies.BEGIN_TLS)
        return StlsGranted()

    async def _exchange(self, mechanism_name: str, response: Secret | None) -> Admitted | None:
        """Carry one SASL exchange to its end (RFC 5034 section 4)."""
        start = self._gate.mechanisms.get(mechanism_name)
        if start is None:
            self._dialogue.answer(replies.UNKNOWN_MECHANISM)
            return None
        mechanism = start()
        while True:
            try:
                outcome = mechanism.step(response)
            except SaslFailed:
                self._dialogue.answer(replies.EXCHANGE_FAILED)
                return None
            if isinstance(outcome, PasswordCredentials):
                return await self._check(outcome, mechanism_name)
            self._dialogue.challenge(outcome.data)
            response = await self._dialogue.next_response()
            if response is None:
                return None

    async def _check(self, credentials: PasswordCredentials, mechanism: str) -> Admitted | None:
        """Ask whom the credentials let in; a refusal starts the time for credentials anew."""
        wire = self._dialogue.wire
        wire.lift_deadline()
        try:
            account = await self._gate.passwords.check(
                credentials.name_untrusted, credentials.password_untrusted
            )
        except LoginRefused as refused:
            self._tell(EventType.LOGIN_REFUSED, credentials, mechanism, refused.reason.value)
            self._dialogue.answer(replies.LOGIN_REFUSED)
        except CheckUnavailable as unavailable:
            self._tell(EventType.LOGIN_DEFERRED, credentials, mechanism, str(unavailable))
            self._dialogue.answer(replies.CHECK_UNAVAILABLE)
        else:
            return Admitted(account, mechanism)
        # Sent now and not with the answers to what waits behind: only so is it found out, between
        # one check and the next, that nobody is there any more to hear them.
        wire.flush()
        wire.expect_within(self._gate.credentials_s, _CREDENTIALS)
        return None

    def _tell(
        self, event: EventType, credentials: PasswordCredentials, mechanism: str, reason: str
    ) -> None:
        name = credentials.name_untrusted[:_NAME_TOLD_OCTETS]
        self._gate.sink.emit(
            event,
            peer=self._peer,
            mechanism=mechanism,
            reason=reason,
            name=name.decode(errors="backslashreplace"),  # last: it may read like other fields
        )
