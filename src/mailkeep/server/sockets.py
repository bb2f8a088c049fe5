"""The listening sockets: bound here, or inherited from systemd (sd_listen_fds(3)).

An inherited socket is matched to its `[[listen]]` by the name of its service and by its address:
a unit and a settings file that disagree must not open a port that nobody expects.
"""

import errno
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailkeep.server.listener import Listener
from mailkeep.site import Endpoint, Listen

FIRST_INHERITED_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class CannotListen(Exception):
    """A port cannot be had.

    Attributes:
        hint: the next step.
    """

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that is open already: from systemd, or by whoever starts the server."""

    service: str
    socket: socket.socket


def inherit_sockets(environment: Mapping[str, str]) -> list[Inherited]:
    """Return the sockets that systemd passed to this process, by the names it gave them.

    Args:
        environment: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are looked at.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    inherited = []
    for place in range(count):
        descriptor = FIRST_INHERITED_DESCRIPTOR + place
        os.set_inheritable(descriptor, False)  # noqa: FBT003  # its only form
        name = names[place] if place < len(names) else "unknown"
        inherited.append(Inherited(name, socket.socket(fileno=descriptor)))
    return inherited


def open_listeners(
    listens: Sequence[Listen], inherited: Sequence[Inherited] = ()
) -> list[Listener]:
    """Return a listener for every `[[listen]]`; none accepts yet.

    Raises:
        CannotListen: a port is taken or forbidden, or an inherited socket is in no `[[listen]]`.
    """
    listeners: list[Listener] = []
    try:
        for settings, claimed in _claim(listens, inherited):
            opened = _bind(settings) if claimed is None else claimed.socket
            listeners.append(Listener(settings, opened))
    except CannotListen:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners


def share_listeners(
    listeners: Sequence[Listener], inherited: Sequence[Inherited], workers: int
) -> list[list[Listener]]:
    """Return the listeners of each worker.

    A socket that was bound here is the first worker's; each other one gets one of its own on the
    same address, and the kernel deals connections out among them (SO_REUSEPORT of socket(7), which
    lets in no other user's program). An inherited one is shared by all, and so is each where
    the kernel does not deal out.

    Args:
        listeners: what `open_listeners` returned.
        inherited: what it was given.
        workers: how many.

    Raises:
        CannotListen: the system does not allow it.
    """
    given = {id(one.socket) for one in inherited}
    shared = [list(listeners)]
    try:
        for _ in range(workers - 1):
            shared.append(others := [])
            for listener in listeners:
                alike = listener.socket
                if id(alike) not in given and sys.platform == "linux":
                    alike.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    alike = _bind(listener.settings, beside=listener)
                others.append(Listener(listener.settings, alike))
    except CannotListen:
        for listener in (one for each in shared for one in each):
            listener.socket.close()
        raise
    return shared


def _claim(
    listens: Sequence[Listen], inherited: Sequence[Inherited]
) -> list[tuple[Listen, Inherited | None]]:
    """Return every `[[listen]]` with its inherited socket, if there is one.

    Raises:
        CannotListen: an inherited socket is nobody's. That is found out before anything is bound,
            or the error would be that its port is taken.
    """
    unclaimed = list(inherited)
    claims: list[tuple[Listen, Inherited | None]] = []
    for settings in listens:
        claimed = next((one for one in unclaimed if _is_meant(one, settings)), None)
        if claimed is not None:
            unclaimed.remove(claimed)
        claims.append((settings, claimed))
    if unclaimed:
        raise _not_expected(unclaimed[0])
    return claims


def _is_meant(inherited: Inherited, settings: Listen) -> bool:
    return inherited.service == settings.service.value and settings.address == _endpoint(inherited)


def _endpoint(inherited: Inherited) -> Endpoint | None:
    if inherited.socket.family in {socket.AF_INET, socket.AF_INET6}:
        return Endpoint(*inherited.socket.getsockname()[:2])
    return None


def _not_expected(inherited: Inherited) -> CannotListen:
    return CannotListen(
        f"the inherited socket {inherited.service} {_endpoint(inherited)} is in no [[listen]]",
        hint="FileDescriptorName= is the service, and ListenStream= the address, of a [[listen]]",
    )


def _bind(settings: Listen, *, beside: Listener | None = None) -> socket.socket:
    endpoint = settings.address if beside is None else beside.endpoint
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if beside is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((endpoint.host, endpoint.port))
        bound.listen(1)  # a port that another program listens on is found out here at the latest
    except OSError as error:
        bound.close()
        what = f"cannot listen on {settings.service.value} {endpoint}: {error.strerror}"
        raise CannotListen(what, hint=_hint(error, endpoint)) from error
    return bound


def _hint(error: OSError, endpoint: Endpoint) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"another program listens there; `ss -ltnp sport = :{endpoint.port}` names it"
        case errno.EACCES:
            return "ports under 1024 come from systemd: use the socket units of the README"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; `ip address` lists those it has"
        case _:
            return "see what the system log says"
