"""A process that delivers, or commits, and is killed before its n-th step on the disk.

Run by the crash tests: `killed.py deliver|commit MAILDIR STEP`. It prints what it did when it was
not killed. A step is a call that changes the disk or makes a change durable.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from mailkeep.maildrop.maildir.delivery import deliver
from mailkeep.maildrop.maildir.folder import Maildir
from mailkeep.maildrop.maildir.removal import remove_messages

STEPS = ("open", "write", "fsync", "link", "unlink", "mkdir", "rename", "close")
MESSAGE = b"Subject: x\n\nbody\n"
MARKED = (b"1.marked", b"3.marked", b"5.marked")


def kill_before(step: int) -> None:
    """Make the process end by SIGKILL when it comes to that step."""
    steps = count(1)

    def killing(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, killing(getattr(os, name)))


def main(action: str, maildir: Path, step: int) -> None:
    kill_before(step)
    if action == "deliver":
        said = deliver(maildir, io.BytesIO(MESSAGE), "mail.example.com")
    else:
        said = b" ".join(sorted(remove_messages(Maildir(maildir), MARKED).removed))
    sys.stdout.buffer.write(said)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
