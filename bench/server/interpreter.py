"""Which Python Mailkeep runs on while it is measured: that of the distribution, if it can.

Dovecot is the distribution's too, built as its packagers think best. A Python that somebody built
beside it for development is often built without optimisation, and sessions cost up to a third more.
The packages are those of the environment that runs this.
"""

import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

SYSTEM = Path("/usr/bin/python3")
SOURCES = Path(__file__).parents[2] / "src"

_VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


@cache
def serving_python() -> tuple[Path, str]:
    """Return the interpreter and its version."""
    own = Path(sys.executable), sys.version.split()[0]
    if not SYSTEM.exists():
        return own
    asked = subprocess.run((SYSTEM, "-c", _VERSION), capture_output=True, text=True, check=True)
    version = asked.stdout.strip()
    is_alike = version.rpartition(".")[0] == own[1].rpartition(".")[0]  # packages are made for one
    return (SYSTEM, version) if is_alike else own


def environment() -> dict[str, str]:
    """Return its variables, so that it finds the packages; `PYTHONPATH` may name other sources."""
    folders = [os.environ.get("PYTHONPATH", ""), str(SOURCES)]
    folders += [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    found = os.pathsep.join(dict.fromkeys(filter(None, folders)))
    return {**os.environ, "PYTHONPATH": found}
