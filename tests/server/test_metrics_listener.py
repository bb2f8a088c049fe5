"""HTTP for Prometheus: what is answered, and what a client may cost."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
import pytest_asyncio

from mailkeep.server.listener import Listener
from mailkeep.server.metrics_listener import (
    CONNECTIONS_LIMIT,
    EXCHANGE_S,
    FRESH_S,
    REQUEST_LIMIT_OCTETS,
    Exposition,
    Judged,
    MetricsListener,
    Verdict,
    judge_request,
)
from mailkeep.site import Endpoint, Listen, Networks, Service

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost:9110\r\nAccept: text/plain\r\n\r\n"


class Visitor(asyncio.Transport):
    """The server's end of a connection from some address."""

    def __init__(self, protocol: asyncio.Protocol, address: str) -> None:
        super().__init__({"peername": (address, 40000)})
        self._protocol = protocol
        self._reads = True
        self.received = b""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """How it ended: `closed` in order, or `aborted`."""
        protocol.connection_made(self)

    def send(self, octets: bytes) -> None:
        if not self.lost.done():
            self._protocol.data_received(octets)

    def stop_reading(self) -> None:
        self._reads = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.received += bytes(data)

    def is_closing(self) -> bool:
        return self.lost.done()

    def close(self) -> None:
        if self._reads:  # else what was written waits, and with it the end
            self._end("closed")

    def abort(self) -> None:
        self._end("aborted")

    def _end(self, how: str) -> None:
        if not self.lost.done():
            self.lost.set_result(how)
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)


def allowing(*networks: str) -> Listen:
    address = Endpoint("127.0.0.1", 9110)
    return Listen(service=Service.METRICS, address=address, allow=Networks(networks))


class Served:
    """A metrics listener whose connections are made by hand."""

    def __init__(self, listening: socket.socket) -> None:
        self.made = 0
        listener = Listener(allowing("127.0.0.0/8"), listening)
        self.metrics = MetricsListener(listener, Exposition(self._write, "text/plain; x"))

    def visit(self, address: str = "127.0.0.1") -> Visitor:
        return Visitor(self.metrics.exchange(), address)

    def _write(self) -> bytes:
        self.made += 1
        return b"mailkeep_sessions %d\n" % self.made


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    with closing(socket.socket()) as unused:
        yield Served(unused)


@pytest.mark.parametrize(
    ("head", "judged"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x", Judged(Verdict.OK)),
        (b"GET /metrics HTTP/1.0", Judged(Verdict.OK)),
        (b"GET /metrics?name[]=up HTTP/1.1", Judged(Verdict.OK)),
        (b"HEAD /metrics HTTP/1.1", Judged(Verdict.OK, wants_body=False)),
        (b"GET / HTTP/1.1", Judged(Verdict.NOT_FOUND)),
        (b"GET /metrics/ HTTP/1.1", Judged(Verdict.NOT_FOUND)),
        (b"GET /../metrics HTTP/1.1", Judged(Verdict.NOT_FOUND)),
        (b"HEAD /x HTTP/1.1", Judged(Verdict.NOT_FOUND, wants_body=False)),
        (b"GET http://localhost/metrics HTTP/1.1", Judged(Verdict.NOT_FOUND)),
        (b"POST /metrics HTTP/1.1", Judged(Verdict.METHOD_NOT_ALLOWED)),
        (b"get /metrics HTTP/1.1", Judged(Verdict.METHOD_NOT_ALLOWED)),
        (b"POST /x HTTP/1.1", Judged(Verdict.NOT_FOUND)),
        (b"", Judged(Verdict.BAD_REQUEST)),
        (b"GET", Judged(Verdict.BAD_REQUEST)),
        (b"GET /metrics", Judged(Verdict.BAD_REQUEST)),
        (b"GET  /metrics HTTP/1.1", Judged(Verdict.BAD_REQUEST)),
        (b"GET /metrics HTTP/2.0", Judged(Verdict.BAD_REQUEST)),
        (b"GET /metrics\xff HTTP/1.1", Judged(Verdict.BAD_REQUEST)),
        (b"GET /metrics HTTP/1.1\nHost: x", Judged(Verdict.BAD_REQUEST)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", Judged(Verdict.BAD_REQUEST)),
        (b"USER alice", Judged(Verdict.BAD_REQUEST)),
    ],
)
def test_only_get_and_head_of_metrics_are_answered(head: bytes, judged: Judged) -> None:
    """Everything else is an error that says which."""
    assert judge_request(head) == judged


async def test_a_scrape_gets_the_figures_and_the_connection_ends(served: Served) -> None:
    """One request a connection: the answer says its length and that it is the last."""
    visitor = served.visit()
    visitor.send(SCRAPE)
    assert await visitor.lost == "closed"
    head, _, body = bytes(visitor.received).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Type: text/plain; x" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert b"Connection: close" in lines
    assert body == b"mailkeep_sessions 1\n"


@pytest.mark.parametrize("cut", range(1, len(SCRAPE)))
async def test_a_request_may_come_in_pieces(served: Served, cut: int) -> None:
    """TCP knows no requests."""
    visitor = served.visit()
    visitor.send(SCRAPE[:cut])
    assert not visitor.received
    visitor.send(SCRAPE[cut:])
    assert visitor.received.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_head_is_told_the_length_and_nothing_more(served: Served) -> None:
    """RFC 9110 section 9.3.2."""
    visitor = served.visit()
    visitor.send(SCRAPE.replace(b"GET", b"HEAD"))
    assert b"Content-Length: 20\r\n" in visitor.received
    assert visitor.received.endswith(b"\r\n\r\n")


async def test_a_wrong_method_is_told_the_right_ones(served: Served) -> None:
    """RFC 9110 section 15.5.6."""
    visitor = served.visit()
    visitor.send(SCRAPE.replace(b"GET", b"PUT"))
    assert visitor.received.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in visitor.received


async def test_what_comes_behind_a_request_is_not_answered(served: Served) -> None:
    """Two requests in one go get one answer."""
    visitor = served.visit()
    visitor.send(SCRAPE + SCRAPE)
    assert await visitor.lost == "closed"
    assert visitor.received.count(b"HTTP/1.1 ") == 1


async def test_a_head_without_end_is_refused_at_its_limit(served: Served) -> None:
    """Memory is bounded, whatever is sent."""
    visitor = served.visit()
    visitor.send(b"GET /metrics HTTP/1.1\r\n" + b"x" * (REQUEST_LIMIT_OCTETS - 23))
    assert not visitor.received
    visitor.send(b"x")
    assert visitor.received.startswith(b"HTTP/1.1 400 ")
    assert await visitor.lost == "closed"


async def test_a_silent_client_has_so_many_seconds(served: Served) -> None:
    """Octets do not extend them."""
    visitor = served.visit()
    await asyncio.sleep(EXCHANGE_S - 1)
    visitor.send(b"GET /me")
    assert not visitor.lost.done()
    await asyncio.sleep(1.1)
    assert visitor.lost.result() == "aborted"


async def test_a_client_that_does_not_read_is_cut_off(served: Served) -> None:
    """The same seconds hold for the answer."""
    visitor = served.visit()
    visitor.stop_reading()
    visitor.send(SCRAPE)
    await asyncio.sleep(EXCHANGE_S + 0.1)
    assert visitor.lost.result() == "aborted"


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
async def test_only_who_is_allowed_is_heard(served: Served, address: str) -> None:
    """Others are cut off without a word."""
    visitor = served.visit(address)
    visitor.send(SCRAPE)
    assert (visitor.lost.result(), bytes(visitor.received)) == ("aborted", b"")


async def test_so_many_at_once_and_no_more(served: Served) -> None:
    """Who waits holds a place; who has gone gives it back."""
    visitors = [served.visit() for _ in range(CONNECTIONS_LIMIT)]
    assert served.visit().lost.done()
    visitors[0].send(SCRAPE)
    await asyncio.sleep(0)
    assert not served.visit().lost.done()
    assert served.visit().lost.done()


async def test_those_cut_off_hold_no_place(served: Served) -> None:
    """However many are turned away, the rest is served."""
    for _ in range(3 * CONNECTIONS_LIMIT):
        served.visit("192.0.2.1")
    await asyncio.sleep(0)
    visitor = served.visit()
    visitor.send(SCRAPE)
    assert visitor.received.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_figures_are_made_once_a_second_at_most(served: Served) -> None:
    """Making them takes the loop's time, which sessions need."""
    for _ in range(10):
        served.visit().send(SCRAPE)
        await asyncio.sleep(0)
    assert served.made == 1
    await asyncio.sleep(FRESH_S)
    visitor = served.visit()
    visitor.send(SCRAPE)
    assert visitor.received.endswith(b"mailkeep_sessions 2\n")


async def test_stopping_ends_those_inside(served: Served) -> None:
    """A stopping server waits for no scrape."""
    visitor = served.visit()
    await served.metrics.stop()
    assert visitor.lost.result() == "aborted"
