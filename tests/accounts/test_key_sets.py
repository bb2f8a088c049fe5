"""Keys come out of sets as they are now, and a provider that is away stops nobody at once."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.accounts.made_tokens import (
    AWAY,
    EC,
    OKP,
    PUBLISHED,
    RSA,
    SHARED,
    STRANGER,
    Clock,
    Provider,
    check,
    encoded,
    key_set,
    refusal,
    signed,
)

from mailkeep.accounts import TokenCheckUnavailable
from mailkeep.accounts.asking import Answered, Question
from mailkeep.accounts.key_sets import FileKeys, UrlKeys, read_key_set


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
