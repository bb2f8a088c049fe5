"""Reads the settings and state of other programs from disk, where each of them keeps them.

This is the one file of the import that touches the disk, and it only reads. Nothing that a settings
file names is run. A program's files that are not there are passed over; those that are there and
cannot be read, or cannot be understood, end the import with the file and the line.

Known limit: settings that a program was given on its command line are not seen.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing import fetchmail, getmail, mpop, thunderbird
from mailkeep.fetch.importing.draft import state_alone
from mailkeep.fetch.importing.fetchmail_grammar import parse_run_control
from mailkeep.fetch.importing.found import (
    ImportedAccount,
    SeenGroup,
    Surroundings,
    decode_settings,
    same_host,
)

_STATE_LIMIT_OCTETS = 1 << 30
"""A million unique-ids are about 100 MB: what is larger is no state."""
_SETTINGS_LIMIT_OCTETS = 16 << 20
_THUNDERBIRD_FOLDERS = (
    ".thunderbird",
    ".mozilla-thunderbird",
    "snap/thunderbird/common/.thunderbird",
    ".var/app/org.mozilla.Thunderbird/.thunderbird",
    "Library/Thunderbird",
    "AppData/Roaming/Thunderbird",
)
"""Of Linux (its own, Debian's old one, snap, Flatpak), macOS and Windows."""


@dataclass(slots=True)
class _Found:
    """What came of one program's files."""

    accounts: list[ImportedAccount] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Whose files are read."""

    home: Path
    environment: Mapping[str, str]
    around: Surroundings

    def expand(self, path: str) -> Path:
        """Return a path of a settings file: `~` is the home, and what is relative starts there."""
        if path == "~" or path.startswith("~/"):
            return self.home / path[2:]
        return self.home / path

    def variable(self, name: str, default: Path) -> Path:
        """Return a folder that the environment may name."""
        value = self.environment.get(name, "")
        return Path(value) if value.startswith("/") else default


def find_imports(
    program: str | None,
    *,
    home: Path,
    environment: Mapping[str, str],
    paths: Sequence[Path] = (),
) -> list[ImportedAccount]:
    """Return the accounts of other programs, with what these have fetched already.

    Args:
        program: `fetchmail`, `getmail`, `mpop` or `thunderbird`; None for all of them.
        home: the user's folder.
        environment: as the programs would see it.
        paths: settings files (for Thunderbird: profile folders) instead of the usual ones; only
            with a program.

    Raises:
        WrongSettings: there is nothing to import, or a file cannot be read or understood; the text
            has the file and, where there is one, the line.
    """
    names = list(_READERS) if program is None else [_program_name(program)]
    if paths and program is None:
        raise WrongSettings("a file to import needs the name of its program", hint=_PROGRAMS)
    netrc = _text(home / ".netrc", needed=False) or ""
    login = environment.get("LOGNAME") or environment.get("USER") or home.name
    place = _Place(home, environment, Surroundings(login, netrc, environment))
    every = [_READERS[name](place, paths) for name in names]
    accounts = [account for found in every for account in found.accounts]
    left_out = [text for found in every for text in found.left_out]
    if not accounts:
        reason = f": left out {'; '.join(left_out)}" if left_out else ""
        raise WrongSettings(
            f"no POP3 account of {' or '.join(names)} was found{reason}",
            hint="name the settings file",
        )
    if left_out:
        noted = (*accounts[0].notes, *(f"left out: {text}" for text in left_out))
        accounts[0] = replace(accounts[0], notes=noted)
    return accounts


def _program_name(program: str) -> str:
    name = program.lower().removesuffix("6")
    if name not in _READERS:
        raise WrongSettings(f"{program} is no program to import from", hint=_PROGRAMS)
    return name


def _read_fetchmail(place: _Place, paths: Sequence[Path]) -> _Found:
    result = _Found()
    own = place.environment.get("FETCHMAILHOME", "")
    base = place.variable("HOME_ETC", place.home)
    usual = Path(own) / "fetchmailrc" if own else base / ".fetchmailrc"
    state_file = (Path(own) if own else base) / ".fetchids"
    for path in _existing(paths, [usual]):
        text, notes = _settings(path)
        found = parse_run_control(text, str(path))
        named = found.options.get("idfile", "")
        ids = path.parent / named if isinstance(named, str) and named else state_file
        state = fetchmail.parse_fetchids(_octets(ids) or b"", str(ids))
        listed = fetchmail.list_accounts(found, place.around.login)
        for account in listed:
            if account.is_pop3:
                result.accounts.append(
                    fetchmail.import_account(account, found, str(path), state, place.around)
                )
            else:
                protocol = account.text("proto")
                result.left_out.append(f"{account.user}@{account.host} ({protocol}) in {path}")
        claimed = [g for g in state if any(fetchmail.belongs(g, one) for one in listed)]
        _add_state_alone(result, fetchmail.PROGRAM, state, claimed)
        _add_notes(result, notes)
    if not result.accounts and not paths:
        state = fetchmail.parse_fetchids(_octets(state_file) or b"", str(state_file))
        _add_state_alone(result, fetchmail.PROGRAM, state, [])
    return result


def _read_mpop(place: _Place, paths: Sequence[Path]) -> _Found:
    result = _Found()
    config = place.variable("XDG_CONFIG_HOME", place.home / ".config") / "mpop" / "config"
    usual = [path for path in (place.home / ".mpoprc", config) if path.is_file()][:1]
    state = _mpop_state(place.expand("~/.mpop_uidls"))
    for path in _existing(paths, usual):
        text, notes = _settings(path)
        for account in mpop.parse_mpoprc(text, str(path)):
            own = _mpop_state(place.expand(account.uidls_file))
            state += [group for group in own if group not in state]
            imported = mpop.import_account(account, str(path), state, place.around)
            if not _is_there(imported, result.accounts):  # "account default : other" is usual
                result.accounts.append(imported)
        _add_notes(result, notes)
    if not paths:
        _add_state_alone(result, mpop.PROGRAM, state, _claimed(state, result.accounts))
    return result


def _mpop_state(path: Path) -> list[SeenGroup]:
    """Return the state in a file of unique-ids, or in all files of a folder of them."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [
        group
        for file in files
        if not file.is_dir()
        for group in mpop.parse_uidls(_octets(file) or b"", str(file))
    ]


def _is_there(account: ImportedAccount, accounts: Iterable[ImportedAccount]) -> bool:
    settings = (account.url, account.to, account.settings)
    return any((one.url, one.to, one.settings) == settings for one in accounts)


def _read_getmail(place: _Place, paths: Sequence[Path]) -> _Found:
    result = _Found()
    config = place.variable("XDG_CONFIG_HOME", place.home / ".config")
    folders = [config / "getmail", place.home / ".getmail"]
    folders = list(dict.fromkeys([path.parent for path in paths] + folders))
    state: dict[str, list[SeenGroup]] = {}
    for path in (path for folder in folders for path in _listed(folder, "oldmail-")):
        state.setdefault(path.name, []).extend(_oldmail(path))
    used: set[str] = set()
    for path in paths or list(_getmail_settings(folders)):
        text, notes = _settings(path)
        sections = getmail.parse_getmailrc(text, str(path))
        name = getmail.oldmail_name(sections)
        used.add(name)
        if not getmail.is_pop3(sections):
            result.left_out.append(f"{getmail.describe(sections)} in {path}")
            continue
        groups, line_of = state.get(name, []), getmail.line_finder(text)
        imported = getmail.import_account(sections, str(path), groups, place.around, line_of)
        result.accounts.append(imported)
        _add_notes(result, notes)
    if not paths:
        rest = [group for name in sorted(state.keys() - used) for group in state[name]]
        _add_state_alone(result, getmail.PROGRAM, rest, [])
    return result


def _getmail_settings(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield what getmail would take for settings, as far as there is a retriever in it."""
    for path in (path for folder in folders for path in _listed(folder, "")):
        if path.name.startswith((".", "oldmail-")) or path.suffix == ".json":
            continue
        if b"[retriever]" in (_octets(path, _SETTINGS_LIMIT_OCTETS) or b"").lower():
            yield path


def _oldmail(path: Path) -> list[SeenGroup]:
    group = getmail.parse_oldmail(_octets(path) or b"", str(path), path.name)
    return [group] if group else []


def _listed(folder: Path, start: str) -> list[Path]:
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as cause:
        raise WrongSettings(f"{folder}: {cause.strerror}") from cause
    return [path for path in paths if path.name.startswith(start) and path.is_file()]


def _read_thunderbird(place: _Place, paths: Sequence[Path]) -> _Found:
    result = _Found()
    given = [path if path.is_dir() else path.parent for path in paths]
    for profile in given or list(_profiles(place)):
        path = profile / "prefs.js"
        text = _text(path, needed=bool(paths))
        if text is None:
            continue
        for server in thunderbird.list_servers(thunderbird.parse_preferences(text)):
            if server.is_pop3:
                _add_server(result, server, path)
            elif server.text("type") not in {"none", "rss", ""}:
                who = f"{server.text('userName')}@{server.text('hostname')}"
                result.left_out.append(f"{who} ({server.text('type')}) in {path}")
    return result


def _profiles(place: _Place) -> Iterator[Path]:
    for base in (place.home / folder for folder in _THUNDERBIRD_FOLDERS):
        path = base / "profiles.ini"
        for profile in thunderbird.parse_profiles(_text(path, needed=False) or "", str(path)):
            yield base / profile.path if profile.is_relative else Path(profile.path)


def _add_server(result: _Found, server: thunderbird.Server, path: Path) -> None:
    directory = server.directory.replace("[ProfD]", f"{path.parent}/", 1)
    file = Path(directory) / "popstate.dat" if directory else None
    octets = (_octets(file) if file else None) or b""
    state = thunderbird.parse_popstate(octets, str(file))
    imported = thunderbird.import_account(server, str(path), state)
    result.accounts.append(imported)
    _add_state_alone(result, thunderbird.PROGRAM, state, _claimed(state, [imported]))


def _claimed(state: Iterable[SeenGroup], accounts: Iterable[ImportedAccount]) -> list[SeenGroup]:
    known = [account.account for account in accounts]
    return [
        group
        for group in state
        if any(same_host(group.host, one.host) and group.user == one.user for one in known)
    ]


def _add_state_alone(
    result: _Found, program: str, state: Iterable[SeenGroup], claimed: Sequence[SeenGroup]
) -> None:
    """Add what no account has claimed, so that no message that was seen is forgotten."""
    for group in state:
        if group.seen and group not in claimed:
            try:
                result.accounts.append(state_alone(program, group))
            except WrongSettings as wrong:
                result.left_out.append(f"{len(group.seen)} seen messages: {wrong}")


def _add_notes(result: _Found, notes: Sequence[str]) -> None:
    if notes and result.accounts:
        last = result.accounts[-1]
        result.accounts[-1] = replace(last, notes=(*last.notes, *notes))


def _existing(paths: Sequence[Path], usual: Sequence[Path]) -> list[Path]:
    return list(paths) or [path for path in usual if path.is_file()]


def _settings(path: Path) -> tuple[str, list[str]]:
    octets = _octets(path, _SETTINGS_LIMIT_OCTETS)
    if octets is None:
        raise WrongSettings(f"{path}: there is no such file")
    text, is_utf8 = decode_settings(octets)
    note = f"{path} is not UTF-8 and was read as Latin-1: see names that are not ASCII"
    return text, [] if is_utf8 else [note]


def _text(path: Path, *, needed: bool) -> str | None:
    octets = _octets(path, _SETTINGS_LIMIT_OCTETS)
    if octets is None and needed:
        raise WrongSettings(f"{path}: there is no such file")
    return None if octets is None else decode_settings(octets)[0]


def _octets(path: Path, limit: int = _STATE_LIMIT_OCTETS) -> bytes | None:
    """Return a file, or None where there is none."""
    try:
        with path.open("rb") as file:
            octets = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as cause:
        raise WrongSettings(f"{path}: {cause.strerror}") from cause
    if len(octets) > limit:
        raise WrongSettings(f"{path}: larger than {limit >> 20} MB")
    return octets


_READERS = {
    "fetchmail": _read_fetchmail,
    "getmail": _read_getmail,
    "mpop": _read_mpop,
    "thunderbird": _read_thunderbird,
}
_PROGRAMS = f"write one of {', '.join(_READERS)}"
