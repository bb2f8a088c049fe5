"""The C responder: what TLS and the kernel cost when a server does not think at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.server.figures import Side
from bench.server.place import Place
from bench.server.running import Server, started
from tests.harness.programs import free_ports


@contextlib.contextmanager
def running_floor(place: Place, messages: Path, count: int) -> Iterator[Server]:
    """Serve the messages of a folder to everybody, for as long as the caller needs it."""
    (port,) = free_ports(1)
    log = place.folder / "responder.log"
    command: tuple[str | Path, ...] = (
        *(place.programs / "responder", "--host", port.host, "--port", str(port.number)),
        *("--cert", place.tls / "server.pem", "--key", place.tls / "server.key"),
        *("--messages", messages, "--count", str(count)),
    )
    with started(command, log, lambda text: "ready" in text) as pid:
        yield Server(Side.FLOOR, pid, port.number, log, place.ca, port.host)
