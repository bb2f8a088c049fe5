"""A token lets somebody in only if the right provider signed it, or says so, for us and for now."""

import asyncio
import base64
import contextlib
import hmac
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from mailkeep.accounts import TokenCheckUnavailable, TokenRefused, tokens
from mailkeep.accounts.tokens import (
    Answered,
    AskingFailed,
    FileKeys,
    HttpsTransport,
    IntrospectionCheck,
    JwtCheck,
    Question,
    TokenRules,
    UrlKeys,
    judge_claims,
    read_key_set,
)
from mailkeep.tls import server_context
from mailkeep.tls.authority import create_authority, issue
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
    """A key source that counts."""

    def __init__(self, octets: bytes = PUBLISHED) -> None:
        self.keys = read_key_set(octets)

    async def find(self, kid_untrusted: str | None) -> list[Key]:
        return [key for key in self.keys if kid_untrusted in {None, key.kid}]


def check(
    keys: tokens.KeySource | None = None,
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


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (EC, "ES256"), (OKP, "EdDSA")])
async def test_a_good_token_gives_its_name(key: Key, alg: str) -> None:
    """RFC 7519, with each kind of key; a set of one to ten keys needs no `kid`."""
    assert await check().name_of(signed(key, alg)) == "alice@example.com"
    assert await check().name_of(signed(key, alg, kid=None)) == "alice@example.com"
    assert await check().name_of(signed(key, alg, typ="at+JWT")) == "alice@example.com"


async def test_another_claim_can_hold_the_name() -> None:
    """Providers differ: `upn`, `preferred_username`, `sub`."""
    checker = check(rules=TokenRules(ISSUER, AUDIENCE, name_claim="upn"))
    assert await checker.name_of(signed(claims=CLAIMS | {"upn": "alice"})) == "alice"
    assert "upn" in await refusal(signed(), checker)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://id.example.net"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": [ISSUER]}, "kind"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["other", "another"]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": {AUDIENCE: 1}}, "kind"),
        ({"exp": None}, "exp"),
        ({"exp": NOW_S - 60}, "exp"),
        ({"exp": NOW_S - 61}, "exp"),
        ({"exp": 0}, "exp"),
        ({"exp": str(NOW_S + 300)}, "kind"),
        ({"exp": True}, "kind"),
        ({"exp": 10**400}, "claim"),
        ({"nbf": NOW_S + 61}, "nbf"),
        ({"iat": NOW_S + 61}, "iat"),
        ({"email": None}, "email"),
        ({"email": ""}, "email"),
        ({"email": ["alice@example.com"]}, "email"),
        ({"email": {"is": "alice@example.com"}}, "email"),
        ({"email_verified": False}, "email_verified"),
        ({"email_verified": "false"}, "email_verified"),
    ],
)
async def test_a_claim_that_is_wrong_refuses(changes: dict[str, Any], reason: str) -> None:
    """RFC 7519 section 4.1; times have a minute of leeway and not a second more."""
    found = await refusal(signed(claims=CLAIMS | changes))
    assert reason in found
    assert "alice" not in found


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", AUDIENCE]},
        {"exp": NOW_S - 59},
        {"nbf": NOW_S + 60, "iat": NOW_S + 60},
        {"email_verified": True},
        {"unknown": {"a": [1, 2]}},
    ],
)
async def test_what_is_within_the_rules_is_good(changes: dict[str, Any]) -> None:
    """The edges of the same."""
    assert await check().name_of(signed(claims=CLAIMS | changes)) == "alice@example.com"


@pytest.mark.parametrize(
    ("claims", "is_good"),
    [
        ({"scope": "openid pop imap"}, True),
        ({"scope": ["pop", "imap"]}, True),
        ({"scp": "imap pop"}, True),
        ({"scp": ["imap", "pop"]}, True),
        ({"scope": "imap"}, False),
        ({"scope": "imap popular"}, False),
        ({"scope": "IMAP POP"}, False),
        ({}, False),
    ],
)
async def test_all_of_the_scope_is_needed(claims: dict[str, Any], is_good: bool) -> None:
    """RFC 6749 section 3.3: words that compare by case."""
    checker = check(rules=TokenRules(ISSUER, AUDIENCE, scope="imap pop"))
    if is_good:
        assert await checker.name_of(signed(claims=CLAIMS | claims))
    else:
        assert "scope" in await refusal(signed(claims=CLAIMS | claims), checker)


def unsigned(alg: str, signature: str) -> Secret:
    return Secret(f"{encoded({'alg': alg})}.{encoded(CLAIMS)}.{signature}".encode())


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_a_token_without_a_signature_is_refused(alg: str, signature: str) -> None:
    """RFC 8725 section 3.2."""
    assert await refusal(unsigned(alg, signature))


async def test_a_public_key_is_no_shared_secret() -> None:
    """RFC 8725 section 2.1: HS256 with the published key, which everybody has, as the secret."""
    text = f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{encoded(CLAIMS)}"
    signature = hmac.digest(RSA.as_pem(private=False), text.encode(), "sha256")
    token = Secret(f"{text}.{encoded(signature)}".encode())
    assert "not allowed" in await refusal(token)
    with pytest.raises(ValueError, match="HS256"):
        check(algorithms=("RS256", "HS256"))
    with pytest.raises(ValueError, match="none"):
        check(algorithms=("none",))
    assert [key.kid for key in read_key_set(key_set(SHARED, EC, private=True))] == ["ec"]


async def test_the_algorithm_must_fit_the_key() -> None:
    """RFC 7518: the same `kid` on another kind of key, or another curve, signs nothing."""
    assert await refusal(signed(EC, "ES256", kid="rsa"))
    assert await refusal(
        signed(OTHER_CURVE, "ES256", kid="ec"), check(HeldKeys(key_set(OTHER_CURVE)))
    )
    for_another = RSAKey.import_key(RSA.as_dict() | {"alg": "PS256"})
    assert await refusal(signed(RSA, "RS256"), check(HeldKeys(key_set(for_another))))


async def test_only_algorithms_that_were_set_are_good() -> None:
    """The token does not choose."""
    assert "not allowed" in await refusal(signed(RSA, "RS512"))
    assert "not allowed" in await refusal(signed(RSA, "RS256"), check(algorithms=("ES256",)))


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "/dev/null", "file:///x", "' OR 1=1", "\0", "x" * 999]
)
async def test_a_key_name_is_compared_and_used_for_nothing_else(kid: str, tmp_path: Path) -> None:
    """CVE-2021-29157: a `kid` with slashes led out of the folder of keys."""
    (tmp_path / "keys").write_bytes(PUBLISHED)
    (tmp_path / "outside").write_bytes(key_set(STRANGER))
    checker = check(FileKeys(tmp_path / "keys"))
    assert "key set has not" in await refusal(signed(STRANGER, kid=kid), checker)
    assert "key set has not" in await refusal(signed(STRANGER, kid="outside"), checker)


@pytest.mark.parametrize(
    "header",
    [{"jwk": STRANGER.as_dict(private=False)}, {"jku": "https://evil/"}, {"x5u": "https://evil/"}],
)
async def test_a_token_does_not_bring_its_own_key(header: dict[str, Any]) -> None:
    """RFC 8725 section 3.10."""
    assert "signature" in await refusal(signed(STRANGER, kid=None, **header))


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"crit": ["exp"]},
        {"crit": []},
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": 7},
    ],
)
async def test_what_is_not_understood_is_refused(header: dict[str, Any]) -> None:
    """RFC 7515 section 4.1.11; RFC 8725 section 3.11."""
    assert await refusal(signed(**header))


async def test_each_change_of_an_octet_breaks_a_token() -> None:
    """The signature covers all of it, and nothing that is outside base64url is skipped."""
    octets = signed().reveal()
    checker = check()
    for place in range(len(octets)):
        for other in b"A~":
            changed = octets[:place] + bytes((other,)) + octets[place + 1 :]
            if changed != octets:
                await refusal(Secret(changed), checker)


def with_header(octets: bytes) -> bytes:
    return f"{encoded(octets)}.AAAA.AAAA".encode()


def general_form() -> bytes:
    head, payload, signature = signed().reveal().decode().split(".")
    one = {"protected": head, "signature": signature}
    return json.dumps({"payload": payload, "signatures": [one, one]}).encode()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"..",
        b"x",
        general_form(),
        b"eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA",
        signed().reveal() + b"." + signed().reveal().rpartition(b".")[2],
        b" " + signed().reveal(),
        signed().reveal() + b"\n",
        signed().reveal() + b"==",
        signed().reveal().replace(b".", b"..", 1),
        b"A" * 100_000,
        b"." * 100_000,
        signed(claims=CLAIMS | {"padding": "x" * 40_000}).reveal(),
        with_header(b"[" * 2000),
        with_header(b'{"a":' * 900 + b"1" + b"}" * 900),
        with_header(b"[]"),
        with_header(b"null"),
        with_header(b'{"alg": 7}'),
        with_header(b'{"alg": "ES256", "kid": ["ec"]}'),
        with_header(b"\xff\xfe"),
        signed(claims=b"[" * 10_000 + b"]" * 10_000).reveal(),
        signed(claims=b'{"a":' * 4_000 + b"1" + b"}" * 4_000).reveal(),
        signed(claims=b"[]").reveal(),
        signed(claims=b'"alice@example.com"').reveal(),
        signed(claims=b'{"exp": NaN}').reveal(),
        signed(claims=b'{"exp": Infinity}').reveal(),
        signed(claims=b'{"exp": 1e999}').reveal(),
        signed(claims=b"\xff").reveal(),
    ],
)
async def test_what_is_no_signed_token_is_refused(octets: bytes) -> None:
    """Two signatures, JWE, JSON forms, giants, deep nesting: one kind of error comes of them."""
    found = await refusal(Secret(octets))
    assert found
    assert octets[:30].decode(errors="ignore") not in found or len(octets) < 3


@given(st.binary(max_size=60), st.sampled_from([b"", b"e30.", b"eyJhbGciOiJFUzI1NiJ9."]))
def test_whatever_comes_is_refused(rest: bytes, begin: bytes) -> None:
    """The token is what anybody sends before a login."""
    asyncio.run(refusal(Secret(begin + rest)))


def test_the_errors_take_no_token_along() -> None:
    """Whatever prints a traceback with its variables must not print the token."""
    token = signed(claims=CLAIMS | {"iss": "x"})
    with pytest.raises(TokenRefused) as caught:
        asyncio.run(check().name_of(token))
    frame = caught.value.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).name == "tokens.py":
            assert token.reveal().decode() not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


# Where keys come from.


def small_modulus() -> bytes:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that is what is tested
    numbers = key.public_key().public_numbers()
    return numbers.n.to_bytes(128, "big")


def test_a_key_set_gives_only_what_can_check_signatures() -> None:
    """RFC 7517 section 5: unknown and incomplete ones are passed over, secrets not kept."""
    public = EC.as_dict(private=False)
    members = [
        EC.as_dict(private=True),
        SHARED.as_dict(private=True),
        {"kty": "RSA", "kid": "small", "e": "AQAB", "n": encoded(bytes(200) + small_modulus())},
        public | {"kid": "for encryption", "use": "enc"},
        public | {"kid": "for signing only", "key_ops": ["sign"]},
        public | {"kid": 7},
        public | {"kid": "off the curve", "x": public["y"]},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "AKP", "alg": "ML-DSA-44"},
        {"kty": "EC", "crv": "P-0", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {},
    ]
    found = read_key_set(json.dumps({"keys": members}).encode())
    assert [key.kid for key in found] == ["ec"]
    assert not any(key.is_private for key in found)


@pytest.mark.parametrize(
    "octets",
    [b"", b"{}", b"[]", b'{"keys": 7}', b'{"keys": [7]}', b"\xff", b"[" * 9999, b" " * 300_000],
)
def test_what_is_no_key_set_is_an_error(octets: bytes) -> None:
    """Damaged, or too large."""
    with pytest.raises(ValueError, match=r"(key|JWK) set"):
        read_key_set(octets)


async def test_a_file_of_keys_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Operators renew keys by replacing the file; what is gone or damaged lets nobody in."""
    path = tmp_path / "keys.json"
    checker = check(FileKeys(path))
    path.write_bytes(key_set(EC))
    assert await checker.name_of(signed())
    assert "key set has not" in await refusal(signed(RSA, "RS256"), checker)
    path.write_bytes(key_set(RSA, OKP))
    assert await checker.name_of(signed(RSA, "RS256"))
    assert "key set has not" in await refusal(signed(), checker)
    for content in (b"", b'{"keys": []}', b"damaged", key_set(SHARED, private=True)):
        path.write_bytes(content)
        with pytest.raises(TokenCheckUnavailable, match=r"keys\.json"):
            await checker.name_of(signed())
    path.unlink()
    with pytest.raises(TokenCheckUnavailable, match="No such file"):
        await checker.name_of(signed())
    path.write_bytes(key_set(EC))
    assert await checker.name_of(signed())


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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> Provider:
    return Provider(Answered(200, key_set(EC)))


@pytest.fixture
def url_keys(provider: Provider, clock: Clock) -> Iterator[UrlKeys]:
    keys = UrlKeys("https://id.example.net/keys", provider, monotonic_s=clock)
    yield keys
    keys.close()


async def test_keys_behind_a_url_are_kept_ten_minutes(
    url_keys: UrlKeys, provider: Provider, clock: Clock
) -> None:
    """Not asked for at each login."""
    checker = check(url_keys)
    for _ in range(5):
        assert await checker.name_of(signed())
    clock.now_s += 599
    assert await checker.name_of(signed())
    assert len(provider.asked) == 1
    clock.now_s += 1
    provider.answer = Answered(200, key_set(RSA))
    assert await refusal(signed(), checker)
    assert len(provider.asked) == 2


async def test_an_unknown_key_is_asked_for_once_a_minute(
    url_keys: UrlKeys, provider: Provider, clock: Clock
) -> None:
    """A new key works at once; a flood of made-up ones is no flood of questions."""
    checker = check(url_keys)
    assert await checker.name_of(signed())
    clock.now_s += 60
    provider.answer = Answered(200, key_set(EC, RSA))
    assert await checker.name_of(signed(RSA, "RS256"))
    assert len(provider.asked) == 2
    flood = [refusal(signed(STRANGER, kid=f"made up {number}"), checker) for number in range(200)]
    await asyncio.gather(*flood)
    assert len(provider.asked) == 2
    clock.now_s += 60
    await asyncio.gather(*(refusal(signed(STRANGER, kid=f"{n}"), checker) for n in range(200)))
    assert len(provider.asked) == 3


async def test_many_logins_at_once_ask_once(url_keys: UrlKeys, provider: Provider) -> None:
    """At a start everybody comes at the same time."""
    checker = check(url_keys)
    assert set(await asyncio.gather(*(checker.name_of(signed()) for _ in range(50)))) == {
        "alice@example.com"
    }
    assert len(provider.asked) == 1


async def test_a_login_that_is_gone_does_not_take_the_answer_along(provider: Provider) -> None:
    """A client that disconnects while keys are fetched must not leave others without."""
    gate, begun = threading.Event(), threading.Event()

    class Held(Provider):
        def ask(self, question: Question) -> Answered:
            begun.set()
            gate.wait(10)
            return super().ask(question)

    held = Held(provider.answer)
    keys = UrlKeys("https://id.example.net/keys", held)
    checker = check(keys)
    try:
        first, second = (asyncio.create_task(checker.name_of(signed())) for _ in range(2))
        await asyncio.to_thread(begun.wait, 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        assert await second == "alice@example.com"
        assert len(held.asked) == 1
    finally:
        gate.set()
        keys.close()


@pytest.mark.parametrize(
    "answer",
    [
        AWAY,
        Answered(500, PUBLISHED),
        Answered(404, b""),
        Answered(200, b"<html>"),
        Answered(302, b""),
    ],
)
async def test_the_last_keys_are_used_for_a_day_while_the_provider_is_away(
    url_keys: UrlKeys, provider: Provider, clock: Clock, answer: Answered | Exception
) -> None:
    """Mail goes on; questions go out once a minute."""
    checker = check(url_keys)
    assert await checker.name_of(signed())
    provider.answer = answer
    clock.now_s += 86_399
    for _ in range(3):
        assert await checker.name_of(signed())
    assert len(provider.asked) == 2
    clock.now_s += 1
    with pytest.raises(TokenCheckUnavailable, match=r"https://id\.example\.net/keys"):
        await checker.name_of(signed())
    clock.now_s += 60
    provider.answer = Answered(200, key_set(EC))
    assert await checker.name_of(signed())


async def test_without_any_keys_nobody_is_refused_for_good(
    url_keys: UrlKeys, provider: Provider, clock: Clock
) -> None:
    """A provider that is away when the server starts is asked every five seconds, not each time."""
    provider.answer = AWAY
    checker = check(url_keys)
    for _ in range(3):
        with pytest.raises(TokenCheckUnavailable, match="nobody is there"):
            await checker.name_of(signed())
    assert len(provider.asked) == 1
    clock.now_s += 5
    provider.answer = Answered(200, key_set(EC))
    assert await checker.name_of(signed())


async def test_an_empty_set_takes_the_keys_away(
    url_keys: UrlKeys, provider: Provider, clock: Clock
) -> None:
    """It is an answer: a provider that withdraws every key means it."""
    checker = check(url_keys)
    assert await checker.name_of(signed())
    provider.answer = Answered(200, b'{"keys": []}')
    clock.now_s += 600
    with pytest.raises(TokenCheckUnavailable, match="no key"):
        await checker.name_of(signed())


# Introspection.


def said(**members: Any) -> Answered:
    return Answered(
        200, json.dumps({"active": True, "email": "alice@example.com"} | members).encode()
    )


def introspection(
    provider: tokens.Transport, clock: Clock, url: str = "https://id.example.net/introspect"
) -> IntrospectionCheck:
    return IntrospectionCheck(
        url,
        RULES,
        provider,
        client_id="mail keep",
        client_secret=Secret("sécret:/".encode()),
        now_s=clock,
    )


@pytest.fixture
def asking(provider: Provider, clock: Clock) -> Iterator[IntrospectionCheck]:
    made = introspection(provider, clock)
    yield made
    made.close()


async def test_the_provider_is_asked_as_rfc_7662_has_it(
    asking: IntrospectionCheck, provider: Provider
) -> None:
    """A form with the token, and Basic authentication of RFC 6749 section 2.3.1."""
    provider.answer = said()
    assert await asking.name_of(Secret(b"an.opaque-token~+/==")) == "alice@example.com"
    (question,) = provider.asked
    assert question.form is not None
    form = parse_qs(question.form.reveal().decode(), strict_parsing=True)
    assert form == {"token": ["an.opaque-token~+/=="], "token_type_hint": ["access_token"]}
    kind, _, pair = question.headers["Authorization"].partition(" ")
    assert (kind, base64.b64decode(pair)) == ("Basic", b"mail%20keep:s%C3%A9cret%3A%2F")
    assert "opaque" not in repr(question)
    assert pair not in repr(question)


@pytest.mark.parametrize(
    "members",
    [
        {"active": False},
        {"active": "true"},
        {"active": 1},
        {"active": None},
        {"iss": "https://evil.example/"},
        {"aud": "other"},
        {"aud": []},
        {"exp": NOW_S - 60},
        {"nbf": NOW_S + 61},
        {"email": None},
        {"exp": "soon"},
    ],
)
async def test_what_the_provider_does_not_vouch_for_is_refused(
    asking: IntrospectionCheck, provider: Provider, members: dict[str, Any]
) -> None:
    """RFC 7662 section 2.2; what it says beyond `active` must fit too."""
    provider.answer = said(**members)
    with pytest.raises(TokenRefused):
        await asking.name_of(Secret(b"opaque"))


@pytest.mark.parametrize(
    "answer",
    [AWAY, Answered(401, b""), Answered(500, b""), Answered(302, b""), Answered(200, b"[]"),
     Answered(200, b""), Answered(200, b"[" * 99_999), Answered(200, b"\xff")],
)  # fmt: skip
async def test_no_answer_is_no_refusal(
    asking: IntrospectionCheck, provider: Provider, answer: Answered | Exception
) -> None:
    """The client is told to try again, and nothing is remembered."""
    provider.answer = answer
    with pytest.raises(TokenCheckUnavailable, match=r"id\.example\.net"):
        await asking.name_of(Secret(b"opaque"))
    provider.answer = said()
    assert await asking.name_of(Secret(b"opaque"))


@pytest.mark.parametrize(
    ("answer", "remembered_s"),
    [
        (said(), 60),
        (said(exp=NOW_S + 300), 60),
        (said(exp=NOW_S + 20), 20),
        (said(active=False), 10),
        (said(iss="other"), 10),
    ],
)
async def test_an_answer_is_remembered_for_so_long(
    asking: IntrospectionCheck,
    provider: Provider,
    clock: Clock,
    answer: Answered,
    remembered_s: int,
) -> None:
    """Never beyond the token's life; a refusal shortly, so that a new grant works soon."""
    provider.answer = answer
    for later_s, count in ((0, 1), (remembered_s - 1, 1), (1, 2)):
        clock.now_s += later_s
        with contextlib.suppress(TokenRefused):
            await asking.name_of(Secret(b"opaque"))
        assert len(provider.asked) == count
    provider.answer = AWAY
    with pytest.raises(TokenCheckUnavailable):
        await asking.name_of(Secret(b"another"))


async def test_what_is_remembered_is_bounded_and_holds_no_token(
    asking: IntrospectionCheck, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first."""
    monkeypatch.setattr(tokens, "REMEMBERED_LIMIT", 3)
    provider.answer = said()
    for number in range(5):
        await asking.name_of(Secret(f"opaque{number}".encode()))
    await asking.name_of(Secret(b"opaque4"))
    assert len(provider.asked) == 5
    assert len(asking._remembered) == 3
    assert "opaque" not in repr(asking._remembered)
    await asking.name_of(Secret(b"opaque0"))
    assert len(provider.asked) == 6


@pytest.mark.parametrize(
    "octets", [b"", b"a b", b"a\r\nX: y", b"a\0", "ä".encode(), b"=", b"x" * 32_769]
)
async def test_what_can_be_no_token_is_not_asked_about(
    asking: IntrospectionCheck, provider: Provider, octets: bytes
) -> None:
    """RFC 6750 section 2.1."""
    with pytest.raises(TokenRefused):
        await asking.name_of(Secret(octets))
    assert not provider.asked


async def test_a_provider_that_hangs_holds_up_nobody_for_long(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a thread that waits nor the queue before it makes a login wait beyond the budget."""
    monkeypatch.setattr(tokens, "ASKING_S", 0.05)
    gate = threading.Event()

    class Hanging(Provider):
        def ask(self, question: Question) -> Answered:
            gate.wait(10)
            return super().ask(question)

    hanging = Hanging(said())
    checker = introspection(hanging, clock)
    try:
        waiting = (checker.name_of(Secret(f"{number}".encode())) for number in range(20))
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in found] == [TokenCheckUnavailable] * 20
    finally:
        gate.set()
        checker.close()
    assert len(hanging.asked) <= tokens.ASKING_THREADS


@given(
    st.dictionaries(
        st.sampled_from([*CLAIMS, "nbf", "scope", "scp", "email_verified"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    ),
    st.booleans(),
)
def test_claims_are_judged_whatever_they_are(claims: dict[str, Any], is_signed: bool) -> None:
    """A name comes out only if it is in them, and of signed ones only from the right issuer."""
    outcome = judge_claims(claims, RULES, NOW_S, is_signed=is_signed)
    assert isinstance(outcome, TokenRefused) or outcome == claims["email"]
    if is_signed:
        assert isinstance(outcome, TokenRefused) or claims["iss"] == ISSUER


# The production transport, against a real server.


@dataclass
class Endpoint:
    """An https server's answers and what it was asked.

    Attributes:
        routes: by path; a pause is held until the server ends.
    """

    url: str = ""
    routes: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    drips: bool = False
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, now = tmp_path_factory.mktemp("tokens") / "tls", datetime.now(UTC)
    create_authority(folder, "id.example.net", now)
    issue(folder, "id.example.net", now)
    return folder


def serve(endpoint: Endpoint, context: ssl.SSLContext, address: str) -> Iterator[Endpoint]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            endpoint.asked.append((self.command, self.path, dict(self.headers), body))
            status, headers, content = endpoint.routes[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if endpoint.drips:
                while not endpoint.over.wait(0.02):
                    self.wfile.write(b" ")
                    self.wfile.flush()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust the certificate, or had enough, goes away

    with Server((address, 0), Handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        endpoint.url = f"https://{address}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    made = server_context(
        authority / "server.pem", authority / "server.key", ssl.TLSVersion.TLSv1_2
    )
    made.set_alpn_protocols(["http/1.1"])
    return made


@pytest.fixture
def endpoint(context: ssl.SSLContext) -> Iterator[Endpoint]:
    yield from serve(Endpoint(), context, "127.0.0.1")


@pytest.fixture
def misnamed(context: ssl.SSLContext) -> Iterator[Endpoint]:
    """One at an address that its certificate does not name."""
    yield from serve(Endpoint(), context, "127.0.0.2")


@pytest.fixture
def transport(authority: Path) -> HttpsTransport:
    return HttpsTransport(ca=authority / "ca.pem", timeout_s=5)


def failure(transport: HttpsTransport, question: Question) -> str:
    with pytest.raises(AskingFailed) as caught:
        transport.ask(question)
    return str(caught.value)


async def test_keys_come_over_https(endpoint: Endpoint, transport: HttpsTransport) -> None:
    """The whole way, with a redirect as providers have after a move."""
    endpoint.routes["/keys?v=1"] = (301, {"Location": "/moved"}, b"")
    endpoint.routes["/moved"] = (200, {}, PUBLISHED)
    keys = UrlKeys(f"{endpoint.url}/keys?v=1", transport)
    try:
        assert await check(keys).name_of(signed()) == "alice@example.com"
    finally:
        keys.close()
    assert [(command, path) for command, path, _, _ in endpoint.asked] == [
        ("GET", "/keys?v=1"),
        ("GET", "/moved"),
    ]


async def test_a_token_is_asked_about_over_https(
    endpoint: Endpoint, transport: HttpsTransport, clock: Clock
) -> None:
    """The whole way of introspection."""
    endpoint.routes["/introspect"] = (200, {}, said(iss=ISSUER, aud=[AUDIENCE]).body)
    checker = introspection(transport, clock, f"{endpoint.url}/introspect")
    try:
        assert await checker.name_of(Secret(b"opaque")) == "alice@example.com"
    finally:
        checker.close()
    ((command, path, headers, body),) = endpoint.asked
    assert (command, path) == ("POST", "/introspect")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["Authorization"].startswith("Basic ")
    assert body == b"token=opaque&token_type_hint=access_token"


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1/keys", "file:///etc/passwd", "//u@h/", "https://a b/"]
)
def test_a_redirect_leads_to_https_only(
    endpoint: Endpoint, transport: HttpsTransport, location: str
) -> None:
    """In clear text anybody on the way could put a key of his own into the set."""
    endpoint.routes["/keys"] = (302, {"Location": location}, b"")
    assert "only https" in failure(transport, Question(f"{endpoint.url}/keys"))


def test_redirects_come_to_an_end(endpoint: Endpoint, transport: HttpsTransport) -> None:
    """A circle is left."""
    endpoint.routes["/keys"] = (307, {"Location": "/keys"}, b"")
    assert "next" in failure(transport, Question(f"{endpoint.url}/keys"))
    assert len(endpoint.asked) == tokens.REDIRECTS_LIMIT + 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_form_is_sent_to_nobody_else(
    endpoint: Endpoint, transport: HttpsTransport, status: int
) -> None:
    """It holds a token and proves who we are."""
    endpoint.routes["/introspect"] = (status, {"Location": "/elsewhere"}, b"")
    question = Question(f"{endpoint.url}/introspect", form=Secret(b"token=x"))
    assert transport.ask(question).status == status
    assert len(endpoint.asked) == 1


def test_a_certificate_that_does_not_verify_ends_it(
    endpoint: Endpoint, misnamed: Endpoint, transport: HttpsTransport
) -> None:
    """An unknown authority, or another name: nothing is sent."""
    question = Question(f"{endpoint.url}/", form=Secret(b"token=x"))
    assert "certificate verify failed" in failure(HttpsTransport(), question)
    question = Question(f"{misnamed.url}/", form=Secret(b"token=x"))
    assert "certificate verify failed" in failure(transport, question)
    assert not endpoint.asked
    assert not misnamed.asked


def test_an_answer_is_bounded(endpoint: Endpoint, transport: HttpsTransport) -> None:
    """A provider, or somebody in its place, cannot fill the memory."""
    endpoint.routes["/"] = (200, {}, b"x" * (tokens.ANSWER_LIMIT_OCTETS + 1))
    assert "more than" in failure(transport, Question(endpoint.url))
    endpoint.routes["/"] = (200, {}, b"x" * tokens.ANSWER_LIMIT_OCTETS)
    assert len(transport.ask(Question(endpoint.url)).body) == tokens.ANSWER_LIMIT_OCTETS


def test_an_answer_that_drips_is_cut(endpoint: Endpoint, authority: Path) -> None:
    """An octet now and then keeps a socket's own timeout from ever being over."""
    endpoint.routes["/"] = (200, {}, b"{}")
    endpoint.drips = True
    begun = time.monotonic()
    quick = HttpsTransport(ca=authority / "ca.pem", timeout_s=0.3)
    assert "in time" in failure(quick, Question(endpoint.url))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "https://u:p@127.0.0.1/", "https://127.0.0.1:99999/", "https:///x", "x"],
)
def test_only_https_urls_are_asked(transport: HttpsTransport, url: str) -> None:
    """Whatever a setting says."""
    assert failure(transport, Question(url))


def test_nobody_there_is_a_failure(transport: HttpsTransport) -> None:
    """Told with the host and never with what would have been sent."""
    found = failure(transport, Question("https://127.0.0.1:1/", form=Secret(b"token=hunter2")))
    assert "127.0.0.1" in found
    assert "hunter2" not in found


def test_a_transport_is_used_by_several_threads(
    endpoint: Endpoint, transport: HttpsTransport
) -> None:
    """One is shared by all logins."""
    endpoint.routes["/"] = (200, {}, b"{}")
    ask: Callable[[int], Answered] = lambda _: transport.ask(Question(endpoint.url))  # noqa: E731
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(12)))
    assert [answered.status for answered in found] == [200] * 12
