"""fetchmail's settings and state, compared with what fetchmail itself makes of them."""

import ast
from pathlib import Path
from typing import Any

import pytest
from tests.harness.programs import find_program, run

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.fetchmail import (
    FetchmailAccount,
    import_account,
    list_accounts,
    parse_fetchids,
)
from mailkeep.fetch.importing.fetchmail_grammar import parse_run_control
from mailkeep.fetch.importing.found import ImportedAccount, SeenGroup, SeenMessage, Surroundings

SAMPLE = r"""
# comment with "one quote and poll words
set daemon 300
set no bouncemail
set idfile = "/var/x y/ids"
defaults proto pop3 timeout 60
  user "def" is local here keep
poll mail.example.com via 10.0.0.1 port 1110 uidl, no dns:
  user 'al ice@example.com' there with password "se\"c'ret" is joe here ssl sslproto '' no keep
  user bob there has pass hunter2, wants mda "/bin/x \
y" and fetchall
skip two.example proto imap user joe pass x
poll "::1" user poll pass 123 limit 20971520 sslcert /a sslkey /b no sslcertck
"""
MORE = (
    "poll a.example user x pass y poll b.example user z pass q",
    'poll 123.example proto pop3 user "x y" pass "a#b" # comment "quote\n',
    "poll a user it's pass b'c",
    "poll a user joe here is joe@x there pass z",
    "poll a user x to b=c d * here nokeep no ssl",
    "poll a user #x\ny pass b",
    'poll a user "keep" pass keep is poll here',
    'poll a port 995 user x ssl limit 100 sslproto TLS1.3+ pass ""',
    "poll a proto POP3 user x pass p\\x41\\0101\\065b\\66 keep",
    "poll a user x smtphost b/24 c/24 smtpaddress d.example lmtp",
    "poll a\r\nuser x\r\npass y\r\n",
    "defaults keep\npoll a user x pass y sslfingerprint 'AA:BB' sslcertfile /etc/ca.pem",
    "poll a auth password tracepolls user x folder INBOX, other",
    "skip a aka b c localdomains d envelope 2 X-To user x",
    "poll a user y sslcertpath x user z pass q user w",
)
SAME = {
    "via": "via", "service": "service", "timeout": "timeout", "keep": "keep", "ssl": "ssl",
    "sslproto": "sslproto", "sslcertck": "sslcertck", "sslcertfile": "sslcertfile",
    "sslfingerprint": "sslfingerprint", "sslcert": "sslcert", "sslkey": "sslkey", "limit": "limit",
    "mda": "mda", "fetchall": "fetchall", "uidl": "uidl", "dns": "dns", "pass": "password",
    "lmtp": "lmtp", "smtpaddress": "smtpaddress",
}  # fmt: skip


def import_text(text: str, **around: Any) -> list[ImportedAccount]:
    found = parse_run_control(text, "rc")
    return [
        import_account(account, found, "rc", (), Surroundings(**around))
        for account in list_accounts(found, "me")
        if account.is_pop3
    ]


def import_one(text: str) -> ImportedAccount:
    (account,) = import_text(text)
    return account


def dumped(text: str, folder: Path) -> dict[str, Any]:
    """Return what fetchmail understands, as its `--configdump` writes it for Python."""
    path = folder / "rc"
    path.write_bytes(text.encode())
    path.chmod(0o600)
    done = run((find_program("fetchmail"), "-f", path, "--configdump"))
    dump = done.stdout.decode().partition("fetchmailrc = ")[2].partition("# End of")[0]
    dump = dump.replace(":TRUE", ":True").replace(":FALSE", ":False").replace(": FALSE", ":False")
    value = ast.literal_eval(dump.strip())
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("text", [SAMPLE, *MORE])
def test_fetchmail_understands_the_same(text: str, tmp_path: Path) -> None:
    """`fetchmail --configdump` is the word on servers, users, quoting, escapes and defaults."""
    servers = dumped(text, tmp_path)["servers"]
    theirs = [(server, user) for server in servers for user in server["users"]]
    ours = list_accounts(parse_run_control(text, "rc"), "root")
    assert len(ours) == len(theirs)
    for account, (server, user) in zip(ours, theirs, strict=True):
        assert account.host == (server["via"] or server["pollname"])
        assert account.user == user["remote"]
        assert account.is_active == server["active"]
        assert account.is_pop3 == (server["protocol"] in {"POP3", "auto"})
        names = ["=".join(n) if isinstance(n, tuple) else n for n in user["localnames"]]
        assert account.local_names == tuple(names)
        compare_options(account, {**server, **user})


def compare_options(account: FetchmailAccount, theirs: dict[str, Any]) -> None:
    for option, value in account.options.items():
        if option in SAME and not isinstance(value, tuple):
            said = theirs[SAME[option]]
            assert value == (said if isinstance(said, bool) else str(said)), option


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("poll a user x pass secret secret2 secret3", 1),
        ("poll a\nuser x\nno secret", 3),
        ("\n\nsecret", 3),
        ("keep", 1),
        ("poll", 1),
        ("poll a user", 1),
        ("set secret x", 1),
        ("poll a user x\npass\n", 2),
    ],
)
def test_an_error_says_the_line_and_nothing_of_it(text: str, line: int, tmp_path: Path) -> None:
    """What fetchmail refuses is refused with its line; a word may be a password."""
    with pytest.raises(WrongSettings, match=rf"^rc:{line}:") as caught:
        parse_run_control(text, "rc")
    assert "secret" not in str(caught.value)
    path = tmp_path / "rc"
    path.write_text(text)
    path.chmod(0o600)
    done = run((find_program("fetchmail"), "-f", path, "--configdump"), check=False)
    assert done.returncode


def test_an_account_is_what_it_was() -> None:
    """Section 8 of the mapping: host, port, user, TLS, limits, interval."""
    first, second, third = import_text(SAMPLE)
    assert first.url == "pop3s://al%20ice%40example.com@10.0.0.1:1110"
    assert first.label == "al ice@example.com@mail.example.com"
    assert first.settings == {"keep": True, "timeout": 60, "every": "5m"}
    assert second.to == ("pipe:sh -c '/bin/x y'",)
    assert third.url == "pop3://poll@[::1]"
    assert third.settings["larger_than"] == "20M"
    assert "set bouncemail" not in " ".join(third.notes)


def test_a_password_is_named_by_its_place_and_not_copied() -> None:
    """Import rule: file and line, and what to do instead; the word itself is nowhere."""
    first, second, third = import_text(SAMPLE)
    assert any("rc:9 " in note and "password_file" in note for note in first.notes)
    assert any("rc:10 " in note for note in second.notes)
    assert "hunter2" not in repr((first, second, third))
    assert "c'ret" not in repr((first, second, third))


def test_verification_cannot_be_off() -> None:
    """Import rule: `no sslcertck` is told and not kept; an MD5 fingerprint is refused."""
    account = import_one("poll a.example user x ssl no sslcertck sslfingerprint 'AA:BB'")
    notes = " ".join(account.notes)
    assert "it is verified now" in notes
    assert "not SHA-256" in notes
    assert account.settings == {"keep": True}


@pytest.mark.parametrize(
    ("option", "url", "is_told"),
    [
        ("ssl", "pop3s://x@a.example", False),
        ("sslproto tls1.2+", "pop3://x@a.example", False),
        ("sslmode 'starttls=must'", "pop3://x@a.example", False),
        ("sslmode wrapped", "pop3s://x@a.example", False),
        ("sslproto ''", "pop3://x@a.example", True),
        ("keep", "pop3://x@a.example", True),
    ],
)
def test_without_tls_there_is_no_fetch(option: str, url: str, is_told: bool) -> None:
    """Import rule: clear text, and TLS where offered, become STLS or nothing, and it is told."""
    account = import_one(f"poll a.example user x {option}")
    assert account.url == url
    assert ("STLS or nothing" in " ".join(account.notes)) is is_told


@pytest.mark.parametrize(
    ("option", "words"),
    [("no keep", "delete = true"), ("keep", ""), ("flush", "flush deleted")],
)
def test_nothing_is_deleted_at_first(option: str, words: str) -> None:
    """Import rule: the old policy is told, the new one keeps."""
    account = import_one(f"poll a.example user x {option}")
    assert account.settings["keep"] is True
    assert not {"delete", "delete_after"} & account.settings.keys()
    assert words in " ".join(account.notes)


@pytest.mark.parametrize(
    ("option", "to"),
    [
        ('mda "/usr/bin/procmail -d %T"', ("pipe:sh -c '/usr/bin/procmail -d joe'",)),
        ('mda "/usr/bin/procmail -f %F -d %T"', ()),
        ("lmtp smtphost mail.example/24", ("lmtp:mail.example:24",)),
        ("lmtp smtphost /run/lmtp", ("lmtp:/run/lmtp",)),
        ("smtphost mail.example", ()),
        ("bsmtp /tmp/x", ()),
    ],
)
def test_destinations(option: str, to: tuple[str, ...]) -> None:
    """mda is a pipe through a shell, lmtp is LMTP; for SMTP a destination must be chosen."""
    account = import_one(f"poll a.example user x is joe here {option}")
    assert account.to == to
    assert to or "choose where mail goes" in " ".join(account.notes)


def test_lmtp_has_a_recipient() -> None:
    """fetchmail(1), smtpaddress: the domain behind the local name."""
    text = "poll a user x is joe here lmtp smtphost h.example/24 smtpaddress d.example"
    assert import_one(text).settings["recipient"] == "joe@d.example"


def test_what_cannot_be_carried_over_is_named() -> None:
    """Import rule: every key that has no like here is in a note."""
    text = """set postmaster x set syslog
    poll a.example auth cram-md5 interval 2 proto apop plugin "nc %h" user x
    fetchlimit 5 preconnect "true" sslcertpath /etc/ssl folder INBOX expunge 3 mimedecode to a b"""
    notes = " ".join(import_one(text).notes)
    for word in (
        "auth cram-md5", "interval", "proto apop", "plugin nc %h", "fetchlimit", "pre,",
        "sslcertpath", "folder", "expunge", "mimedec", "set postmaster", "set syslog", "sorted by",
    ):  # fmt: skip
        assert word in notes, word


def test_a_skipped_server_is_not_active() -> None:
    """fetchmail(1): `skip` is fetched only when it is named."""
    assert not import_one("skip a.example user x").is_active


def test_the_netrc_file_is_used_where_it_has_the_host() -> None:
    """fetchmail(1): ~/.netrc is searched before a person is asked."""
    (account,) = import_text("poll a.example user x", netrc="machine a.example login x password y")
    assert account.settings["netrc"] is True


def test_state_has_users_with_spaces_and_at_signs() -> None:
    """Section 8: `user@host unique-id`; users with @ and spaces, unique-ids with @, CRLF, 8 bit."""
    octets = (
        b"joe@example.com@mail.example 1@2\r\nal ice@mail.example \xe4\nbob@h 3\njunk\n\n"
        b"joe@example.com@mail.example 4\n"
    )
    assert parse_fetchids(octets, "ids") == [
        SeenGroup("ids", "mail.example", "joe@example.com", seen_of(b"1@2", b"4"), damaged=1),
        SeenGroup("ids", "mail.example", "al ice", seen_of(b"\xe4"), damaged=1),
        SeenGroup("ids", "h", "bob", seen_of(b"3"), damaged=1),
    ]


def seen_of(*uidls: bytes) -> tuple[SeenMessage, ...]:
    return tuple(SeenMessage(uidl, None) for uidl in uidls)


def test_state_goes_to_its_account() -> None:
    """fetchmail keeps state by user and the host that it called (`via`), without regard to case."""
    found = parse_run_control("poll label via Mail.example user Joe", "rc")
    (account,) = list_accounts(found, "me")
    state = parse_fetchids(b"joe@mail.example 1\njoe@label 2\njoe2@mail.example 3\n", "ids")
    imported = import_account(account, found, "rc", state, Surroundings())
    assert imported.seen == seen_of(b"1")
