"""Runs one program, stops it in time, and says what it and its children used.

It is a process of its own and imports next to nothing, because Linux counts the memory of whoever
starts a program as the program's until that is larger: 7 MB and less means at most that.
Children count when the program has waited for them, which each one here does.

    python -I -S launcher.py LIMIT_S UID GID STDIN OUTPUT PROGRAM [ARGUMENT...]

UID and GID are `-` for its own. Written to standard output: seconds, seconds of the processors,
KiB at most, exit code, and whether it was stopped.
"""

import os
import signal
import sys
import time

GRACE_S = 2.0
"""Between the request to end and the end."""


def launch(stdin: str, output: str, identity: tuple[str, str], words: list[str]) -> int:
    """Start the program in a session of its own and return its process number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.dup2(os.open(stdin, os.O_RDONLY), 0)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        os.dup2(1, 2)
        uid, gid = identity
        if uid != "-":
            os.setgroups([])
            os.setgid(int(gid))
            os.setuid(int(uid))
        os.execv(words[0], words)  # noqa: S606  # no shell is the point
    finally:
        os._exit(127)


class Limit:
    """Ends a process group: first it asks, then it does not."""

    def __init__(self, group: int, limit_s: float) -> None:
        self.is_passed = False
        self._group = group
        signal.signal(signal.SIGALRM, self._pass)
        signal.setitimer(signal.ITIMER_REAL, limit_s, GRACE_S)

    def _pass(self, *_: object) -> None:
        kill_group(self._group, signal.SIGKILL if self.is_passed else signal.SIGTERM)
        self.is_passed = True


def kill_group(group: int, number: signal.Signals) -> None:
    """Send a signal to whoever is left in a process group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def main() -> None:
    """Launch, wait, tell."""
    limit_s, uid, gid, stdin, output, *words = sys.argv[1:]
    start = time.monotonic()
    pid = launch(stdin, output, (uid, gid), words)
    limit = Limit(pid, float(limit_s))
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        seconds = time.monotonic() - start
    finally:  # also when somebody at the keyboard has enough
        signal.setitimer(signal.ITIMER_REAL, 0)
        kill_group(pid, signal.SIGKILL)  # the number is the group's own until it is waited for
    _, status, used = os.wait4(pid, 0)
    processor_s = used.ru_utime + used.ru_stime
    code = os.waitstatus_to_exitcode(status)
    print(seconds, processor_s, used.ru_maxrss, code, int(limit.is_passed))


if __name__ == "__main__":
    main()
