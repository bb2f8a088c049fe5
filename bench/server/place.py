"""The folder that a run works in, and everything in it that all servers share.

tls/          the certificate and key that all three servers show, and their authority
mail/DOMAIN/  Maildirs: those of one domain are served by both, those of another by Mailkeep
mailkeep/     the site
dovecot/      configuration, indexes, and Maildirs of the domain that is not shared
floor/        messages for the C responder
bin/          the C programs
"""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.server import maildirs
from bench.server.people import PRIVATE_DOMAIN, SHARED_DOMAIN, Population
from tests.harness.programs import unprivileged_user

from mailkeep.cli.init import make_site
from mailkeep.site import Site, read_site

HOSTNAME = "mail.example.com"

SOURCES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run works.

    Attributes:
        folder: everything.
        user: whom Dovecot reads mail as; None for whoever runs this.
    """

    folder: Path
    user: str | None = field(default_factory=unprivileged_user)

    @property
    def mail(self) -> Path:
        """Mailkeep's Maildirs."""
        return self.folder / "mail"

    @property
    def site(self) -> Path:
        """Mailkeep's site."""
        return self.folder / "mailkeep"

    @property
    def dovecot(self) -> Path:
        """All that is Dovecot's."""
        return self.folder / "dovecot"

    @property
    def tls(self) -> Path:
        """`ca.pem`, `server.pem`, `server.key`."""
        return self.site / "tls"

    @property
    def ca(self) -> Path:
        """The authority, where everybody may read it."""
        return self.folder / "ca.pem"

    @property
    def programs(self) -> Path:
        """The compiled programs."""
        return self.folder / "bin"

    def open_site(self) -> Site:
        """Return the site with its settings."""
        return read_site(self.site)


def make_place(folder: Path, settings: str) -> Place:
    """Make everything but accounts and mail, and compile the programs.

    Args:
        folder: empty; others may look into it.
        settings: the text of Mailkeep's settings.
    """
    place = Place(folder)
    make_site(place.site, settings)
    shutil.copy(place.tls / "ca.pem", place.ca)
    place.ca.chmod(0o644)
    (place.mail / SHARED_DOMAIN).mkdir(parents=True)
    (place.dovecot / "mail").mkdir(parents=True)
    (place.dovecot / "mail" / SHARED_DOMAIN).symlink_to(place.mail / SHARED_DOMAIN)
    (place.dovecot / "mail" / PRIVATE_DOMAIN).mkdir()
    (place.dovecot / "index").mkdir()
    maildirs.give_away(place.dovecot / "index", place.user)
    place.programs.mkdir()
    for name in ("load", "responder"):
        compile_program(SOURCES / f"{name}.c", place.programs / name)
    return place


def compile_program(source: Path, program: Path) -> None:
    """Compile one of the C programs.

    Raises:
        subprocess.CalledProcessError: the compiler refused it, or is not there.
    """
    command = ("cc", "-O2", "-Wall", "-Wextra", "-o", program, source)
    subprocess.run((*command, "-lssl", "-lcrypto", "-lpthread"), check=True)


def write_mail(place: Place, populations: Iterable[Population]) -> None:
    """Write the Maildirs of populations whose mail both servers share."""
    for population in populations:
        if population.messages and not population.is_private:
            maildirs.fill_all(place.mail, population)
    maildirs.give_away(place.mail / SHARED_DOMAIN, place.user)
    maildirs.give_away(place.dovecot / "mail" / PRIVATE_DOMAIN, place.user)


def write_floor_messages(place: Place, population: Population) -> Path:
    """Write what the C responder serves: the messages of one maildrop; returns their folder."""
    folder = place.folder / "floor" / population.name
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(maildirs.texts(population.messages, population.octets)):
        (folder / f"{number:06}").write_bytes(text)
    return folder
