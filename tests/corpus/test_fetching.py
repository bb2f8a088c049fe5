"""Whole folders of mail fetched by `mailkeep fetch`: stored is what was served, octet for octet.

Dovecot and Mailkeep serve the same Maildir. What a file of a fetched message must hold, the wire
form says, written as plainly as it can be and without a line of the program's.

Dovecot's own changes, which no client can undo, are those of `tests.interop.test_differential`: it
does not double a dot at the very start of a message, and sends an empty line for an empty message.
Where that dot is alone on its line it ends the message, and what follows is no answer to anything.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.corpus.collections import NAMES, read_collection
from tests.harness.dovecot import running_dovecot
from tests.harness.maildir import lay
from tests.harness.programs import Port, open_folder, run
from tests.harness.site import MAILKEEP, PASSWORD, python_path, running_site
from tests.interop.neighbours import Neighbours, read_all
from tests.interop.test_differential import as_dovecot_sends, can_be_compared
from tests.messages import HAZARDS, naive_wire_form

Read = Callable[[Path], Sequence[bytes]]


@pytest.fixture(scope="module")
def neighbours() -> Iterator[Neighbours]:
    """Serve one tree of Maildirs by Dovecot and by a site of its own."""
    with open_folder() as folder:
        maildirs = folder / "mail"
        with running_site(folder / "site", maildrops=f"{maildirs}/{{local}}") as site:
            tls, pattern = site.folder / "tls", f"{maildirs}/%n"
            with running_dovecot(folder, tls=tls, maildirs=pattern, password=PASSWORD) as dovecot:
                yield Neighbours(maildirs, site, dovecot)


@dataclass(frozen=True, slots=True)
class Mail:
    """A collection in an account's Maildir."""

    account: str
    messages: Mapping[str, bytes]


@pytest.fixture(scope="module", params=NAMES)
def mail(request: pytest.FixtureRequest, neighbours: Neighbours) -> Mail:
    messages = read_collection(request.param)
    messages = {name: octets for name, octets in messages.items() if can_be_compared(octets)}
    account = f"fetched-{request.param}"
    maildir = neighbours.add_account(account)
    for place, message in enumerate(messages.values(), 1):
        lay(maildir, message, place)
    neighbours.own()
    return Mail(account, messages)


def read_files(pattern: str) -> Read:
    return lambda path: [file.read_bytes() for file in path.glob(pattern)]


def read_mbox(path: Path) -> list[bytes]:
    """Return the messages of an mbox by the lengths that their first lines tell (mboxrd)."""
    text = path.read_bytes()
    starts = list(re.finditer(rb"^From mailkeep-K[0-9a-f]{32}\.(\d+)\..*\n", text, re.MULTILINE))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    parts = [text[start.end() : end] for start, end in zip(starts, ends, strict=True)]
    plain = [re.sub(rb"^>(>*From )", rb"\1", part, flags=re.MULTILINE) for part in parts]
    return [octets[: int(start[1])] for start, octets in zip(starts, plain, strict=True)]


PLACES: dict[str, Read] = {
    "maildir": read_files("new/*"),
    "dir": read_files("*.eml"),
    "mbox": read_mbox,
}


def fetch(
    account: str, port: Port, ca: Path, folder: Path, *more: str, codes: Container[int] = (0,)
) -> dict[str, Counter[bytes]]:
    """Fetch an account into one destination of each kind, and return what each has then."""
    to = [word for kind in PLACES for word in ("--to", f"{kind}:{folder / kind}")]
    url = f"pop3s://{account}@localhost:{port.number}"
    common = ("--ca", ca, "--state", folder / "state", "--password-stdin", "--quiet")
    done = run(
        (*MAILKEEP, "fetch", url, *to, *common, *more),
        stdin=f"{PASSWORD}\n".encode(),
        environment={**python_path(), "SSL_CERT_FILE": os.devnull},
        check=False,
    )
    assert done.returncode in codes, done.stderr.decode()
    return {kind: Counter(read(folder / kind)) for kind, read in PLACES.items()}


def differing(found: Counter[bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """Return the names of messages that are not there as they should be, and what is there."""
    missing = [name for name, wire in wanted.items() if not found[wire]]
    strange = found - Counter(wanted.values())
    return missing + [repr(octets[:80]) for octets in strange]


def test_what_mailkeep_serves_is_stored_as_it_is(
    mail: Mail, neighbours: Neighbours, tmp_path: Path
) -> None:
    """Every message once in every kind of destination, and nothing else."""
    wanted = {name: naive_wire_form(message) for name, message in mail.messages.items()}
    found = fetch(mail.account, neighbours.site.pop3s, neighbours.site.ca, tmp_path)
    for kind, messages in found.items():
        assert differing(messages, wanted) == [], kind
        assert messages == Counter(wanted.values())


def test_what_dovecot_serves_is_stored_as_it_is(
    mail: Mail, neighbours: Neighbours, tmp_path: Path
) -> None:
    """The same mail from Dovecot gives the same files, but for what Dovecot itself changes."""
    wanted = {name: as_dovecot_sends(message) for name, message in mail.messages.items()}
    found = fetch(mail.account, neighbours.dovecot.pop3s, neighbours.site.ca, tmp_path)
    for kind, messages in found.items():
        assert differing(messages, wanted) == [], kind
        assert messages == Counter(wanted.values())
    changed = [n for n, wire in wanted.items() if wire != naive_wire_form(mail.messages[n])]
    assert changed == CHANGED_BY_DOVECOT[mail.account]


CHANGED_BY_DOVECOT = {
    "fetched-hazards": ["empty", "starts with a dot"],
    "fetched-corpus": [],
}


def test_a_message_that_dovecot_cuts_is_not_deleted_and_takes_no_other_with_it(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    """What follows its early end is no answer: it is kept on the server; the others come (S-46)."""
    maildir = neighbours.add_account("broken")
    odd = [message for message in HAZARDS.values() if not can_be_compared(message)]
    assert len(odd) == 3
    good = [b"Subject: %d\n\nbody\n" % number for number in range(3)]
    for place, message in enumerate((*good[:2], odd[0], good[2], *odd[1:]), 1):
        lay(maildir, message, place)
    neighbours.own()
    found: dict[str, Counter[bytes]] = {}
    for _ in range(4):  # in each some come and some fail, because of their neighbours
        where = (neighbours.dovecot.pop3s, neighbours.site.ca, tmp_path)
        found = fetch("broken", *where, "--delete", codes={0, 1, 8})
    for messages in found.values():
        assert messages - Counter({b"": len(odd)}) == Counter(map(naive_wire_form, good))
    with neighbours.site.session("broken") as client:
        left = read_all(client)
    assert {naive_wire_form(message) for message in odd} <= {*left}
