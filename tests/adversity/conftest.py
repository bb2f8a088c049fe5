"""Real sockets and real TLS, on both event loops that the server runs on."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from tests.adversity.loopback import Loopback, Serve
from tests.server.certificates import certificates, context, trust

__all__ = ["certificates", "context", "trust"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    """Run every test of this folder on both loops."""
    del config, item
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def serve(context: ssl.SSLContext, trust: ssl.SSLContext) -> AsyncIterator[Serve]:
    """Start servers that end with the test."""
    async with AsyncExitStack() as stack:

        async def start(*args: Any, **kwargs: Any) -> Loopback:
            loopback = Loopback(context, trust, *args, **kwargs)
            stack.push_async_callback(loopback.close)
            return loopback

        yield start
