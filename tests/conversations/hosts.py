"""The servers that conversations are played against."""

from itertools import count
from pathlib import Path

from tests.harness.dovecot import RunningDovecot
from tests.harness.maildir import lay, make_maildir
from tests.harness.memory import MemoryServer
from tests.harness.site import PASSWORD, RunningSite

_places = count(1)


class MemoryHost:
    """Our server over the memory store."""

    password = PASSWORD
    judges_text = True

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self.pop3s, self.pop3, self.ca = server.pop3s, server.pop3, server.ca
        self._ids: dict[str, int] = {}

    def add_account(self, name: str) -> None:
        self._ids[name] = self._server.accounts.add(name)

    def deliver(self, account: str, message: bytes) -> object:
        return self._server.call(lambda: self._server.store.put(self._ids[account], message))

    def vanish(self, account: str, key: object) -> None:
        self._server.call(lambda: self._server.store.remove(self._ids[account], key))


class MaildirHost:
    """Our server as a process of its own over Maildirs that another program delivers into."""

    password = PASSWORD
    judges_text = True

    def __init__(self, site: RunningSite) -> None:
        self._site = site
        self.pop3s, self.pop3, self.ca = site.pop3s, site.pop3, site.ca

    def add_account(self, name: str) -> None:
        make_maildir(self._site.maildir(self._site.add_account(name)))

    def deliver(self, account: str, message: bytes) -> object:
        return lay(self._site.maildir(account), message, next(_places))

    def vanish(self, account: str, key: object) -> None:  # noqa: ARG002  # the key is enough
        Path(str(key)).unlink()


class DovecotHost:
    """Dovecot over Maildirs."""

    password = PASSWORD
    judges_text = False

    def __init__(self, dovecot: RunningDovecot, maildirs: Path, ca: Path) -> None:
        self._dovecot = dovecot
        self._maildirs = maildirs
        self.pop3s, self.pop3, self.ca = dovecot.pop3s, dovecot.pop3, ca

    def add_account(self, name: str) -> None:
        self._dovecot.own(make_maildir(self._maildirs / name))

    def deliver(self, account: str, message: bytes) -> object:
        path = lay(self._maildirs / account, message, next(_places))
        self._dovecot.own(path)
        return path.name

    def vanish(self, account: str, key: object) -> None:
        (found,) = (self._maildirs / account).rglob(f"{key}*")
        found.unlink()
