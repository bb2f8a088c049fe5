"""mpop, fetchmail and getmail6, each set to its best: verified TLS, and no step that it can spare.

Sources: mpop(1), fetchmail(1), getmail's configuration manual, and for their states the files that
they write themselves.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.fetch.programs import Command, Program, Workspace, found
from tests.harness.programs import unprivileged_user

GETMAIL_TIMEOUT_S = 10
"""getmail delivers in a child process, and when that ends too early it waits so long for a signal
that has come already, and gives up. Its own default is three minutes."""


@dataclass(frozen=True, slots=True)
class Mpop:
    """mpop with pipelining, into a Maildir of its own."""

    name: str = "mpop"
    durability: str = "file yes, folder no"

    def find(self) -> Path | None:
        """Return where it is."""
        return found(self.name)

    def prepare(self, work: Workspace) -> Command:
        """Write a settings file as its manual shows it."""
        settings = {
            "account": "default",
            "host": "localhost",
            "port": work.port,
            "tls": "on",
            "tls_starttls": "off",
            "tls_trust_file": work.ca,
            "user": work.account,
            "password": work.password,
            "pipelining": "on",
            "received_header": "off",
            "delivery": f"maildir {work.maildir}",
            "uidls_file": work.folder / "uidls",
            "keep": "on",
        }
        text = "".join(f"{key} {value}\n" for key, value in settings.items())
        return Command(("mpop", "--file", work.write("mpoprc", text), "--quiet"))

    def remember(self, work: Workspace, unique_ids: list[str]) -> None:
        """Write `uidls`: a head of count, host and user, then the ids, sorted.

        Later versions add a time to each; 1.4.18 does not know one.
        """
        head = f" {len(unique_ids)} localhost {work.account}\n"
        work.write("uidls", head + "".join(f"{uid}\n" for uid in sorted(unique_ids)))


@dataclass(frozen=True, slots=True)
class Fetchmail:
    """fetchmail, which stores nothing itself: each message goes to a command.

    The command is the cheapest that there is: fetchmail starts a shell for it in any case, and that
    shell becomes `cat` into a new file, named after its process. No delivery program does less
    (procmail, maildrop and dovecot-lda parse, lock and rename), none syncs less, and `set -C` makes
    it refuse a name that is taken. So this is fetchmail at its fastest, not as it should be used.

    The sizes of all messages are asked for at once; by default fetchmail asks for each.
    """

    name: str = "fetchmail"
    durability: str = "left to the command; cat does nothing"

    def find(self) -> Path | None:
        """Return where it is."""
        return found(self.name)

    def prepare(self, work: Workspace) -> Command:
        """Write a settings file as its manual shows it."""
        text = f"""
            set idfile "{work.folder}/ids"
            set pidfile "{work.folder}/pid"
            set no syslog
            set invisible
            poll localhost protocol pop3 port {work.port} uidl no dns
              username "{work.account}" password "{work.password}"
              ssl sslcertck sslcertfile "{work.ca}"
              keep fetchsizelimit 0 no rewrite no stripcr
              mda "set -C; exec cat >{work.maildir}/new/$$"
        """
        words = ("fetchmail", "-f", work.write("fetchmailrc", text), "--nosyslog")
        return Command(words, nothing_new=1)  # PS_NOMAIL

    def remember(self, work: Workspace, unique_ids: list[str]) -> None:
        """Write the id file: an account and an id each."""
        account = f"{work.account}@localhost"
        work.write("ids", "".join(f"{account} {uid}\n" for uid in unique_ids))


@dataclass(frozen=True, slots=True)
class Getmail:
    """getmail 6, into a Maildir, as a user that is not root: it refuses root."""

    name: str = "getmail"
    durability: str = "file yes, folder no"

    def find(self) -> Path | None:
        """Return where it is."""
        return found(self.name)

    def prepare(self, work: Workspace) -> Command:
        """Write a settings file as its manual shows it."""
        text = f"""[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {work.port}
timeout = {GETMAIL_TIMEOUT_S}
username = {work.account}
password = {work.password}
ca_certs = {work.ca}
[destination]
type = Maildir
path = {work.maildir}/
[options]
delete = false
read_all = false
delivered_to = false
received = false
"""
        settings = work.write("getmailrc", text)
        words = ("getmail", "--quiet", "--getmaildir", work.folder, "--rcfile", settings)
        user = unprivileged_user()
        if user is not None:
            work.own(user)
        return Command(words, user=user, idle_s=GETMAIL_TIMEOUT_S)

    def remember(self, work: Workspace, unique_ids: list[str]) -> None:
        """Write `oldmail-SERVER-PORT-USER`: an id, NUL and a time each."""
        now = int(time.time())
        name = f"oldmail-localhost-{work.port}-{work.account}"
        work.write(name, "".join(f"{uid}\0{now}\n" for uid in unique_ids))


RIVALS: tuple[Program, ...] = (Mpop(), Fetchmail(), Getmail())
