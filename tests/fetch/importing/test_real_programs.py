"""State that real programs wrote: every message that they fetched is known after an import.

Each program fetches from a served site and keeps the mail there; what an import then says was seen
must be what the server lists, unique-id for unique-id.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from tests.harness.programs import open_folder
from tests.harness.site import RunningSite
from tests.interop.conftest import MAIL, Mailbox
from tests.interop.test_fetchmail import fetchmail
from tests.interop.test_getmail import getmail, with_luck
from tests.interop.test_mpop import mpop

from mailkeep.fetch.account import Transport
from mailkeep.fetch.importing.found import ImportedAccount
from mailkeep.fetch.importing.reading import find_imports
from mailkeep.fetch.importing.writing import settings_text
from mailkeep.fetch.settings import parse_settings

_accounts = (f"imported{number}" for number in count(1))


@pytest.fixture
def mailboxes(served: RunningSite) -> Iterator[Callable[[], Mailbox]]:
    """Make as many accounts with mail as a test asks for."""
    with ExitStack() as stack:

        def make() -> Mailbox:
            account = served.add_account(next(_accounts))
            served.deliver(account, *MAIL)
            folder = stack.enter_context(open_folder())
            ca = folder / "ca.pem"
            shutil.copyfile(served.ca, ca)
            ca.chmod(0o644)
            return Mailbox(served, account, folder, ca)

        yield make


def listed(mailbox: Mailbox) -> list[bytes]:
    """Return the unique-ids that the server tells."""
    with mailbox.site.session(mailbox.account) as client:
        return sorted(uidl for _, uidl in client.listing(b"UIDL"))


def import_from(mailbox: Mailbox, program: str, name: str) -> ImportedAccount:
    home = mailbox.folder / "home"
    home.mkdir(exist_ok=True)
    paths = (mailbox.folder / name,)
    (account,) = find_imports(program, home=home, environment={}, paths=paths)
    return account


def check(account: ImportedAccount, mailbox: Mailbox, transport: Transport) -> None:
    """See that an account is the one that was fetched, whole, and that it could be fetched on."""
    port = mailbox.site.pop3s if transport is Transport.TLS else mailbox.site.pop3
    there = account.account
    assert (there.host, there.port, there.user) == ("localhost", port.number, mailbox.account)
    assert there.transport is transport
    assert account.settings["ca"] == str(mailbox.ca)
    assert sorted(message.uidl for message in account.seen) == listed(mailbox)
    assert len(account.seen) == len(MAIL)
    (job,) = parse_settings(settings_text([account]), source="fetch.toml").jobs
    assert not job.policy.deletes
    assert mailbox.password not in repr(account) + settings_text([account])
    assert any("password is in" in note for note in account.notes)


@pytest.mark.parametrize("stls", [False, True], ids=["pop3s", "stls"])
def test_mpop_is_imported(mailboxes: Callable[[], Mailbox], stls: bool) -> None:
    """mpop 1.4: its file of unique-ids, and its settings beside it."""
    mailbox = mailboxes()
    mpop(mailbox, keep=True, stls=stls)
    account = import_from(mailbox, "mpop", "mpoprc")
    check(account, mailbox, Transport.STLS if stls else Transport.TLS)
    assert account.to == (f"maildir:{mailbox.folder}/maildir",)


@pytest.mark.parametrize("stls", [False, True], ids=["pop3s", "stls"])
def test_fetchmail_is_imported(mailboxes: Callable[[], Mailbox], stls: bool) -> None:
    """fetchmail 6.4: `set idfile`, and its settings beside it."""
    mailbox = mailboxes()
    fetchmail(mailbox, "keep", stls=stls)
    account = import_from(mailbox, "fetchmail", "fetchmailrc")
    check(account, mailbox, Transport.STLS if stls else Transport.TLS)
    assert account.to == (f"pipe:sh -c '/bin/sh {mailbox.folder}/save'",)


def test_getmail_is_imported(mailboxes: Callable[[], Mailbox]) -> None:
    """getmail 6: its `oldmail-` file beside the settings, with times."""

    def read(mailbox: Mailbox) -> None:
        getmail(mailbox, delete=False)
        maildir = mailbox.folder / "maildir"
        shutil.copyfile(mailbox.folder / "getmailrc", maildir / "getmailrc")
        account = import_from(mailbox, "getmail", "maildir/getmailrc")
        check(account, mailbox, Transport.TLS)
        assert all(message.seen_at for message in account.seen)
        assert account.to == (f"maildir:{maildir}",)

    with_luck(mailboxes, read)


def test_what_came_since_is_not_seen(mailboxes: Callable[[], Mailbox]) -> None:
    """None lost: only what the program fetched counts as seen."""
    mailbox = mailboxes()
    mpop(mailbox, keep=True)
    before = listed(mailbox)
    mailbox.site.deliver(mailbox.account, b"Subject: new\n\nnew\n")
    account = import_from(mailbox, "mpop", "mpoprc")
    assert sorted(message.uidl for message in account.seen) == before
    assert len(listed(mailbox)) == len(before) + 1
