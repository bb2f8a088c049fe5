"""Ten thousand random dialogues: no trace, no leak of a lease or of a place, no wrong state.

Commands legal and not, cut anywhere, pipelined, broken off in every way, with exchanges that end in
every way; a plain model says what must come. Each dialogue has a number, which alone decides all
of it and is named when it fails.
"""

import asyncio
import ssl
from random import Random

import pytest
from tests.fuzz.dialogue import Dialogue

from mailkeep.maildrop.memory import OpenMemory
from mailkeep.pop3 import Ok
from mailkeep.server import replies
from mailkeep.testing.fake_time import FakeTimeLoop

BATCHES, IN_A_BATCH = 20, 500


async def _hold(number: int, context: ssl.SSLContext) -> Dialogue:
    dialogue = Dialogue(Random(f"dialogue {number}"), context)  # noqa: S311  # to be repeated
    try:
        await dialogue.run()
    except BaseException as failure:
        failure.add_note(f"dialogue {number}: {dialogue.said}")
        raise
    return dialogue


async def _hold_batch(batch: int, context: ssl.SSLContext) -> list[Dialogue]:
    start = batch * IN_A_BATCH
    return [await _hold(number, context) for number in range(start, start + IN_A_BATCH)]


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_dialogues_leave_nothing_behind(batch: int, context: ssl.SSLContext) -> None:
    """RFC 1939 section 3: each command gets its one reply, and in the end all is released."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        held = runner.run(_hold_batch(batch, context))
    logged_in = sum(dialogue.model.logins > 0 for dialogue in held)
    removed = sum(bool(dialogue.model.removed) for dialogue in held)
    assert logged_in > IN_A_BATCH // 4, "most clients never saw mail"
    assert removed > IN_A_BATCH // 100, "nobody removed anything"


def test_a_lease_that_leaks_is_found(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge can find against a server: here one that never gives a maildrop back."""

    async def keep(maildrop: OpenMemory) -> None:
        del maildrop

    monkeypatch.setattr(OpenMemory, "close", keep)
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner, pytest.raises(AssertionError):
        runner.run(_hold_batch(0, context))


def test_a_command_that_is_answered_twice_is_found(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge can find against a server: here NOOP gets two replies."""
    monkeypatch.setattr(replies, "NOTHING_DONE", Ok(b"done\r\n+OK done"))
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner, pytest.raises(AssertionError):
        runner.run(_hold_batch(0, context))
