"""Which of a server's processes has a connection, as Linux' /proc tells."""

import os
from pathlib import Path

from tests.harness.client import WireClient

PROC = Path("/proc")


def workers_of(pid: int) -> list[int]:
    """Return the processes that a server has started."""
    try:
        threads = list((PROC / str(pid) / "task").iterdir())
        return sorted(int(it) for one in threads for it in (one / "children").read_text().split())
    except FileNotFoundError:
        return []


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


def worker_with(client: WireClient, pids: list[int]) -> int:
    """Return the one of these processes that has the other end of a client's connection."""
    inode = _inode_of_server_side(client.local_port, client.remote_port)
    (pid,) = (pid for pid in pids if f"socket:[{inode}]" in _open_files(pid))
    return pid


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _inode_of_server_side(client_port: int, server_port: int) -> str:
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = tuple(int(fields[at].rpartition(":")[2], 16) for at in (1, 2))
        if ports == (server_port, client_port):
            return fields[9]
    raise AssertionError("there is no such connection")


def _open_files(pid: int) -> set[str]:
    files = set()
    for file in (PROC / str(pid) / "fd").iterdir():
        try:
            files.add(str(file.readlink()))
        except FileNotFoundError:
            continue  # closed meanwhile
    return files
