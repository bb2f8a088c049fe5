"""`mailkeep fetch import` and `state rebuild`: after either of them nothing comes twice."""

import json
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cli.conftest import Done
from tests.cli.fetch.mailbox import Mailbox, in_folder, mail, stored, subjects, wires
from tests.harness.programs import find_program, run
from tests.harness.site import PASSWORD

from mailkeep.fetch.failures import FetchExit
from mailkeep.fetch.settings import read_settings

MESSAGES = (mail(1), mail(2), mail(3))


def write(path: Path, *lines: str) -> None:
    """Write a file as these programs want theirs: for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)


def mpoprc(mailbox: Mailbox, delivery: Sequence[str]) -> None:
    write(
        mailbox.home / ".mpoprc",
        "account work",
        "host localhost",
        f"port {mailbox.site.pop3s.number}",
        "tls on",
        "tls_starttls off",
        f"tls_trust_file {mailbox.site.ca}",
        f"user {mailbox.account}",
        f"passwordeval echo '{PASSWORD}'",
        "received_header off",
        f"uidls_file {mailbox.home}/.mpop_uidls",
        "keep on",
        *delivery,
        "account default : work",
    )


@pytest.fixture
def by_mpop(mailbox: Mailbox) -> Mailbox:
    """A mailbox that mpop has fetched into a Maildir."""
    mailbox.deliver(*MESSAGES)
    for part in ("tmp", "new", "cur"):
        (mailbox.home / "mpop" / part).mkdir(parents=True)
    mpoprc(mailbox, [f"delivery maildir {mailbox.home}/mpop"])
    run((find_program("mpop"), "--file", mailbox.home / ".mpoprc", "--quiet"))
    assert stored(mailbox.home / "mpop").total() == 3
    return mailbox


def test_what_mpop_has_fetched_does_not_come_again(by_mpop: Mailbox) -> None:
    """Import, then fetch: only what came since, into the Maildir that mpop had."""
    mailbox = by_mpop
    done = mailbox.run("fetch", "import")
    assert (done.code, done.out) == (0, "")
    assert "work: 3 messages noted as seen\n" in done.err
    assert f"wrote {mailbox.settings}: look at it, then run `mailkeep fetch --dry-run`" in done.err
    assert PASSWORD not in done.err
    assert mailbox.settings.stat().st_mode & 0o777 == 0o600
    nothing = mailbox.run("fetch", "--dry-run")
    assert (nothing.code, "3 already stored" in nothing.out) == (0, True)
    mailbox.deliver(mail(4))
    fetched = mailbox.run("fetch")
    assert (fetched.code, "1 fetched" in fetched.err) == (0, True)
    assert subjects(mailbox.home / "mpop") == ["4"]  # mpop wrote bare LF, which has no CR to split
    assert stored(mailbox.home / "mpop").total() == 4


def test_what_another_program_fetched_is_never_deleted(by_mpop: Mailbox) -> None:
    """It was proved safe nowhere here."""
    assert by_mpop.run("fetch", "import", "mpop").code == 0
    by_mpop.deliver(mail(4))
    assert by_mpop.run("fetch", "--delete").code == 0
    assert len(by_mpop.remaining()) == 3


def test_a_dry_run_writes_nothing(by_mpop: Mailbox) -> None:
    """The settings go to standard output; neither they nor a journal are on the disk."""
    done = by_mpop.run("fetch", "import", "--dry-run")
    assert done.code == 0
    (label,) = tomllib.loads(done.out)["accounts"]
    assert label == "work"
    assert "work: 3 messages would be noted as seen\n" in done.err
    assert not by_mpop.settings.exists()
    assert not by_mpop.state.exists()


def test_settings_that_are_there_are_not_overwritten(by_mpop: Mailbox) -> None:
    """What could be added is printed; what was seen is noted, where the settings keep the state."""
    by_mpop.write_settings('state = "~/journals"\n')
    done = by_mpop.run("fetch", "import")
    assert done.code == 0
    assert f"add what you want of this to {by_mpop.settings}" in done.err
    assert by_mpop.settings.read_text() == 'state = "~/journals"\n'
    by_mpop.write_settings(by_mpop.settings.read_text() + done.out)
    assert not by_mpop.state.exists()
    fetched = by_mpop.run("fetch")
    assert (fetched.code, "nothing new" in fetched.err) == (0, True)


def test_importing_again_changes_nothing(by_mpop: Mailbox) -> None:
    """What was fetched here meanwhile stays known as fetched here, and may be deleted."""
    assert by_mpop.run("fetch", "import").code == 0
    by_mpop.deliver(mail(4))
    assert by_mpop.run("fetch").code == 0
    assert by_mpop.run("fetch", "import").code == 0
    done = by_mpop.run("fetch", "--delete")
    assert (done.code, "1 deleted" in done.err) == (0, True)


def test_json_describes_what_was_found(by_mpop: Mailbox) -> None:
    """For scripts, the same and no more: the settings are written as without it."""
    done = by_mpop.run("fetch", "import", "--json")
    (found,) = json.loads(done.out)
    assert (found["label"], found["seen"]) == ("work", 3)
    assert found["url"] == by_mpop.url
    assert found["to"] == [f"maildir:{by_mpop.home}/mpop"]
    assert by_mpop.settings.exists()


def test_an_account_without_a_destination_gets_one_by_to(mailbox: Mailbox) -> None:
    """`--to DEST` for those whose old one cannot be taken over; the file can be used as it is."""
    mpoprc(mailbox, [])
    mailbox.deliver(*MESSAGES)
    done = mailbox.run("fetch", "import", "--to", f"maildir:{mailbox.maildir}")
    assert (done.code, "choose where" in done.err) == (0, False)
    assert [job.destinations for job in read_settings(mailbox.settings).jobs] == [
        (f"maildir:{mailbox.maildir}",)
    ]
    assert mailbox.run("fetch").code == 0
    assert subjects(mailbox.maildir) == ["1", "2", "3"]


def test_without_to_such_an_account_is_a_comment(mailbox: Mailbox) -> None:
    """What is written always loads; the comment says what to fill in, and the output says so."""
    mpoprc(mailbox, [])
    done = mailbox.run("fetch", "import")
    assert done.code == 0
    assert "1 account without a destination: a comment until you give one" in done.err
    text = mailbox.settings.read_text()
    assert read_settings(mailbox.settings).jobs == ()
    assert "# [accounts.work]" in text
    assert "choose where mail goes" in text
    nothing = mailbox.run("fetch")
    assert (nothing.code, "has no account to fetch" in nothing.err) == (FetchExit.WRONG, True)


@pytest.mark.parametrize("to", ["Mail", "maildir:", "imap:x"])
def test_a_destination_that_is_none_is_wrong_before_anything_is_written(
    mailbox: Mailbox, to: str
) -> None:
    """Exit code 2; no settings, no journal."""
    mpoprc(mailbox, [])
    done = mailbox.run("fetch", "import", "--to", to)
    assert (done.code, done.err[:7]) == (FetchExit.WRONG, "error: ")
    assert not mailbox.settings.exists()
    assert not mailbox.state.parent.exists()


def test_a_relative_destination_is_written_whole(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer starts in another folder than the person who typed it."""
    monkeypatch.chdir(mailbox.home)
    mpoprc(mailbox, [])
    assert mailbox.run("fetch", "import", "--to", "maildir:Mail/x", "--to", "mbox:~/y").code == 0
    (job,) = read_settings(mailbox.settings).jobs
    assert job.destinations == (f"maildir:{mailbox.home}/Mail/x", f"mbox:{mailbox.home}/y")


def test_several_programs_are_taken_over_at_once(mailbox: Mailbox) -> None:
    """All in one file that can be used; each password is named by its place and not copied."""
    mpoprc(mailbox, [f"delivery maildir {mailbox.home}/mpop"])
    write(
        mailbox.home / ".fetchmailrc",
        f'poll pop.example.com proto pop3 user "joe" password "{PASSWORD}" keep ssl',
    )
    write(
        mailbox.home / ".config" / "getmail" / "getmailrc",
        "[retriever]",
        "type = SimplePOP3SSLRetriever",
        "server = pop.example.net",
        "username = joe",
        f"password = {PASSWORD}",
        "[destination]",
        "type = Maildir",
        "path = ~/getmail/",
    )
    done = mailbox.run("fetch", "import", "--to", "maildir:~/Mail/joe")
    assert done.code == 0
    settings = read_settings(mailbox.settings)
    hosts = sorted(job.account.host for job in settings.jobs)
    assert hosts == ["localhost", "pop.example.com", "pop.example.net"]
    assert all(job.destinations for job in settings.jobs)
    assert PASSWORD not in mailbox.settings.read_text().replace(f"echo '{PASSWORD}'", "")
    assert done.err.count("the password is in ") == 2


def test_nothing_to_take_over_is_code_2(mailbox: Mailbox) -> None:
    """And says what was looked for."""
    done = mailbox.run("fetch", "import")
    assert (done.code, done.out) == (FetchExit.WRONG, "")
    assert "no POP3 account of fetchmail or getmail or mpop or thunderbird was" in done.err
    unknown = mailbox.run("fetch", "import", "outlook")
    assert (unknown.code, "hint: write one of fetchmail, " in unknown.err) == (2, True)


def test_a_lost_journal_does_not_let_stored_mail_come_again(mailbox: Mailbox) -> None:
    """Files that Mailkeep stored are found by their names, read or not (S-10)."""
    mailbox.deliver(*MESSAGES)
    assert mailbox.fetch().code == 0
    first = min((mailbox.maildir / "new").iterdir())
    first.rename(mailbox.maildir / "cur" / f"{first.name}:2,RS")
    shutil.rmtree(mailbox.state)
    mailbox.deliver(mail(4))
    done = mailbox.fetch()
    assert (done.code, "1 fetched" in done.err, "3 already here" in done.err) == (0, True, True)
    assert stored(mailbox.maildir) == wires(*MESSAGES, mail(4))


def test_rebuild_knows_what_other_hands_have_renamed(mailbox: Mailbox) -> None:
    """`state rebuild` compares headers and sizes where names do not help."""
    mailbox.deliver(*MESSAGES)
    assert mailbox.fetch().code == 0
    for number, path in enumerate((mailbox.maildir / "new").iterdir()):
        path.rename(mailbox.maildir / "cur" / f"{number}.other:2,S")
    shutil.rmtree(mailbox.state)
    mailbox.deliver(mail(4))
    done = rebuild(mailbox)
    assert (done.code, done.out) == (0, "")
    assert f"{mailbox.account}@localhost: 3 of 4 messages on the server are stored" in done.err
    fetched = mailbox.fetch()
    assert (fetched.code, "1 fetched" in fetched.err) == (0, True)
    assert stored(mailbox.maildir) == wires(*MESSAGES, mail(4))


def rebuild(mailbox: Mailbox, *arguments: str, to: Sequence[str] | None = None) -> Done:
    words = ("fetch", "state", "rebuild", mailbox.url, *mailbox.options(to), *arguments)
    return mailbox.run(*words, stdin=f"{PASSWORD}\n".encode())


def test_what_was_rebuilt_may_be_deleted(mailbox: Mailbox) -> None:
    """It is proved to be in every destination, so `--delete` means it too."""
    mailbox.deliver(*MESSAGES)
    folder = mailbox.home / "archive"
    to = [f"maildir:{mailbox.maildir}", f"dir:{folder}"]
    assert mailbox.fetch(to=to).code == 0
    (mailbox.state / "journal.db").unlink()
    min(folder.glob("*.eml")).unlink()
    for path in (mailbox.maildir / "new").iterdir():  # so that no name is the same by chance
        path.rename(path.with_name(f"1{path.name}"))
    found = json.loads(rebuild(mailbox, "--json", to=to).out)
    assert found == [{"account": f"{mailbox.account}@localhost", "listed": 3, "stored": 2}]
    assert mailbox.fetch("--initial", "none", "--delete", to=to).code == 0
    assert stored(mailbox.maildir) == wires(*MESSAGES)
    assert in_folder(folder) == wires(*MESSAGES)
    assert mailbox.remaining() == []


def test_rebuild_of_a_damaged_journal_asks_for_it_to_be_moved(mailbox: Mailbox) -> None:
    """Exit code 11; what is there is not written over."""
    mailbox.deliver(mail(1))
    assert mailbox.fetch().code == 0
    path = mailbox.state / "journal.db"
    path.write_bytes(b"not a database " * 1000)
    done = rebuild(mailbox)
    assert (done.code, str(path) in done.err) == (FetchExit.JOURNAL, True)
    assert path.read_bytes().startswith(b"not a database")
    path.rename(path.with_suffix(".damaged"))
    for rest in mailbox.state.glob("journal.db-*"):
        rest.unlink()
    assert rebuild(mailbox).code == 0
    assert "nothing new" in mailbox.fetch().err


def test_rebuild_from_a_program_is_not_possible(mailbox: Mailbox) -> None:
    """A pipe cannot be read back: exit code 9 and the reason."""
    mailbox.deliver(mail(1))
    done = rebuild(mailbox, to=["pipe:cat"])
    assert (done.code, "cannot be read back" in done.err) == (FetchExit.STORAGE, True)
