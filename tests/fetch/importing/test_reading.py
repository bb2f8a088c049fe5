"""Where each program keeps its files, and what is said when they cannot be read."""

from pathlib import Path

import pytest
from tests.harness.programs import open_folder

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.found import ImportedAccount, SeenMessage
from mailkeep.fetch.importing.reading import find_imports

MPOPRC = """account a
host pop.example
user joe
delivery maildir ~/Mail
account default : a
"""
GETMAILRC = """[retriever]
type = {kind}Retriever
server = pop.example
username = joe
[destination]
type = Maildir
path = ~/Mail/
"""
FETCHMAILRC = "poll pop.example proto pop3 user joe pass secret\n"
PREFERENCES = """user_pref("mail.server.server1.hostname", "pop.example");
user_pref("mail.server.server1.userName", "joe");
user_pref("mail.server.server1.type", "pop3");
user_pref("mail.server.server1.socketType", 3);
user_pref("mail.server.server1.directory-rel", "[ProfD]Mail/pop.example");
user_pref("mail.server.server2.type", "imap");
user_pref("mail.server.server2.hostname", "imap.example");
user_pref("mail.server.server2.userName", "joe");
user_pref("mail.server.server3.type", "none");
"""


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def imports(
    program: str | None, home: Path, *paths: Path, **environment: str
) -> list[ImportedAccount]:
    return find_imports(program, home=home, environment=environment, paths=paths)


def uidls(account: ImportedAccount) -> list[bytes]:
    return [message.uidl for message in account.seen]


def test_all_programs_are_found(tmp_path: Path) -> None:
    """Without a program every one is looked for where its manual says."""
    write(tmp_path / ".fetchmailrc", FETCHMAILRC)
    write(tmp_path / ".mpoprc", MPOPRC)
    write(tmp_path / ".config/getmail/getmailrc", GETMAILRC.format(kind="SimplePOP3SSL"))
    write(tmp_path / ".thunderbird/profiles.ini", "[Profile0]\nPath=x.default\nIsRelative=1\n")
    write(tmp_path / ".thunderbird/x.default/prefs.js", PREFERENCES)
    found = imports(None, tmp_path)
    assert [one.label for one in found] == ["pop.example", "getmailrc", "a", "pop.example"]
    assert {one.account.name for one in found} == {"joe@pop.example"}


@pytest.mark.parametrize(
    ("variables", "settings", "state"),
    [
        ({}, ".fetchmailrc", ".fetchids"),
        ({"HOME_ETC": "etc"}, "etc/.fetchmailrc", "etc/.fetchids"),
        ({"FETCHMAILHOME": "fm"}, "fm/fetchmailrc", "fm/.fetchids"),
    ],
)
def test_fetchmail_keeps_files_where_variables_say(
    variables: dict[str, str], settings: str, state: str, tmp_path: Path
) -> None:
    """fetchmail(1), "FILES" and "ENVIRONMENT"."""
    write(tmp_path / settings, FETCHMAILRC)
    write(tmp_path / state, "joe@pop.example 1\njoe@pop.example 2\nold@gone.example 3\n")
    absolute = {name: str(tmp_path / value) for name, value in variables.items()}
    account, gone = imports("fetchmail", tmp_path, **absolute)
    assert uidls(account) == [b"1", b"2"]
    assert (gone.url, gone.is_active) == ("pop3s://old@gone.example", False)
    assert uidls(gone) == [b"3"]


def test_fetchmail_may_name_its_state(tmp_path: Path) -> None:
    """fetchmail(1), `set idfile`: from the folder of the settings."""
    rc = write(tmp_path / "x/rc", f"set idfile ids\n{FETCHMAILRC}")
    write(tmp_path / "x/ids", b"joe@pop.example \xe4\n")
    (account,) = imports("fetchmail", tmp_path, rc)
    assert uidls(account) == [b"\xe4"]


def test_state_without_settings_is_not_lost(tmp_path: Path) -> None:
    """Who gave fetchmail everything on its command line has state, and it counts."""
    write(tmp_path / ".fetchids", "joe@pop.example 1\nbad@b@d h 2\n")
    account = imports("fetchmail", tmp_path)[0]
    assert (uidls(account), account.is_active) == ([b"1"], False)


def test_other_protocols_are_left_out_and_told(tmp_path: Path) -> None:
    """Only POP3 is fetched; what is not is named."""
    write(tmp_path / ".fetchmailrc", FETCHMAILRC + "poll imap.example proto imap user ann\n")
    (account,) = imports("fetchmail", tmp_path)
    assert "ann@imap.example (imap)" in account.notes[-1]
    write(tmp_path / ".fetchmailrc", "poll imap.example proto imap user ann\n")
    with pytest.raises(WrongSettings, match=r"ann@imap\.example"):
        imports("fetchmail", tmp_path)


@pytest.mark.parametrize(
    ("settings", "variables"),
    [(".mpoprc", {}), (".config/mpop/config", {}), ("xdg/mpop/config", {"XDG_CONFIG_HOME": "xdg"})],
)
def test_mpop_keeps_files_where_variables_say(
    settings: str, variables: dict[str, str], tmp_path: Path
) -> None:
    """mpop(1), "FILES"; an account `default : a` that says nothing more is the same account."""
    write(tmp_path / settings, MPOPRC)
    write(tmp_path / ".mpop_uidls/joe_at_pop.example", " 1 pop.example joe\n1\n")
    write(tmp_path / ".mpop_uidls/a/b_at_gone.example", " 1 gone.example a/b\n2\n")
    absolute = {name: str(tmp_path / value) for name, value in variables.items()}
    account, gone = imports("mpop", tmp_path, **absolute)
    assert (account.label, uidls(account)) == ("a", [b"1"])
    assert (gone.is_active, uidls(gone)) == (False, [b"2"])


def test_mpop_may_name_its_state(tmp_path: Path) -> None:
    """mpop(1), uidls_file: %U and %H; the one file of old versions counts too."""
    rc = write(tmp_path / "rc", MPOPRC.replace("user joe", "user joe\nuidls_file ~/s/%H/%U"))
    write(tmp_path / "s/pop.example/joe", " 1 pop.example joe\n1 17\n")
    write(tmp_path / ".mpop_uidls", " 2 pop.example joe\n1\n2\n 1 x y\n3\n")
    (account,) = imports("mpop", tmp_path, rc)
    assert account.seen == (SeenMessage(b"1", 17), SeenMessage(b"2", None))


def test_getmail_has_a_file_an_account(tmp_path: Path) -> None:
    """getmail's getmaildir: settings, `oldmail-` files and whatever else lies there."""
    folder = tmp_path / ".config/getmail"
    write(folder / "one", GETMAILRC.format(kind="SimplePOP3SSL"))
    write(folder / "two", GETMAILRC.format(kind="SimpleIMAPSSL"))
    write(folder / "log", b"\xff\x00 no settings")
    write(folder / "oldmail-pop.example-995-joe", b"a-b\x0017\n")
    write(folder / "oldmail-gone.example-110-ann", b"1\x0018\n")
    write(folder / "oldmail-imap.example-993-joe-INBOX", b"2\x0019\n")
    write(tmp_path / ".getmail/oldmail-pop.example-995-joe", b"c\x0020\n")
    account, gone = imports("getmail6", tmp_path)
    assert account.seen == (SeenMessage(b"a-b", 17, is_mangled=True), SeenMessage(b"c", 20))
    assert "joe@pop.example (SimpleIMAPSSLRetriever)" in account.notes[-1]
    assert (gone.url, uidls(gone)) == ("pop3://ann@gone.example", [b"1"])


@pytest.mark.parametrize(
    "folder", [".thunderbird", "snap/thunderbird/common/.thunderbird", "Library/Thunderbird"]
)
def test_thunderbird_is_found_with_its_state(folder: str, tmp_path: Path) -> None:
    """profiles.ini names profiles; `[ProfD]` is a profile's folder."""
    profile = tmp_path / folder / "Profiles/x.default"
    write(tmp_path / folder / "profiles.ini", "[Profile0]\nIsRelative=1\nPath=Profiles/x.default\n")
    write(profile / "prefs.js", PREFERENCES)
    write(
        profile / "Mail/pop.example/popstate.dat",
        "*pop.example joe\nk 1 2\n*old.example joe\nd 3 4\n",
    )
    account, gone = imports("thunderbird", tmp_path)
    assert (account.is_active, uidls(account)) == (True, [b"1"])
    assert (gone.is_active, uidls(gone)) == (False, [b"3"])
    assert "joe@imap.example (imap)" in account.notes[-1]
    (given, *_) = imports("thunderbird", tmp_path / "elsewhere", profile)
    assert given.seen == account.seen


def test_netrc_is_used_where_it_has_the_host(tmp_path: Path) -> None:
    """A password that is in ~/.netrc is used there, and not copied."""
    write(tmp_path / ".netrc", "machine pop.example login joe password secret\n")
    write(tmp_path / ".mpoprc", MPOPRC)
    (account,) = imports("mpop", tmp_path)
    assert account.settings["netrc"] is True
    assert "secret" not in repr(account)


def test_settings_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    """An old file is Latin-1; whether a name is right, a person must see."""
    write(tmp_path / ".mpoprc", MPOPRC.replace("joe", "j\xfcrgen").encode("latin-1"))
    (account,) = imports("mpop", tmp_path)
    assert account.account.user == "jürgen"
    assert "Latin-1" in account.notes[-1]


def test_nothing_found_says_so(tmp_path: Path) -> None:
    """An import of nothing is an error, with what would help."""
    with pytest.raises(WrongSettings, match=r"no POP3 account of mpop was found") as caught:
        imports("mpop", tmp_path)
    assert caught.value.hint
    with pytest.raises(WrongSettings, match="fetchmail or getmail or mpop or thunderbird"):
        imports(None, tmp_path)


@pytest.mark.parametrize("program", ["outlook", "", "getmail7"])
def test_an_unknown_program_is_refused(program: str, tmp_path: Path) -> None:
    """The hint lists those that there are."""
    with pytest.raises(WrongSettings) as caught:
        imports(program, tmp_path)
    assert "fetchmail, getmail, mpop, thunderbird" in str(caught.value.hint)


def test_a_file_needs_the_name_of_its_program(tmp_path: Path) -> None:
    """Nobody guesses a format."""
    with pytest.raises(WrongSettings):
        imports(None, tmp_path, tmp_path / "x")


@pytest.mark.parametrize("program", ["fetchmail", "getmail", "mpop", "thunderbird"])
def test_a_file_that_was_named_must_be_there(program: str, tmp_path: Path) -> None:
    """What is looked for may be missing, what is named may not."""
    with pytest.raises(WrongSettings, match="there is no such file"):
        imports(program, tmp_path, tmp_path / "x")


def test_a_folder_is_no_file_of_settings(tmp_path: Path) -> None:
    """The system's word, with the path."""
    with pytest.raises(WrongSettings, match=r"rc: Is a directory"):
        imports("mpop", tmp_path, write(tmp_path / "rc/x", "").parent)


def test_state_that_cannot_be_read_ends_the_import(tmp_path: Path) -> None:
    """It would bring everything again; a link to itself is one that root cannot read either."""
    write(tmp_path / ".fetchmailrc", FETCHMAILRC)
    (tmp_path / ".fetchids").symlink_to(".fetchids")
    with pytest.raises(WrongSettings, match=r"\.fetchids: Too many levels"):
        imports("fetchmail", tmp_path)


def test_a_broken_file_says_file_and_line(tmp_path: Path) -> None:
    """Every error of settings has file and line."""
    path = write(tmp_path / ".mpoprc", "account a\nnonsense\n")
    with pytest.raises(WrongSettings) as caught:
        imports("mpop", tmp_path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_an_import_writes_nothing() -> None:
    """The other program goes on as before, whatever becomes of the import."""
    with open_folder() as home:
        write(home / ".mpoprc", MPOPRC)
        write(home / ".mpop_uidls/joe_at_pop.example", " 1 pop.example joe\n1\n")
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
        imports(None, home)
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
