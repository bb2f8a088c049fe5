"""A site with one Maildir for the crash tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailkeep.testing.maildir_site import MaildirSite, maildir_site

pytest.register_assert_rewrite("mailkeep.testing.store_contract", "tests.crash.fetching")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[MaildirSite]:
    """One account, whose Maildir is not there yet."""
    with maildir_site(tmp_path) as site:
        yield site
