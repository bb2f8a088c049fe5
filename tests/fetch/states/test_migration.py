"""S-32: a mailbox of ten thousand messages gets new unique-ids, and nothing comes twice."""

from dataclasses import replace

import pytest
from tests.fetch.states.running import DELETE, Home, asked

from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.rows import State
from mailkeep.testing.odd_server import Oddity, OddMailbox, OddServer
from mailkeep.testing.odd_server import oddities as odd

MESSAGES = 10_000


def mail(number: int) -> bytes:
    """Return a message of the same size as all others."""
    header = b"From: a@example.test\r\nMessage-ID: <%05d@example.test>\r\n" % number
    return header + b"Subject: message %05d\r\n\r\nbody %05d\r\n" % (number, number)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("oddities", [(), (odd.no_top(),)], ids=["TOP", "no TOP"])
async def test_ten_thousand_messages_with_new_unique_ids_are_known(
    home: Home, oddities: tuple[Oddity, ...]
) -> None:
    """S-32: by size and header nothing is even downloaded; without TOP by the hash of the whole."""
    bodies = [mail(number) for number in range(MESSAGES)]
    async with OddServer(OddMailbox.of(*bodies), *oddities) as server:
        assert (await home.fetch(server)).fetched == MESSAGES
        server.mailbox.change(lambda message: replace(message, uidl=b"new-" + message.uidl))
        ended = await home.fetch(server)
        assert (ended.code, ended.fetched, ended.adopted) == (FetchExit.DONE, 0, MESSAGES)
        assert len(asked(server, b"RETR")) == MESSAGES * (1 + len(oddities))
        assert (await home.fetch(server)).adopted == 0
        assert (await home.fetch(server, DELETE)).deleted == MESSAGES
    stored = home.stored()
    assert (len(stored), set(stored.values())) == (MESSAGES, {1})
    assert set(stored) == set(bodies)
    assert set(home.states().values()) == {State.GONE}
