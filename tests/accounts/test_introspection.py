"""A provider is asked about a token as seldom as may be, and no answer is no refusal."""

import asyncio
import base64
import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.accounts.made_tokens import AWAY, NOW_S, RULES, Clock, Provider, said

from mailkeep.accounts import TokenCheckUnavailable, TokenRefused, asking, introspection
from mailkeep.accounts.asking import Answered, Question, Transport
from mailkeep.accounts.introspection import IntrospectionCheck
from mailkeep.values import Secret


def make_check(
    provider: Transport, clock: Clock, url: str = "https://id.example.net/introspect"
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
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> Provider:
    return Provider(said())


@pytest.fixture
def checker(provider: Provider, clock: Clock) -> Iterator[IntrospectionCheck]:
    made = make_check(provider, clock)
    yield made
    made.close()


async def test_the_provider_is_asked_as_rfc_7662_has_it(
    checker: IntrospectionCheck, provider: Provider
) -> None:
    """A form with the token, and Basic authentication of RFC 6749 section 2.3.1."""
    provider.answer = said()
    assert await checker.name_of(Secret(b"an.opaque-token~+/==")) == "alice@example.com"
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
    checker: IntrospectionCheck, provider: Provider, members: dict[str, Any]
) -> None:
    """RFC 7662 section 2.2; what it says beyond `active` must fit too."""
    provider.answer = said(**members)
    with pytest.raises(TokenRefused):
        await checker.name_of(Secret(b"opaque"))


@pytest.mark.parametrize(
    "answer",
    [AWAY, Answered(401, b""), Answered(500, b""), Answered(302, b""), Answered(200, b"[]"),
     Answered(200, b""), Answered(200, b"[" * 99_999), Answered(200, b"\xff")],
)  # fmt: skip
async def test_no_answer_is_no_refusal(
    checker: IntrospectionCheck, provider: Provider, answer: Answered | Exception
) -> None:
    """The client is told to try again, and nothing is remembered."""
    provider.answer = answer
    with pytest.raises(TokenCheckUnavailable, match=r"id\.example\.net"):
        await checker.name_of(Secret(b"opaque"))
    provider.answer = said()
    assert await checker.name_of(Secret(b"opaque"))


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
    checker: IntrospectionCheck,
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
            await checker.name_of(Secret(b"opaque"))
        assert len(provider.asked) == count
    provider.answer = AWAY
    with pytest.raises(TokenCheckUnavailable):
        await checker.name_of(Secret(b"another"))


async def test_what_is_remembered_is_bounded_and_holds_no_token(
    checker: IntrospectionCheck, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first."""
    monkeypatch.setattr(introspection, "REMEMBERED_LIMIT", 3)
    provider.answer = said()
    for number in range(5):
        await checker.name_of(Secret(f"opaque{number}".encode()))
    await checker.name_of(Secret(b"opaque4"))
    assert len(provider.asked) == 5
    assert len(checker._remembered) == 3
    assert "opaque" not in repr(checker._remembered)
    await checker.name_of(Secret(b"opaque0"))
    assert len(provider.asked) == 6


@pytest.mark.parametrize(
    "octets", [b"", b"a b", b"a\r\nX: y", b"a\0", "ä".encode(), b"=", b"x" * 32_769]
)
async def test_what_can_be_no_token_is_not_asked_about(
    checker: IntrospectionCheck, provider: Provider, octets: bytes
) -> None:
    """RFC 6750 section 2.1."""
    with pytest.raises(TokenRefused):
        await checker.name_of(Secret(octets))
    assert not provider.asked


async def test_a_provider_that_hangs_holds_up_nobody_for_long(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a thread that waits nor the queue before it makes a login wait beyond the budget."""
    monkeypatch.setattr(asking, "ASKING_S", 0.05)
    gate = threading.Event()

    class Hanging(Provider):
        def ask(self, question: Question) -> Answered:
            gate.wait(10)
            return super().ask(question)

    hanging = Hanging(said())
    checker = make_check(hanging, clock)
    try:
        waiting = (checker.name_of(Secret(f"{number}".encode())) for number in range(20))
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in found] == [TokenCheckUnavailable] * 20
    finally:
        gate.set()
        checker.close()
    assert len(hanging.asked) <= asking.ASKING_THREADS


async def test_a_flood_of_made_up_tokens_is_told_to_come_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No refusal, no long queue; and what is remembered is good all the while."""
    monkeypatch.setattr(asking, "ASKING_LIMIT", 5)
    gate = threading.Event()
    gate.set()

    class Held(Provider):
        def ask(self, question: Question) -> Answered:
            gate.wait(10)
            return super().ask(question)

    held = Held(said())
    checker = make_check(held, clock)
    try:
        await checker.name_of(Secret(b"known"))
        gate.clear()
        flood = [asyncio.create_task(checker.name_of(Secret(b"%d" % n))) for n in range(5)]
        await asyncio.sleep(0)
        for number in range(50):
            with pytest.raises(TokenCheckUnavailable, match="5 questions"):
                await checker.name_of(Secret(b"beyond%d" % number))
        assert await checker.name_of(Secret(b"known")) == "alice@example.com"
        gate.set()
        await asyncio.gather(*flood)
    finally:
        gate.set()
        checker.close()
    assert len(held.asked) == 6
