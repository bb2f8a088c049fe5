"""`mailkeep fetch import` and `state rebuild`: what was fetched does not come again."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.cli.arguments import JsonOption
from mailkeep.cli.fetch.options import AccountOptions, MailOptions, with_mail
from mailkeep.cli.fetch.run import TargetsArgument
from mailkeep.cli.fetch.signature import with_options
from mailkeep.cli.talk import printable, say, show, show_json

if TYPE_CHECKING:
    from mailkeep.fetch.importing.found import ImportedAccount


def import_accounts(
    program: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROGRAM]", help="fetchmail, getmail, mpop or thunderbird; all without."
        ),
    ] = None,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE ...]", help="Its files, if they are not in the usual place."),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be taken over, and write nothing.")
    ] = False,
    json: JsonOption = False,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep journals here, not in ~/.local/state/mailkeep."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings; else ~/.config/mailkeep/fetch.toml."),
    ] = None,
) -> None:
    """Take over accounts, and what they have fetched, from another program: nothing comes twice.

    Accounts are written to the settings if there are none yet, else printed. Nothing is deleted
    from a server until you say so, and certificates are verified, whatever the other program did.
    """
    from mailkeep.cli.fetch.running import told
    from mailkeep.fetch.importing.reading import find_imports
    from mailkeep.fetch.importing.writing import settings_text
    from mailkeep.fetch.settings import settings_path, state_folder

    with told():
        found = find_imports(program, home=Path.home(), environment=os.environ, paths=paths or ())
    if not found:
        say("nothing was found to take over")
        return
    journals = state_folder(os.environ, state)
    for account in found:
        noted = 0 if dry_run else _import_state(account, journals)
        told_of = "would be noted" if dry_run else "were noted"
        say(f"{printable(account.label)}: {noted or len(account.seen)} messages {told_of} as seen")
        for note in account.notes:
            say(f"  note: {printable(note)}")
    text = settings_text(found)
    path = config or settings_path(os.environ)
    if json:
        show_json([_described(account) for account in found])
    elif dry_run or path.exists():
        show(text.rstrip("\n"))
        say(f"add what you want of this to {path}")
    else:
        _write_settings(path, text)
        say(f"wrote {path}: look at it, then run `mailkeep fetch --dry-run`")


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


@with_options(AccountOptions, "account")
@with_options(MailOptions, "mail")
def rebuild_state(
    targets: TargetsArgument = None,
    *,
    account: AccountOptions,
    mail: MailOptions,
    json: JsonOption = False,
) -> None:
    """Make a lost journal anew: what destinations have and the server lists counts as stored."""
    from mailkeep.cli.fetch.choosing import choose
    from mailkeep.cli.fetch.running import asker, run_to_end, told
    from mailkeep.fetch.rebuilding import rebuild_account
    from mailkeep.fetch.start import login_source, make_destinations
    from mailkeep.fetch.state_folder import AccountFolder

    rebuilt = []
    with told():
        chosen = choose(targets or (), account, os.environ)
    for job in (with_mail(one, mail) for one in chosen.jobs):
        folder = AccountFolder.of(chosen.state, job.account.name)
        with told():
            destinations = make_destinations(job, folder)
            source = login_source(job, ask=asker(), warn=say)
        done = run_to_end(rebuild_account(job.account, folder, destinations, source))
        name = job.account.name
        rebuilt.append({"account": name, "listed": done.listed, "stored": done.known})
        if not json:
            say(f"{name}: {done.known} of {done.listed} messages on the server are stored here")
    if json:
        show_json(rebuilt)
    sys.stdout.flush()
