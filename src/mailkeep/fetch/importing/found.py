"""What an import finds: accounts as `fetch.toml` has them, and the messages that were seen before.

Nothing here knows a program's format, and nothing here holds a password.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from mailkeep.fetch.account import Account, Transport, host_name, parse_url
from mailkeep.fetch.failures import WrongSettings

Value = str | int | bool | list[str]
"""What a key of `fetch.toml` can be."""


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A message that the other program has fetched.

    Attributes:
        uidl: as the server says it, unless `is_mangled`.
        seen_at: when, in seconds since 1970; None where the program keeps no time.
        is_mangled: each `-` may have been a `/` (getmail writes one for the other), so the server's
            unique-id is compared as `uidl.replace(b"/", b"-")`.
        is_whole: False for a message of which only the beginning was fetched.
    """

    uidl: bytes
    seen_at: int | None
    is_mangled: bool = False
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class ImportedAccount:
    """One mailbox that another program fetches.

    Attributes:
        label: its name in the other program.
        url: `pop3s://user@host[:port]` or `pop3://...`.
        to: destinations; empty where the user must choose one.
        settings: further keys of `fetch.toml`.
        notes: for the user: what changes, and every key that could not be carried over.
        seen: what need not be fetched again.
        is_active: False for one that the other program did not fetch by itself, or that is known
            from its state alone.
    """

    label: str
    url: str
    to: tuple[str, ...]
    settings: Mapping[str, Value]
    notes: tuple[str, ...]
    seen: tuple[SeenMessage, ...]
    is_active: bool = True

    @property
    def account(self) -> Account:
        """What the URL names."""
        return parse_url(self.url)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program would ask the machine for, as text.

    Attributes:
        login: the name of who runs it.
        netrc: the text of the user's netrc file; empty where there is none.
        variables: the environment.
    """

    login: str = ""
    netrc: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    def has_password(self, host: str) -> bool:
        """Return whether the netrc file has a password for a host (netrc(5): machine)."""
        words = re.sub(r"(?m)^\s*#.*$", "", self.netrc).split()
        pairs = itertools.pairwise(words)
        return any(word == "machine" and same_host(name, host) for word, name in pairs)


@dataclass(frozen=True, slots=True)
class SeenGroup:
    """The state of one mailbox, as a state file names it.

    Attributes:
        where: the file.
        host: as written there; may lack what a file name cannot hold.
        port: where the state names one.
        damaged: how many lines could not be read.
    """

    where: str
    host: str
    user: str
    seen: tuple[SeenMessage, ...]
    port: int | None = None
    damaged: int = 0

    def notes(self) -> list[str]:
        """Return what a user should know of it."""
        if not self.damaged:
            return []
        return [f"{self.damaged} lines of {self.where} cannot be read: those messages come again"]


def account_url(transport: Transport, user: str, host: str, port: int | None) -> str:
    """Return the URL of a mailbox; `parse_url` gives the same back.

    Raises:
        WrongSettings: it would name none.
    """
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    scheme = Transport.STLS if transport is Transport.CLEARTEXT else transport
    usual = 995 if scheme is Transport.TLS else 110
    shown = "" if port in {None, usual} else f":{port}"
    try:
        url = f"{scheme.value}://{quote(user, safe='')}@{bracketed}{shown}"
    except UnicodeEncodeError as cause:
        raise WrongSettings("a user name has half a character in it") from cause
    parse_url(url)
    return url


def same_host(one: str, other: str) -> bool:
    """Return whether two spellings name the same host."""
    try:
        return host_name(one.strip("[]")) == host_name(other.strip("[]"))
    except WrongSettings:
        return one.casefold() == other.casefold()


def merge_seen(groups: Iterable[SeenGroup]) -> tuple[SeenMessage, ...]:
    """Return each message once, at the earliest time known, in the order of the files."""
    merged: dict[tuple[bytes, bool], SeenMessage] = {}
    for message in (message for group in groups for message in group.seen):
        key = (message.uidl, message.is_mangled)
        merged[key] = _both(merged.get(key, message), message)
    return tuple(merged.values())


def _both(one: SeenMessage, other: SeenMessage) -> SeenMessage:
    times = [at for at in (one.seen_at, other.seen_at) if at is not None]
    is_whole = one.is_whole or other.is_whole
    return SeenMessage(one.uidl, min(times, default=None), one.is_mangled, is_whole)


def decode_settings(octets: bytes) -> tuple[str, bool]:
    """Return the text of a file of settings, and whether it was UTF-8 (else it is Latin-1)."""
    octets = octets.removeprefix(b"\xef\xbb\xbf")
    try:
        return octets.decode(), True
    except UnicodeDecodeError:
        return octets.decode("latin-1"), False
