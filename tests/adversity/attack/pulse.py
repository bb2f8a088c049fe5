"""A session that is open all the while: a process that says NOOP every 20 ms and times the answer.

    python -m tests.adversity.attack.pulse < ORDERS

It blocks, so that nothing in it waits but for the server. The times, in seconds, are printed as
JSON.
"""

import json
import socket
import sys
import time
from dataclasses import asdict, dataclass

from tests.adversity.attack.client import careless_context
from tests.adversity.attack.plan import LISTENED_ON

EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Orders:
    """Where to log in, and for how long to stay."""

    seconds: float
    port: int
    source: str
    name: str
    password: str

    def text(self) -> str:
        """Return what the process reads."""
        return json.dumps(asdict(self))


def stay(orders: Orders) -> list[float]:
    """Log in, say that it is so, and return how long each NOOP took."""
    address = (LISTENED_ON, orders.port)
    with socket.create_connection(address, 60, source_address=(orders.source, 0)) as plain:
        context = careless_context()
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.recv(1000)
            _ask(client, b"USER %b" % orders.name.encode())
            answer = _ask(client, b"PASS %b" % orders.password.encode())
            if not answer.startswith(b"+OK"):
                raise SystemExit(f"not let in: {answer!r}")
            print("ready", flush=True)  # noqa: T201  # whoever started it waits for that
            return _beat(client, orders.seconds)


def _beat(client: socket.socket, seconds: float) -> list[float]:
    took: list[float] = []
    start = time.perf_counter()
    while (now := time.perf_counter()) < start + seconds:
        _ask(client, b"NOOP")
        took.append(time.perf_counter() - now)
        time.sleep(max(0.0, EVERY_S - took[-1]))
    return took


def _ask(client: socket.socket, command: bytes) -> bytes:
    client.sendall(command + b"\r\n")
    answer = b""
    while not answer.endswith(b"\n"):
        if not (more := client.recv(1000)):
            raise SystemExit(f"closed after {answer!r}")
        answer += more
    return answer


if __name__ == "__main__":
    print(json.dumps(stay(Orders(**json.load(sys.stdin)))))  # noqa: T201  # a program's answer
