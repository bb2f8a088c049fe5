"""getmail's settings and state; what getmail itself writes is in test_real_programs.py."""

import pytest

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.found import ImportedAccount, SeenGroup, SeenMessage, Surroundings
from mailkeep.fetch.importing.getmail import (
    import_account,
    is_pop3,
    line_finder,
    oldmail_name,
    parse_getmailrc,
    parse_oldmail,
)

SAMPLE = """# comment
[retriever]
type = SimplePOP3SSLRetriever
server = pop.example.com
port = 1995
username = joe smith@example.com
password_command = ("/bin/pass", "show", "it's")
PASSWORD: hunter2
ca_certs = $HOME/ca.pem
keyfile = ~/key.pem
certfile = ~/cert.pem
ssl_fingerprints = ("AB{pairs}", "00:11")
ssl_ciphers = DEFAULT@SECLEVEL=1
timeout = 90

[destination]
type = MultiDestination
destinations = ('~/Mail/in/', '/var/mail/joe', '[mda]', '[lmtp]', '[Sorted]',
    '[self]', '~/Mail/in/')

[mda]
type = MDA_external
path = /usr/bin/procmail
arguments = ("-d", "joe smith")
user = joe

[lmtp]
type = MDA_lmtp
host = ::1
override = joe@example.com

[sorted]
type = MultiSorter
default = x

[self]
type = MultiDestination
destinations = ('[self]', )

[options]
delete_after = 14
max_message_size = 1048576
max_messages_per_session = 5
delete_bigger_than = 7
message_log = ~/log

[filter-1]
type = Filter_external
path = /bin/spam
""".replace("{pairs}", "AB" * 31)


def import_text(text: str, netrc: str = "", state: tuple[SeenGroup, ...] = ()) -> ImportedAccount:
    around = Surroundings(netrc=netrc, variables={"HOME": "/home/joe"})
    sections = parse_getmailrc(text, "dir/rc")
    return import_account(sections, "dir/rc", state, around, line_finder(text))


def import_one(
    retriever: str = "", options: str = "", kind: str = "SimplePOP3SSL"
) -> ImportedAccount:
    return import_text(
        f"[retriever]\ntype = {kind}Retriever\nserver = pop.example\nusername = joe\n{retriever}\n"
        f"[destination]\ntype = Maildir\npath = ~/Maildir/\n[options]\n{options}\n"
    )


def test_an_account_is_what_it_was() -> None:
    """Section 8 of the mapping: one file is one account."""
    account = import_text(SAMPLE)
    assert account.label == "rc"
    assert account.url == "pop3s://joe%20smith%40example.com@pop.example.com:1995"
    assert account.to == (
        "maildir:~/Mail/in",
        "mbox:/var/mail/joe",
        "pipe:/usr/bin/procmail -d 'joe smith'",
        "lmtp:[::1]:2003",
    )
    assert account.settings == {
        "keep": True,
        "pins": ["ab" * 32],
        "ca": "/home/joe/ca.pem",
        "client_certificate": "~/cert.pem",
        "client_key": "~/key.pem",
        "timeout": 90,
        "larger_than": "1M",
        "larger": "skip",
        "recipient": "joe@example.com",
    }


def test_what_cannot_be_carried_over_is_named() -> None:
    """Import rule: every key that has no like here is in a note."""
    notes = " ".join(import_text(SAMPLE).notes)
    for word in (
        "ssl_ciphers", "[sorted] MultiSorter", "[self]", "[mda] user", "max_messages_per_session",
        "delete_bigger_than", "message_log", "[filter-1]", "not SHA-256",
        'delete_after = "14d"', "read_all",
    ):  # fmt: skip
        assert word in notes, word


def test_a_password_is_named_by_its_place_and_not_copied() -> None:
    """Import rule: file and line; getmail prefers it to a command, so it is the one to move."""
    account = import_text(SAMPLE)
    assert "dir/rc:8 " in " ".join(account.notes)
    assert "hunter2" not in repr(account)


@pytest.mark.parametrize(
    ("retriever", "told"),
    [("", True), ("ca_certs = /ca.pem", False), (f'ssl_fingerprints = ("{"0" * 64}", )', False)],
)
def test_verification_cannot_be_off(retriever: str, told: bool) -> None:
    """Import rule: getmail verifies nothing by default; that is told and not kept."""
    account = import_one(retriever)
    assert ("it is verified now" in " ".join(account.notes)) is told


def test_clear_text_becomes_stls() -> None:
    """Import rule: getmail has no STLS for POP3, so an account without SSL was clear text."""
    account = import_one("port = 1110", kind="SimplePOP3")
    assert account.url == "pop3://joe@pop.example:1110"
    assert "STLS or nothing" in " ".join(account.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [("delete = yes\ndelete_after = 3", "delete = true"), ("delete_after = 3", '"3d"')],
)
def test_nothing_is_deleted_at_first(options: str, words: str) -> None:
    """Import rule: the old policy is told (getmail: `delete` wins), the new one keeps."""
    account = import_one(options=options)
    assert account.settings["keep"] is True
    assert words in " ".join(account.notes)


def test_sources_of_the_password() -> None:
    """getmail's configuration.txt: password, password_command, keyring, netrc."""
    command = import_one('password_command = ("/bin/pass", "a b")')
    assert command.settings["password_command"] == ["/bin/pass", "a b"]
    assert import_one(options="use_netrc = true").settings["netrc"] is True
    named = import_one(options="use_netrc = true\nnetrc_file = ~/n")
    assert named.settings["netrc"] == "~/n"
    assert "keyring" in " ".join(import_one().notes)


def test_a_command_is_read_and_not_run() -> None:
    """getmail evaluates tuples as Python; an import must not."""
    account = import_one('password_command = (__import__("os").getcwd(), )')
    assert "password_command" not in account.settings


def test_a_sender_is_not_known_to_a_pipe() -> None:
    """getmail's configuration.txt, arguments: %(sender) and the like are filled in a message."""
    text = """[retriever]\ntype = SimplePOP3SSLRetriever\nserver = a.example\nusername = b
[destination]\ntype = MDA_external\npath = /bin/mda\narguments = ("-f", "%(sender)")\n"""
    account = import_text(text)
    assert account.to == ()
    assert "%(sender)" in " ".join(account.notes)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("secret\n", 1),
        ("[retriever]\n\nsecret\n", 3),
        ("[retriever]\npassword = secret\npassword = secret\n", 3),
        ("[a]\n[a]\n", 2),
    ],
)
def test_an_error_says_the_line_and_nothing_of_it(text: str, line: int) -> None:
    """A line may hold a password, so neither the error nor its cause shows it."""
    with pytest.raises(WrongSettings, match=rf"^rc:{line}:") as caught:
        parse_getmailrc(text, "rc")
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("SimplePOP3SSL", True), ("MultidropSDPS", True), ("SimpleIMAPSSL", False), ("", False)],
)
def test_only_pop3_is_imported(kind: str, expected: bool) -> None:
    """The other protocols of getmail are left out."""
    sections = parse_getmailrc(f"[retriever]\ntype = {kind}Retriever\n", "rc")
    assert is_pop3(sections) is expected


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("type=SimplePOP3SSLRetriever\nserver=h\nusername=a@b c", "oldmail-h-995-a@b c"),
        ("type=SimplePOP3Retriever\nserver=::1\nusername=d\\\\e/f", "oldmail--1-110-d-e-f"),
        ("type=SimplePOP3Retriever\nserver=h\nport=7\nusername=<a|b>", "oldmail-h-7--a-b-"),
    ],
)
def test_the_name_of_the_state_file(lines: str, name: str) -> None:
    """Section 8: oldmail-SERVER-PORT-USER, with `-` for what a file system might not take."""
    assert oldmail_name(parse_getmailrc(f"[retriever]\n{lines}\n", "rc")) == name


def test_state_may_have_lost_slashes() -> None:
    """Section 8: `unique-id NUL time`; getmail writes `-` for `/`, so both may be meant."""
    octets = b"a-b\x0017\nplain\x0018\r\njunk\n\n\xe4 c\x0019\n\x005\nx\0y\n"
    assert parse_oldmail(octets, "p", "oldmail-pop.ex-ample.com-995-joe-x") == SeenGroup(
        "p",
        "pop.ex-ample.com",
        "joe-x",
        (
            SeenMessage(b"a-b", 17, is_mangled=True),
            SeenMessage(b"plain", 18),
            SeenMessage(b"\xe4 c", 19),
        ),
        995,
        damaged=3,
    )


def test_state_of_imap_is_none() -> None:
    """A mailbox of IMAP has other unique-ids."""
    assert parse_oldmail(b"", "p", "oldmail-h-993-joe-INBOX") is None


def test_state_is_the_account_s() -> None:
    """Nothing comes twice: every line is a seen message of the account."""
    group = parse_oldmail(b"1\x002\n", "p", "oldmail-pop.example-995-joe")
    assert group
    text = "[retriever]\ntype=SimplePOP3SSLRetriever\nserver=pop.example\nusername=joe\n"
    assert import_text(text, state=(group,)).seen == (SeenMessage(b"1", 2),)
