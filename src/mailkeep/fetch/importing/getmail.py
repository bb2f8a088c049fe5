"""getmail 6: its settings (one ini file an account) and its `oldmail-` files.

Text and octets in, values out. getmail does not verify a certificate unless `ca_certs` is set, and
writes `-` for `/` in unique-ids; both are told.

Known limit: a destination that sorts by addressees becomes one that the user chooses.
"""

import ast
import configparser
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.draft import Draft
from mailkeep.fetch.importing.found import (
    ImportedAccount,
    SeenGroup,
    SeenMessage,
    Surroundings,
)

PROGRAM = "getmail"

Section = Mapping[str, str]
Sections = Mapping[str, Section]

_TRUE = frozenset({"true", "yes", "on", "1"})
_LMTP_PORT = "2003"
"""Python's smtplib.LMTP_PORT, which getmail takes."""
_NOT_IN_A_FILE_NAME = re.compile(r"[/\\:;<>|]+")
_RETRIEVER_KEYS = frozenset({
    "type", "server", "port", "username", "password", "password_command", "timeout", "use_apop",
    "use_xoauth2", "keyfile", "certfile", "ca_certs", "ssl_fingerprints", "getmaildir",
})  # fmt: skip
_OPTION_KEYS = frozenset({
    "read_all", "delete", "delete_after", "delete_bigger_than", "max_message_size", "use_netrc",
    "netrc_file", "verbose", "to_oldmail_on_each_mail",
})  # fmt: skip
_DESTINATION_KEYS = frozenset({
    "type", "path", "arguments", "host", "port", "override", "destinations", "locktype", "filemode",
})  # fmt: skip


def parse_getmailrc(text: str, where: str) -> dict[str, dict[str, str]]:
    """Return the sections of a settings file.

    Raises:
        WrongSettings: it is none; with `where` and the line, and nothing of the line.
    """
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as cause:
        # Its text quotes the line, which may hold a password: it is not taken along.
        failure = WrongSettings(f"{where}:{_line_of(cause)}: this is no settings file of getmail")
    else:
        return {name.lower(): dict(parser[name]) for name in parser.sections()}
    raise failure


def _line_of(cause: configparser.Error) -> int:
    line = getattr(cause, "lineno", None)
    if isinstance(line, int):
        return line
    return cause.errors[0][0] if isinstance(cause, configparser.ParsingError) else 1


def is_pop3(sections: Sections) -> bool:
    """Return whether the account is of POP3."""
    return "POP3" in _kind(sections) or "SDPS" in _kind(sections)


def describe(sections: Sections) -> str:
    """Return what an account is, for a line that says why it is left out."""
    retriever = sections.get("retriever", {})
    who = f"{retriever.get('username', '?')}@{retriever.get('server', '?')}"
    return f"{who} ({_kind(sections) or 'no retriever'})"


def _kind(sections: Sections) -> str:
    return sections.get("retriever", {}).get("type", "")


def oldmail_name(sections: Sections) -> str:
    """Return the name of the file that getmail keeps an account's state in."""
    retriever = sections.get("retriever", {})
    port = retriever.get("port", "995" if "SSL" in _kind(sections) else "110").strip()
    name = f"oldmail-{retriever.get('server', '')}-{port}-{retriever.get('username', '')}"
    return _NOT_IN_A_FILE_NAME.sub("-", name)


def parse_oldmail(octets: bytes, where: str, name: str) -> SeenGroup | None:
    """Return the state in an `oldmail-` file: lines of a unique-id, NUL and seconds since 1970.

    Args:
        octets: the file.
        where: its path.
        name: its name, which tells server, port and user.

    Returns:
        the state; None where the name is of no POP3 mailbox.
    """
    found = re.fullmatch(r"oldmail-(.+?)-([0-9]{1,5})-(.+)", name, re.DOTALL)
    if not found or found[2] in {"143", "993"}:  # IMAP
        return None
    seen, damaged = [], 0
    for line in filter(None, (line.strip() for line in octets.split(b"\n"))):
        uidl, _, seconds = line.partition(b"\0")
        if uidl and re.fullmatch(rb"[0-9]{1,18}", seconds):
            seen.append(SeenMessage(uidl, int(seconds), is_mangled=b"-" in uidl))
        else:
            damaged += 1
    return SeenGroup(where, found[1], found[3], tuple(seen), int(found[2]), damaged)


def import_account(
    sections: Sections,
    where: str,
    state: Sequence[SeenGroup],
    around: Surroundings,
    line_of: Callable[[str], int],
) -> ImportedAccount:
    """Return an account of getmail in our terms.

    Args:
        sections: from `parse_getmailrc`.
        where: their file; its name is the account's.
        state: of this account.
        around: the netrc file and the environment count.
        line_of: tells the line of a setting.

    Raises:
        WrongSettings: its server or its user cannot be.
    """
    retriever = sections.get("retriever", {})
    options = sections.get("options", {})
    draft = Draft(PROGRAM, where.rpartition("/")[2], f"{where}:{line_of('server')}")
    draft.host, draft.user = retriever.get("server", ""), retriever.get("username", "")
    _map_server(draft, retriever, around)
    _map_password(draft, retriever, options, around)
    if retriever.get("password"):
        draft.password_in(f"{where}:{line_of('password')}")
    _map_messages(draft, options)
    _map_destination(draft, sections, "destination", around)
    draft.leave_out(*sorted(retriever.keys() - _RETRIEVER_KEYS))
    draft.leave_out(*sorted(options.keys() - _OPTION_KEYS))
    draft.leave_out(*sorted(f"[{name}]" for name in sections if name.startswith("filter")))
    return draft.finish(state)


def line_finder(text: str) -> Callable[[str], int]:
    """Return what tells the line of a setting in a text; 1 if it is not there."""

    def line_of(key: str) -> int:
        found = re.search(rf"(?im)^{re.escape(key)}\s*[=:]", text)
        return text.count("\n", 0, found.start()) + 1 if found else 1

    return line_of


def _map_server(draft: Draft, retriever: Section, around: Surroundings) -> None:
    port = retriever.get("port", "").strip()
    draft.port = int(port) if port.isdecimal() else None
    if "SSL" not in retriever.get("type", ""):
        draft.was_clear()
    elif "ca_certs" not in retriever and not _strings(retriever.get("ssl_fingerprints", "")):
        draft.was_unverified()
    if fingerprints := _strings(retriever.get("ssl_fingerprints", "")):
        draft.pins(fingerprints)
    for theirs, ours in (
        ("ca_certs", "ca"),
        ("certfile", "client_certificate"),
        ("keyfile", "client_key"),
    ):
        if path := retriever.get(theirs):
            draft.path(ours, _expand(path, around))
    draft.timeout(_number(retriever.get("timeout", "")))
    if "BrokenUIDL" in retriever.get("type", ""):
        draft.note("getmail did not trust the server's unique-ids, so it has kept no state")
    if "Multidrop" in retriever.get("type", ""):
        draft.note("a mailbox for several users: here all of its mail goes to one place")


def _map_password(draft: Draft, retriever: Section, options: Section, around: Surroundings) -> None:
    command = _strings(retriever.get("password_command", ""))
    if command and not retriever.get("password"):
        draft.settings["password_command"] = command
    elif _is_true(options.get("use_netrc", "")):
        file = options.get("netrc_file", "")
        if file:
            draft.path("netrc", _expand(file, around))
        else:
            draft.settings["netrc"] = True
    elif not retriever.get("password"):
        draft.note("getmail asks Python's keyring for the password, else you: see keyring = true")
    if _is_true(retriever.get("use_apop", "")):
        draft.leave_out("use_apop (the best that both sides have is used)")
    if _is_true(retriever.get("use_xoauth2", "")):
        draft.mechanism("XOAUTH2")


def _map_messages(draft: Draft, options: Section) -> None:
    days = _number(options.get("delete_after", ""))
    if _is_true(options.get("delete", "")):
        draft.deleted("delete", "delete = true")
    elif days:
        draft.deleted(f"delete_after = {days}", f'delete_after = "{days}d"')
    if _number(options.get("delete_bigger_than", "")):
        draft.leave_out("delete_bigger_than")
    if octets := _number(options.get("max_message_size", "")):
        draft.size_limit(octets, "skip")
    if _is_true(options.get("read_all", "true")):
        draft.note("read_all was on (getmail's default): here each message is fetched once")


def _map_destination(draft: Draft, sections: Sections, name: str, around: Surroundings) -> None:
    section = sections.get(name, {})
    kind, path = section.get("type", ""), _expand(section.get("path", ""), around)
    draft.leave_out(*sorted(f"[{name}] {key}" for key in section.keys() - _DESTINATION_KEYS))
    if kind == "Maildir":
        draft.deliver_to("maildir", path.rstrip("/"))
    elif kind == "Mboxrd":
        draft.deliver_to("mbox", path)
    elif kind == "MDA_external":
        _map_command(draft, path, _strings(section.get("arguments", "")))
    elif kind == "MDA_lmtp":
        _map_lmtp(draft, section)
    elif kind == "MultiDestination":
        for text in _strings(section.get("destinations", "")):
            _map_one_of_many(draft, sections, text, around)
    else:
        draft.leave_out(f"[{name}] {kind}")


def _map_one_of_many(draft: Draft, sections: Sections, text: str, around: Surroundings) -> None:
    if text.startswith("[") and text.endswith("]"):
        name = text[1:-1].lower()
        if sections.get(name, {}).get("type") == "MultiDestination":
            draft.leave_out(text)  # one in itself would have no end
        else:
            _map_destination(draft, sections, name, around)
    else:
        path = _expand(text, around)
        scheme = "maildir" if path.endswith("/") else "mbox"
        draft.deliver_to(scheme, path.rstrip("/"))


def _map_command(draft: Draft, path: str, arguments: Sequence[str]) -> None:
    command = shlex.join([path, *arguments])
    if any("%(" in argument for argument in arguments):
        draft.note(f"{command}: a pipe does not know %(sender) and the like; write it anew")
    else:
        draft.to.append(f"pipe:{command}")


def _map_lmtp(draft: Draft, section: Section) -> None:
    host = section.get("host", "")
    bracketed = f"[{host}]" if ":" in host else host
    is_socket = host.startswith("/")
    draft.to.append(
        f"lmtp:{host}" if is_socket else f"lmtp:{bracketed}:{section.get('port', _LMTP_PORT)}"
    )
    if recipient := section.get("override"):
        draft.settings["recipient"] = recipient
    else:
        draft.note("set recipient: LMTP needs an address, and getmail took it from the mail")


def _strings(text: str) -> list[str]:
    """Return a tuple of strings as getmail writes it, without running it as getmail does."""
    try:
        value = ast.literal_eval(text.strip() or "()")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return [str(part) for part in value] if isinstance(value, tuple) else []


def _is_true(text: str) -> bool:
    return text.strip().lower() in _TRUE


def _number(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0


def _expand(path: str, around: Surroundings) -> str:
    """Return a path with variables filled in; `~` is left as it is."""

    def value(found: re.Match[str]) -> str:
        return around.variables.get(found[1] or found[2], found[0])

    return re.sub(r"\$(?:(\w+)|\{([^}]*)\})", value, path)
