"""The load program: what it is told and what it says. An error of its own is never a figure."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.server.people import PASSWORD, Population
from bench.server.place import Place
from bench.server.running import Server

RUN_LIMIT_S = 300.0
"""No run is meant to take longer than half a minute; a server that hangs must not hang the run."""

AWAKE = ("--awake",)
"""The load program asks the kernel again and again instead of sleeping. To wake a core that sleeps
costs a server on the same machine an interrupt for each answer, which nobody pays on a network."""


class LoadFailed(Exception):
    """The load program met an error: what it would have measured is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did.

    Attributes:
        units: sessions, or what the script counts.
        wall_s: it took so long.
        idle_share: of the load program's core: near 0 it is the limit and not the server.
        latencies_ms: `median`, `p99`, `max`, where the script notes them.
    """

    units: float
    wall_s: float
    idle_share: float
    latencies_ms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the last line of what the program wrote.

        Raises:
            LoadFailed: it says that something went wrong, or nothing at all.
        """
        lines = text.strip().splitlines()
        try:
            said: dict[str, Any] = json.loads(lines[-1])
            if said["errors"]:
                raise LoadFailed(f"{said['errors']} errors, the first: {said['first_error']}")
            if not said["units"]:
                raise LoadFailed("nothing was done")
            return cls(
                float(said["units"]),
                float(said["wall_s"]),
                float(said["idle_share"]),
                dict(said.get("latency_ms") or {}),
            )
        except (IndexError, KeyError, TypeError, ValueError) as cause:
            raise LoadFailed(f"the load program wrote {text[-300:]!r}") from cause


@dataclass(frozen=True, slots=True)
class LoadProgram:
    """The compiled program."""

    path: Path

    @classmethod
    def of(cls, place: Place) -> Self:
        """Return the one that was compiled for a run."""
        return cls(place.programs / "load")

    def run(
        self,
        server: Server,
        script: str,
        population: Population,
        *,
        connections: int,
        seconds: int | None = None,
        units: int | None = None,
        options: Sequence[str] = (),
    ) -> Report:
        """Load a server once.

        Args:
            server: which.
            script: of the program.
            population: who logs in.
            connections: at a time.
            seconds: for so long.
            units: so many instead; neither: until the script is done.
            options: more of the program's.

        Raises:
            LoadFailed: anything went wrong, with the server or with the program.
        """
        words = (*self._words(server, script, population, connections), *options)
        if seconds is not None:
            words += ("--seconds", str(seconds))
        if units is not None:
            words += ("--units", str(units))
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as cause:
            raise LoadFailed(f"{script}: not done after {RUN_LIMIT_S:.0f} s") from cause
        return _report(server, script, done.stdout, done.stderr, done.returncode)

    @contextlib.contextmanager
    def holding(
        self,
        server: Server,
        script: str,
        population: Population,
        *,
        connections: int,
        options: Sequence[str] = (),
    ) -> Iterator[None]:
        """Hold sessions open; the caller has them from when all are logged in until it is done.

        Args:
            server: which.
            script: one that holds sessions.
            population: who logs in, each user once.
            connections: how many.
            options: more of the script's.

        Raises:
            LoadFailed: not all could log in, or one broke.
        """
        words = (*self._words(server, script, population, connections), *options)
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            try:
                if first.startswith("ready "):
                    yield
            finally:
                stdout, stderr = process.communicate(timeout=RUN_LIMIT_S)
            _report(server, script, first + stdout, stderr, process.returncode)
            if not first.startswith("ready "):
                raise LoadFailed(f"{script}: not ready: {first!r} {stderr[-300:]}")

    def _words(
        self, server: Server, script: str, population: Population, connections: int
    ) -> tuple[str | Path, ...]:
        return (
            *(self.path, "--host", server.host, "--port", str(server.port)),
            *("--ca", server.ca, "--script", script, "--connections", str(connections)),
            *("--users", str(population.users), "--user-format", population.user_format),
            *("--password", PASSWORD),
        )


def _report(server: Server, script: str, stdout: str, stderr: str, code: int) -> Report:
    who = f"{script} against {server.side.value}"
    try:
        report = Report.read(stdout)
    except LoadFailed as cause:
        raise LoadFailed(f"{who}: {cause} {stderr[-300:]}".rstrip()) from cause
    if code:
        raise LoadFailed(f"{who}: exit {code} {stderr[-300:]}".rstrip())
    return report
