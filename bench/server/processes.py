"""What a server and all its children used, as the kernel says. Linux.

CPU time is user and system time of every process of the tree, those included that have ended and
were waited for. Memory is the proportional set size: what processes share is divided among them.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

QUIET_S = 0.1
"""Without more CPU time for so long, a server has done what it was asked for: children that are
about to end, records that are written in groups."""
QUIET_LIMIT_S = 2.0
"""A server that is busy by itself for longer is measured as it is."""


def tree_of(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, fields in _all_stats():
        children[int(fields[1])].append(pid)
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def cpu_s(root: int) -> float:
    """Return the CPU time of a process tree since it began, in seconds."""
    ticks = 0
    for pid in tree_of(root):
        fields = _stat(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return ticks / TICKS_A_SECOND


def settled_cpu_s(root: int) -> float:
    """Return the CPU time of a process tree once it has come to rest."""
    last = cpu_s(root)
    deadline = time.monotonic() + QUIET_LIMIT_S
    while time.monotonic() < deadline:
        time.sleep(QUIET_S)
        now = cpu_s(root)
        if now == last:
            break
        last = now
    return last


def pss_kib(root: int) -> int:
    """Return the proportional set size of a process tree, in KiB."""
    total = 0
    for pid in tree_of(root):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since it was listed
        total += next(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return total


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                yield int(entry.name), fields


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat behind the name (proc(5)); None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
