"""Every call to the disk fails once: what is said afterwards is what is there."""

import errno
import io
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mailkeep.maildrop.maildir import deliver
from mailkeep.maildrop.maildir.folder import Maildir
from mailkeep.maildrop.maildir.removal import remove_messages
from mailkeep.testing.maildir_site import MaildirSite, maildir_site
from mailkeep.testing.store_contract import uidls_of

CALLS = ("open", "write", "fsync", "link", "unlink", "mkdir", "scandir", "fstat")
MESSAGE = b"Subject: x\n\nbody\n"
MARKED = {b"1.marked", b"3.marked", b"5.marked"}
KEPT = {b"2.kept", b"4.kept", b"6.kept"}


def fail_at(monkeypatch: pytest.MonkeyPatch, step: int, code: int) -> list[str]:
    """Let the n-th call to the disk fail; return a list that names it once it did."""
    failed: list[str] = []
    steps = count(1)

    def failing(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if next(steps) == step:
                failed.append(name)
                raise OSError(code, os.strerror(code), name)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, failing(name, getattr(os, name)))
    return failed


async def bases_of(site: MaildirSite) -> list[bytes]:
    maildrop = await site.open()
    await maildrop.close()
    return [*uidls_of(maildrop)]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_delivery_that_fails_leaves_nothing(tmp_path: Path, code: int) -> None:
    """Success means that it is there; an error, so that the MTA tries again, that it is not."""
    calls = set()
    for step in count(1):
        with maildir_site(tmp_path / str(step)) as site, pytest.MonkeyPatch.context() as patch:
            failed = fail_at(patch, step, code)
            try:
                said = [deliver(site.maildir, io.BytesIO(MESSAGE), "mail.example.com")]
            except OSError:
                said = []
            patch.undo()
            assert await bases_of(site) == said
            in_tmp = [*site.maildir.glob("tmp/*")]
            assert len(in_tmp) <= (failed == ["unlink"])
        if not failed:
            assert said
            break
        calls |= set(failed)
    assert calls >= {"open", "write", "fsync", "link", "unlink", "mkdir"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
async def test_a_commit_that_fails_says_what_is_still_there(tmp_path: Path, code: int) -> None:
    """What is said to be removed is not there; what is not marked always is."""
    calls = set()
    for step in count(1):
        with maildir_site(tmp_path / str(step)) as site, pytest.MonkeyPatch.context() as patch:
            for uidl in MARKED | KEPT:
                site.put(uidl, MESSAGE, folder="new" if uidl[0] % 4 == 1 else "cur")
            failed = fail_at(patch, step, code)
            outcome = remove_messages(Maildir(site.maildir), MARKED)
            patch.undo()
            left = set(await bases_of(site))
            assert left >= KEPT
            assert outcome.removed <= MARKED - left
            assert left & MARKED <= outcome.failed
            assert not outcome.removed & outcome.failed
        if not failed:
            assert outcome.removed == MARKED
            break
        calls |= set(failed)
    assert calls >= {"open", "fsync", "unlink", "scandir", "fstat"}
