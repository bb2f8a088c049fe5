"""`mailkeep fetch URL --to maildir:...`: what comes, what stays on the server, and what is told."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.cli.fetch.mailbox import Mailbox, mail, stored, subjects, wires

from mailkeep.testing.odd_server import (
    Login,
    OddMailbox,
    OddMessage,
    oddities,
    running_odd_server,
)

ODD = b"Subject: odd\n\n.\n..\nFrom here\n\xff\0no end"


def dated(subject: str, days: float) -> bytes:
    """Return a message that was written so many days ago."""
    return mail(subject, date=format_datetime(datetime.now(UTC) - timedelta(days=days)))


def test_everything_comes_and_everything_stays(mailbox: Mailbox) -> None:
    """The default deletes nothing, and bytes are stored as they came as POP3 sends them."""
    messages = (mail(1), mail(2), ODD)
    mailbox.deliver(*messages)
    done = mailbox.fetch()
    assert (done.code, done.out) == (0, "")
    assert stored(mailbox.maildir) == wires(*messages)
    assert len(mailbox.remaining()) == 3
    name = f"{mailbox.account}@localhost"
    told = [re.sub(r"[0-9.]+ s$", "T s", line) for line in done.err.splitlines()]
    octets = f"({sum(map(len, wires(*messages)))} B)"
    assert told == [f"{name}: 3 messages, 3 new {octets}", f"{name}: 3 fetched {octets} in T s"]


def test_a_second_run_brings_only_what_is_new(mailbox: Mailbox) -> None:
    """What was stored is never asked for again, whatever the user did with the file."""
    mailbox.deliver(mail(1), mail(2))
    assert mailbox.fetch().code == 0
    first, second = sorted((mailbox.maildir / "new").iterdir())
    first.rename(mailbox.maildir / "cur" / f"{first.name}:2,S")
    second.unlink()
    mailbox.deliver(mail(3))
    done = mailbox.fetch()
    assert (done.code, "3 messages, 1 new" in done.err) == (0, True)
    assert subjects(mailbox.maildir) == ["1", "3"]
    again = mailbox.fetch()
    assert (again.code, "nothing new" in again.err) == (0, True)


def test_delete_removes_what_is_safe_here(mailbox: Mailbox) -> None:
    """`--delete`: after the run the server has nothing and the Maildir everything, once."""
    mailbox.deliver(mail(1), mail(2))
    assert mailbox.fetch().code == 0
    mailbox.deliver(mail(3))
    done = mailbox.fetch("--delete")
    assert (done.code, "1 fetched" in done.err, "3 deleted" in done.err) == (0, True, True)
    assert mailbox.remaining() == []
    assert subjects(mailbox.maildir) == ["1", "2", "3"]


def test_delete_after_waits_for_its_time(mailbox: Mailbox) -> None:
    """`--delete-after 14d` counts from when a message was stored here, not from its date."""
    mailbox.deliver(dated("old", 400))
    assert mailbox.fetch("--delete-after", "14d").code == 0
    mailbox.age(13.9)
    assert mailbox.fetch("--delete-after", "14d").code == 0
    assert len(mailbox.remaining()) == 1
    mailbox.age(0.2)
    mailbox.deliver(mail("new"))
    assert mailbox.fetch("--delete-after", "14d").code == 0
    assert mailbox.remaining() == [*wires(mail("new"))]


def test_keep_newest_leaves_the_newest(mailbox: Mailbox) -> None:
    """`--keep-newest N`: all but the N last listed go once they are safe."""
    mailbox.deliver(*(mail(number) for number in range(5)))
    assert mailbox.fetch("--keep-newest", "2").code == 0
    assert mailbox.remaining() == [*wires(mail(3), mail(4))]
    assert subjects(mailbox.maildir) == ["0", "1", "2", "3", "4"]


def test_keep_newest_and_delete_after_must_both_hold(mailbox: Mailbox) -> None:
    """Together, what is old and not among the newest goes."""
    mailbox.deliver(*(mail(number) for number in range(3)))
    both = ("--keep-newest", "1", "--delete-after", "7d")
    assert mailbox.fetch(*both).code == 0
    assert len(mailbox.remaining()) == 3
    mailbox.age(8)
    assert mailbox.fetch(*both).code == 0
    assert mailbox.remaining() == [*wires(mail(2))]


@pytest.mark.parametrize(
    ("initial", "first"),
    [
        ("all", ["new", "old", "older"]),
        ("none", []),
        ("30d", ["new"]),
        ("last:2", ["new", "old"]),
        ("last:0", []),
    ],
)
def test_the_first_run_takes_what_initial_says(
    mailbox: Mailbox, initial: str, first: list[str]
) -> None:
    """`--initial` is for what was there before; what comes later always comes."""
    mailbox.deliver(dated("older", 90), dated("old", 60), dated("new", 2))
    assert mailbox.fetch("--initial", initial).code == 0
    assert subjects(mailbox.maildir) == first
    mailbox.deliver(dated("later", 365))
    assert mailbox.fetch("--initial", initial).code == 0
    assert subjects(mailbox.maildir) == sorted([*first, "later"])
    assert len(mailbox.remaining()) == 4


def test_what_was_left_by_the_first_run_is_not_deleted(mailbox: Mailbox) -> None:
    """Only what is safe here is deleted; what never came is not."""
    mailbox.deliver(mail("left"))
    assert mailbox.fetch("--initial", "none", "--delete").code == 0
    mailbox.deliver(mail("come"))
    assert mailbox.fetch("--delete").code == 0
    assert mailbox.remaining() == [*wires(mail("left"))]


def test_larger_messages_are_skipped(mailbox: Mailbox) -> None:
    """`--larger-than 1k skip` leaves a larger message there, until the limit is raised."""
    large = mail("large", "x" * 70 + "\n" + "y" * 1000)
    mailbox.deliver(mail("small"), large)
    done = mailbox.fetch("--larger-than", "1k", "skip", "--delete")
    assert (done.code, "1 skipped" in done.err) == (0, True)
    assert subjects(mailbox.maildir) == ["small"]
    assert mailbox.remaining() == [*wires(large)]
    assert mailbox.fetch().code == 0
    assert subjects(mailbox.maildir) == ["large", "small"]


def test_of_larger_messages_headers_can_be_fetched(mailbox: Mailbox) -> None:
    """`headers`: the header only, once; it is not deleted there; later the whole comes."""
    large = mail("large", "x" * 2000)
    mailbox.deliver(large)
    for _ in range(2):
        assert mailbox.fetch("--larger-than", "1k", "headers", "--delete").code == 0
        assert [*stored(mailbox.maildir).elements()] == [
            *wires(large.partition(b"\n\n")[0] + b"\n\n")
        ]
    assert mailbox.remaining() == [*wires(large)]
    assert mailbox.fetch("--delete").code == 0
    assert wires(large) <= stored(mailbox.maildir)
    assert mailbox.remaining() == []


def test_a_message_above_the_limit_is_never_taken(mailbox: Mailbox) -> None:
    """`--limit` holds whatever `--larger-than` says: the message is not even asked for."""
    mailbox.deliver(mail("small"), mail("large", "x" * 3000))
    for more in ((), ("--larger-than", "1M", "skip")):
        done = mailbox.fetch("--limit", "2k", *more)
        assert (done.code, "1 skipped" in done.err) == (0, True)
    assert subjects(mailbox.maildir) == ["small"]


def test_a_dry_run_changes_nothing(mailbox: Mailbox) -> None:
    """`--dry-run` says what would be done, on standard output, and does none of it."""
    mailbox.deliver(mail("stored"), mail("too large", "x" * 2000))
    assert mailbox.fetch("--larger-than", "1k", "skip").code == 0
    mailbox.deliver(mail("new"))
    before = stored(mailbox.maildir)
    done = mailbox.fetch("--dry-run", "--delete", "--larger-than", "1k", "skip")
    assert (done.code, done.err) == (0, "")
    words = [line.split()[:2] for line in done.out.splitlines()]
    assert words[1:-1] == [["delete", "1"], ["skip", "2"], ["fetch", "3"], ["delete", "3"]]
    assert stored(mailbox.maildir) == before
    assert len(mailbox.remaining()) == 3
    assert mailbox.fetch("--larger-than", "1k", "skip").code == 0
    assert subjects(mailbox.maildir) == ["new", "stored"]


def test_a_dry_run_before_the_first_run_makes_no_destination(mailbox: Mailbox) -> None:
    """Nothing is stored, and the first run is still to come."""
    mailbox.deliver(mail(1))
    done = mailbox.fetch("--dry-run", "--json")
    plan = json.loads(done.out)
    assert [(one["action"], one["why"]) for one in plan["plan"]] == [("fetch", "new")]
    assert not mailbox.maildir.exists()
    assert mailbox.fetch("--initial", "none").code == 0
    assert subjects(mailbox.maildir) == []


def test_json_lines_tell_the_run(mailbox: Mailbox) -> None:
    """`--json`: one object a line on standard output, in order, nothing on standard error."""
    mailbox.deliver(mail(1), mail(2))
    done = mailbox.fetch("--json", "--delete")
    events = [json.loads(line) for line in done.out.splitlines()]
    names = [event["event"] for event in events if event["event"] != "progress"]
    assert names == [
        "connected", "logged_in", "planned", "message_stored", "message_stored", "deleted", "ended",
    ]  # fmt: skip
    assert {event["account"] for event in events} == {f"{mailbox.account}@localhost"}
    paths = [path for event in events if "where" in event for path in event["where"]]
    assert sorted(paths) == sorted(str(path) for path in (mailbox.maildir / "new").iterdir())
    ended = events[-1]
    assert (ended["code"], ended["fetched"], ended["deleted"]) == (0, 2, 2)
    assert (done.code, done.err) == (0, "")


def test_quiet_says_nothing_when_all_is_well(mailbox: Mailbox) -> None:
    """For cron: no line, unless something goes wrong."""
    mailbox.deliver(mail(1))
    done = mailbox.fetch("--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    wrong = mailbox.fetch("--quiet", password="wrong")
    assert (wrong.code, wrong.out) == (3, "")
    assert wrong.err.startswith(f"error: {mailbox.account}@localhost: ")


def test_stls_is_as_good(mailbox: Mailbox) -> None:
    """`pop3://` is STLS before anything else, on the other port, for the same account."""
    mailbox.deliver(mail(1))
    words = ("fetch", mailbox.stls_url, *mailbox.options(), "--json")
    done = mailbox.run(*words, stdin=b"correct horse battery\n")
    assert (done.code, json.loads(done.out.splitlines()[0])["tls"]) == (0, "TLSv1.3")
    assert subjects(mailbox.maildir) == ["1"]
    assert mailbox.fetch().code == 0
    assert subjects(mailbox.maildir) == ["1"]


def test_the_word_run_may_be_said(mailbox: Mailbox) -> None:
    """`mailkeep fetch run URL` is `mailkeep fetch URL`."""
    mailbox.deliver(mail(1))
    words = ("fetch", "run", mailbox.url, *mailbox.options())
    assert mailbox.run(*words, stdin=b"correct horse battery\n").code == 0
    assert subjects(mailbox.maildir) == ["1"]


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_message_that_was_cut_is_not_deleted(mailbox: Mailbox, place: str) -> None:
    """What follows its early end is no answer: stored, told, left on the server (S-46)."""
    cut = oddities.lone_dot(b"cut", b"Subject: cut\r\n\r\nbefore\r\n", b"behind\r\n")
    good = OddMessage(b"good", b"Subject: good\r\n\r\n\r\n")
    both = (cut, good) if place == "first" else (good, cut)
    with running_odd_server(OddMailbox(*both)) as server:
        url = f"pop3://alice@127.0.0.1:{server.port}"
        words = ("fetch", url, "--cleartext", "--to", f"maildir:{mailbox.maildir}", "--delete")
        told = ""
        for _ in range(3):  # the one that cannot be deleted may end a run
            done = mailbox.run(*words, "--password-stdin", stdin=Login().password + b"\n")
            told += done.err
        assert server.mailbox.uidls == [b"cut"]
    assert "message cut may have arrived cut: what followed it was no answer" in told
    assert subjects(mailbox.maildir) == ["cut", "good"]
