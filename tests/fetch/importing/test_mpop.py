"""mpop's settings and state, compared with what mpop itself makes of them."""

from pathlib import Path

import pytest
from tests.harness.programs import find_program, run

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.found import ImportedAccount, SeenGroup, SeenMessage, Surroundings
from mailkeep.fetch.importing.mpop import import_account, parse_mpoprc, parse_uidls

SAMPLE = """# comment
defaults
tls on
  timeout 60
\tdelivery mbox ~/Mail/inbox

account a
host pop.a.example
user "joe smith"
passwordeval echo x
account b : a
user joey
password "sec ret
keep
account c : a , b
host ::1
skipsize 20m
tls_starttls off
tls_fingerprint 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF
account d:b
port 1110
user x # y
delivery mda "/bin/x -d $USER"
defaults
tls off
account e
host x.example
user "a"b"
uidls_file ~/state/%H/%U
tls_trust_file
account default : c
"""
SAME = (
    "host", "user", "tls", "tls_starttls", "tls_trust_file", "tls_certcheck", "tls_fingerprint",
    "keep", "delivery", "only_new", "passwordeval", "timeout",
)  # fmt: skip
UNSET = {"tls": "off", "tls_starttls": "on", "keep": "off", "only_new": "on", "tls_certcheck": "on"}


def import_text(text: str, netrc: str = "") -> list[ImportedAccount]:
    around = Surroundings(netrc=netrc)
    return [import_account(one, "mpoprc", (), around) for one in parse_mpoprc(text, "mpoprc")]


def import_one(lines: str, *, tls: bool = True) -> ImportedAccount:
    head = f"account a\nhost pop.example\nuser joe\ntls {'on' if tls else 'off'}\n"
    (account,) = import_text(head + lines)
    return account


def printed(text: str, folder: Path) -> dict[str, dict[str, str]]:
    """Return what mpop understands, as `--pretend` prints it."""
    path = folder / "mpoprc"
    path.write_text(text)
    path.chmod(0o600)
    command = (find_program("mpop"), "--file", path, "--pretend", "--all-accounts")
    done = run(command, environment={"HOME": "/home/joe"})
    accounts: dict[str, dict[str, str]] = {}
    name = ""
    for line in done.stdout.decode().splitlines():
        if line.startswith("using account "):
            name = line.removeprefix("using account ").partition(" from ")[0]
            accounts[name] = {}
        elif accounts:
            key, _, value = line.partition(" = ")
            accounts[name][key.strip()] = value
    return accounts


def test_mpop_understands_the_same(tmp_path: Path) -> None:
    """`mpop --pretend` is the word on quotes, defaults and what an account inherits."""
    theirs = printed(SAMPLE, tmp_path)
    ours = {account.name: account for account in parse_mpoprc(SAMPLE, "mpoprc")}
    assert list(ours) == list(theirs)
    for name, account in ours.items():
        for command in SAME:
            value = account.get(command, UNSET.get(command, ""))
            said = theirs[name][command].replace("(not set)", "").replace("/home/joe", "~")
            said = {"timeout": said.removesuffix(" seconds"), "tls_trust_file": said}.get(
                command, said
            )
            if command == "tls_trust_file":
                value = account.get(command, "system")
            if command == "delivery":
                value = value.replace('"', "")
            assert value == said, (name, command)
        assert account.uidls_file.replace("~", "/home/joe") == theirs[name]["uidls file"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("keep on\n", 1),
        ("account a\nhunter2 secret\n", 2),
        ("account a : b\n", 1),
        ("account a\n\naccount a\n", 3),
        ("account\n", 1),
    ],
)
def test_an_error_says_the_line_and_nothing_of_it(text: str, line: int) -> None:
    """What mpop refuses is refused with its line; a line may hold a password."""
    with pytest.raises(WrongSettings, match=rf"^mpoprc:{line}:") as caught:
        parse_mpoprc(text, "mpoprc")
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_account_is_what_it_was() -> None:
    """Section 8 of the mapping: host, port, user, TLS, size, destination."""
    a, b, c, d, e, default = import_text(SAMPLE)
    assert [one.url for one in (a, b, c, d, e)] == [
        "pop3://joe%20smith@pop.a.example",
        "pop3://joey@pop.a.example",
        "pop3s://joey@[::1]",
        "pop3://x%20%23%20y@pop.a.example:1110",
        "pop3://a%22b@x.example",
    ]
    assert a.to == ("mbox:~/Mail/inbox",)
    assert a.settings["password_command"] == ["sh", "-c", "echo x"]
    assert c.settings["larger_than"] == "20M"
    assert d.to == ("pipe:sh -c '/bin/x -d $USER'",)
    assert default.url == "pop3://joey@[::1]"
    assert "STLS or nothing" in " ".join(e.notes)


def test_a_password_is_named_by_its_place_and_not_copied() -> None:
    """Import rule: file and line, and what to do instead."""
    accounts = import_text(SAMPLE)
    assert "mpoprc:13 " in " ".join(accounts[1].notes)
    assert "sec ret" not in repr(accounts)


def test_verification_cannot_be_off() -> None:
    """Import rule: `tls_certcheck off` is told and not kept."""
    account = import_one("tls_certcheck off\n")
    assert "it is verified now" in " ".join(account.notes)
    assert set(account.settings) == {"keep"}


@pytest.mark.parametrize(
    ("fingerprint", "pins", "told"),
    [
        (":".join(["AB"] * 32), ["ab" * 32], False),
        (":".join(["AB"] * 20), None, True),
        (":".join(["AB"] * 16), None, True),
    ],
)
def test_only_sha256_is_a_pin(fingerprint: str, pins: list[str] | None, told: bool) -> None:
    """Import rule: MD5 and SHA-1 are refused with a note to look at the certificate."""
    account = import_one(f"tls_fingerprint {fingerprint}\ntls_trust_file /etc/ca.pem\n")
    assert account.settings.get("pins") == pins
    assert ("mailkeep fetch probe" in " ".join(account.notes)) is told
    assert ("ca" in account.settings) is told


@pytest.mark.parametrize("keep", ["on", "off"])
def test_nothing_is_deleted_at_first(keep: str) -> None:
    """Import rule: delete was on, and is confirmed by setting it."""
    account = import_one(f"keep {keep}\n")
    assert account.settings["keep"] is True
    assert ("delete = true" in " ".join(account.notes)) is (keep == "off")


def test_what_cannot_be_carried_over_is_named() -> None:
    """Import rule: every command that has no like here is in a note."""
    account = import_one(
        "proxy_host 127.0.0.1\nproxy_port 9050\nsource_ip ::1\nfilter exit 1\nkillsize 5m\n"
        "tls_priorities X\ntls_host_override y\ntls_crl_file z\nonly_new off\nauth ntlm\n"
        "eval echo keep\nntlmdomain d\npipelining off\ndelivery exchange c:\\x\ntimeout off\n"
    )
    notes = " ".join(account.notes)
    for word in (
        "proxy_host 127.0.0.1", "proxy_port", "source_ip", "filter", "killsize", "tls_priorities",
        "tls_host_override", "tls_crl_file", "only_new", "auth ntlm", "eval", "ntlmdomain",
        "pipelining", "delivery exchange", "timeout off", "choose where mail goes",
    ):  # fmt: skip
        assert word in notes, word
    assert account.settings == {"keep": True, "larger_than": "5M", "larger": "skip"}


@pytest.mark.parametrize("auth", ["oauthbearer", "xoauth2"])
def test_a_token_comes_from_a_command(auth: str) -> None:
    """RFC 7628: the secret of these mechanisms is a token, so it has a command of its own."""
    account = import_one(f"auth {auth}\npasswordeval token\n")
    assert account.settings["token_command"] == ["sh", "-c", "token"]
    assert "password_command" not in account.settings
    assert "auth" not in import_one(f"auth {auth}\n").settings


@pytest.mark.parametrize(
    ("delivery", "to"),
    [
        ("maildir ~/Mail box", ("maildir:~/Mail box",)),
        ("maildir Mail", ()),
        ("mda /bin/x -f '%F'", ()),
    ],
)
def test_destinations(delivery: str, to: tuple[str, ...]) -> None:
    """A path that depends on the folder one is in, and a sender, cannot be carried over."""
    account = import_one(f"delivery {delivery}\n")
    assert account.to == to
    assert to or "write" in " ".join(account.notes)


def test_the_netrc_file_is_used_where_it_has_the_host() -> None:
    """mpop(1), auth: ~/.netrc is one of five ways."""
    text = "account a\nhost pop.example\nuser joe\n"
    assert import_text(text, "machine pop.example\n")[0].settings["netrc"] is True
    assert "netrc" not in import_text(text, "machine pop.example.org\n")[0].settings


def test_an_account_without_a_user_says_where_it_is() -> None:
    """Every error has file and line."""
    with pytest.raises(WrongSettings, match=r"^mpoprc:2:"):
        import_text("\naccount a\nhost pop.example\n")


def test_state_of_old_and_new_versions() -> None:
    """Section 8: a head and so many lines, with or without a time; `#` may begin a unique-id."""
    first = b"# generated\n#\n 3 pop.example joe\n#1\n\xe4 1700000000\nb\n"
    octets = first + b" 2 ::1 a b@c\n1\r\n 1 x y\nz\n"
    assert parse_uidls(octets, "uidls") == [
        SeenGroup(
            "uidls", "pop.example", "joe",
            (SeenMessage(b"#1", None), SeenMessage(b"\xe4", 1700000000), SeenMessage(b"b", None)),
        ),
        SeenGroup("uidls", "::1", "a b@c", (SeenMessage(b"1", None),), damaged=1),
        SeenGroup("uidls", "x", "y", (SeenMessage(b"z", None),)),
    ]  # fmt: skip


def test_state_that_was_cut_short_is_told() -> None:
    """A head says how many follow; what is missing comes again, and the user knows."""
    account = parse_mpoprc("account a\nhost h.example\nuser u\n", "mpoprc")[0]
    state = parse_uidls(b" 9 h.example u\n1\n2\n", "uidls")
    imported = import_account(account, "mpoprc", state, Surroundings())
    assert "7 lines of uidls" in " ".join(imported.notes)
    assert len(imported.seen) == 2
