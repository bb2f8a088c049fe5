r"""Thunderbird: `profiles.ini`, the accounts in `prefs.js`, and `popstate.dat`.

Text and octets in, values out. Mail is never put into Thunderbird's own folders: it does not expect
that anybody else writes there. So a destination must be chosen.

Known limit: what a preference is where `prefs.js` does not have it is taken from Thunderbird 128.
"""

import configparser
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailkeep.fetch.account import Transport
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.draft import Draft, shortest_time
from mailkeep.fetch.importing.found import ImportedAccount, SeenGroup, SeenMessage, same_host

PROGRAM = "Thunderbird"

Preference = str | int | bool
Preferences = Mapping[str, Preference]

_LINE = re.compile(r"""user_pref\(\s*("(?:[^"\\]|\\.)*")\s*,\s*(.*?)\s*\)\s*;?\s*""")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
_SOCKET_TYPES = {0: Transport.CLEARTEXT, 1: Transport.CLEARTEXT, 2: Transport.STLS}
"""nsMsgSocketType: plain, STARTTLS if there is one, STARTTLS always, TLS."""
_AUTHENTICATION = {
    4: "an encrypted password (CRAM-MD5, APOP)",
    5: "Kerberos",
    6: "NTLM",
    7: "a client certificate",
    8: "an encrypted password or Kerberos",
}
_OAUTH2 = 10
_TLS_13 = 4
_KILO = 1024
_MINUTES = 10
"""How often Thunderbird looks for mail unless it is told otherwise."""
_SIZE_KB = 50
_DAYS = 7
_FLAGS = re.compile(rb"([kdbf])[ \t]+([^ \t]+)(?:[ \t]+([0-9]{1,18}))?[ \t]*")
_HANDLED = frozenset({
    "hostname", "userName", "port", "socketType", "isSecure", "authMethod", "leave_on_server",
    "delete_by_age_from_server", "num_days_to_leave_on_server", "delete_mail_left_on_server",
    "limit_offline_message_size", "max_size", "headersOnly", "check_new_mail", "check_time",
    "name", "type", "directory", "directory-rel",
})  # fmt: skip
_OF_A_PROGRAM_WITH_WINDOWS = re.compile(
    r"spam.*|moveOnSpam|moveTarget.*|purgeSpam.*|empty_trash.*|login_at_startup|retainBy|numHdrs.*"
    r"|numNew.*|daysTo.*|keepUnread.*|cleanup.*|storeContractID|download_on_biff|filter.*|.*[uU]nread.*"
    r"|useServerSub.*|serverFilter.*|nextFilterTime|server\w*ID.*|hidden|realhostname|realuserName"
)
"""What only makes sense with folders and a screen."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile in `profiles.ini`."""

    path: str
    is_relative: bool


def parse_profiles(text: str, where: str) -> list[Profile]:
    """Return the profiles that `profiles.ini` names.

    Raises:
        WrongSettings: it is none.
    """
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as cause:
        raise WrongSettings(f"{where}: {cause.message.splitlines()[0]}") from cause
    return [
        Profile(parser[name]["Path"], parser[name].get("IsRelative", "1") == "1")
        for name in parser.sections()
        if name.startswith("Profile") and "Path" in parser[name]
    ]


def parse_preferences(text: str) -> dict[str, Preference]:
    """Return the preferences in `prefs.js`; a line that is none is passed over, as there."""
    found = (_LINE.fullmatch(line.strip()) for line in text.split("\n"))
    pairs = ((_value(line[1]), _value(line[2])) for line in found if line)
    return {str(name): value for name, value in pairs if name is not None and value is not None}


def _value(text: str) -> Preference | None:
    try:
        value = json.loads(_ESCAPE.sub(_as_in_json, text), strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str | int) else None


def _as_in_json(found: re.Match[str]) -> str:
    """Return an escape of JavaScript as JSON has it (RFC 8259 section 7 has no `x` and no `'`)."""
    if found[1] == "'":
        return "'"
    return f"\\u00{found[1][1:]}" if len(found[1]) > 1 else found[0]


@dataclass(frozen=True, slots=True)
class Server:
    """A server of a profile: its preferences by their last word.

    Attributes:
        key: `server1`.
        general: all preferences of the profile.
    """

    key: str
    values: Preferences
    general: Preferences

    def text(self, name: str) -> str:
        """Return a preference as text, empty where it is not set."""
        return str(self.values.get(name, ""))

    def number(self, name: str, default: int) -> int:
        """Return a preference as a number."""
        value = self.values.get(name, default)
        return value if isinstance(value, int) else default

    def is_on(self, name: str, *, default: bool = False) -> bool:
        """Return whether a preference is true."""
        return self.values.get(name, default) is True

    @property
    def is_pop3(self) -> bool:
        """Whether it is of POP3."""
        return self.text("type") == "pop3"

    @property
    def directory(self) -> str:
        """Where its state is; `[ProfD]` at its beginning is the profile's folder."""
        return self.text("directory-rel") or self.text("directory")


def list_servers(preferences: Preferences) -> list[Server]:
    """Return the servers of a profile, of any protocol, in the order of their numbers."""
    servers: dict[str, dict[str, Preference]] = {}
    for name, value in preferences.items():
        if found := re.fullmatch(r"mail\.server\.(server[0-9]+)\.(.+)", name):
            servers.setdefault(found[1], {})[found[2]] = value
    in_order = sorted(servers, key=lambda key: int(key.removeprefix("server")))
    return [Server(key, servers[key], preferences) for key in in_order]


def parse_popstate(octets: bytes, where: str) -> list[SeenGroup]:
    """Return the state in `popstate.dat`: `*host user`, then `FLAG unique-id seconds`.

    Flags: k kept; d to be deleted; b too big, and f to be fetched whole: of these two only the
    beginning is in Thunderbird.
    """
    found: dict[tuple[str, str], list[SeenMessage]] = {}
    current: list[SeenMessage] | None = None
    damaged = 0
    for line in filter(None, octets.splitlines()):
        if line.startswith(b"*"):
            host, _, user = line[1:].decode("utf-8", "replace").strip().partition(" ")
            current = found.setdefault((host, user.strip()), [])
        elif (match := _FLAGS.fullmatch(line)) and current is not None:
            seconds = int(match[3]) if match[3] else None
            is_whole = match[1] in b"kd"
            current.append(SeenMessage(match[2], seconds, is_whole=is_whole))
        elif not line.startswith(b"#"):
            damaged += 1
    return [
        SeenGroup(where, host, user, tuple(seen), damaged=damaged)
        for (host, user), seen in found.items()
    ]


def import_account(server: Server, where: str, state: Sequence[SeenGroup]) -> ImportedAccount:
    """Return a server of Thunderbird in our terms.

    Args:
        server: from `list_servers`.
        where: the file of preferences.
        state: from the server's `popstate.dat`; what belongs to it is taken.

    Raises:
        WrongSettings: its host or its user cannot be.
    """
    label = server.text("name") or server.text("hostname")
    draft = Draft(PROGRAM, label, f"{where}: {server.key}")
    draft.host, draft.user = server.text("hostname"), server.text("userName")
    _map_connection(draft, server)
    _map_authentication(draft, server)
    _map_messages(draft, server)
    draft.note("mail is not put into Thunderbird's own folders")
    names = server.values.keys() - _HANDLED
    draft.leave_out(
        *sorted(name for name in names if not _OF_A_PROGRAM_WITH_WINDOWS.fullmatch(name))
    )
    mine = [g for g in state if same_host(g.host, draft.host) and g.user == draft.user]
    parts = sum(not message.is_whole for group in mine for message in group.seen)
    if parts:
        draft.note(f"of {parts} messages Thunderbird has only the beginning")
    return draft.finish(mine)


def _map_connection(draft: Draft, server: Server) -> None:
    draft.port = server.number("port", 0) or None
    wanted = server.number("socketType", 3 if server.is_on("isSecure") else 0)
    draft.transport = _SOCKET_TYPES.get(wanted, Transport.TLS)
    if draft.transport is Transport.CLEARTEXT:
        draft.was_clear()
    timeout = server.general.get("mailnews.tcptimeout")
    if isinstance(timeout, int):
        draft.timeout(timeout)
    least = server.general.get("security.tls.version.min")
    if isinstance(least, int) and least >= _TLS_13:
        draft.settings["minimum"] = "TLSv1.3"
    if server.general.get("network.proxy.type", 0) == 1:
        draft.note("Thunderbird went through a proxy: Mailkeep connects directly")


def _map_authentication(draft: Draft, server: Server) -> None:
    method = server.number("authMethod", 0)
    if method == _OAUTH2:
        draft.note("Thunderbird's token was not copied")
        draft.mechanism("XOAUTH2")
        return
    draft.note(
        "a password in Thunderbird's store was not copied: it is asked for, or set password_file "
        "or password_command"
    )
    if method in _AUTHENTICATION:
        draft.leave_out(f"{_AUTHENTICATION[method]} (the best that both sides have is used)")


def _map_messages(draft: Draft, server: Server) -> None:
    days = server.number("num_days_to_leave_on_server", _DAYS)
    if not server.is_on("leave_on_server", default=True):
        draft.deleted("delete (not leave_on_server)", "delete = true")
    elif server.is_on("delete_by_age_from_server") and days > 0:
        draft.deleted(f"delete after {days} days", f'delete_after = "{days}d"')
    if server.is_on("delete_mail_left_on_server"):
        draft.leave_out("delete_mail_left_on_server (what is deleted here stays on the server)")
    if server.is_on("headersOnly"):
        draft.size_limit(0, "headers")
    elif server.is_on("limit_offline_message_size"):
        draft.size_limit(server.number("max_size", _SIZE_KB) * _KILO, "headers")
    minutes = server.number("check_time", _MINUTES)
    if server.is_on("check_new_mail", default=True) and minutes > 0:
        draft.settings["every"] = shortest_time(minutes * 60)
