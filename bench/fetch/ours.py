"""Mailkeep itself, as the others: verified TLS, into a Maildir, keeping everything."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.fetch.programs import Command, Workspace
from bench.fetch.rows import MAIL_OCTETS

from mailkeep.fetch.journal import open_journal
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.received import Received
from mailkeep.fetch.rows import Intent, Outcome, State
from mailkeep.fetch.state_folder import AccountFolder


@dataclass(frozen=True, slots=True)
class Mailkeep:
    """`mailkeep fetch` of the environment that runs the benchmark."""

    name: str = "mailkeep"
    durability: str = "file yes, folder yes"

    def find(self) -> Path | None:
        """Return where it is."""
        program = Path(sys.executable).parent / "mailkeep"
        return program if program.exists() else None

    def prepare(self, work: Workspace) -> Command:
        """Return its command; it needs no settings file."""
        words = (
            Path(sys.executable).parent / "mailkeep",
            "fetch",
            f"pop3s://{work.account}@localhost:{work.port}",
            "--to",
            f"maildir:{work.maildir}",
            "--state",
            work.folder / "state",
            "--ca",
            work.ca,
            "--password-stdin",
        )
        return Command(words, stdin=f"{work.password}\n")

    def remember(self, work: Workspace, unique_ids: list[str]) -> None:
        """Make the journal of a run that fetched these messages."""
        fill_mailkeep_state(self.prepare(work), work, unique_ids)


def fill_mailkeep_state(command: Command, work: Workspace, unique_ids: list[str]) -> None:
    """Make the journal of a run that fetched everything, and let one run learn the sizes.

    Args:
        command: how Mailkeep is started in this place.
        work: the journal goes into `state` of its folder.
        unique_ids: of all messages that the server has.
    """
    name = f"{work.account}@localhost"
    folder = AccountFolder.of(work.folder / "state", name)
    folder.make()
    journal = open_journal(folder.journal)
    now = int(time.time())
    received = Received(MAIL_OCTETS, b"s" * 32, b"h" * 32)
    held = {f"maildir:{work.maildir}": "new"}
    for start in range(0, len(unique_ids), CHUNK):
        some = unique_ids[start : start + CHUNK]
        keys = [MessageKey(uidl.encode()) for uidl in some]
        intents = [Intent(key, place, None) for place, key in enumerate(keys, start + 1)]
        intended = journal.intend(intents, now=now)
        stored = [Outcome(one.id, received, held, State.STORED) for one in intended]
        journal.commit(stored, {}, now=now)
    journal.close()
    subprocess.run(
        command.words,
        input=command.stdin.encode(),
        capture_output=True,
        timeout=FILL_LIMIT_S,
        check=True,
    )
    assert work.stored() == 0, "it fetched what its journal knows"


CHUNK = 5_000
FILL_LIMIT_S = 120
