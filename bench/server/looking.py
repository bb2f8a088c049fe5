"""Single sessions: one look at a maildrop with the time that it took, or some of its messages."""

import poplib
import ssl
import time
from collections.abc import Iterable

from bench.server.people import PASSWORD
from bench.server.running import Server

ANSWER_LIMIT_S = 120.0
"""More than any server needs to open 100,000 messages for the first time."""


class WrongCount(Exception):
    """A server did not see what is there."""


def stat_ms(server: Server, address: str, *, expected: int) -> float:
    """Return the milliseconds from the password to the answer to STAT.

    The connection is open before, and the session ends with QUIT.

    Raises:
        WrongCount: the maildrop has another number of messages.
        OSError, poplib.error_proto: the server failed.
    """
    session = _connected(server, address)
    start = time.perf_counter()
    session.pass_(PASSWORD)
    count, _ = session.stat()
    taken_s = time.perf_counter() - start
    session.quit()
    if count != expected:
        raise WrongCount(f"{server.side.value} sees {count} of {expected} messages in {address}")
    return taken_s * 1000


def read_some(server: Server, address: str, numbers: Iterable[int]) -> None:
    """Log in, read the messages with these numbers, and end the session.

    Raises:
        OSError, poplib.error_proto: the server failed.
    """
    session = _connected(server, address)
    session.pass_(PASSWORD)
    session.stat()
    for number in numbers:
        session.retr(number)
    session.quit()


def _connected(server: Server, address: str) -> poplib.POP3_SSL:
    context = ssl.create_default_context(cafile=str(server.ca))
    session = poplib.POP3_SSL(server.host, server.port, timeout=ANSWER_LIMIT_S, context=context)
    session.user(address)
    return session
