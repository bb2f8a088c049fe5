"""What the figures depend on: the machine, the versions, the commit."""

import os
import platform
import ssl
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bench.server.interpreter import serving_python
from tests.harness.programs import find_program

REPOSITORY = Path(__file__).parents[2]


def describe_machine() -> dict[str, str]:
    """Return what a reader must know to compare the figures with others."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "system": _system(),
        "Python": "{1} ({0})".format(*serving_python()),
        "OpenSSL of Python": ssl.OPENSSL_VERSION,
        "OpenSSL of Dovecot and the C programs": _first_line("openssl", "version"),
        "uvloop": _version("uvloop"),
        "cryptography": _version("cryptography"),
        "Dovecot": _first_line(find_program("dovecot"), "--version"),
        "load of others at the start (5 minutes)": f"{os.getloadavg()[1]:.2f}",
    }


def _commit() -> str:
    try:
        commit = _first_line("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")
    except subprocess.CalledProcessError:  # an archive, not a clone
        return "unknown"
    return commit


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]
