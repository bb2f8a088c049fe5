"""`mailkeep fetch list|status|login|probe`: what is there, without taking anything."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.fetch.mailbox import Mailbox, mail, stored
from tests.cli.fetch.terminal import compare
from tests.harness.programs import free_ports
from tests.harness.site import PASSWORD

from mailkeep.fetch.failures import FetchExit

SIX = ("account", "both", "only_here", "only_there", "suspect", "quarantined")


def read(mailbox: Mailbox, command: str) -> Any:
    done = mailbox.look(command, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_list_shows_what_is_there_and_what_is_here(mailbox: Mailbox) -> None:
    """One line a message; the state is the journal's, or `new`."""
    mailbox.deliver(mail(1), mail("left", "x" * 2000))
    assert mailbox.fetch("--larger-than", "1k", "headers").code == 0
    mailbox.deliver(mail("later"))
    found = read(mailbox, "list")
    assert [(one["number"], one["state"]) for one in found] == [
        (1, "stored"), (2, "header"), (3, "new"),
    ]  # fmt: skip
    assert {one["account"] for one in found} == {f"{mailbox.account}@localhost"}
    done = mailbox.look("list")
    heading, *lines = done.out.splitlines()
    assert heading.split() == ["ACCOUNT", "NUMBER", "OCTETS", "STATE", "UIDL"]
    assert [line.split()[1:] for line in lines] == [
        [str(one["number"]), str(one["octets"]), one["state"], one["uidl"]] for one in found
    ]


def test_list_of_an_empty_mailbox_is_headings_alone(mailbox: Mailbox) -> None:
    """A script gets an empty list; nothing is written for an account that was never fetched."""
    assert read(mailbox, "list") == []
    assert len(mailbox.look("list").out.splitlines()) == 1
    assert not mailbox.state.exists()


def test_status_counts_both_sides(mailbox: Mailbox) -> None:
    """Only here: deleted there, by us or by somebody else. Only there: still to come."""
    mailbox.deliver(mail(1), mail(2), mail(3))
    assert counts(mailbox) == (0, 0, 3, 0, 0)
    assert mailbox.fetch().code == 0
    mailbox.deliver(mail(4))
    assert counts(mailbox) == (3, 0, 1, 0, 0)
    with mailbox.site.session(mailbox.account) as client:
        client.command(b"DELE 1")
        client.command(b"QUIT")
    assert counts(mailbox) == (2, 1, 1, 0, 0)
    assert mailbox.fetch("--keep-newest", "1").code == 0
    assert counts(mailbox) == (1, 3, 0, 0, 0)
    assert stored(mailbox.maildir).total() == 4
    done = mailbox.look("status")
    compare("status", re.sub(r" +", " ", done.out.replace(mailbox.account, "alice")))


def counts(mailbox: Mailbox) -> tuple[int, ...]:
    (found,) = read(mailbox, "status")
    assert tuple(found) == SIX
    return tuple(found[name] for name in SIX[1:])


def test_looking_takes_nothing_and_writes_nothing(mailbox: Mailbox) -> None:
    """After any of them the journal is what it was, and so is the server."""
    mailbox.deliver(mail(1))
    assert mailbox.fetch().code == 0
    mailbox.deliver(mail(2))
    journal = (mailbox.state / "journal.db").read_bytes()
    for command in ("list", "status", "login"):
        assert mailbox.look(command).code == 0
    assert (mailbox.state / "journal.db").read_bytes() == journal
    assert len(mailbox.remaining()) == 2
    assert stored(mailbox.maildir).total() == 1


def test_login_says_that_the_password_is_right(mailbox: Mailbox) -> None:
    """One line on standard error; `--json` is data."""
    mailbox.deliver(mail(1))
    done = mailbox.look("login")
    assert (done.code, done.out) == (0, "")
    name = f"{mailbox.account}@localhost"
    assert re.fullmatch(rf"{name}: the login works \([A-Z0-9-]+\); 1 message\n", done.err)
    (found,) = read(mailbox, "login")
    assert (found["account"], found["messages"]) == (name, 1)
    assert found["octets"] == sum(map(len, mailbox.remaining()))


def test_login_with_a_wrong_password_is_code_3(mailbox: Mailbox) -> None:
    """The same code as a fetch has."""
    words = ("fetch", "login", mailbox.url, *mailbox.reaching())
    done = mailbox.run(*words, stdin=b"wrong\n")
    assert (done.code, done.out) == (FetchExit.LOGIN, "")
    assert done.err.startswith("error: the server refuses the login")


def test_the_accounts_of_the_settings_can_be_looked_at(mailbox: Mailbox) -> None:
    """By name, or all of them, as with `fetch`."""
    mailbox.deliver(mail(1))
    mailbox.write_settings(mailbox.table("alice"))
    for arguments in ((), ("alice",)):
        done = mailbox.run("fetch", "status", *arguments, "--json")
        assert (done.code, json.loads(done.out)[0]["only_there"]) == (0, 1)


def probe(mailbox: Mailbox, *arguments: str) -> Any:
    done = mailbox.run("fetch", "probe", *arguments)
    assert done.code == 0, done.err
    return json.loads(done.out) if "--json" in arguments else done.out


def steady(text: str) -> str:
    """Return what is the same for every certificate and port."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "<SHA-256>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "<TIME>", text)
    return re.sub(r"localhost:\d+", "localhost:<PORT>", text)


def test_probe_of_a_trusted_server(mailbox: Mailbox) -> None:
    """TLS, certificate with both pins, capabilities, for people and for scripts."""
    url = f"pop3s://localhost:{mailbox.site.pop3s.number}"
    ca = str(mailbox.site.ca)
    compare("probe trusted", steady(probe(mailbox, url, "--ca", ca)))
    found = probe(mailbox, url, "--ca", ca, "--json")
    assert (found["trusted"], found["tls"]) == ("yes", "TLSv1.3")
    assert "localhost" in found["certificate"]["names"]
    assert found["capabilities"]["UIDL"] == []
    mailbox.deliver(mail(1))
    for pin in ("sha256", "key_sha256"):
        pins = ("--pin", found["certificate"][pin])
        words = ("fetch", mailbox.url, "--to", f"maildir:{mailbox.maildir}", "--password-stdin")
        assert mailbox.run(*words, *pins, stdin=f"{PASSWORD}\n".encode()).code == 0


def test_probe_of_a_server_that_is_not_trusted(mailbox: Mailbox) -> None:
    """It is shown all the same, with the reason: nothing secret is sent."""
    out = probe(mailbox, f"localhost:{mailbox.site.pop3s.number}")
    compare("probe not trusted", steady(out))
    url = f"pop3s://localhost:{mailbox.site.pop3s.number}"
    found = probe(mailbox, url, "--json")
    assert (found["trusted"], "not trusted here" in found["problem"]) == ("no", True)


def test_probe_with_stls(mailbox: Mailbox) -> None:
    """`pop3://` begins in clear; what is shown is what is said inside TLS."""
    url = f"pop3://localhost:{mailbox.site.pop3.number}"
    found = probe(mailbox, url, "--ca", str(mailbox.site.ca), "--json")
    assert (found["tls"], found["trusted"]) == ("TLSv1.3", "yes")
    assert "STLS" not in found["capabilities"]


def test_probe_in_clear_says_so(mailbox: Mailbox) -> None:
    """`--cleartext`: no TLS, no certificate, and what that means."""
    url = f"pop3://localhost:{mailbox.site.pop3.number}"
    compare("probe in clear", steady(probe(mailbox, url, "--cleartext")))


@pytest.mark.parametrize("host", ["", "imap://mail.example.com", "mail.example.com:x"])
def test_probe_of_no_host_is_code_2(mailbox: Mailbox, host: str) -> None:
    """Wrong usage, before anybody is called."""
    done = mailbox.run("fetch", "probe", host)
    assert (done.code, done.out, done.err[:7]) == (FetchExit.WRONG, "", "error: ")


def test_probe_of_a_port_where_nobody_listens_is_code_6(mailbox: Mailbox) -> None:
    """As a fetch would say it."""
    (port,) = free_ports(1)
    done = mailbox.run("fetch", "probe", f"pop3s://127.0.0.1:{port.number}")
    assert (done.code, "cannot connect to" in done.err) == (FetchExit.NETWORK, True)


def test_probe_says_where_tls_and_stls_were_mixed_up(mailbox: Mailbox) -> None:
    """The usual mistake: the wrong one of two ports; the hint names the other way."""
    site = mailbox.site
    tls_at_stls = mailbox.run("fetch", "probe", f"pop3s://localhost:{site.pop3.number}")
    assert tls_at_stls.code == FetchExit.TLS
    assert "this port may be one for STLS" in tls_at_stls.err


def test_a_state_folder_may_be_named(mailbox: Mailbox, tmp_path: Path) -> None:
    """`--state DIR` is where `status` looks too."""
    state = str(tmp_path / "state")
    mailbox.deliver(mail(1))
    assert mailbox.fetch("--state", state).code == 0
    assert counts(mailbox) == (0, 0, 1, 0, 0)
    done = mailbox.look("status", "--json", "--state", state)
    assert json.loads(done.out)[0]["both"] == 1
    assert os.listdir(state) == [f"{mailbox.account}@localhost"]  # noqa: PTH208  # its only entry
