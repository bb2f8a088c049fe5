"""A Mailkeep site that is really served: its own process, real TLS, free ports.

The site is made and filled by the functions that the commands call; with a `user` everything runs
as that user, in real processes. It must not know what the tests then do with it.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.harness.client import WireClient, logged_in
from tests.harness.programs import Background, Port

from mailkeep import app
from mailkeep.cli.deliver import deliver_message
from mailkeep.cli.init import make_site, settings_text
from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.site import Service, Site, read_site
from mailkeep.values import Secret

HOSTNAME = "mail.example.test"
PASSWORD = "correct horse battery"  # with spaces, as people have them
SOURCE = Path(__file__).parents[2] / "src"

ROOM_FOR_TESTS = {"connections_per_prefix": 2000, "connections_per_account": 200}
"""All clients of a test come from one address; the door itself stays on."""

LOOPBACK_IS_TRUSTED = '[door]\nallow = ["127.0.0.0/8", "::1"]\n'
"""Tests guess wrong on purpose, all from there."""

MAILKEEP = (sys.executable, "-W", "error", "-c", "from mailkeep.cli import main; main()")
"""How `mailkeep` is started from a checkout, installed or not; any warning ends it."""


def python_path() -> dict[str, str]:
    """Return the environment in which `MAILKEEP` finds its code."""
    return {"PYTHONPATH": os.pathsep.join([str(SOURCE), *filter(None, sys.path)])}


class RunningSite:
    """One site and the process that serves it."""

    def __init__(
        self,
        folder: Path,
        *,
        maildrops: str | None = None,
        limits: Mapping[str, int] = ROOM_FOR_TESTS,
        settings_more: str = "",
        workers: int = 1,
    ) -> None:
        """Make a site and serve it.

        Args:
            folder: the site's, made here.
            maildrops: what `maildrops.path` says; the default unless given.
            limits: what `[limits]` says; with `{}` the site is as an operator would have it, and
                its door does not trust loopback either.
            settings_more: further text for `mailkeep.toml`, whole tables; not `[limits]`.
            workers: what `serve.workers` says.
        """
        both = ((Service.POP3S, "127.0.0.1:0"), (Service.POP3, "127.0.0.1:0"))
        text = settings_text(HOSTNAME, both) + f"\n[serve]\nworkers = {workers}\n"
        if maildrops is not None:
            text += f'\n[maildrops]\npath = "{maildrops}"\n'
        if limits:
            lines = (f"{key} = {value}\n" for key, value in limits.items())
            text += "\n[limits]\n" + "".join(lines) + LOOPBACK_IS_TRUSTED
        make_site(folder, f"{text}\n{settings_more}")
        self.folder = folder
        self.ca = folder / "tls" / "ca.pem"
        self.site: Site = read_site(folder)
        self._serve()

    @property
    def pid(self) -> int:
        """The process that `mailkeep serve` is."""
        return self._serving.pid

    def wait_for(self, words: str, times: int = 1) -> None:
        """Return when so many lines of the log have had these words in them."""
        found = 0

        def matches(line: str) -> bool:
            nonlocal found
            found += words in line
            return found >= times

        self._serving.wait_for(matches, f"{words} ({times})")

    def wait(self) -> int:
        """Return the server's exit code when it has ended by itself."""
        return self._serving.wait()

    @property
    def log(self) -> str:
        """What `mailkeep serve` has written."""
        return self._serving.log

    def add_account(self, name: str, password: str = PASSWORD) -> str:
        """Add an account and return its name, beside the running server."""
        with app.open_accounts(self.site) as directory:
            scram_main = self.site.settings.login.scram_main
            directory.add(self.site.address(name), Secret(password.encode()), scram_main=scram_main)
        if scram_main:
            self.tell_changed()
        return name

    def tell_changed(self) -> None:
        """Tell the server, as commands do, that accounts were changed beside it."""
        assert app.tell_server(self.site, {"notice": "accounts"})

    def deliver(self, name: str, *messages: bytes) -> None:
        """Deliver messages as `mailkeep deliver` does."""
        address = self.site.address(name)
        for message in messages:
            deliver_message(self.site, address, io.BytesIO(message))

    def maildir(self, name: str) -> Path:
        """Return an account's Maildir."""
        paths = MaildirPaths(self.folder, self.site.settings.maildrops.path)
        return paths.of(self.site.address(name))

    def session(self, name: str) -> "contextlib.AbstractContextManager[WireClient]":
        """Log in over POP3S."""
        return logged_in(self.pop3s, self.ca, name, PASSWORD)

    def restart(self) -> None:
        """End the server and start it anew, on other ports."""
        assert self.stop() == 0, self.log
        self._serve()

    def restart_after_death(self) -> None:
        """Start the server anew when it has ended."""
        self._serve()

    def stop(self) -> int:
        """End the server and return its exit code."""
        return self._serving.stop()

    def _serve(self) -> None:
        self._serving = start_serving(self.folder)
        self.pop3s = listening_port(self._serving, Service.POP3S)
        self.pop3 = listening_port(self._serving, Service.POP3)


def start_serving(
    site: Path,
    *,
    program: Sequence[str | Path] = MAILKEEP,
    user: str | None = None,
    folder: Path | None = None,
) -> Background:
    """Start `mailkeep serve` and return when it is ready.

    Args:
        site: the site's folder.
        program: how `mailkeep` is started.
        user: who it runs as; whoever runs the tests unless given.
        folder: where it is started.
    """
    arguments = (*program, "--site", site, "serve")
    serving = Background(arguments, user=user, folder=folder, environment=python_path())
    serving.wait_until_ready("ready")
    return serving


def listening_port(serving: Background, service: Service) -> Port:
    """Return where a server says that it listens."""
    start = f"listening {service.value} "
    line = serving.wait_for(lambda line: line.startswith(start), start)
    host, _, number = line.removeprefix(start).rpartition(":")
    return Port(host, int(number))


@contextlib.contextmanager
def running_site(
    folder: Path,
    *,
    maildrops: str | None = None,
    limits: Mapping[str, int] = ROOM_FOR_TESTS,
    settings_more: str = "",
    workers: int = 1,
) -> Iterator[RunningSite]:
    """Serve a new site for as long as the caller needs it; it must end well."""
    site = RunningSite(
        folder, maildrops=maildrops, limits=limits, settings_more=settings_more, workers=workers
    )
    try:
        yield site
    finally:
        code = site.stop()
    assert code == 0, site.log
    assert "internal error" not in site.log, site.log
