"""mpop: its settings (mpop(1), "USAGE") and its files of unique-ids.

Text and octets in, values out. Commands that a settings file names (`eval`, `passwordeval`) are
never run; a line of `eval` is therefore left out and noted.

Known limit: a line of `eval` may have been any setting.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mailkeep.fetch.account import Transport
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.draft import Draft
from mailkeep.fetch.importing.found import (
    ImportedAccount,
    SeenGroup,
    SeenMessage,
    Surroundings,
    same_host,
)

PROGRAM = "mpop"
UIDLS_FILE = "~/.mpop_uidls/%U_at_%H"
"""Where mpop keeps its state unless `uidls_file` says otherwise."""

_SWITCHES = frozenset({
    "keep", "tls", "tls_starttls", "tls_certcheck", "only_new", "received_header", "auth",
})  # fmt: skip
"""Commands for which no argument means `on`."""
_COMMANDS = _SWITCHES | {
    "delivery", "eval", "filter", "host", "killsize", "ntlmdomain", "password", "passwordeval",
    "pipelining", "port", "proxy_host", "proxy_port", "skipsize", "socket", "source_ip", "timeout",
    "tls_cert_file", "tls_crl_file", "tls_fingerprint", "tls_host_override", "tls_key_file",
    "tls_min_dh_prime_bits", "tls_priorities", "tls_trust_file", "uidls_file", "user",
    "connect_timeout", "tls_nocertcheck", "tls_force_sslv3", "tls_nostarttls",
}  # fmt: skip
_MECHANISMS = {
    "user": "USER",
    "plain": "PLAIN",
    "scram-sha-256": "SCRAM-SHA-256",
    "scram-sha-256-plus": "SCRAM-SHA-256-PLUS",
    "oauthbearer": "OAUTHBEARER",
    "xoauth2": "XOAUTH2",
}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}


@dataclass(frozen=True, slots=True)
class MpopAccount:
    """An account as the file has it.

    Attributes:
        values: argument and line of every command that holds for it.
        explicit: those of them that are not from `defaults`; another account inherits these.
    """

    name: str
    line: int
    values: dict[str, tuple[str, int]]
    explicit: dict[str, tuple[str, int]] = field(default_factory=dict)

    def get(self, command: str, default: str = "") -> str:
        """Return the argument of a command."""
        return self.values.get(command, (default, 0))[0]

    def is_on(self, command: str, *, default: bool) -> bool:
        """Return whether a switch is on."""
        return self.get(command, "on" if default else "off") == "on"

    @property
    def uidls_file(self) -> str:
        """Where its state is; `~` is left as it is."""
        pattern = self.get("uidls_file") or UIDLS_FILE
        return pattern.replace("%U", self.get("user")).replace("%H", self.get("host"))


def parse_mpoprc(text: str, where: str) -> list[MpopAccount]:
    """Return the accounts of a settings file, each with what it inherits.

    Raises:
        WrongSettings: mpop would refuse it too; with `where` and the line, and nothing of the line.
    """
    defaults: dict[str, tuple[str, int]] = {}
    accounts: dict[str, MpopAccount] = {}
    current: MpopAccount | None = None
    target = None
    for line, command, argument in _commands(text):
        if command == "defaults":
            target, current = defaults, None
        elif command == "account":
            current = _begin(argument, line, where, (accounts, defaults))
            accounts[current.name] = current
        elif command not in _COMMANDS:
            raise WrongSettings(f"{where}:{line}: this is no command of mpop")
        elif current:
            current.values[command] = current.explicit[command] = (argument, line)
        elif target is None:
            raise WrongSettings(f"{where}:{line}: no account begins before this")
        else:
            target[command] = (argument, line)
    return list(accounts.values())


def _commands(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        words = line.strip().split(None, 1)
        if not words or words[0].startswith("#"):
            continue
        argument = _unquoted(words[1]) if len(words) > 1 else ""
        if words[0] in _SWITCHES and not argument:
            argument = "on"
        yield number, words[0], argument


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _begin(
    argument: str,
    line: int,
    where: str,
    known: tuple[Mapping[str, MpopAccount], Mapping[str, tuple[str, int]]],
) -> MpopAccount:
    accounts, defaults = known
    name, _, parents = (part.strip() for part in argument.partition(":"))
    if not name or name in accounts:
        raise WrongSettings(f"{where}:{line}: an account without a name, or with one used before")
    explicit: dict[str, tuple[str, int]] = {}
    for parent in filter(None, (part.strip() for part in parents.split(","))):
        if parent not in accounts:
            raise WrongSettings(f"{where}:{line}: account {parent} is not defined before this")
        explicit.update(accounts[parent].explicit)
    return MpopAccount(name, line, {**defaults, **explicit}, explicit)


def parse_uidls(octets: bytes, where: str) -> list[SeenGroup]:
    """Return the state in a file of unique-ids, with or without times.

    A file is a comment, then for each mailbox ` COUNT HOST USER` and so many lines of a unique-id,
    in some versions with a space and seconds since 1970 behind it.
    """
    groups: list[SeenGroup] = []
    head, seen, damaged = b"", list[SeenMessage](), 0
    for line in octets.splitlines():
        if line.startswith(b" "):
            groups += _group(where, head, seen, damaged)
            head, seen, damaged = line, [], 0
        elif head and line:
            seen.append(_seen(line))
        elif line and not line.startswith(b"#"):
            damaged += 1
    return groups + _group(where, head, seen, damaged)


def _group(where: str, head: bytes, seen: list[SeenMessage], damaged: int) -> list[SeenGroup]:
    words = head.split(b" ", 3)
    if len(words) < 4 or not words[1].isdigit():
        return []
    missing = max(int(words[1]) - len(seen), 0)
    host, user = (word.decode("utf-8", "replace") for word in words[2:])
    return [SeenGroup(where, host, user, tuple(seen), damaged=damaged + missing)]


def _seen(line: bytes) -> SeenMessage:
    found = re.fullmatch(rb"(.+) ([0-9]{1,18})", line)
    return SeenMessage(found[1], int(found[2])) if found else SeenMessage(line, None)


def import_account(
    account: MpopAccount, where: str, state: Sequence[SeenGroup], around: Surroundings
) -> ImportedAccount:
    """Return an account of mpop in our terms.

    Args:
        account: from `parse_mpoprc`.
        where: the settings file.
        state: from the files of unique-ids; what belongs to the account is taken.
        around: the netrc file counts.

    Raises:
        WrongSettings: it has no host or no user, or one that cannot be.
    """
    draft = Draft(PROGRAM, account.name, f"{where}:{account.line}")
    draft.host, draft.user = account.get("host"), account.get("user")
    _map_server(draft, account)
    _map_trust(draft, account)
    _map_password(draft, account, where, around)
    _map_messages(draft, account)
    _map_delivery(draft, account)
    mine = [g for g in state if same_host(g.host, draft.host) and g.user == draft.user]
    return draft.finish(mine)


def _map_server(draft: Draft, account: MpopAccount) -> None:
    port = account.get("port")
    draft.port = int(port) if port.isdecimal() else None
    if not account.is_on("tls", default=False):
        draft.was_clear()
    elif account.is_on("tls_starttls", default=True):
        draft.transport = Transport.STLS
    timeout = account.get("timeout")
    draft.timeout(int(timeout) if timeout.isdecimal() else 0)
    for command in ("proxy_host", "socket"):
        if value := account.get(command):
            draft.note(f"mpop went through {command} {value}: Mailkeep connects directly")
    names = ("proxy_port", "source_ip", "pipelining", "received_header", "ntlmdomain", "eval")
    draft.leave_out(*(name for name in (*names, "connect_timeout") if account.get(name)))
    if timeout == "off":
        draft.leave_out("timeout off")


def _map_trust(draft: Draft, account: MpopAccount) -> None:
    if not account.is_on("tls_certcheck", default=True) or account.get("tls_nocertcheck"):
        draft.was_unverified()
    fingerprint = account.get("tls_fingerprint")
    pinned = draft.pins([fingerprint]) if fingerprint else []
    authorities = account.get("tls_trust_file", "system")
    if authorities not in {"", "system"}:
        if pinned:
            draft.leave_out("tls_trust_file (mpop went by the fingerprint alone)")
        else:
            draft.path("ca", authorities)
    elif not authorities and not pinned:
        draft.note("mpop trusted no authority: those of the system are trusted now")
    for command, key in (
        ("tls_cert_file", "client_certificate"),
        ("tls_key_file", "client_key"),
    ):
        if value := account.get(command):
            draft.path(key, value)
    names = ("tls_crl_file", "tls_priorities", "tls_host_override", "tls_min_dh_prime_bits")
    draft.leave_out(*(name for name in names if account.get(name)))


def _map_password(draft: Draft, account: MpopAccount, where: str, around: Surroundings) -> None:
    if account.get("password"):
        draft.password_in(f"{where}:{account.values['password'][1]}")
    elif command := account.get("passwordeval"):
        draft.settings["password_command"] = ["sh", "-c", command]
        draft.note("passwordeval became password_command, run by a shell as mpop does")
    elif around.has_password(draft.host):
        draft.settings["netrc"] = True
    else:
        draft.note("mpop asks the keyring for the password, else you: set keyring = true for it")
    auth = account.get("auth", "on").lower()
    if mechanism := _MECHANISMS.get(auth):
        draft.mechanism(mechanism)
    elif auth not in {"on", "off"}:
        draft.leave_out(f"auth {auth} (the best that both sides have is used)")


def _map_messages(draft: Draft, account: MpopAccount) -> None:
    if not account.is_on("keep", default=False):
        draft.deleted("delete (keep off)", "delete = true")
    if (skip := _octets(account.get("skipsize"))) is not None:
        draft.size_limit(skip, "skip")
    if (kill := _octets(account.get("killsize"))) is not None:
        if kill and skip is None:
            draft.size_limit(kill, "skip")
        draft.note("killsize deleted large messages unread: here they are skipped and stay")
    if not account.is_on("only_new", default=True):
        draft.note("only_new was off: here each message is fetched once")
    if account.get("filter"):
        draft.leave_out("filter")


def _octets(text: str) -> int | None:
    found = re.fullmatch(r"([0-9]{1,12})([km]?)", text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def _map_delivery(draft: Draft, account: MpopAccount) -> None:
    method, _, argument = account.get("delivery").partition(" ")
    argument = _unquoted(argument.strip())
    if method in {"maildir", "mbox"} and argument:
        draft.deliver_to(method, argument)
    elif method == "mda" and "%F" in argument:
        draft.note(f"delivery mda {argument}: a pipe does not know %F (the sender); write it anew")
    elif method == "mda":
        draft.to.append(f"pipe:{shlex.join(['sh', '-c', argument])}")
    elif method:
        draft.leave_out(f"delivery {method} {argument}")
