"""What the claims of an OAuth token must be, whoever vouches for them. Pure.

Known limit: an answer to introspection without `iss` or `aud` is taken as the provider gives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mailkeep.accounts.seam import TokenRefused

TOKEN_LIMIT_OCTETS = 32_768
"""Tokens with hundreds of groups have some 10 kB."""

LEEWAY_S = 60
"""For clocks that differ; RFC 7519 section 4.1.4 thinks of a few minutes at most."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a good token says.

    Attributes:
        issuer: what `iss` is.
        audience: what `aud` is or has.
        scope: what its scope has, separated by spaces; nothing for any.
        name_claim: which claim holds the name.
    """

    issuer: str
    audience: str
    scope: str = ""
    name_claim: str = "email"


class _Claims(msgspec.Struct):
    """RFC 7519 section 4.1, RFC 8693 section 4.2; `scp` is what Microsoft and Okta write."""

    iss: str | None = None
    aud: str | list[str] | None = None
    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    scope: str | list[str] = ""
    scp: str | list[str] = ""
    email_verified: Any = None


def judge_claims(
    claims_untrusted: Mapping[str, Any], rules: TokenRules, now_s: float, *, is_signed: bool
) -> str | TokenRefused:
    """Return the name that claims are good for, or why they are not.

    Args:
        claims_untrusted: their issuer is not known to be the right one yet.
        rules: what they have to be.
        now_s: seconds since 1970.
        is_signed: whether `iss`, `aud` and `exp` must be there (RFC 9068 section 4); where a
            provider was asked they may be missing (RFC 7662 section 2.2).
    """
    try:
        claims = msgspec.convert(claims_untrusted, _Claims)
    except (msgspec.MsgspecError, OverflowError):
        return TokenRefused("a claim is not of its kind")
    reason = _wrong_sender(claims, rules, is_signed=is_signed) or _wrong_time(
        claims, now_s, is_signed=is_signed
    )
    if reason is not None:
        return TokenRefused(reason)
    if not set(rules.scope.split()) <= {*_words(claims.scope), *_words(claims.scp)}:
        return TokenRefused("its scope is not enough")
    return _name_in(claims_untrusted, claims, rules.name_claim)


def _wrong_sender(claims: _Claims, rules: TokenRules, *, is_signed: bool) -> str | None:
    if claims.iss != rules.issuer and (is_signed or claims.iss is not None):
        return "it is from another issuer (iss)"
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if rules.audience not in (audiences or ()) and (is_signed or audiences is not None):
        return "it is for somebody else (aud)"
    return None


def _wrong_time(claims: _Claims, now_s: float, *, is_signed: bool) -> str | None:
    if claims.exp is None and is_signed:
        return "it has no end (exp)"
    if claims.exp is not None and now_s >= claims.exp + LEEWAY_S:
        return "it has expired (exp)"
    if claims.nbf is not None and now_s < claims.nbf - LEEWAY_S:
        return "it is not good yet (nbf)"
    if claims.iat is not None and now_s < claims.iat - LEEWAY_S:
        return "it was made in the future (iat): does the clock go right?"
    return None


def _words(scope: str | list[str]) -> list[str]:
    return scope.split() if isinstance(scope, str) else scope


def _name_in(
    claims_untrusted: Mapping[str, Any], claims: _Claims, name_claim: str
) -> str | TokenRefused:
    name = claims_untrusted.get(name_claim)
    if not isinstance(name, str) or not name:
        return TokenRefused(f"it has no name ({name_claim})")
    # OpenID Connect Core section 5.1: what users may write themselves names nobody.
    if name_claim == "email" and claims.email_verified in (False, "false"):
        return TokenRefused("its provider has not verified the address (email_verified)")
    return name
