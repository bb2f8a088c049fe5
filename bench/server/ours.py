"""Mailkeep as it is measured: as an operator runs it, but for what stands here.

The door, the audit trail, the log and the metrics are on, fsync is on.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.server.figures import Side
from bench.server.interpreter import environment, serving_python
from bench.server.place import HOSTNAME, Place
from bench.server.running import Server, started

from mailkeep.cli.init import make_site, settings_text
from mailkeep.site import Service, Site, read_site

LIMITS = """
[maildrops]
path = "{mail}/{{domain}}/{{local}}"

[limits]
connections = 20000           # ten thousand sessions and some
connections_per_prefix = 0    # all load comes from one address
password_memory_s = 3600      # Dovecot's auth_cache_ttl: no argon2 after the first login of a user
"""

ONE_WORKER = "\n[serve]\nworkers = 1\n"
"""Servers have one core; a second worker would only wait for the first."""


def settings(mail: Path) -> str:
    """Return the text of `mailkeep.toml`.

    Args:
        mail: where the Maildirs are.
    """
    listening = settings_text(HOSTNAME, [(Service.POP3S, "127.0.0.1:0")])
    return listening + LIMITS.format(mail=mail) + ONE_WORKER


def make_site_beside(place: Place, folder: Path) -> Site:
    """Make another site with the same certificate and mail, and accounts of its own."""
    make_site(folder, settings(place.mail))
    shutil.copytree(place.tls, folder / "tls", dirs_exist_ok=True)
    return read_site(folder)


@contextlib.contextmanager
def running_mailkeep(place: Place, *, site: Path | None = None, more: str = "") -> Iterator[Server]:
    """Serve a site for as long as the caller needs it.

    Args:
        place: the run's.
        site: another one than the place's.
        more: settings beside the others, whole tables.
    """
    site = site or place.site
    log = place.folder / f"{site.name}.log"
    (site / "mailkeep.toml").write_text(settings(place.mail) + more)
    python, _ = serving_python()
    command = (python, "-m", "mailkeep", "--site", site, "serve")
    with started(command, log, lambda text: "\nready\n" in f"\n{text}", environment()) as pid:
        yield Server(Side.OURS, pid, _port(log), log, place.ca)


def _port(log: Path) -> int:
    found = re.search(r"^listening pop3s \S+:(\d+)$", log.read_text(), re.MULTILINE)
    assert found, log.read_text()
    return int(found[1])
