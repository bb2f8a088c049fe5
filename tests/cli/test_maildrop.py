"""`mailkeep maildrop list` shows what a session would see, and locks nobody out."""

import asyncio
import json
from pathlib import Path

from tests.cli.conftest import PASSWORD, Run

from mailkeep import app
from mailkeep.site import read_site


def test_json_has_the_promised_names(mailkeep: Run, site: Path) -> None:
    """`--json` is stable: number, uidl, octets."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    for _ in range(2):
        mailkeep("--site", site, "deliver", "alice", stdin=b"Subject: x\n\n")
    listed = json.loads(mailkeep("--site", site, "maildrop", "list", "alice", "--json").out)
    assert [it["number"] for it in listed] == [1, 2]
    assert [it["octets"] for it in listed] == [14, 14]
    assert len({it["uidl"] for it in listed}) == 2


def test_an_account_without_mail_has_an_empty_listing(mailkeep: Run, site: Path) -> None:
    """No Maildir is there before the first message; that is no error."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    done = mailkeep("--site", site, "maildrop", "list", "alice", "--json")
    assert (done.code, done.out) == (0, "[]\n")


def test_an_unknown_account_has_none(mailkeep: Run, site: Path) -> None:
    """Exit 1 and who could have been meant."""
    done = mailkeep("--site", site, "maildrop", "list", "bob")
    assert (done.code, done.out) == (1, "")


def test_looking_needs_no_lease(mailkeep: Run, site: Path) -> None:
    """The owner is reading mail: an operator sees the listing all the same."""
    mailkeep("--site", site, "account", "add", "alice", "--password-stdin", stdin=PASSWORD)
    mailkeep("--site", site, "deliver", "alice", stdin=b"Subject: x\n\n")
    opened = read_site(site)
    with app.open_accounts(opened) as directory:
        account = directory.get(opened.address("alice"))
    store = app.open_store(opened)

    async def look_while_open() -> str:
        session = await store.open(account.id, account.address, timeout_s=30)
        try:
            return mailkeep("--site", site, "maildrop", "list", "alice", "--json").out
        finally:
            await session.close()

    assert len(json.loads(asyncio.run(look_while_open()))) == 1
