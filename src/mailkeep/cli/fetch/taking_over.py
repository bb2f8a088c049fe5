"""`mailkeep fetch import` and `state rebuild`: what was fetched does not come again."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mailkeep.cli.failure import ExitCode
from mailkeep.cli.fetch.amounts import format_count
from mailkeep.cli.fetch.arguments import argument, group, option, repeated, switch
from mailkeep.cli.fetch.options import TARGETS, AccountOptions, MailOptions, with_mail
from mailkeep.cli.talk import printable, say, show, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailkeep.fetch.importing.found import ImportedAccount


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """All of `mailkeep fetch import`."""

    program: str | None = argument(
        "program", "PROGRAM", "fetchmail, getmail, mpop or thunderbird; all without.", count="?"
    )
    paths: list[Path] = argument(
        "paths",
        "FILE",
        "Its files, if they are not in the usual place.",
        count="*",
        convert=Path,
    )
    to: list[str] = repeated(
        "--to", "DEST", "Where mail goes of accounts whose old destination cannot be taken over."
    )
    dry_run: bool = switch("--dry-run", "Print what would be taken over, and write nothing.")
    json: bool = switch("--json", "Print JSON.")
    state: Path | None = option(
        "--state", "DIR", "Keep journals here, not in ~/.local/state/mailkeep.", convert=Path
    )
    config: Path | None = option(
        "--config", "FILE", "Settings; else ~/.config/mailkeep/fetch.toml.", convert=Path
    )


def import_accounts(options: ImportOptions) -> int:
    """Take over accounts, and what they have fetched, from another program: nothing comes twice.

    Accounts are written to the settings if there are none yet, else printed. Nothing is deleted
    from a server until you say so, and certificates are verified, whatever the other program did.
    """
    from mailkeep.cli.fetch.running import told
    from mailkeep.fetch.importing.reading import find_imports
    from mailkeep.fetch.importing.writing import settings_text
    from mailkeep.fetch.settings import settings_path

    path = options.config or settings_path(os.environ)
    with told():
        journals = _journals(path, options.state)
        found = find_imports(
            options.program, home=Path.home(), environment=os.environ, paths=options.paths
        )
        found = _with_destination(found, options.to)
    for account in found:
        noted = len(account.seen) if options.dry_run else _import_state(account, journals)
        told_of = "would be noted" if options.dry_run else "noted"
        say(f"{printable(account.label)}: {format_count(noted, 'message')} {told_of} as seen")
        for note in account.notes:
            say(f"  note: {printable(note)}")
    text = settings_text(found)
    is_written = not (options.dry_run or path.exists())
    if is_written:
        _write_settings(path, text)
    if options.json:
        show_json([_described(account) for account in found])
    elif not is_written:
        show(text.rstrip("\n"))
    say(_next_step(found, printable(str(path)), is_written=is_written))
    return ExitCode.DONE


def _journals(settings: Path, state: Path | None) -> Path:
    """Return where the journals are, as the settings say it if there are some already.

    Raises:
        WrongSettings: they cannot be used.
    """
    from mailkeep.fetch.settings import read_settings, state_folder

    if state is None and settings.exists():
        state = read_settings(settings).state
    return state_folder(os.environ, state)


def _with_destination(
    accounts: "Sequence[ImportedAccount]", to: "Sequence[str]"
) -> "list[ImportedAccount]":
    """Give these destinations to the accounts that have none.

    Raises:
        WrongSettings: one of them is no destination.
    """
    from mailkeep.fetch.importing.draft import NO_DESTINATION

    chosen = tuple(_from_anywhere(text) for text in to)
    if not chosen:
        return list(accounts)
    return [
        account
        if account.to
        else replace(
            account, to=chosen, notes=tuple(n for n in account.notes if n != NO_DESTINATION)
        )
        for account in accounts
    ]


def _from_anywhere(to: str) -> str:
    """Return a destination with its path as the settings want it: the same from every folder."""
    from mailkeep.fetch.destinations import parse_destination

    parse_destination(to, recipient="anybody", spool=Path())  # it says what is wrong
    kind, _, rest = to.partition(":")
    if kind in {"maildir", "mbox", "dir"} and not rest.startswith("~/"):
        return f"{kind}:{Path(rest).expanduser().absolute()}"
    return to


def _next_step(accounts: "Sequence[ImportedAccount]", path: str, *, is_written: bool) -> str:
    homeless = sum(not account.to for account in accounts)
    if homeless:
        what = format_count(homeless, "account")
        note = f"{what} without a destination: a comment until you give one; or import with --to\n"
    else:
        note = ""
    if is_written:
        return f"{note}wrote {path}: look at it, then run `mailkeep fetch --dry-run`"
    return f"{note}add what you want of this to {path}"


def _import_state(account: "ImportedAccount", journals: Path) -> int:
    """Note what the other program has fetched, and return how many messages that are."""
    import time

    from mailkeep.cli.fetch.running import told
    from mailkeep.fetch.journal import open_journal
    from mailkeep.fetch.rebuilding import import_seen
    from mailkeep.fetch.state_folder import AccountFolder

    folder = AccountFolder.of(journals, account.account.name)
    with told():
        folder.make()
        with folder.locked():
            journal = open_journal(folder.journal)
            try:
                return import_seen(journal, account.seen, now=int(time.time()))
            finally:
                journal.close()


def _described(account: "ImportedAccount") -> dict[str, object]:
    return {
        "label": account.label,
        "url": account.url,
        "to": list(account.to),
        "settings": dict(account.settings),
        "notes": list(account.notes),
        "seen": len(account.seen),
    }


def _write_settings(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """All of `mailkeep fetch state rebuild`."""

    targets: list[str] = argument("targets", "URL|ACCOUNT", TARGETS, count="*")
    json: bool = switch("--json", "Print JSON.")
    mail: MailOptions = group(MailOptions, "the mail")
    account: AccountOptions = group(AccountOptions, "the account")


def rebuild_state(options: RebuildOptions) -> int:
    """Make a lost journal anew: what destinations have and the server lists counts as stored."""
    from mailkeep.cli.fetch.choosing import choose_logins
    from mailkeep.cli.fetch.running import run_to_end, told
    from mailkeep.fetch.rebuilding import rebuild_account
    from mailkeep.fetch.start import make_destinations

    rebuilt = []
    for job, folder, source in choose_logins(options.targets, options.account):
        with told():
            destinations = make_destinations(with_mail(job, options.mail), folder)
        done = run_to_end(rebuild_account(job.account, folder, destinations, source))
        name = job.account.name
        rebuilt.append({"account": name, "listed": done.listed, "stored": done.known})
        if not options.json:
            say(f"{name}: {done.known} of {done.listed} messages on the server are stored here")
    if options.json:
        show_json(rebuilt)
    return ExitCode.DONE
