"""What tests of several rooms share: a served site, and the rules about root and slow machines."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.harness.site import RunningSite

settings.register_profile(
    "patient",
    deadline=None,  # a machine that others use is slow now and then, and no example is to blame
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


ALONE = tuple(Path(__file__).parent / room for room in ("adversity", "interop", "readme"))
"""Rooms in which a clock watches a server, or programs are tried that want the whole machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what no other test may run beside of."""
    for item in items:
        if any(item.path.is_relative_to(room) for room in ALONE):
            item.add_marker("alone")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say which tests cannot run without root instead of failing half way."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture(scope="session", autouse=True)
def usual_umask() -> Iterator[None]:
    """Let other users read what tests make for them, on a machine of any umask.

    What Mailkeep writes has modes of its own; the tests of those set their own umask.
    """
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RunningSite"]:
    """A site that is served by a process of its own while the tests run; take your own accounts."""
    from tests.harness.site import running_site  # it imports all of Mailkeep

    folder = tmp_path_factory.mktemp("served") / "site"
    with running_site(folder, settings_more="[login]\nscram_main = true\n") as site:
        yield site
