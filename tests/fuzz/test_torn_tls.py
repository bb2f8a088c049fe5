"""Two thousand TLS streams that are cut, flipped, doubled and mixed on their way.

Each has a number, which alone decides what happens to it and is named when it fails.
"""

import asyncio
import ssl
from collections.abc import Iterator
from random import Random

import pytest
from fuzz.torn_tls import TEARS, Outcome, torn_stream
from tests.server.parts import ALICE, PASSWORD, Recorder, full_store, make_meeting
from tests.server.talking import Talk
from tests.tls.peer import MemoryClient

from mailkeep.events import EventType
from mailkeep.pop3 import Security
from mailkeep.testing.fake_time import FakeTimeLoop

STREAMS = 1700
SESSIONS = 300
WORDS = [b"USER alice\r\n", b"PASS %b\r\n" % PASSWORD, b"x" * 3000, b"QUIT\r\n"]


def _random(what: str, number: int) -> Random:
    return Random(f"{what} {number}")  # noqa: S311  # to be repeated


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def version(request: pytest.FixtureRequest, trust: ssl.SSLContext) -> Iterator[ssl.SSLContext]:
    """A client that speaks this version only."""
    versions = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
    trust.minimum_version, before = ssl.TLSVersion.TLSv1_2, trust.maximum_version
    trust.maximum_version = versions[request.param]
    yield trust
    trust.maximum_version = before


def test_a_torn_stream_yields_nothing_that_was_not_said(
    context: ssl.SSLContext, version: ssl.SSLContext
) -> None:
    """RFC 8446 section 5.2: a record that was changed, doubled or moved ends the connection."""
    outcomes: list[Outcome] = []
    for number in range(STREAMS // 2):
        stream = torn_stream(_random("stream", number), context, version, WORDS)
        try:
            outcomes.append(stream.run())
        except BaseException as failure:
            failure.add_note(f"stream {number}")
            raise
    whole = [outcome for outcome in outcomes if not outcome.torn]
    assert whole
    assert all(outcome.established and not outcome.failed for outcome in whole)
    assert sum(outcome.failed for outcome in outcomes) > STREAMS // 8
    assert any(outcome.read for outcome in outcomes if outcome.failed)


@pytest.mark.parametrize("batch", range(3))
def test_a_torn_session_removes_nothing_and_leaves_nothing_behind(
    batch: int, context: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    """RFC 1939 section 6: only a QUIT that arrived whole removes; the lease is given back."""

    async def hold() -> list[bool]:
        numbers = range(batch * SESSIONS // 3, (batch + 1) * SESSIONS // 3)
        return [await _hold_torn(number, context, trust) for number in numbers]

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        removed = runner.run(hold())
    assert True in removed
    assert False in removed


async def _hold_torn(number: int, context: ssl.SSLContext, trust: ssl.SSLContext) -> bool:
    """Log in, mark a message and say QUIT, torn at one of these; return whether it was removed."""
    random = _random("session", number)
    store, sink = full_store(), Recorder()
    before = store.uidls(ALICE)
    talk = Talk(make_meeting(store, sink=sink, context=context), Security.TLS)
    client = MemoryClient(trust, "localhost")
    words = [b"", b"", WORDS[0], WORDS[1], b"DELE 1\r\n", b"RETR 4\r\n", b"QUIT\r\n"]
    torn_at = random.randrange(len(words) + 1)
    seen = 0
    for place, word in enumerate(words):
        client.advance()
        octets = client.send(word) if word and client.established else client.output()
        is_torn = place == torn_at
        talk.transport.send(random.choice(TEARS)(random, octets) if is_torn and octets else octets)
        await asyncio.sleep(1)
        client_heard = bytes(talk.transport.received[seen:])
        seen += len(client_heard)
        if is_torn or talk.is_closed():
            break
        client.feed(client_heard)
    talk.transport.reset()
    await asyncio.sleep(3600)
    assert talk.task.done(), number
    assert sink.of(EventType.INTERNAL_ERROR) == [], number
    assert not store._leased, number
    removed = store.uidls(ALICE) != before
    assert removed == (torn_at == len(words)) or (removed and torn_at == len(words) - 1), number
    return removed
