"""`mailkeep demo`: a site in a temporary folder that anybody can try at once.

Its ports are listened on before the site is made: nobody can take them in between.
"""

import shlex
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from mailkeep.accounts.generated import generate_password
from mailkeep.cli.deliver import deliver_message
from mailkeep.cli.demo_mail import generate_mail
from mailkeep.cli.init import make_site, settings_text
from mailkeep.cli.serving import Listening, run_server
from mailkeep.cli.site_option import open_accounts
from mailkeep.cli.talk import say, show, show_table
from mailkeep.site import Service, Site, read_site

_HOST = "127.0.0.1"
_PORTS = {Service.POP3S: 9950, Service.POP3: 1110}
"""Taken when they are free, so that a pasted line works again after a restart."""

_DOMAIN = "example.org"
_ACCOUNTS = {"alice": None, "bob": 3}
"""How many messages each gets; `None` for one of every kind."""

_EXIT_SIGTERM = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class _Login:
    """What a visitor needs."""

    address: str
    password: str
    messages: int


def demo() -> None:
    """Try Mailkeep: serve two accounts with real-looking mail from a temporary folder."""
    from mailkeep.server import Inherited

    signal.signal(signal.SIGTERM, _end)  # until the server takes it over
    with _temporary_folder() as folder, ExitStack() as held:
        sockets = {name: held.enter_context(_listening(port)) for name, port in _PORTS.items()}
        listeners = [(name, f"{_HOST}:{one.getsockname()[1]}") for name, one in sockets.items()]
        text = f'default_domain = "{_DOMAIN}"\n' + settings_text("localhost", listeners)
        make_site(folder, text)
        site = read_site(folder)
        logins = [_add_login(site, name, count) for name, count in _ACCOUNTS.items()]
        run_server(
            site,
            lambda listening: _show(folder / "tls" / "ca.pem", logins, listening),
            inherited=[Inherited(name.value, one) for name, one in sockets.items()],
        )


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(_EXIT_SIGTERM)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mailkeep-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        say(f"removed {folder}")


def _listening(wanted: int) -> socket.socket:
    """Return a socket that listens on a port, or on any if somebody has that one."""
    try:
        return socket.create_server((_HOST, wanted))
    except OSError:
        return socket.create_server((_HOST, 0))


def _add_login(site: Site, name: str, count: int | None) -> _Login:
    """Make an account with a random password and put messages into its maildrop."""
    address = site.address(name)
    secret = generate_password()
    with open_accounts(site) as directory:
        directory.add(address, secret)
    mail = list(islice(generate_mail(str(address), until=datetime.now(UTC)), count))
    for message in mail:
        deliver_message(site, address, BytesIO(message))
    return _Login(str(address), secret.reveal().decode(), len(mail))


def _fetch_line(authority: Path, login: _Login, pop3s: int) -> str:
    """Return a line that fetches an account's mail into the demonstration's folder."""
    program = "mailkeep" if shutil.which("mailkeep") else shlex.quote(sys.argv[0])
    folder = authority.parent.parent
    url = f"pop3s://{quote(login.address, safe='')}@localhost:{pop3s}"
    return (
        f"echo '{login.password}' | {program} fetch {url} --to maildir:{folder}/fetched"
        f" --state {folder}/fetch --ca {authority} --password-stdin"
    )


def _show(authority: Path, logins: list[_Login], listening: Listening) -> None:
    """Print what a visitor may paste."""
    ports = {service: address.port for service, address in listening}
    pop3s, pop3 = ports[Service.POP3S], ports[Service.POP3]
    first = logins[0]
    curl = f"curl --cacert {authority} --user '{first.address}:{first.password}'"
    openssl = (
        f"openssl s_client -CAfile {authority} -verify_return_error -verify_hostname localhost"
    )
    show("Mail is served on this machine while this runs. Ctrl-C ends it and removes everything.\n")
    rows = [(login.address, login.password, login.messages) for login in logins]
    show_table(("ADDRESS", "PASSWORD", "MESSAGES"), rows)
    show(f"\nThe authority that signed the server's certificate: {authority}\n")
    show("POP3S: list the mail, read message 1\n")
    show(f"  {curl} pop3s://localhost:{pop3s}/")
    show(f"  {curl} pop3s://localhost:{pop3s}/1\n")
    show("Fetch it into files: each message once, and nothing is deleted\n")
    show(f"  {_fetch_line(authority, first, pop3s)}\n")
    show("POP3, encrypted by STLS before the password is sent\n")
    show(f"  {curl} --ssl-reqd pop3://localhost:{pop3}/\n")
    show("By hand: type USER, PASS, LIST, RETR 1, QUIT\n")
    show(f"  {openssl} -crlf -quiet -connect localhost:{pop3s}")
    show(f"  {openssl} -crlf -quiet -starttls pop3 -connect localhost:{pop3}\n")
    show_table(
        ("SETTING", "THUNDERBIRD", "OUTLOOK"),
        [
            ("Account type", "POP3", "POP"),
            ("Incoming server", "localhost", "localhost"),
            ("Port", pop3s, pop3s),
            ("Encryption", "SSL/TLS", "SSL/TLS"),
            ("Authentication", "Normal password", "without SPA"),
            ("User name", first.address, first.address),
            (
                "Trust ca.pem",
                "Settings, Certificates, Authorities",
                "certutil -user -addstore Root",
            ),
        ],
    )
    show("")
    sys.stdout.flush()
