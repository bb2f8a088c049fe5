"""`mailkeep fetch` killed with `kill -9` before every single step, then run again."""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.crash.fetching import (
    DovecotMailbox,
    Mailbox,
    MailkeepMailbox,
    Result,
    Runner,
    arguments_of,
    check_each_once,
    check_journal,
    check_nothing_lost,
    dovecot_with_folder,
    held_by,
    mark_read,
    quick_folder,
    running,
    stored_in,
    wire,
)
from tests.harness.site import running_site

from mailkeep.fetch.destinations.temporary import MEMORY_OCTETS
from mailkeep.fetch.rows import State

LINE = b"From here, >From there; 1234567890 1234567890 1234567890\n"
MESSAGES = tuple(
    b"Subject: message %d\n\n" % number + LINE * (octets // len(LINE))
    for number, octets in enumerate((0, MEMORY_OCTETS * 2, 300, 5000, MEMORY_OCTETS + 1000, 20))
)
"""Two of them go into a file while they come."""

BATCH = 3
"""Messages that one wait for the disk is shared by, so that one batch comes while another waits."""

LARGE_OCTETS = MEMORY_OCTETS
LARGE = tuple(message for message in MESSAGES if len(message) > LARGE_OCTETS)

SEEN = frozenset(
    {
        "open",
        "write",
        "write what comes",
        "rename",
        "link",
        "unlink",
        "mkdir",
        "ftruncate",
        "COMMIT",
    }
    | {"RETR", "sent RETR", "TOP", "sent TOP", "DELE", "sent DELE", "QUIT", "sent QUIT"}
)
"""The others (fsync, close, BEGIN, behind a COMMIT) change nothing that a kill leaves: before them
all is as it is before the next of these."""
SEEN_KEEPING = frozenset(
    {"write", "write what comes", "rename", "ftruncate", "COMMIT", "QUIT", "sent QUIT"}
)
"""A fetch that deletes nothing is the beginning of one that deletes; what matters is met again."""

MakeMailbox = Callable[[str], Mailbox]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """The process that runs fetches."""
    with running() as runner:
        yield runner


@pytest.fixture(scope="module")
def on_dovecot() -> Iterator[MakeMailbox]:
    """Make mailboxes that Dovecot serves."""
    with dovecot_with_folder() as (dovecot, folder):
        yield lambda user: DovecotMailbox(dovecot, folder, user)


@pytest.fixture(scope="module")
def on_mailkeep() -> Iterator[MakeMailbox]:
    """Make mailboxes that Mailkeep serves."""
    with quick_folder() as folder, running_site(folder / "site") as site:
        yield lambda user: MailkeepMailbox(site, user)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for destinations and journals."""
    with quick_folder() as folder:
        yield folder


@dataclass(frozen=True, slots=True)
class Case:
    """What is fetched how.

    Attributes:
        kinds: of the destinations.
        deletes: whether the policy is to delete.
        headers_only: whether only the headers of large messages are fetched.
    """

    kinds: tuple[str, ...]
    deletes: bool
    headers_only: bool = False

    def destinations(self, folder: Path) -> list[str]:
        return [f"{kind}:{folder / kind}" for kind in self.kinds]

    @property
    def policy(self) -> list[str]:
        headers = ["--larger-than", str(LARGE_OCTETS), "headers"] if self.headers_only else []
        return ["--delete" if self.deletes else "--keep", *headers]

    @property
    def seen(self) -> frozenset[str]:
        """Before which steps it is killed."""
        return SEEN if self.deletes else SEEN_KEEPING

    @property
    def left(self) -> Sequence[bytes]:
        """What shall be on the server in the end."""
        if not self.deletes:
            return MESSAGES
        return LARGE if self.headers_only else ()

    @property
    def stored(self) -> Sequence[bytes]:
        """What shall be in each destination in the end."""
        if not self.headers_only:
            return MESSAGES
        small = [message for message in MESSAGES if message not in LARGE]
        return [*small, *(message[: message.index(b"\n\n") + 2] for message in LARGE)]

    @property
    def states(self) -> dict[State, int]:
        """What the journal shall say in the end."""
        headers = len(LARGE) if self.headers_only else 0
        states = {State.GONE if self.deletes else State.STORED: len(MESSAGES) - headers}
        return states | ({State.HEADER: headers} if headers else {})

    def __str__(self) -> str:
        words = [*self.kinds, "delete" if self.deletes else "keep"]
        return "-".join([*words, "headers"] if self.headers_only else words)


def kill_at_every_step(
    case: Case,
    runner: Runner,
    make: MakeMailbox,
    folder: Path,
    seen: Container[str],
) -> None:
    """Kill a first run before each of its steps, each time with a new mailbox, and run again."""
    whole = killed_run(case, runner, make, folder / "whole", None)
    assert whole.code == 0, whole.said
    steps = Counter(whole.steps)
    check_that_all_is_there(case, steps)
    deadly = [(name, n + 1) for name in sorted(steps) if name in seen for n in range(steps[name])]
    ends = [
        killed_run(case, runner, make, folder / f"{name}{n}".replace(" ", "-"), (name, n))
        for name, n in deadly
    ]
    assert sum(end.code is None for end in ends) > 0.9 * len(deadly)


def killed_run(
    case: Case, runner: Runner, make: MakeMailbox, here: Path, step: tuple[str, int] | None
) -> Result:
    """Let a run be killed before a step, if it comes there, run again, and look at the end."""
    mailbox = make(f"{case}.{here.name}".lower())
    mailbox.put(*MESSAGES)
    to = case.destinations(here)
    arguments = arguments_of(mailbox, to, here / "state", *case.policy)
    result = runner.run(arguments, step=step, batch=BATCH)
    assert result.code in {None, 0}, result.said
    if not case.headers_only:
        check_nothing_lost(mailbox, to, MESSAGES)
    for destination in to:
        mark_read(destination)
    runner.run_to_the_end(arguments)
    check_the_end(case, mailbox, to, here)
    return result


def check_the_end(case: Case, mailbox: Mailbox, to: list[str], here: Path) -> None:
    """Every message once in each destination, and on the server what the policy says."""
    check_each_once(to, case.stored)
    assert sorted(held_by(mailbox)) == sorted(map(wire, case.left))
    check_journal(here / "state", to, case.states)


def check_that_all_is_there(case: Case, steps: Counter[str]) -> None:
    """The run shows everything that is to be killed; a step that is not watched would hide."""
    expected = {
        "open",
        "write",
        "write what comes",
        "mkdir",
        "COMMIT",
        "RETR",
        "sent RETR",
        "QUIT",
        "sent QUIT",
    }
    if case.kinds != ("mbox",):
        expected.add("rename")
        assert steps["rename"] >= len(MESSAGES)
    if case.deletes:
        expected |= {"DELE", "sent DELE"}
    assert expected <= steps.keys()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "case",
    [
        Case(("maildir",), deletes=True),
        Case(("dir",), deletes=False),
        Case(("mbox",), deletes=True),
        Case(("maildir", "mbox"), deletes=True),
    ],
    ids=str,
)
def test_a_fetch_killed_at_any_step_loses_and_doubles_nothing_on_dovecot(
    case: Case, runner: Runner, on_dovecot: MakeMailbox, folder: Path
) -> None:
    """S-01 to S-08: none lost, none doubled, and the server holds what the policy says."""
    kill_at_every_step(case, runner, on_dovecot, folder, case.seen)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "case",
    [
        Case(("maildir",), deletes=True),
        Case(("maildir",), deletes=False),
        Case(("dir",), deletes=True),
        Case(("mbox",), deletes=False),
    ],
    ids=str,
)
def test_a_fetch_killed_at_any_step_loses_and_doubles_nothing_on_mailkeep(
    case: Case, runner: Runner, on_mailkeep: MakeMailbox, folder: Path
) -> None:
    """S-01 to S-08, against `mailkeep serve`."""
    kill_at_every_step(case, runner, on_mailkeep, folder, case.seen)


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_a_header_that_a_killed_run_has_left_is_not_taken_for_its_message(
    kind: str, runner: Runner, on_dovecot: MakeMailbox, folder: Path
) -> None:
    """What was fetched by TOP alone stays on the server, whenever the run was killed."""
    case = Case((kind,), deletes=True, headers_only=True)
    kill_at_every_step(case, runner, on_dovecot, folder, seen={"write", "rename", "COMMIT"})


def test_a_header_in_one_of_two_destinations_is_followed_by_its_message(
    runner: Runner, on_dovecot: MakeMailbox, folder: Path
) -> None:
    """Killed when only one had it, and then the policy wants it whole: both get it whole."""
    headers = Case(("maildir", "mbox"), deletes=True, headers_only=True)
    mailbox = on_dovecot("two-headers")
    mailbox.put(*MESSAGES)
    to = headers.destinations(folder)
    arguments = arguments_of(mailbox, to, folder / "state", *headers.policy)
    published = 2  # the dotlock of the mbox, after the lookup for what may be there
    assert runner.run(arguments, step=("link", published)).code is None
    assert len(stored_in(to[0])) == len(MESSAGES)
    assert stored_in(to[1]) == []
    runner.run_to_the_end(arguments_of(mailbox, to, folder / "state", "--delete"))
    for destination in to:
        assert set(map(wire, MESSAGES)) <= set(stored_in(destination))
    assert held_by(mailbox) == []
