"""Mail that Mailkeep itself delivered: what `mailkeep deliver` makes of it is what both serve.

Dovecot gets a copy of the files, because it moves them from `new` to `cur` and Mailkeep does not.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.server import maildirs
from bench.server.people import PRIVATE_DOMAIN, Population
from bench.server.place import Place


def deliver_all(place: Place, population: Population) -> None:
    """Deliver a population's mail and give Dovecot the same files."""
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        files = _write(Path(folder), population)
        for address in population.addresses:
            command = (sys.executable, "-m", "mailkeep", "--site", place.site, "deliver", address)
            subprocess.run((*command, *files), check=True)
    copy = place.dovecot / "mail" / PRIVATE_DOMAIN
    shutil.copytree(place.mail / PRIVATE_DOMAIN, copy, dirs_exist_ok=True)
    maildirs.give_away(copy, place.user)


def _write(folder: Path, population: Population) -> list[Path]:
    files = []
    for number, text in enumerate(maildirs.texts(population.messages, population.octets)):
        files.append(folder / str(number))
        files[-1].write_bytes(text)
    return files
