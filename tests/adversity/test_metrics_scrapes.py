"""Scrapes over real sockets, with a client that is not ours."""

import asyncio
import http.client
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mailkeep.events import types
from mailkeep.events.metrics import CONTENT_TYPE, MetricsSink
from mailkeep.server import open_listeners
from mailkeep.server.metrics_listener import Exposition, MetricsListener
from mailkeep.site import Endpoint, Listen, Networks, Service


def get(port: int, method: str = "GET", source: str = "127.0.0.1") -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    try:
        client.request(method, "/metrics")
        answer = client.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        client.close()


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    sink = MetricsSink()
    sink.emit(types.AcceptingResumed())
    settings = Listen(
        service=Service.METRICS,
        address=Endpoint("127.0.0.1", 0),
        allow=Networks(("127.0.0.1/32",)),
    )
    (listener,) = open_listeners([settings])
    metrics = MetricsListener(listener, Exposition(sink.exposition, CONTENT_TYPE))
    await metrics.start()
    yield listener.endpoint.port
    await metrics.stop()


async def test_a_scrape_gets_every_figure(port: int) -> None:
    """What is sent is the whole exposition, in the type that Prometheus asks for."""
    status, content_type, body = await asyncio.to_thread(get, port)
    assert (status, content_type) == (200, CONTENT_TYPE)
    assert b'mailkeep_events_total{event="accepting resumed"} 1.0\n' in body


async def test_head_and_other_methods(port: int) -> None:
    """HEAD has no body, POST is refused; both are whole answers to a client that is strict."""
    assert (await asyncio.to_thread(get, port, "HEAD"))[::2] == (200, b"")
    assert (await asyncio.to_thread(get, port, "POST"))[0] == 405


async def test_a_stranger_gets_nothing(port: int) -> None:
    """`allow` holds for real addresses."""
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(get, port, "GET", "127.0.0.2")
