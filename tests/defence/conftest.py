"""In this folder time is fake, but where threads and sockets do something meanwhile."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.server.certificates import certificates, context

from mailkeep.testing.fake_time import FakeTimeLoop

__all__ = ["certificates", "context"]

REAL_TIME = {"test_keeping.py", "test_policy_server.py"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    """Choose the loop by the file of the test."""
    del config
    if item.path.name in REAL_TIME:
        return {"real_time": asyncio.SelectorEventLoop}
    return {"fake_time": FakeTimeLoop}
