"""Killed with `kill -9` between each two steps of a delivery and of a commit, then reopened."""

import io
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from mailkeep.maildrop.maildir import deliver
from mailkeep.maildrop.maildir.delivery import STALE_AFTER_S, remove_stale
from mailkeep.testing.maildir_site import MaildirSite, maildir_site
from mailkeep.testing.store_contract import uidls_of, whole

KILLED = Path(__file__).parent / "killed.py"
MESSAGE = b"Subject: x\n\nbody\n"
WIRE = MESSAGE.replace(b"\n", b"\r\n")
MARKED = {b"1.marked", b"3.marked", b"5.marked"}
KEPT = {b"2.kept", b"4.kept", b"6.kept"}


def said_by(action: str, site: MaildirSite, step: int) -> bytes | None:
    """Run the process; return what it said at its end, or `None` if it was killed before."""
    command = [sys.executable, str(KILLED), action, str(site.maildir), str(step)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode == -signal.SIGKILL:
        assert done.stdout == b""
        return None
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def messages_of(site: MaildirSite) -> dict[bytes, bytes]:
    """Return the wire form of every message that a session sees."""
    maildrop = await site.open()
    found = {uidl: await whole(maildrop, i) for i, uidl in enumerate(uidls_of(maildrop))}
    assert len(found) == len(maildrop.listing)
    assert sum(map(len, found.values())) == maildrop.listing.total_octets
    await maildrop.close()
    return {bytes(uidl): text for uidl, text in found.items()}


@pytest.mark.parametrize("is_first", [True, False], ids=["first delivery", "later delivery"])
async def test_a_killed_delivery_loses_and_doubles_nothing(tmp_path: Path, is_first: bool) -> None:
    """Nothing, or the whole message, and that once; what was said to be safe is there."""
    killed = 0
    for step in count(1):
        with maildir_site(tmp_path / str(step)) as site:
            before = 0 if is_first else 1
            if not is_first:
                deliver(site.maildir, io.BytesIO(MESSAGE), "mail.example.com")
            said = said_by("deliver", site, step)
            found = await messages_of(site)
            assert set(found.values()) <= {WIRE}
            assert len(found) in {before, before + 1}
            assert said is None or said in found
            await check_that_delivery_goes_on(site, len(found))
        if said is not None:
            break
        killed += 1
    assert killed >= (20 if is_first else 8)


async def check_that_delivery_goes_on(site: MaildirSite, before: int) -> None:
    """The MTA tries again; and what the killed one left in tmp goes in time."""
    base = deliver(site.maildir, io.BytesIO(MESSAGE), "mail.example.com")
    found = await messages_of(site)
    assert len(found) == before + 1
    assert found[base] == WIRE
    left = [*(site.maildir / "tmp").iterdir()]
    assert len(left) <= 1
    if left:
        remove_stale(site.maildir / "tmp", now_s=left[0].stat().st_mtime + STALE_AFTER_S + 1)
    assert [*(site.maildir / "tmp").iterdir()] == []


async def test_a_killed_commit_touches_nothing_unmarked(tmp_path: Path) -> None:
    """RFC 1939 section 6: a crash may leave any part of the marked messages and no gap else."""
    killed = 0
    partly = 0
    for step in count(1):
        with maildir_site(tmp_path / str(step)) as site:
            for uidl in MARKED | KEPT:
                folder = "new" if uidl[0] % 4 == 1 else "cur"
                flags = b"" if folder == "new" else b":2,S"
                site.put(uidl + flags, MESSAGE + uidl, folder=folder)
            said = said_by("commit", site, step)
            found = await messages_of(site)
            assert KEPT <= found.keys() <= KEPT | MARKED
            assert all(text == WIRE + uidl + b"\r\n" for uidl, text in found.items())
            partly += 0 < len(found.keys() & MARKED) < len(MARKED)
            await check_that_the_commit_can_be_made_again(site)
        if said is not None:
            assert set(said.split()) == MARKED
            assert found.keys() == KEPT
            break
        killed += 1
    assert killed >= 7
    assert partly >= 2


async def check_that_the_commit_can_be_made_again(site: MaildirSite) -> None:
    """The next session removes what the killed one left."""
    maildrop = await site.open()
    left = [uidl for uidl in uidls_of(maildrop) if uidl in MARKED]
    assert (await maildrop.commit(left)).removed == tuple(left)
    await maildrop.close()
    assert {os.fsencode(name).partition(b":")[0] for name in site.filenames()} == KEPT
