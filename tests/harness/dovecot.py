"""A real Dovecot beside the tests: own configuration, own ports, in the foreground.

It serves Maildirs as one user; every account has the same password. It must not touch a Dovecot of
the machine. Known limit: Dovecot does not take port 0, so ports are picked a moment before it binds
them.
"""

import base64
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
protocols = pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{maildirs}
mailbox_list_index = no
first_valid_uid = 1
first_valid_gid = 1
auth_failure_delay = 0
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
passdb {{
  driver = static
  args = password={{PLAIN.B64}}{password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
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
service pop3-login {{
  chroot =
  process_min_avail = 1
  service_count = 0
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""


class RunningDovecot:
    """One Dovecot.

    Attributes:
        pop3s, pop3: its ports.
        user: who its Maildirs must belong to; None for whoever runs the tests.
    """

    def __init__(self, folder: Path, *, tls: Path, maildirs: str, password: str) -> None:
        """Start it.

        Args:
            folder: its own; others must be able to look into it.
            tls: a folder with `server.pem` and `server.key`.
            maildirs: where the Maildirs are, `%n` for the account's name.
            password: of every account.
        """
        self.user = unprivileged_user()
        self.pop3s, self.pop3 = free_ports(2)
        owner = pwd.getpwnam(self.user or getpass.getuser())
        is_root = os.geteuid() == 0
        text = CONFIGURATION.format(
            folder=folder,
            certificate=tls / "server.pem",
            key=tls / "server.key",
            maildirs=maildirs,
            password=base64.b64encode(password.encode()).decode(),
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            login_user="dovenull" if is_root else owner.pw_name,
            internal_user="dovecot" if is_root else owner.pw_name,
            internal_group="dovecot" if is_root else grp.getgrgid(owner.pw_gid).gr_name,
            pop3=self.pop3.number,
            pop3s=self.pop3s.number,
        )
        configuration = folder / "dovecot.conf"
        configuration.write_text(text)
        program = find_program("dovecot")
        self._running = Background((program, "-F", "-c", configuration))
        self._running.wait_until_ready("starting up for")

    @property
    def log(self) -> str:
        """What it has written."""
        return self._running.log

    def own(self, folder: Path) -> None:
        """Give a folder and all in it to the user that Dovecot serves mail as."""
        if self.user is not None:
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, self.user)

    def stop(self) -> None:
        """End it."""
        self._running.stop()


@contextlib.contextmanager
def running_dovecot(
    folder: Path, *, tls: Path, maildirs: str, password: str
) -> Iterator[RunningDovecot]:
    """Run Dovecot for as long as the caller needs it."""
    dovecot = RunningDovecot(folder, tls=tls, maildirs=maildirs, password=password)
    try:
        yield dovecot
    finally:
        dovecot.stop()
