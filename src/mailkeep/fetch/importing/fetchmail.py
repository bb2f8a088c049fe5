"""fetchmail: what its settings mean for a fetch, and its file of unique-ids.

Text and octets in, values out. Options that ask for what Mailkeep does anyway (`no rewrite`,
`no stripcr`, `uidl`) are not mentioned.

Known limit: fetchmail hands mail to an SMTP server unless told otherwise; a destination must then
be chosen.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from mailkeep.fetch.account import Transport
from mailkeep.fetch.importing.draft import Draft, shortest_time
from mailkeep.fetch.importing.fetchmail_grammar import (
    Option,
    RunControl,
    ServerEntry,
    UserEntry,
)
from mailkeep.fetch.importing.found import (
    ImportedAccount,
    SeenGroup,
    SeenMessage,
    Surroundings,
    same_host,
)

PROGRAM = "fetchmail"

_POP3 = frozenset({"", "auto", "pop3", "apop", "sdps"})
"""Of the protocols. Without one, fetchmail tries POP3 and others."""
_SERVICES = {"pop3": 110, "pop3s": 995}
_MECHANISMS = {"oauthbearer": "OAUTHBEARER", "xoauth2": "XOAUTH2"}
_AS_ALWAYS = frozenset({"uidl", "fastuidl", "pass8"})
"""Mailkeep does these anyway."""
_LESS_THAN_TLS12 = ("ssl", "tls1.1", "tls1+")
_HANDLED = frozenset({
    "via", "proto", "service", "auth", "timeout", "interval", "pass", "ssl", "sslproto",
    "sslmode", "sslcertck", "sslcertfile", "sslfingerprint", "sslcert", "sslkey", "keep", "flush",
    "limitflush", "fetchall", "limit", "mda", "lmtp", "smtp", "smtpaddress", "smtpname",
    "passwordfile", "plugin",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class FetchmailAccount:
    """One user of one server, with what `defaults` say filled in."""

    label: str
    line: int
    is_active: bool
    host: str
    user: str
    local_names: tuple[str, ...]
    options: dict[str, Option]
    password_line: int

    def text(self, option: str) -> str:
        """Return the text of an option, empty where it is not given."""
        value = self.options.get(option, "")
        return value if isinstance(value, str) else ""

    def number(self, option: str) -> int:
        """Return the number of an option, 0 where it is not given."""
        text = self.text(option)
        return int(text) if text.isdecimal() else 0

    def is_on(self, option: str, *, default: bool = False) -> bool:
        """Return whether a flag is set."""
        return self.options.get(option, default) is True

    def list(self, option: str) -> tuple[str, ...]:
        """Return the texts of an option."""
        value = self.options.get(option, ())
        return value if isinstance(value, tuple) else ()

    @property
    def is_pop3(self) -> bool:
        """Whether fetchmail would speak POP3."""
        return self.text("proto").lower() in _POP3


def list_accounts(found: RunControl, login: str) -> list[FetchmailAccount]:
    """Return every user of every server, of any protocol, as fetchmail would poll them.

    Args:
        found: the settings.
        login: who runs fetchmail; the remote name too, where none is given.
    """
    return [
        _account(found.defaults, server, user, login)
        for server in found.servers
        for user in server.users or [UserEntry(server.line)]
    ]


def _account(
    defaults: ServerEntry | None, server: ServerEntry, user: UserEntry, login: str
) -> FetchmailAccount:
    usual = defaults or ServerEntry("", 0, is_active=True)
    usual_user = usual.users[0] if usual.users else UserEntry(usual.line)
    options = {**usual.options, **usual_user.options, **server.options, **user.options}
    via = options.get("via")
    name = user.name or login
    is_alone = len(server.users) < 2
    password = user.lines.get("pass") or usual_user.lines.get("pass") or server.line
    return FetchmailAccount(
        label=server.name if is_alone else f"{name}@{server.name}",
        line=user.line or server.line,
        is_active=server.is_active,
        host=via if isinstance(via, str) else server.name,
        user=name,
        local_names=user.local_names or usual_user.local_names or (login,),
        options=options,
        password_line=password,
    )


def parse_fetchids(octets: bytes, where: str) -> list[SeenGroup]:
    """Return the state in `.fetchids`: lines of `user@host unique-id`.

    The host ends at the first space behind the first `@`; what is left of it up to the last `@` is
    the user. A user with a space behind an `@` is beyond fetchmail itself (fetchmail(1), "BUGS").
    """
    found: dict[tuple[str, str], list[SeenMessage]] = {}
    damaged = 0
    for line in octets.splitlines():
        space = line.find(b" ", line.find(b"@") + 1)
        user, at, host = line[: max(space, 0)].rpartition(b"@")
        uidl = line[space + 1 :].strip()
        if at and uidl:
            key = (user.decode("utf-8", "replace"), host.decode("utf-8", "replace"))
            found.setdefault(key, []).append(SeenMessage(uidl, None))
        elif line.strip():
            damaged += 1
    return [
        SeenGroup(where, host, user, tuple(seen), damaged=damaged)
        for (user, host), seen in found.items()
    ]


def belongs(group: SeenGroup, account: FetchmailAccount) -> bool:
    """Return whether a state is an account's; fetchmail compares without regard to case."""
    is_user = group.user.casefold() == account.user.casefold()
    return is_user and same_host(group.host, account.host)


def import_account(
    account: FetchmailAccount,
    found: RunControl,
    where: str,
    state: Sequence[SeenGroup],
    around: Surroundings,
) -> ImportedAccount:
    """Return an account of fetchmail in our terms.

    Args:
        account: from `list_accounts`.
        found: the settings that it is in.
        where: their file.
        state: from `.fetchids`; what belongs to the account is taken.
        around: the netrc file counts.

    Raises:
        WrongSettings: its host or its user cannot be.
    """
    draft = Draft(PROGRAM, account.label, f"{where}:{account.line}")
    draft.host, draft.user, draft.is_active = account.host, account.user, account.is_active
    if not account.is_active:
        draft.note("skip: fetchmail fetched it only when it was named")
    _map_server(draft, account)
    _map_transport(draft, account)
    _map_trust(draft, account, where)
    _map_password(draft, account, where, around)
    _map_messages(draft, account)
    _map_delivery(draft, account)
    _map_interval(draft, account, found)
    _name_the_rest(draft, account, found)
    return draft.finish([group for group in state if belongs(group, account)])


def _map_server(draft: Draft, account: FetchmailAccount) -> None:
    service = account.text("service")
    draft.port = int(service) if service.isdecimal() else _SERVICES.get(service)
    if service and draft.port is None:
        draft.leave_out(f"service {service}")
    draft.timeout(account.number("timeout"))
    protocol = account.text("proto").lower()
    if protocol in {"", "auto"}:
        draft.note("no protocol was named: taken for POP3")
    elif protocol != "pop3":
        draft.leave_out(f"proto {protocol} (plain POP3 is used)")
    if plugin := account.text("plugin"):
        draft.note(f"fetchmail connected through plugin {plugin}: Mailkeep connects directly")


def _map_transport(draft: Draft, account: FetchmailAccount) -> None:
    mode, version = account.text("sslmode").lower(), account.text("sslproto").lower()
    if account.is_on("ssl") or mode == "wrapped":
        draft.transport = Transport.TLS
    elif version or mode == "starttls=must":
        draft.transport = Transport.STLS
    else:
        draft.was_clear()
    if version in {"tls1.3", "tls1.3+"}:
        draft.settings["minimum"] = "TLSv1.3"
    elif version.startswith(_LESS_THAN_TLS12) or version == "tls1":
        draft.note(f"sslproto {version}: at least TLS 1.2 is used now")


def _map_trust(draft: Draft, account: FetchmailAccount, where: str) -> None:
    if not account.is_on("sslcertck", default=True):
        draft.was_unverified()
    if fingerprint := account.text("sslfingerprint"):
        draft.pins([fingerprint])
    if authorities := account.text("sslcertfile"):
        draft.path("ca", beside(where, authorities))
    if certificate := account.text("sslcert"):
        key = account.text("sslkey") or certificate
        draft.path("client_certificate", beside(where, certificate))
        draft.path("client_key", beside(where, key))


def beside(where: str, path: str) -> str:
    """Return a path as fetchmail takes it: from the folder of its settings, and `~` is a name."""
    return path if path.startswith("/") else f"{where.rpartition('/')[0]}/{path}"


def _map_password(
    draft: Draft, account: FetchmailAccount, where: str, around: Surroundings
) -> None:
    if account.text("pass"):
        draft.password_in(f"{where}:{account.password_line}")
    elif file := account.text("passwordfile"):
        draft.path("password_file", file)
    elif around.has_password(draft.host):
        draft.settings["netrc"] = True
    else:
        draft.note("fetchmail asked you for the password, and so does Mailkeep")
    auth = account.text("auth").lower()
    if mechanism := _MECHANISMS.get(auth):
        draft.mechanism(mechanism)
    elif auth not in {"", "any", "password"}:
        draft.leave_out(f"auth {auth} (the best that both sides have is used)")


def _map_messages(draft: Draft, account: FetchmailAccount) -> None:
    for option in ("flush", "limitflush"):
        if account.is_on(option):
            draft.note(f"{option} deleted mail that was not fetched: here nothing does")
    if not account.is_on("keep"):
        draft.deleted("delete (no keep)", "delete = true")
    if octets := account.number("limit"):
        draft.size_limit(octets, "skip")
    if account.is_on("fetchall"):
        draft.note("fetchall was on: here each message is fetched once")


def _map_delivery(draft: Draft, account: FetchmailAccount) -> None:
    local = account.local_names[0].partition("=")[2] or account.local_names[0]
    if len(account.local_names) > 1 or "=" in account.local_names[0] or local == "*":
        names = " ".join(account.local_names)
        draft.note(f"mail was sorted by its addressees ({names}): here all of it goes to one place")
    command = account.text("mda")
    if command and "%F" in command:
        draft.note(f"mda {command}: a pipe does not know %F (the sender); write it anew")
    elif command:
        command = command.replace("%T", shlex.quote(local)).replace("%s", shlex.quote(local))
        draft.to.append(f"pipe:{shlex.join(['sh', '-c', command])}")
    elif not account.text("bsmtp"):
        _map_handing_on(draft, account, local)


def _map_handing_on(draft: Draft, account: FetchmailAccount, local: str) -> None:
    hosts = account.list("smtp") or ("localhost",)
    host, _, port = hosts[0].partition("/")
    domain = account.text("smtpaddress") or host or "localhost"
    recipient = account.text("smtpname") or f"{local}@{domain}"
    if account.is_on("lmtp") and (port.isdecimal() or not host):
        draft.to.append(f"lmtp:{hosts[0]}" if not host else f"lmtp:{host}:{port}")
        draft.settings["recipient"] = recipient
    else:
        protocol = "LMTP" if account.is_on("lmtp") else "SMTP"
        draft.note(f"mail went by {protocol} to {' '.join(hosts)} for {recipient}")


def _map_interval(draft: Draft, account: FetchmailAccount, found: RunControl) -> None:
    daemon = found.options.get("daemon", "")
    if isinstance(daemon, str) and daemon.isdecimal() and int(daemon):
        seconds = int(daemon) * max(account.number("interval"), 1)
        draft.settings["every"] = shortest_time(seconds)
    elif account.number("interval"):
        draft.leave_out("interval")


def _name_the_rest(draft: Draft, account: FetchmailAccount, found: RunControl) -> None:
    rest = account.options.keys() - _HANDLED - _AS_ALWAYS
    draft.leave_out(*sorted(name for name in rest if account.options[name] is not False))
    rest = found.options.keys() - {"daemon", "idfile"}
    draft.leave_out(*sorted(f"set {name}" for name in rest if found.options[name] is not False))
