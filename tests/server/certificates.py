"""A certificate authority, a server that it vouches for, and a client that trusts it."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailkeep.tls import server_context
from mailkeep.tls.authority import create_authority, issue


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
