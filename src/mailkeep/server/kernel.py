"""What is asked of the kernel: how many files may be open, and the end of peers that are gone."""

import contextlib
import resource
import socket
import sys

RESERVED_DESCRIPTORS = 128
"""Listeners, database, index files, locks, the log, what libraries open, and connections that take
the place of others which are still being closed."""

MOST_DESCRIPTORS = 1 << 20
"""Linux' own ceiling (fs.nr_open); containers are given limits of a thousand times that."""

DESCRIPTORS_A_CONNECTION = 2
"""Its socket, and the message that it is being sent."""

KEEPALIVE_PROBES = 3
"""Without an answer, then the peer is gone: one or two may be lost on the way."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, where that is allowed.

    Returns:
        How many files this process may have open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A sandbox may forbid it; the soft limit stands then.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def capacity_under(connections: int, descriptors: int) -> int:
    """Return how many connections may be open at once.

    Args:
        connections: the operator's limit; 0 for none.
        descriptors: files that the process may have open.
    """
    possible = max(1, (descriptors - RESERVED_DESCRIPTORS) // DESCRIPTORS_A_CONNECTION)
    return min(connections, possible) if connections else possible


def end_dead_peers(watched: socket.socket, seconds: float) -> None:
    """Let the kernel end the connection of a peer that is gone (RFC 1122 4.2.3.6, RFC 5482).

    Args:
        watched: a connection's socket, or a listening one: connections begin with what it has.
        seconds: after which a dead peer must have been noticed, idle or not; 0 for never.
    """
    if not seconds:
        return
    watched.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform != "linux":
        return
    probe_s = max(1, int(seconds) // (2 * KEEPALIVE_PROBES))
    idle_s = max(1, int(seconds) - KEEPALIVE_PROBES * probe_s)
    for option, value in (
        (socket.TCP_KEEPIDLE, idle_s),
        (socket.TCP_KEEPINTVL, probe_s),
        (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
        (socket.TCP_USER_TIMEOUT, int(seconds * 1000)),
    ):
        watched.setsockopt(socket.IPPROTO_TCP, option, value)
