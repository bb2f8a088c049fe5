"""Mailkeep as another user has it: one script, code and an interpreter that this user may read.

The checkout, the environment and even its interpreter often lie in somebody's closed home folder,
so what cannot be used in place is copied.
"""

import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.harness.programs import cannot_run, run
from tests.harness.site import SOURCE

INTERPRETERS = (sys.executable, "/usr/bin/python3")
"""Ours, else the system's: it may be of the same version, and everybody may run it."""

_NOT_NEEDED = shutil.ignore_patterns("*mypy*", "pip", "hypothesis", "pytest*", "__pycache__")


def install_for(user: str, folder: Path) -> Path:
    """Return a program `mailkeep` that a user can run.

    Args:
        user: who.
        folder: to write it into; the user must be able to look into it.
    """
    script = folder / "mailkeep"
    for paths in _code(folder):
        for interpreter in INTERPRETERS:
            script.write_text(
                "#!/bin/sh\n"
                f"export PYTHONPATH={shlex.quote(':'.join(map(str, paths)))}\n"
                f'exec {shlex.quote(interpreter)} -c "from mailkeep.cli import main; main()" "$@"\n'
            )
            script.chmod(0o755)
            if _works(script, user, folder):
                return script
    return cannot_run(f"no Python that {user} may run can import Mailkeep")


def _code(folder: Path) -> Iterator[tuple[Path, ...]]:
    """Yield where the code is, then where a copy of it is."""
    packages = Path(sysconfig.get_path("purelib"))
    yield SOURCE, packages
    copies = (folder / "source", folder / "packages")
    for original, copy in zip((SOURCE, packages), copies, strict=True):
        shutil.copytree(original, copy, ignore=_NOT_NEEDED)
        run(("chmod", "-R", "a+rX", copy))  # a checkout may be for its owner alone
    yield copies


def _works(script: Path, user: str, folder: Path) -> bool:
    try:
        return run((script, "--version"), user=user, folder=folder, check=False).returncode == 0
    except OSError:
        return False
