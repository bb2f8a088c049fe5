"""A disk that is full and a disk that takes no writes, for real (a tmpfs, a bind mount)."""

import errno
import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

import pytest

from mailkeep.maildrop.maildir import deliver
from mailkeep.testing.maildir_site import ALICE, MaildirSite, maildir_site
from mailkeep.testing.store_contract import uidls_of, whole

pytestmark = pytest.mark.root

MESSAGE = b"Subject: x\n\n" + b"body\n" * 1000
HOST = "mail.example.com"


@contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[None]:
    """Mount something for the length of a test."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, check=False)
    if done.returncode != 0:
        reason = f"cannot mount here: {done.stderr.decode().strip()}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def make_read_only(mounted_at: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro,bind", str(mounted_at)], check=True)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[MaildirSite]:
    """A site on a disk of one megabyte with some mail, which is then filled to the last octet."""
    tmpfs = mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=tmp_path)
    with tmpfs, maildir_site(tmp_path) as site:
        deliver(site.maildir, io.BytesIO(MESSAGE), HOST)
        site.put("1.uncounted", MESSAGE)
        fill(tmp_path / "ballast")
        yield site


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with pytest.raises(OSError, match="No space"):
                write_for_ever(file, b"x" * size)


def write_for_ever(file: RawIOBase, octets: bytes) -> None:
    while True:
        file.write(octets)


async def test_a_full_disk_takes_no_mail_and_leaves_no_half(full: MaildirSite) -> None:
    """ENOSPC is temporary for the MTA, and what was begun does not take the room of later mail."""
    before = full.filenames()
    with pytest.raises(OSError, match="No space") as refused:
        deliver(full.maildir, io.BytesIO(MESSAGE), HOST)
    assert refused.value.errno == errno.ENOSPC
    assert full.filenames() == before
    assert [*full.maildir.glob("tmp/*")] == []
    (full.maildir.parents[2] / "ballast").unlink()
    deliver(full.maildir, io.BytesIO(MESSAGE), HOST)
    assert len(full.filenames()) == 3


async def test_a_full_disk_can_be_read_and_emptied(full: MaildirSite) -> None:
    """Reading and deleting mail is how a full disk becomes less full."""
    maildrop = await full.open()
    assert len(maildrop.listing) == 2
    for place in range(2):
        assert await whole(maildrop, place) == MESSAGE.replace(b"\n", b"\r\n")
    removal = await maildrop.commit(uidls_of(maildrop))
    assert len(removal.removed) == 2
    assert full.filenames() == set()
    await maildrop.close()


async def test_a_read_only_maildrop_is_read_and_keeps_its_mail(tmp_path: Path) -> None:
    """What QUIT cannot remove it says; root ignores modes, so the mount itself is read-only."""
    with maildir_site(tmp_path) as site:
        base = deliver(site.maildir, io.BytesIO(MESSAGE), HOST)
        mail = site.maildir.parent
        assert mail.name == ALICE.domain
        with mounted("--bind", str(mail), at=mail):
            make_read_only(mail)
            maildrop = await site.open()
            assert await whole(maildrop, 0) == MESSAGE.replace(b"\n", b"\r\n")
            removal = await maildrop.commit(uidls_of(maildrop))
            assert (removal.removed, removal.gone, removal.failed) == ((), (), (base,))
            await maildrop.close()
            with pytest.raises(OSError, match="Read-only"):
                deliver(site.maildir, io.BytesIO(MESSAGE), HOST)
        assert site.filenames() == {os.fsdecode(base)}
