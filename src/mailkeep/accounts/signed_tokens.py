"""Signed tokens (JWT, RFC 7519) that OAUTHBEARER and XOAUTH2 bring: whose name is in them.

They are checked here against the provider's keys, without asking anybody about one. The outcome is
the text of one claim; which account that is, others decide.

A token is checked before anything in it is believed: its algorithm must be one that was set and fit
the key.

Known limit: no encrypted tokens (JWE).
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key

from mailkeep.accounts.key_sets import SIGNING_TYPES, KeySource, from_base64url
from mailkeep.accounts.seam import TokenRefused
from mailkeep.accounts.token_claims import TOKEN_LIMIT_OCTETS, TokenRules, judge_claims
from mailkeep.values import Secret

_SIGNED = re.compile(rb"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""RFC 7515 section 7.1: three parts and one signature, which is not empty. A JWE has five."""

_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""RFC 7519 section 5.1, RFC 9068 section 2.1; other types are made for other ends (RFC 8725)."""


class _Registry(jws.JWSRegistry):
    """The algorithms that were set, and a token's header as RFC 7515 section 4 reads it.

    The library would warn of `EdDSA`, whose name alone is deprecated (RFC 9864).
    """

    max_header_length = 4096
    max_payload_length = TOKEN_LIMIT_OCTETS

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return an algorithm if it was set."""
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


class JwtCheck:
    """Checks signed tokens here, without asking anybody about one."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeySource,
        *,
        algorithms: Sequence[str],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Make ready.

        Args:
            rules: what a good token says.
            keys: whose signatures are good.
            algorithms: of RFC 7518 section 3.1 and RFC 8037, those with a public key.
            now_s: seconds since 1970.

        Raises:
            ValueError: an algorithm is not known, or shares a secret.
        """
        for name in algorithms:
            known = jws.JWSRegistry.algorithms.get(name)
            if known is None or known.key_type not in SIGNING_TYPES:
                raise ValueError(f"tokens signed with {name} cannot be checked")
        self._rules = rules
        self._keys = keys
        self._algorithms = tuple(algorithms)
        self._registry = _Registry(algorithms=self._algorithms, strict_check_header=False)
        self._now_s = now_s

    async def name_of(self, token: Secret) -> str:
        """Return the name in a good token.

        Args:
            token: as the client sent it.

        Raises:
            TokenRefused: it is not good.
            TokenCheckUnavailable: there are no keys to check it with.
        """
        header = _header_of(token, self._algorithms)
        if isinstance(header, TokenRefused):
            raise header
        keys = await self._keys.find(header.kid)
        outcome = self._judge(token, keys)
        if isinstance(outcome, TokenRefused):
            # Only now: an error takes along the frames that it rises through, and what they hold.
            raise outcome
        return outcome

    def close(self) -> None:
        """Look for no more keys; see `TokenCheck`."""
        self._keys.close()

    def _judge(self, token: Secret, keys: Sequence[Key]) -> str | TokenRefused:
        if not keys:
            return TokenRefused("it is signed with a key that the key set has not")
        payload = _signed_payload(token, keys, self._registry)
        if payload is None:
            return TokenRefused("its signature is wrong, or made with another kind of key")
        try:
            claims = msgspec.json.decode(payload, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return TokenRefused("it holds no claims")
        return judge_claims(claims, self._rules, self._now_s(), is_signed=True)


class _Header(msgspec.Struct):
    """RFC 7515 section 4.1."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = None
    b64: Any = None


def _header_of(token: Secret, algorithms: Sequence[str]) -> _Header | TokenRefused:
    """Return what a token says about itself; none of it is believed yet."""
    octets = token.reveal()
    if len(octets) > TOKEN_LIMIT_OCTETS:
        return TokenRefused(f"it is longer than {TOKEN_LIMIT_OCTETS} octets")
    match = _SIGNED.fullmatch(octets)
    if match is None:
        return TokenRefused("it is no JWT with one signature")
    try:
        header = msgspec.json.decode(from_base64url(match[1].decode()), type=_Header)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return TokenRefused("its header cannot be read")
    reason = _wrong_header(header, algorithms)
    return header if reason is None else TokenRefused(reason)


def _wrong_header(header: _Header, algorithms: Sequence[str]) -> str | None:
    if header.alg not in algorithms:
        return "it is signed with an algorithm that is not allowed"
    if header.crit is not None or header.b64 is not None:
        return "it asks for an extension that is not known (crit)"
    if header.typ is not None and header.typ.lower() not in _TYPES:
        return "it is a token of another kind (typ)"
    return None


def _signed_payload(token: Secret, keys: Sequence[Key], registry: _Registry) -> bytes | None:
    """Return what one of the keys has signed."""
    for key in keys:
        try:
            return jws.deserialize_compact(token.reveal(), key, registry=registry).payload
        except (JoseError, ValueError, TypeError, LookupError, RecursionError):
            continue
    return None
