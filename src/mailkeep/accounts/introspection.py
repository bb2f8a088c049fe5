"""Tokens that OAUTHBEARER and XOAUTH2 bring: the provider is asked about each (RFC 7662).

The outcome is the text of one claim; which account that is, others decide.

Anybody can send tokens, before the door has slowed him down. So an answer is remembered for a
while, and no more than `asking.ASKING_LIMIT` questions are under way for the whole site: a token
beyond them that nobody remembers cannot be checked now, and its client is told to try again.

Known limit: while a flood of made-up tokens lasts, some good ones that are not remembered are told
so, too.
"""

import base64
import hashlib
import http.client
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from mailkeep.accounts.asking import Answered, Asker, AskingFailed, Question, Transport
from mailkeep.accounts.seam import TokenCheckUnavailable, TokenRefused
from mailkeep.accounts.token_claims import TOKEN_LIMIT_OCTETS, TokenRules, judge_claims
from mailkeep.values import Secret

POSITIVE_S = 60
"""A token that is taken back is good for so long at most."""
NEGATIVE_S = 10
"""A program tries a bad token again and again; one that turns good must not wait."""
REMEMBERED_LIMIT = 10_000
"""About 3 MB."""

_BEARER = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1, `b64token`."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    outcome: str | TokenRefused
    until_s: float


class IntrospectionCheck:
    """Asks the provider about each token and remembers the answer for a while (RFC 7662).

    It belongs to one event loop. Tokens are remembered by their SHA-256.
    """

    def __init__(
        self,
        url: str,
        rules: TokenRules,
        transport: Transport,
        *,
        client_id: str,
        client_secret: Secret,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Make ready.

        Args:
            url: of the provider's introspection endpoint, https.
            rules: what a good token says.
            transport: how to ask.
            client_id: as whom.
            client_secret: and how that is proved.
            now_s: seconds since 1970.
        """
        self._url = url
        self._rules = rules
        self._asker = Asker(transport)
        self._basic = _basic(client_id, client_secret)
        self._now_s = now_s
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def name_of(self, token: Secret) -> str:
        """Return the name in a good token.

        Raises:
            TokenRefused: it is not good.
            TokenCheckUnavailable: the provider did not answer.
        """
        if not _is_bearer(token):
            raise TokenRefused("it has something in it that no token has, or is too long")
        place = hashlib.sha256(token.reveal()).digest()
        remembered = self._remembered.get(place)
        if remembered is None or self._now_s() >= remembered.until_s:
            remembered = await self._ask(token)
            self._remember(place, remembered)
        if isinstance(remembered.outcome, TokenRefused):
            raise TokenRefused(*remembered.outcome.args)
        return remembered.outcome

    def close(self) -> None:
        """Ask no more; see `TokenCheck`."""
        self._asker.close()

    async def _ask(self, token: Secret) -> _Remembered:
        try:
            claims = _introspected(await self._asker.ask(self._question(token)))
        except AskingFailed as cause:
            raise TokenCheckUnavailable(f"{self._url}: {cause}") from cause
        return self._judge(claims)

    def _question(self, token: Secret) -> Question:
        form = urlencode({"token": token.reveal(), "token_type_hint": "access_token"})
        headers = {"Authorization": self._basic.reveal().decode()}
        return Question(self._url, headers, Secret(form.encode()))

    def _judge(self, claims: dict[str, Any]) -> _Remembered:
        now_s = self._now_s()
        if claims.get("active") is not True:
            return _Remembered(
                TokenRefused("its provider says that it is not good"), now_s + NEGATIVE_S
            )
        outcome = judge_claims(claims, self._rules, now_s, is_signed=False)
        if isinstance(outcome, TokenRefused):
            return _Remembered(outcome, now_s + NEGATIVE_S)
        return _Remembered(
            outcome, min(now_s + POSITIVE_S, claims.get("exp") or now_s + POSITIVE_S)
        )

    def _remember(self, place: bytes, remembered: _Remembered) -> None:
        self._remembered[place] = remembered
        self._remembered.move_to_end(place)
        while len(self._remembered) > REMEMBERED_LIMIT:
            self._remembered.popitem(last=False)


def _is_bearer(token: Secret) -> bool:
    octets = token.reveal()
    return len(octets) <= TOKEN_LIMIT_OCTETS and _BEARER.fullmatch(octets) is not None


def _introspected(answered: Answered) -> dict[str, Any]:
    """Return what a provider says about a token (RFC 7662 section 2.2)."""
    if answered.status == http.client.UNAUTHORIZED:
        raise AskingFailed("it does not take our client_id and secret")
    if answered.status != http.client.OK:
        raise AskingFailed(f"it answers {answered.status}")
    try:
        return msgspec.json.decode(answered.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise AskingFailed("the answer is no JSON object") from None


def _basic(client_id: str, client_secret: Secret) -> Secret:
    """Return who asks, for the header Authorization (RFC 6749 section 2.3.1)."""
    pair = f"{quote(client_id, safe='')}:{quote(client_secret.reveal(), safe='')}"
    return Secret(b"Basic " + base64.b64encode(pair.encode()))
