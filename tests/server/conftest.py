"""In this folder time is fake and there are no sockets; the real ones are in `adversity`."""

import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mailkeep.testing.fake_time import FakeTimeLoop
from mailkeep.tls import server_context
from mailkeep.tls.authority import create_authority, issue


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], Any]]:
    """Run every test of this folder in fake time."""
    del config, item
    return {"fake_time": FakeTimeLoop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    now = datetime.now(UTC)  # the client verifies with the real clock
    create_authority(folder, "localhost", now)
    issue(folder, "localhost", now)
    return folder


@pytest.fixture(scope="session")
def context(certificates: Path) -> ssl.SSLContext:
    """What the server does TLS with."""
    pair = certificates / "server.pem", certificates / "server.key"
    return server_context(*pair, ssl.TLSVersion.TLSv1_2)


@pytest.fixture(scope="session")
def trust(certificates: Path) -> ssl.SSLContext:
    """A client that verifies."""
    return ssl.create_default_context(cafile=certificates / "ca.pem")
