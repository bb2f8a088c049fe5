"""A real Postfix beside the tests: own queue, own port, in the foreground; needs root.

It takes mail by SMTP on loopback and hands every message to one command through pipe(8), as an
installed one would. It must not touch a Postfix of the machine, and nothing leaves it.
"""

import contextlib
import json
import shutil
import smtplib
from collections.abc import Iterator
from pathlib import Path

from tests.harness.programs import DEADLINE_S, Background, find_program, free_ports, run
from tests.messages import naive_wire_form

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = mx.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
default_transport = error:nothing leaves this machine
virtual_transport = mailkeep
virtual_mailbox_domains = {domain}
mailkeep_destination_recipient_limit = 1
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
mailkeep unix - n n - - pipe
  flags=DRhu user={user} argv={command} deliver ${{recipient}}
"""


class RunningPostfix:
    """One Postfix."""

    def __init__(self, folder: Path, *, domain: str, user: str, command: str) -> None:
        """Start it.

        Args:
            folder: its own; others must be able to look into it.
            domain: what it takes mail for.
            user: who the command runs as.
            command: what takes `deliver ADDRESS` and a message, with words before them.
        """
        (self.smtp,) = free_ports(1)
        self._settings = folder / "settings"
        for made in (self._settings, folder / "queue", folder / "data"):
            made.mkdir(parents=True)
        shutil.chown(folder / "data", "postfix")
        main = MAIN.format(folder=folder, domain=domain)
        (self._settings / "main.cf").write_text(main)
        master = MASTER.format(port=self.smtp.number, user=user, command=command)
        (self._settings / "master.cf").write_text(master)
        program = find_program("postfix")
        self._running = Background((program, "-c", self._settings, "start-fg"))
        self._running.wait_until_ready("daemon started")

    @property
    def log(self) -> str:
        """What it has written."""
        return self._running.log

    def wait_for(self, words: str) -> str:
        """Return the first line of the log with these words, now or when it is written."""
        return self._running.wait_for(lambda line: words in line, words)

    def send(self, message: bytes, *recipients: str, sender: str) -> str:
        """Hand a message in by SMTP and return its name in the queue."""
        with smtplib.SMTP(*self.smtp, timeout=DEADLINE_S) as client:
            client.ehlo()
            client.mail(sender, ("BODY=8BITMIME",))
            for recipient in recipients:
                client.rcpt(recipient)
            _, answer = client.data(naive_wire_form(message))
            return answer.decode().rpartition("queued as ")[2]

    def queue(self) -> list[tuple[str, str]]:
        """Return the name of the queue and the recipient of all that waits."""
        shown = run((find_program("postqueue"), "-c", self._settings, "-j")).stdout
        entries = [json.loads(line) for line in shown.splitlines()]
        return [(one["queue_name"], to["address"]) for one in entries for to in one["recipients"]]

    def try_again(self) -> None:
        """Let it deliver now what it would deliver later."""
        run((find_program("postqueue"), "-c", self._settings, "-f"))

    def stop(self) -> None:
        """End it: its master is a child of what was started, and in a session of its own."""
        run((find_program("postfix"), "-c", self._settings, "stop"), check=False)
        self._running.stop()


@contextlib.contextmanager
def running_postfix(
    folder: Path, *, domain: str, user: str, command: str
) -> Iterator[RunningPostfix]:
    """Run Postfix for as long as the caller needs it."""
    postfix = RunningPostfix(folder, domain=domain, user=user, command=command)
    try:
        yield postfix
    finally:
        postfix.stop()
