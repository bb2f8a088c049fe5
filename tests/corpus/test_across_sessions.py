"""What a client may rely on from one day to the next, and numbers that outgrow 32 bits."""

import shutil
from pathlib import Path

from tests.harness.maildir import lay, make_maildir
from tests.harness.site import RunningSite, running_site
from tests.messages import HAZARDS

GIB = 1 << 30


def listings(site: RunningSite, account: str) -> list[tuple[int, bytes]]:
    """Return what UIDL and LIST say in a session of its own."""
    with site.session(account) as client:
        said = client.listing(b"UIDL") + client.listing(b"LIST")
        client.command(b"QUIT")
    return said


def test_unique_ids_outlive_the_server_and_its_index(tmp_path: Path) -> None:
    """Unique-ids, order and sizes are the same after a restart, without the index, and elsewhere.

    Source: RFC 1939 section 7. A copy of the Maildirs is what a restored backup is.
    """
    with running_site(tmp_path / "site") as site:
        account = site.add_account("alice")
        maildir = make_maildir(site.maildir(account))
        for place, message in enumerate(list(HAZARDS.values())[:30], 1):
            lay(maildir, message, place, cur=place % 2 == 0)
        site.deliver(account, b"Subject: delivered\n\nbody\n")
        before = listings(site, account)
        site.restart()
        assert listings(site, account) == before
        site.stop()
        shutil.rmtree(site.folder / "index")
        moved = shutil.copytree(maildir, tmp_path / "backup")
        shutil.rmtree(maildir)
        shutil.copytree(moved, maildir)
        site.restart()
        assert listings(site, account) == before


def test_sizes_beyond_4_gib(served: RunningSite) -> None:
    """STAT and LIST count octets past 2**32 (RFC 1939 section 5 knows no limit)."""
    account = served.add_account("gigantic")
    maildir = make_maildir(served.maildir(account))
    for place in (1, 2):
        path = lay(maildir, b"", place, fields=f",S={5 * GIB + 1},W={5 * GIB + 2}")
        with path.open("r+b") as file:
            file.seek(5 * GIB)  # a file with a hole: it takes no room on the disk
            file.write(b"\n")
    with served.session(account) as client:
        assert client.command(b"STAT") == b"2 %d" % (2 * (5 * GIB + 2))
        assert client.command(b"LIST 2") == b"2 %d" % (5 * GIB + 2)
        client.command(b"DELE 1")
        assert client.command(b"STAT") == b"1 %d" % (5 * GIB + 2)
        client.command(b"DELE 2")
        client.command(b"QUIT")
    assert not any((maildir / "new").iterdir())


def test_many_messages(served: RunningSite) -> None:
    """Every message of a big maildrop is listed once, in order, and any of them can be read."""
    count = 2_500  # more than fit in one piece of a listing
    account = served.add_account("many")
    maildir = make_maildir(served.maildir(account))
    for place in range(1, count + 1):
        lay(maildir, b"Subject: %d\n\n" % place, place)
    with served.session(account) as client:
        numbers = [number for number, _ in client.listing(b"UIDL")]
        assert numbers == list(range(1, count + 1))
        bodies = client.bodies([b"RETR %d" % number for number in numbers], at_once=100)
        assert list(bodies) == [b"Subject: %d\r\n\r\n" % number for number in numbers]
        client.command(b"QUIT")
