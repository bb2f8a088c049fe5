"""What a session removes at its end: exactly what it was asked to, durably, or it says what not."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mailkeep.maildrop import Removal
from mailkeep.maildrop.maildir.folder import PATIENCE
from mailkeep.testing.maildir_site import MaildirSite
from mailkeep.testing.store_contract import uidls_of
from mailkeep.values import Uidl

A, B = Uidl(b"1.a"), Uidl(b"2.b")


async def removal_of_first_two(site: MaildirSite) -> Removal:
    """Lay down three messages, one of them in `new`, and remove two."""
    site.put("1.a:2,S")
    site.put("2.b", folder="new")
    site.put("3.c")
    maildrop = await site.open()
    removal = await maildrop.commit(uidls_of(maildrop)[:2])
    await maildrop.close()
    return removal


def instead_of_unlink(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[bytes, int], None]
) -> None:
    """Let `before` do or raise something each time a file is to be unlinked."""
    real = os.unlink

    def unlink(filename: bytes, *, dir_fd: int) -> None:
        before(filename, dir_fd)
        real(filename, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)


async def test_a_message_that_moves_away_is_followed(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour that flags a message in the moment of QUIT does not save it."""
    moved: list[bytes] = []

    def move_once(filename: bytes, folder: int) -> None:
        if not moved and filename.startswith(b"1.a"):
            moved.append(filename)
            os.rename(filename, b"1.a:2,FS", src_dir_fd=folder, dst_dir_fd=folder)

    instead_of_unlink(monkeypatch, move_once)
    assert await removal_of_first_two(site) == Removal((A, B), (), ())
    assert moved == [b"1.a:2,S"]
    assert site.filenames() == {"3.c"}


async def test_a_message_that_moves_for_ever_is_said_to_be_there(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit ends, whatever a neighbour does, and says what it did not remove."""
    moves: list[bytes] = []

    def move(filename: bytes, folder: int) -> None:
        if filename.startswith(b"1.a"):
            moves.append(filename)
            to = b"1.a:2,%d" % len(moves)
            os.rename(filename, to, src_dir_fd=folder, dst_dir_fd=folder)

    instead_of_unlink(monkeypatch, move)
    assert await removal_of_first_two(site) == Removal((B,), (), (A,))
    assert len(moves) == PATIENCE
    assert site.filenames() == {f"1.a:2,{PATIENCE}", "3.c"}


async def test_a_message_that_vanishes_in_the_moment_of_removal_was_gone(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour's removal is no failure of QUIT."""

    def remove_first(filename: bytes, folder: int) -> None:
        if filename.startswith(b"1.a"):
            os.remove(filename, dir_fd=folder)

    instead_of_unlink(monkeypatch, remove_first)
    assert await removal_of_first_two(site) == Removal((B,), (A,), ())


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO])
async def test_what_cannot_be_removed_does_not_keep_the_rest(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """RFC 1939 section 6: some deleted messages not removed is an answer of its own."""

    def refuse_first(filename: bytes, _folder: int) -> None:
        if filename.startswith(b"1.a"):
            raise OSError(code, "refused")

    instead_of_unlink(monkeypatch, refuse_first)
    assert await removal_of_first_two(site) == Removal((B,), (), (A,))
    assert site.filenames() == {"1.a:2,S", "3.c"}


async def test_what_is_not_on_disk_has_not_been_removed(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """+OK to QUIT means durably gone: after a failed fsync nobody may say so, of no message.

    A neighbour may have moved any of them out of the folder that is not on disk.
    """
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "new":
            raise OSError(errno.EIO, "write error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert await removal_of_first_two(site) == Removal((), (), (A, B))


async def test_a_moved_message_does_not_come_back_where_it_came_from(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour's rename may not be on disk yet: the folder it left is brought there too."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    delivered = site.put("2.b", folder="new")
    maildrop = await site.open()
    delivered.rename(delivered.parents[1] / "cur" / "2.b:2,S")
    assert await maildrop.commit([B]) == Removal((B,), (), ())
    await maildrop.close()
    assert sorted(synced) == ["cur", "new"]


async def test_nothing_is_said_to_be_removed_before_its_folder_is_on_disk(
    site: MaildirSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may go after +OK: each folder is brought to disk after its last unlink."""
    steps: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        steps.append("fsync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    instead_of_unlink(monkeypatch, lambda filename, _: steps.append(os.fsdecode(filename)))
    monkeypatch.setattr(os, "fsync", fsync)
    await removal_of_first_two(site)
    assert sorted(steps[:2]) == ["1.a:2,S", "2.b"]
    assert sorted(steps[2:]) == ["fsync cur", "fsync new"]


async def test_a_folder_that_cannot_be_read_any_more_fails_everything(site: MaildirSite) -> None:
    """Where the messages are cannot be told, so nobody says that they are gone."""
    site.put("1.a")
    maildrop = await site.open()
    (site.maildir / "cur").rename(site.maildir / "away")
    (site.maildir / "cur").touch()
    assert await maildrop.commit(uidls_of(maildrop)) == Removal((), (), (A,))
    assert (site.maildir / "away" / "1.a") in site.maildir.glob("away/*")
    await maildrop.close()


async def test_a_maildir_that_was_removed_as_a_whole_is_gone(site: MaildirSite) -> None:
    """An operator removed the mail meanwhile: there is nothing left to remove."""
    site.put("1.a")
    maildrop = await site.open()
    site.maildir.rename(site.maildir.with_name("bob"))
    assert await maildrop.commit(uidls_of(maildrop)) == Removal((), (A,), ())
    await maildrop.close()
