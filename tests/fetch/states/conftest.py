"""What tests of states share: a home to fetch into, and certificates."""

from pathlib import Path

import pytest
from tests.fetch.states.running import Home
from tests.server.certificates import certificates, context

__all__ = ["certificates", "context"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Somebody who fetches without TLS from this machine."""
    return Home(tmp_path / "home")


@pytest.fixture
def safe_home(tmp_path: Path, certificates: Path) -> Home:
    """Somebody who trusts the test's authority."""
    return Home(tmp_path / "home", certificates / "ca.pem")
