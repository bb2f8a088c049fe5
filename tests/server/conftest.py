"""In this folder time is fake and there are no sockets; the real ones are in `adversity`."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.server.certificates import certificates, context, trust

from mailkeep.testing.fake_time import FakeTimeLoop

__all__ = ["certificates", "context", "trust"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    """Run every test of this folder in fake time."""
    del config, item
    return {"fake_time": FakeTimeLoop}
