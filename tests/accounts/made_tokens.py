"""Tokens, keys and a provider, made for tests: everything about them is known."""

import base64
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from mailkeep.accounts import TokenRefused
from mailkeep.accounts.asking import Answered, AskingFailed, Question
from mailkeep.accounts.key_sets import KeySource, read_key_set
from mailkeep.accounts.signed_tokens import JwtCheck
from mailkeep.accounts.token_claims import TokenRules
from mailkeep.values import Secret

NOW_S = 1_800_000_000.0
ISSUER, AUDIENCE = "https://id.example.net/", "mail.example.com"
RULES = TokenRules(ISSUER, AUDIENCE)
ALGORITHMS = ("RS256", "ES256", "EdDSA")

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OTHER_CURVE = ECKey.generate_key("P-384", {"kid": "ec"})
OKP = OKPKey.generate_key("Ed25519", {"kid": "okp"})
SHARED = OctKey.generate_key(256, {"kid": "shared"})
STRANGER = ECKey.generate_key("P-256", {"kid": "stranger"})

CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "exp": NOW_S + 300,
    "iat": NOW_S - 5,
    "email": "alice@example.com",
}


def key_set(*keys: Key, private: bool = False) -> bytes:
    members = [key.as_dict(private=private and key.is_private) for key in keys]
    return json.dumps({"keys": members}).encode()


PUBLISHED = key_set(RSA, EC, OKP)


def encoded(value: Any) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def signed(
    key: Key = EC, alg: str = "ES256", claims: Any = None, *, kid: str | None = "", **header: Any
) -> Secret:
    """Return a token, signed as it says whatever a registry thinks of that."""
    head = {"alg": alg, **header}
    if kid is not None:
        head["kid"] = kid or key.kid
    text = f"{encoded(head)}.{encoded(CLAIMS if claims is None else claims)}"
    signature = jws.JWSRegistry.algorithms[alg].sign(text.encode(), key)
    return Secret(f"{text}.{encoded(signature)}".encode())


class HeldKeys:
    """A key source with keys that stay."""

    def __init__(self, octets: bytes = PUBLISHED) -> None:
        self.keys = read_key_set(octets)
        self.is_closed = False

    async def find(self, kid_untrusted: str | None) -> list[Key]:
        return [key for key in self.keys if kid_untrusted in {None, key.kid}]

    def close(self) -> None:
        self.is_closed = True


def check(
    keys: KeySource | None = None,
    rules: TokenRules = RULES,
    *,
    algorithms: tuple[str, ...] = ALGORITHMS,
    now_s: float = NOW_S,
) -> JwtCheck:
    return JwtCheck(rules, keys or HeldKeys(), algorithms=algorithms, now_s=lambda: now_s)


async def refusal(token: Secret, checker: JwtCheck | None = None) -> str:
    with pytest.raises(TokenRefused) as caught:
        await (checker or check()).name_of(token)
    return str(caught.value)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


class Provider:
    """A transport that answers from memory and counts; an answer may be an error."""

    def __init__(self, answer: Answered | Exception) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Answered:
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


AWAY = AskingFailed("nobody is there")


def said(**members: Any) -> Answered:
    return Answered(
        200, json.dumps({"active": True, "email": "alice@example.com"} | members).encode()
    )
