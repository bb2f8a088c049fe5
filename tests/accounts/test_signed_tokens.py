"""A signed token lets somebody in only if the right provider signed it, for us and for now."""

import asyncio
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import Key, RSAKey
from tests.accounts.made_tokens import (
    AUDIENCE,
    CLAIMS,
    EC,
    ISSUER,
    NOW_S,
    OKP,
    OTHER_CURVE,
    PUBLISHED,
    RSA,
    SHARED,
    STRANGER,
    HeldKeys,
    check,
    encoded,
    key_set,
    refusal,
    signed,
)

from mailkeep.accounts import TokenRefused
from mailkeep.accounts.key_sets import FileKeys, read_key_set
from mailkeep.accounts.token_claims import TokenRules
from mailkeep.values import Secret


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
        if Path(frame.tb_frame.f_code.co_filename).name == "signed_tokens.py":
            assert token.reveal().decode() not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


async def test_closing_closes_where_keys_come_from() -> None:
    """What a check was given to ask with ends with it, however often it is closed."""
    keys = HeldKeys()
    checker = check(keys)
    checker.close()
    checker.close()
    assert keys.is_closed
