"""One AUTH exchange (RFC 5034 section 4): from the command to a claim, and what comes after it.

Some mechanisms have a word left once it is decided: SCRAM proves the server to the client it lets
in, and a refused token is explained (RFC 7628 section 3.2.3). It decides nothing.
"""

from mailkeep.accounts import (
    CertificateClaim,
    Claim,
    LoginCheck,
    PasswordClaim,
    ScramClaim,
    ScramCredentials,
    TokenClaim,
)
from mailkeep.pop3 import LocalProtocolError
from mailkeep.sasl import (
    CertificateAsked,
    Challenge,
    KeyedMechanism,
    KeysWanted,
    PasswordCredentials,
    SaslFailed,
    ScramProof,
    ServerMechanism,
    TokenCredentials,
    TokenMechanism,
)
from mailkeep.server.before_login.gate import TokenHints
from mailkeep.server.before_login.visitor import Visitor
from mailkeep.server.dialogue import Dialogue
from mailkeep.values import Secret


class ExchangeOver(Exception):
    """The client gave up, and was answered already."""


class Exchange:
    """One exchange."""

    def __init__(
        self, dialogue: Dialogue, mechanism: ServerMechanism, visitor: Visitor, check: LoginCheck
    ) -> None:
        self._dialogue = dialogue
        self._mechanism = mechanism
        self._visitor = visitor
        self._check = check
        self._keys: ScramCredentials | None = None
        self.name_untrusted = b""
        """Whom the client names, as far as it has said it in an exchange that goes on."""
        self._final = b""

    async def claim(self, initial: Secret | None) -> Claim:
        """Talk until it is known who the client says it is.

        Raises:
            SaslFailed: it breaks the mechanism's rules; not answered yet.
            ExchangeOver: it gave up.
            CheckUnavailable: its keys could not be read; not answered yet.
            Disconnected, ClosedByUs: the connection ends.
        """
        response = initial
        while True:
            match self._mechanism.step(response):
                case Challenge(data):
                    response = await self._ask(data)
                case KeysWanted(name_untrusted):
                    response = await self._ask(await self._show_keys(name_untrusted))
                case PasswordCredentials(name_untrusted, password):
                    return PasswordClaim(name_untrusted, password)
                case ScramProof(name_untrusted, proved, final):
                    self._final = final
                    return ScramClaim(name_untrusted, self._scram_keys(), proved)
                case TokenCredentials(name_untrusted, token):
                    return TokenClaim(name_untrusted, token)
                case CertificateAsked(name_untrusted):
                    return CertificateClaim(name_untrusted, self._visitor.certificate or "")

    async def end_admitted(self) -> None:
        """Say what the mechanism has to say to a client that is let in; its +OK comes after it.

        Raises:
            SaslFailed: it does not take that as it must; not answered yet.
            ExchangeOver: it gave up.
            Disconnected, ClosedByUs: the connection ends.
        """
        if self._final and (await self._ask(self._final)).reveal():
            raise SaslFailed("the client answers where there is nothing to answer")

    async def end_denied(self, hints: TokenHints) -> None:
        """Say what the mechanism has to say to a client that is refused; its -ERR comes after it.

        Not for what could not be checked, or came too soon: told that its token is bad, a client
        throws a good one away.

        Raises:
            ExchangeOver: it gave up.
            Disconnected, ClosedByUs: the connection ends.
        """
        if isinstance(self._mechanism, TokenMechanism):
            await self._ask(self._mechanism.refuse(hints.configuration, hints.scope).data)

    async def _show_keys(self, name_untrusted: bytes) -> bytes:
        if not isinstance(self._mechanism, KeyedMechanism):
            raise LocalProtocolError("only SCRAM wants keys")
        self.name_untrusted = name_untrusted
        self._keys = await self._check.scram_keys(name_untrusted)
        keys = [(key.stored_key, key.server_key) for key in self._keys.keys]
        return self._mechanism.use_keys(self._keys.salt, self._keys.iterations, keys).data

    def _scram_keys(self) -> ScramCredentials:
        if self._keys is None:
            raise LocalProtocolError("a proof came before the keys")
        return self._keys

    async def _ask(self, challenge: bytes) -> Secret:
        self._dialogue.challenge(challenge)
        response = await self._dialogue.next_response()
        if response is None:
            raise ExchangeOver
        return response
