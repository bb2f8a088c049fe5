"""The servers that conversations are played against."""

from itertools import count
from pathlib import Path

from tests.harness.dovecot import RunningDovecot
from tests.harness.maildir import lay, make_maildir
from tests.harness.memory import MemoryServer
from tests.harness.site import PASSWORD, RunningSite

from mailkeep.values import AccountId, Uidl

_places = count(1)


class MemoryHost:
    """Our server over the memory store."""

    password = PASSWORD
    judges_text = True

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self.pop3s, self.pop3, self.ca = server.pop3s, server.pop3, server.ca
        self._ids: dict[str, AccountId] = {}

    def add_account(self, name: str) -> None:
        self._ids[name] = self._server.accounts.add(name)

    def deliver(self, account: str, message: bytes) -> str:
        put = self._server.store.put
        return self._server.call(lambda: put(self._ids[account], message)).decode()

    def vanish(self, account: str, key: str) -> None:
        uidl = Uidl(key.encode())
        self._server.call(lambda: self._server.store.remove(self._ids[account], uidl))


class MaildirHost:
    """Our server as a process of its own over Maildirs that another program delivers into."""

    password = PASSWORD
    judges_text = True

    def __init__(self, site: RunningSite) -> None:
        self._site = site
        self.pop3s, self.pop3, self.ca = site.pop3s, site.pop3, site.ca

    def add_account(self, name: str) -> None:
        make_maildir(self._site.maildir(self._site.add_account(name)))

    def deliver(self, account: str, message: bytes) -> str:
        return str(lay(self._site.maildir(account), message, next(_places)))

    def vanish(self, account: str, key: str) -> None:  # noqa: ARG002  # the key is enough
        Path(key).unlink()


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

    def deliver(self, account: str, message: bytes) -> str:
        path = lay(self._maildirs / account, message, next(_places))
        self._dovecot.own(path)
        return path.name

    def vanish(self, account: str, key: str) -> None:
        (found,) = (self._maildirs / account).rglob(f"{key}*")
        found.unlink()
