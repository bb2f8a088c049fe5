"""`mailkeep fetch` of accounts in `fetch.toml`: which, how many at a time, and one that fails."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain

import pytest
from tests.cli.conftest import Run
from tests.cli.fetch.mailbox import Mailbox, mail, subjects
from tests.harness.site import PASSWORD

from mailkeep.fetch.failures import FetchExit
from mailkeep.testing.odd_server import (
    Answer,
    Login,
    Oddity,
    OddMailbox,
    OddSession,
    OddSettings,
    Pause,
    Step,
    running_odd_server,
)


@pytest.fixture
def two(mailboxes: Callable[[], Mailbox]) -> tuple[Mailbox, Mailbox]:
    """Two mailboxes of one person, with a message each, and no settings yet."""
    both = mailboxes(), mailboxes()
    for one in both:
        one.deliver(mail(one.account))
    return both


def write(first: Mailbox, second: Mailbox, *, first_lines: tuple[str, ...] = (), head: str = "",
          second_lines: tuple[str, ...] = ()) -> None:  # fmt: skip
    tables = (
        first.table("first", *first_lines),
        first.table("second", *second_lines, account=second.account),
    )
    first.write_settings(head + "\n".join(tables))


def test_all_accounts_are_fetched(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """Without an argument: all that are enabled, each into its own place."""
    write(*two)
    done = mailkeep("fetch")
    assert (done.code, done.out) == (0, "")
    assert [subjects(one.maildir) for one in two] == [[one.account] for one in two]
    for one in two:
        assert f"{one.account}@localhost: 1 fetched" in done.err


@pytest.mark.parametrize("how", ["label", "user@host"])
def test_an_account_is_named(two: tuple[Mailbox, Mailbox], mailkeep: Run, how: str) -> None:
    """By its name in the settings, or as the lines of the output call it."""
    first, second = two
    write(*two)
    name = "second" if how == "label" else f"{second.account}@localhost"
    assert mailkeep("fetch", name).code == 0
    assert (subjects(first.maildir), subjects(second.maildir)) == ([], [second.account])
    assert mailkeep("fetch", "first", name, "first", "--quiet").err == ""
    assert subjects(first.maildir) == [first.account]


def test_an_unknown_account_is_code_2(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """The known ones are listed, and none of them is fetched."""
    write(*two)
    done = mailkeep("fetch", "first", "third")
    assert done.code == FetchExit.WRONG
    assert "there is no account third in " in done.err
    assert "hint: known: first, second\n" in done.err
    address = mailkeep("fetch", "joe@example.com")
    assert "or write pop3s://joe@example.com" in address.err
    assert subjects(two[0].maildir) == []


def test_a_disabled_account_is_passed_over(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """`enabled = false`; by name it is refused, so that nobody waits for its mail."""
    first, second = two
    write(*two, second_lines=("enabled = false",))
    assert mailkeep("fetch").code == 0
    assert (subjects(first.maildir), subjects(second.maildir)) == ([first.account], [])
    done = mailkeep("fetch", "second")
    assert (done.code, "enabled = false" in done.err) == (FetchExit.WRONG, True)


def test_one_account_that_fails_does_not_end_the_others(
    two: tuple[Mailbox, Mailbox], mailkeep: Run
) -> None:
    """Exit code 1 says that some failed; what each ended with is in its own lines."""
    first, second = two
    write(*two, first_lines=('password_command = ["echo", "wrong"]',))
    done = mailkeep("fetch")
    assert done.code == FetchExit.PARTIAL
    assert f"error: {first.account}@localhost: the server refuses the login" in done.err
    assert subjects(second.maildir) == [second.account]
    ended = [json.loads(line) for line in mailkeep("fetch", "--json").out.splitlines()]
    codes = {one["account"]: one["code"] for one in ended if one["event"] == "ended"}
    assert codes == {f"{first.account}@localhost": 3, f"{second.account}@localhost": 0}


def test_accounts_that_fail_alike_end_with_their_code(
    two: tuple[Mailbox, Mailbox], mailkeep: Run
) -> None:
    """All refused: 3. One refused, one that cannot be reached: 1."""
    wrong = 'password_command = ["echo", "wrong"]'
    write(*two, first_lines=(wrong,), second_lines=(wrong,))
    assert mailkeep("fetch").code == FetchExit.LOGIN
    write(*two, first_lines=(wrong,), second_lines=('password_command = ["false"]',))
    assert mailkeep("fetch").code == FetchExit.PARTIAL


def test_options_change_what_the_settings_say(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """`--keep` over `delete = true`, `--to` over `to`; for all accounts that are fetched."""
    first, second = two
    write(*two, first_lines=("delete = true",), second_lines=("delete = true",))
    other = first.home / "other"
    assert mailkeep("fetch", "--keep", "--to", f"maildir:{other}").code == 0
    assert subjects(other) == sorted(one.account for one in two)
    assert [len(one.remaining()) for one in two] == [1, 1]
    first.deliver(mail("more"))
    assert mailkeep("fetch").code == 0
    assert subjects(first.maildir) == ["more"]
    assert len(second.remaining()) == 1  # it is not in the place that the settings name


def test_settings_that_others_may_change_are_not_believed(
    two: tuple[Mailbox, Mailbox], mailkeep: Run
) -> None:
    """They name commands that are run; exit code 2 with what to do."""
    write(*two)
    two[0].settings.chmod(0o666)
    done = mailkeep("fetch")
    assert (done.code, "hint: chmod go-w " in done.err) == (FetchExit.WRONG, True)
    assert subjects(two[0].maildir) == []


def test_a_mistake_in_the_settings_is_named(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """File, line and key, and the key that was probably meant; no account is fetched."""
    write(*two, second_lines=("delete_afer = '14d'",))
    done = mailkeep("fetch")
    assert done.code == FetchExit.WRONG
    assert f"{two[0].settings}:12: accounts.second.delete_afer: unknown key" in done.err
    assert "hint: did you mean `delete_after`?" in done.err
    assert subjects(two[0].maildir) == []


def test_state_is_where_the_settings_say(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """`state = ...` at the top, unless `--state` says otherwise."""
    write(*two, head='state = "~/journals"\n')
    assert mailkeep("fetch", "first").code == 0
    assert (two[0].home / "journals" / f"{two[0].account}@localhost" / "journal.db").exists()
    assert not two[0].state.exists()


class Gate(Oddity):
    """Give no message until so many sessions are open at a time, and count them."""

    def __init__(self, wanted: int) -> None:
        self.most = 0
        self._wanted = wanted
        self._open = 0
        self._lock = threading.Lock()  # the servers that share it have a thread each

    def login(self, _session: OddSession, /) -> None:
        """See `Oddity`."""
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)

    def answer(self, session: OddSession, answer: Answer, /) -> Answer:
        """See `Oddity`."""
        if session.command.word == b"QUIT":
            with self._lock:
                self._open -= 1
        if session.command.word != b"RETR":
            return answer
        return Answer(answer.status, chain(self._wait(), answer.body))

    def _wait(self) -> Iterator[Step]:
        for _ in range(2000):
            if self.most >= self._wanted:
                return
            yield Pause(0.01)


@pytest.mark.parametrize(
    ("head", "arguments", "wanted"),
    [("", (), 4), ("parallel = 2\n", (), 2), ("parallel = 2\n", ("--parallel", "3"), 3)],
    ids=["default", "settings", "option"],
)
def test_some_accounts_are_fetched_at_a_time(
    mailbox: Mailbox, mailkeep: Run, head: str, arguments: tuple[str, ...], wanted: int
) -> None:
    """Four unless said; each mailbox in one session, and all of them in the end."""
    gate = Gate(wanted)
    tables = []
    with ExitStack() as stack:
        for number in range(6):
            login = Login(b"user%d" % number)
            bodies = OddMailbox.of(b"Subject: %d\r\n\r\nbody\r\n" % number)
            settings = OddSettings(login=login)
            server = stack.enter_context(running_odd_server(bodies, gate, settings=settings))
            tables.append(
                f"[accounts.a{number}]\n"
                f'url = "pop3://user{number}@127.0.0.1:{server.port}"\ninsecure = true\n'
                f'password_command = ["echo", "{login.password.decode()}"]\n'
                'to = "maildir:~/Mail"\n'
            )
        mailbox.write_settings(head + "\n".join(tables))
        done = mailkeep("fetch", *arguments)
        assert done.code == 0, done.err
    assert subjects(mailbox.home / "Mail") == [str(number) for number in range(6)]
    assert gate.most == wanted


def test_a_dry_run_shows_every_account(two: tuple[Mailbox, Mailbox], mailkeep: Run) -> None:
    """One after the other, with its name; nothing is stored."""
    write(*two)
    done = mailkeep("fetch", "--dry-run")
    assert done.code == 0
    totals = [line for line in done.out.splitlines() if "1 to fetch" in line]
    assert [line.partition(":")[0] for line in totals] == [f"{a.account}@localhost" for a in two]
    assert subjects(two[0].maildir) == []


def test_the_password_of_these_tests_is_in_no_output(
    two: tuple[Mailbox, Mailbox], mailkeep: Run
) -> None:
    """Whatever is said, the secret is not."""
    write(*two)
    done = mailkeep("fetch", "--json")
    assert PASSWORD not in done.out + done.err
