"""Out of descriptors (accept(2), EMFILE): accepting pauses, nothing spins, it recovers."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GREETING = b"+OK POP3 ready\r\n"
DEADLINE_S = 20


class Child:
    """A crowded server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def tell(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def report(self) -> tuple[float, int]:
        """Return CPU seconds, and how often accepting was paused."""
        cpu_s, paused = self.tell("report").split()
        return float(cpu_s), int(paused)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)


@contextmanager
def _crowded(loop: str) -> Iterator[Child]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.adversity.crowded", loop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_without_descriptors_accepting_pauses_and_then_goes_on(loop: str) -> None:
    """Clients wait in the kernel's queue; who is inside is served; the processor rests."""
    with _crowded(loop) as child, closing(child.connect()) as inside:
        assert inside.recv(100) == GREETING
        child.tell("squeeze 2")
        crowd = [child.connect() for _ in range(6)]
        assert [one.recv(100) for one in crowd[:2]] == [GREETING] * 2
        cpu_before, _ = child.report()
        crowd[2].settimeout(1.5)
        with pytest.raises(TimeoutError):
            crowd[2].recv(100)
        cpu_after, paused = child.report()
        assert cpu_after - cpu_before < 0.3
        assert 1 <= paused <= 5
        inside.sendall(b"CAPA\r\n")
        assert inside.recv(4096).startswith(b"+OK ")
        child.tell("release")
        for one in crowd[2:]:
            one.settimeout(DEADLINE_S)
            assert one.recv(100) == GREETING
        for one in crowd:
            one.close()


def test_a_place_that_becomes_free_is_taken_before_the_pause_is_over() -> None:
    """Somebody leaves, so there is a descriptor again."""
    with _crowded("asyncio") as child, closing(child.connect()) as inside:
        assert inside.recv(100) == GREETING
        child.tell("squeeze 0")
        with closing(child.connect()) as waiting:
            inside.sendall(b"QUIT\r\n")
            assert inside.recv(100) == b"+OK bye\r\n"
            assert waiting.recv(100) == GREETING
