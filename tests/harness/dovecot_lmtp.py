"""A real Dovecot that takes mail by LMTP beside the tests; see `tests.harness.dovecot`."""

import contextlib
import getpass
import grp
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.harness.programs import Background, find_program, free_ports, unprivileged_user

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = /dev/stderr
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:{folder}/mail/%n
mailbox_list_index = no
first_valid_uid = 1
first_valid_gid = 1
postmaster_address = postmaster@example.test
hostname = mail.example.test
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
passdb {{
  driver = static
  args = nopassword=y user=%n
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder} allow_all_users=yes
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    port = {port}
  }}
  unix_listener {folder}/lmtp.socket {{
    mode = 0666
  }}
}}
"""


class RunningLmtp:
    """One Dovecot.

    Attributes:
        port: on 127.0.0.1.
        socket: its other door.
    """

    def __init__(self, folder: Path) -> None:
        """Start it.

        Args:
            folder: its own; others must be able to look into it; a short path.
        """
        find_program("lmtp")
        user = unprivileged_user()
        (port,) = free_ports(1)
        self.port, self.socket = port.number, folder / "lmtp.socket"
        self._mail = folder / "mail"
        self._mail.mkdir()
        owner = pwd.getpwnam(user or getpass.getuser())
        if user:
            shutil.chown(self._mail, user)
        text = CONFIGURATION.format(
            folder=folder,
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            login_user="dovenull" if user else owner.pw_name,
            internal_user="dovecot" if user else owner.pw_name,
            internal_group="dovecot" if user else grp.getgrgid(os.getegid()).gr_name,
            port=port.number,
        )
        configuration = folder / "dovecot.conf"
        configuration.write_text(text)
        self._running = Background((find_program("dovecot"), "-F", "-c", configuration))
        self._running.wait_until_ready("starting up for")

    def messages(self, user: str) -> list[bytes]:
        """Return a user's messages without what the server put before them, oldest first."""
        paths = sorted((self._mail / user / "new").glob("*"), key=_delivered_at)
        return [_without_trace(path.read_bytes()) for path in paths]

    def stop(self) -> None:
        """End it."""
        self._running.stop()


def _delivered_at(path: Path) -> tuple[int, ...]:
    """Return seconds and microseconds, which Dovecot does not pad with zeros."""
    seconds, micro = path.name.split(".")[:2]
    return int(seconds), int(micro[1:].partition("P")[0])


def _without_trace(stored: bytes) -> bytes:
    """Take off Return-Path, Delivered-To and Received (RFC 5321 section 4.4)."""
    lines = stored.split(b"\n")
    while lines[0].startswith((b"Return-Path:", b"Delivered-To:", b"Received:", b"\t")):
        lines.pop(0)
    return b"\n".join(lines)


@contextlib.contextmanager
def running_lmtp(folder: Path) -> Iterator[RunningLmtp]:
    """Run it for as long as the caller needs it."""
    server = RunningLmtp(folder)
    try:
        yield server
    finally:
        server.stop()
