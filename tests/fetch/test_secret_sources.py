"""A secret is read from where the settings say, is one line, and turns up in no error."""

import io
import os
import select
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness.programs import DEADLINE_S

from mailkeep.fetch.account import Account, parse_url
from mailkeep.fetch.failures import FetchExit, FetchFailed, TokenNeeded, WrongSettings
from mailkeep.fetch.secret_commands import read_command
from mailkeep.fetch.secret_files import SECRET_LIMIT_OCTETS
from mailkeep.fetch.secret_sources import (
    Keyring,
    Netrc,
    OAuthRefresh,
    Prompt,
    SecretCommand,
    SecretFile,
    SecretSource,
    StandardInput,
    SystemdCredential,
    TokenCommand,
    is_token,
    keep_refresh_token,
    read_secret,
)
from mailkeep.values import Secret

ALICE = parse_url("pop3s://alice@mail.example.com")
HUNTER = "hunter2"
"""Stands for a password that must not be seen."""


def read(source: SecretSource, account: Account = ALICE) -> bytes:
    return read_secret(source, account, ask=None).reveal()


def refusal(source: SecretSource, failure: type[FetchFailed] = WrongSettings) -> str:
    """Return what is said, with its hint, after a look that nothing secret is in the trace."""
    with pytest.raises(failure) as caught:
        read(source)
    trace = "".join(traceback.TracebackException.from_exception(caught.value).format())
    assert HUNTER not in trace
    assert HUNTER not in str(caught.value.hint)
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "mailkeep" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            assert HUNTER not in repr(frame.f_locals)
    return f"{caught.value} | {caught.value.hint}"


@pytest.fixture
def private(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write a file that only its owner can read."""

    def write(octets: bytes) -> Path:
        path = tmp_path / "password"
        path.write_bytes(octets)
        path.chmod(0o600)
        return path

    return write


Write = Callable[[bytes], Path]


class TestAsking:
    """A person types it."""

    def test_the_account_is_named(self) -> None:
        """Who has several accounts must know which password is wanted."""
        asked: list[str] = []

        def ask(question: str) -> Secret:
            asked.append(question)
            return Secret(b" typed ")

        assert read_secret(Prompt(), ALICE, ask=ask) == Secret(b" typed ")
        assert asked == ["Password of alice@mail.example.com: "]

    def test_without_a_terminal_the_ways_without_one_are_named(self) -> None:
        """Cron, a timer, a script."""
        said = refusal(Prompt())
        assert "no terminal" in said
        assert "--password-stdin" in said
        assert "--password-command" in said

    @pytest.mark.parametrize("typed", [b"", b"a\rb", b"a\nb", b"a\0b"])
    def test_what_would_end_a_command_early_is_refused(self, typed: bytes) -> None:
        """S-58: a line break in a password begins another command at the server."""
        with pytest.raises(WrongSettings, match=r"what was typed (is empty|has a line break)"):
            read_secret(Prompt(), ALICE, ask=lambda _: Secret(typed))


class TestStandardInput:
    """`--password-stdin`."""

    def test_it_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next line stays for whoever reads on."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"p w\r\nrest\n")))
        assert read(StandardInput()) == b"p w"
        assert sys.stdin.buffer.read() == b"rest\n"

    def test_an_empty_one_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A script whose command failed sends nothing."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        assert "what came from standard input is empty" in refusal(StandardInput())

    def test_a_closed_one_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`<&-` in a shell."""
        monkeypatch.setattr(sys, "stdin", None)
        assert "standard input is closed" in refusal(StandardInput())


class TestFiles:
    """A file that only its owner can read; what is checked is the open file."""

    @pytest.mark.parametrize(
        ("octets", "secret"),
        [
            (b"pw", b"pw"),
            (b"pw\n", b"pw"),
            (b"pw\r\n", b"pw"),
            (b" p w \nlogin: alice\n", b" p w "),
            (b"\xff\xfe\n", b"\xff\xfe"),
            (b"x" * SECRET_LIMIT_OCTETS + b"\r\n", b"x" * SECRET_LIMIT_OCTETS),
        ],
    )
    def test_the_first_line_is_the_secret(
        self, private: Write, octets: bytes, secret: bytes
    ) -> None:
        """Octet for octet, without the line's end; `pass` has other things below."""
        assert read(SecretFile(private(octets))) == secret

    @pytest.mark.parametrize(
        ("octets", "words"),
        [
            (b"", "holds no"),
            (b"\nhunter2", "holds no"),
            (b"hunter2\rx\n", "line break or a NUL"),
            (b"hunter2\0x\n", "line break or a NUL"),
            (b"hunter2" * SECRET_LIMIT_OCTETS, f"longer than {SECRET_LIMIT_OCTETS}"),
        ],
    )
    def test_what_is_no_password_is_refused(
        self, private: Write, octets: bytes, words: str
    ) -> None:
        """S-58, and files that are not what they were meant to be."""
        said = refusal(SecretFile(private(octets)))
        assert "password" in said
        assert words.replace("holds no", "is empty") in said

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
    def test_one_that_others_can_touch_is_refused(self, private: Write, mode: int) -> None:
        """Readable: it is no secret. Writable: the password is sent wherever others like."""
        path = private(b"hunter2\n")
        path.chmod(mode)
        said = refusal(SecretFile(path))
        assert f"by others (mode {mode:04o})" in said
        assert f"chmod 600 {path}" in said

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o711])
    def test_one_that_others_can_neither_read_nor_change_is_fine(
        self, private: Write, mode: int
    ) -> None:
        """Running a password gives it to nobody."""
        path = private(b"pw\n")
        path.chmod(mode)
        assert read(SecretFile(path)) == b"pw"

    def test_what_a_link_leads_to_is_checked(self, private: Write, tmp_path: Path) -> None:
        """A link's own mode says nothing, and links are useful."""
        path, link = private(b"pw\n"), tmp_path / "link"
        link.symlink_to(path)
        assert read(SecretFile(link)) == b"pw"
        path.chmod(0o644)
        assert "can be read by others" in refusal(SecretFile(link))

    @pytest.mark.root
    def test_one_of_somebody_else_is_refused(self, private: Write) -> None:
        """Its owner can give it any mode at any time."""
        path = private(b"hunter2\n")
        os.chown(path, 65534, -1)
        assert "belongs to somebody else (user 65534)" in refusal(SecretFile(path))

    def test_a_named_pipe_is_refused_at_once(self, tmp_path: Path) -> None:
        """Its writer might never come."""
        os.mkfifo(tmp_path / "pipe", 0o600)
        assert "is not a regular file" in refusal(SecretFile(tmp_path / "pipe"))

    def test_a_missing_one_and_a_folder_say_so(self, tmp_path: Path) -> None:
        """The path is what a user needs."""
        assert f"{tmp_path}/no cannot be read: No such file" in refusal(SecretFile(tmp_path / "no"))
        assert f"{tmp_path} is not a regular file" in refusal(SecretFile(tmp_path))


class TestCommands:
    """A program and its arguments; `sh -c` here stands for any program."""

    def test_the_first_line_is_the_secret(self) -> None:
        """`pass` prints more."""
        assert read(SecretCommand(("printf", r" p w \r\nmore\n"))) == b" p w "

    def test_there_is_no_shell(self) -> None:
        """Nothing in an argument is a command."""
        assert read(SecretCommand(("echo", "$HOME; `id`"))) == b"$HOME; `id`"

    def test_it_cannot_ask_on_our_standard_input_or_terminal(self) -> None:
        """What is typed there is for us: the command reads an end at once, and has no terminal."""
        assert read(SecretCommand(("sh", "-c", "cat; echo end"))) == b"end"
        has_none = "(: </dev/tty) 2>/dev/null || echo none"
        assert read(SecretCommand(("sh", "-c", has_none))) == b"none"

    def test_what_it_complains_about_goes_to_the_user(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Its standard error is ours; its standard output is in no error and on no terminal."""
        script = program(tmp_path, "echo hunter2; echo 'no such entry' >&2; exit 3")
        assert "the command program ended with exit code 3" in refusal(SecretCommand((script,)))
        assert capfd.readouterr() == ("", "no such entry\n")

    def test_one_that_was_killed_is_told(self, tmp_path: Path) -> None:
        """What it printed before may be half of a password."""
        script = program(tmp_path, "echo hunter2; kill -9 $$")
        assert "was ended by signal 9" in refusal(SecretCommand((script,)))

    def test_one_that_prints_nothing_is_told(self) -> None:
        """An agent that was not unlocked."""
        assert "the command true printed" in refusal(SecretCommand(("true",)))

    def test_one_that_prints_without_end_is_killed(self, tmp_path: Path) -> None:
        """It would fill the memory."""
        script = program(tmp_path, "yes hunter2")
        assert f"printed more than {SECRET_LIMIT_OCTETS}" in refusal(SecretCommand((script,)))

    @pytest.mark.parametrize("argv", [("/nowhere/pass",), ("/",)])
    def test_one_that_is_none_is_told(self, argv: tuple[str, ...]) -> None:
        """A misspelt program."""
        assert "cannot be run: " in refusal(SecretCommand(argv))

    @pytest.mark.parametrize("argv", [(), ("",)])
    def test_nothing_is_no_command(self, argv: tuple[str, ...]) -> None:
        """Found when the settings are read, not when they are used."""
        with pytest.raises(WrongSettings, match="a program and its arguments"):
            SecretCommand(argv)

    @pytest.mark.parametrize(
        "words",
        [
            "sleep 100 & echo $! >&2; wait",
            "sleep 100 & echo $! >&2; exit 0",
            "exec >&-; sleep 100 & echo $! >&2; wait",
        ],
    )
    def test_one_that_hangs_is_killed_with_all_that_it_started(
        self, words: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Before and after its own end, and with its output closed."""
        argv = ("sh", "-c", words)
        with pytest.raises(WrongSettings, match="the command sh did not end in time"):
            read_command(argv, WrongSettings, limit_s=2.0)
        assert has_ended(int(capfd.readouterr().err))

    def test_a_token_is_a_token_and_a_failure_asks_for_one(self) -> None:
        """Exit code 4 of a fetch: a script can ask for consent."""
        assert read(TokenCommand(("echo", "ya29.a0Af"))) == b"ya29.a0Af"
        with pytest.raises(TokenNeeded) as caught:
            read(TokenCommand(("false",)))
        assert caught.value.code is FetchExit.TOKEN

    @pytest.mark.parametrize("printed", [r"\001auth=x", r"tok\303\244n", r"a\tb"])
    def test_what_cannot_be_a_token_is_refused(self, printed: str) -> None:
        r"""RFC 6749 appendix A.12; \x01 would begin another field of OAUTHBEARER (RFC 7628)."""
        with pytest.raises(TokenNeeded, match="the command printf printed has something in it"):
            read(TokenCommand(("printf", printed)))


def program(folder: Path, words: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{words}\n")
    path.chmod(0o700)
    return str(path)


def has_ended(process: int) -> bool:
    """Tell whether a process that got its signal is dead, waiting as long as that may take."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([descriptor], [], [], DEADLINE_S)
    if not ready:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)  # nothing outlives the test
    os.close(descriptor)
    return bool(ready)


class TestCredentials:
    """What systemd hands to a service (systemd.exec(5))."""

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        return tmp_path

    @pytest.mark.parametrize("mode", [0o400, 0o440])
    def test_one_is_read(self, folder: Path, mode: int) -> None:
        """0440 is how the access control list of a system service's user shows in a mode."""
        (folder / "private").write_bytes(b"pw\n")
        (folder / "private").chmod(mode)
        assert read(SystemdCredential("private")) == b"pw"

    @pytest.mark.parametrize("mode", [0o404, 0o420, 0o402])
    def test_one_that_others_can_touch_is_refused(self, folder: Path, mode: int) -> None:
        """Not systemd's work."""
        (folder / "private").write_bytes(b"hunter2\n")
        (folder / "private").chmod(mode)
        assert "by others" in refusal(SystemdCredential("private"))

    def test_without_any_it_is_said_how_to_give_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run by hand with the service's settings."""
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        assert "add LoadCredential=private:FILE" in refusal(SystemdCredential("private"))

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\n", "x\0"])
    def test_a_name_leads_nowhere_else(self, name: str) -> None:
        """It is a file's name in that folder."""
        with pytest.raises(WrongSettings, match="is no name of a credential"):
            SystemdCredential(name)


class TestNetrc:
    """The file of ftp(1), as curl and others read it."""

    @pytest.mark.parametrize(
        "text",
        [
            "machine mail.example.com login alice password pw",
            "machine mail.example.com\n  login alice\n  password pw\nmachine other login alice\n",
            'machine mail.example.com login "alice" password "pw"',
            "default login alice password pw",
        ],
    )
    def test_host_and_user_find_the_password(self, private: Write, text: str) -> None:
        """An entry may be on one line or on several."""
        assert read(Netrc(private(text.encode()))) == b"pw"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "machine mail.example.com login bob password hunter2",
            "machine mail.example.com password hunter2",
            "machine imap.example.com login alice password hunter2",
            "machine mail.example.com login alice",
        ],
    )
    def test_another_users_password_is_not_sent(self, private: Write, text: str) -> None:
        """The server would count it as a wrong one."""
        said = refusal(Netrc(private(text.encode())))
        assert "has no password for alice at mail.example.com" in said

    @pytest.mark.parametrize("text", ["machine a login alice hunter2", "hunter2", "\nhunter2 x\n"])
    def test_a_malformed_one_says_its_line_and_no_word_of_it(
        self, private: Write, text: str
    ) -> None:
        """The standard library's own error quotes the word that it did not expect."""
        path = private(text.encode())
        line = 2 if text.startswith("\n") else 1
        said = refusal(Netrc(path))
        assert said.startswith((f"{path}:{line} is not", f"{path}:{line + 1} is not"))

    def test_one_that_is_no_text_is_told(self, private: Write) -> None:
        """An encrypted one, for example."""
        assert "is not in the form" in refusal(Netrc(private(b"\xff\xfehunter2\n")))

    def test_one_that_others_can_read_is_refused(self, private: Write) -> None:
        """As for any file with passwords."""
        path = private(b"machine mail.example.com login alice password hunter2\n")
        path.chmod(0o644)
        assert "can be read by others" in refusal(Netrc(path))

    def test_the_usual_place_is_the_home_folder(
        self, private: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`netrc = true`."""
        path = private(b"machine mail.example.com login alice password pw\n")
        path.rename(path.with_name(".netrc"))
        monkeypatch.setenv("HOME", str(path.parent))
        assert read(Netrc()) == b"pw"


FAKE_KEYRING = """
from keyring.errors import NoKeyringError
def get_password(service, user):
    if service == "broken":
        raise NoKeyringError("No recommended backend was available.")
    return {("mail.example.com", "alice"): "p\\u00e4ss"}.get((service, user))
"""
FAKE_ERRORS = """
class KeyringError(Exception): pass
class NoKeyringError(KeyringError, RuntimeError): pass
"""


class TestKeyring:
    """The desktop's keyring, through a package that need not be installed."""

    @pytest.fixture
    def _installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A package in the place of `keyring` that needs no desktop."""
        package = tmp_path / "site" / "keyring"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(FAKE_KEYRING)
        (package / "errors.py").write_text(FAKE_ERRORS)
        for name in ("keyring", "keyring.errors"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(package.parent)

    @pytest.mark.usefixtures("_installed")
    def test_service_and_user_find_the_password(self) -> None:
        """`keyring set mail.example.com alice` put it there."""
        assert read(Keyring("mail.example.com")) == "p\u00e4ss".encode()

    @pytest.mark.usefixtures("_installed")
    def test_a_missing_password_says_how_to_add_it(self) -> None:
        """The command is that of the same package."""
        assert "keyring set mail alice" in refusal(Keyring("mail"))

    @pytest.mark.usefixtures("_installed")
    def test_without_a_desktop_it_fails_clearly(self) -> None:
        """Cron and systemd have no D-Bus session."""
        said = refusal(Keyring("broken"))
        assert "the keyring cannot be used: No recommended backend" in said
        assert "password_file" in said

    def test_without_the_package_it_is_said_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is an extra, because servers have no use for it."""
        monkeypatch.setitem(sys.modules, "keyring", None)  # how Python marks what is not there
        assert "pip install 'mailkeep[keyring]'" in refusal(Keyring("mail"))

    def test_it_is_not_imported_before_it_is_used(self) -> None:
        """It looks for desktops, which takes time that a fetch by a timer does not have."""
        words = "import sys, mailkeep.fetch.secret_sources; print('keyring' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", words], capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Prompt(), False),
        (SecretFile(Path("/t")), False),
        (TokenCommand(("t",)), True),
        (OAuthRefresh("https://e.example/", "id", None, Prompt()), True),
    ],
)
def test_a_token_is_known_as_one(source: SecretSource, expected: bool) -> None:
    """It goes through other mechanisms than a password."""
    assert is_token(source) is expected


class TestKeepingARefreshToken:
    """Some servers give a new one each time, and the old one ends."""

    def test_it_takes_the_place_of_the_old_one(self, private: Write, tmp_path: Path) -> None:
        """In one step, for its owner only, and through a link."""
        path = private(b"old\n")
        link = tmp_path / "link"
        link.symlink_to(path)
        before = path.stat().st_ino
        assert keep_refresh_token(SecretFile(link), Secret(b"new")) is None
        assert path.read_bytes() == b"new\n"
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_ino != before
        assert {entry.name for entry in tmp_path.iterdir()} == {"password", "link"}

    def test_it_is_durable_before_it_takes_the_place(
        self, private: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """fsync, rename, fsync of the folder: a power cut leaves the old or the new one."""
        path = private(b"old\n")
        steps: list[str] = []
        fsync, replace = os.fsync, Path.replace

        def note_fsync(descriptor: int) -> None:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            steps.append("fsync folder" if is_folder else "fsync file")
            fsync(descriptor)

        def note_replace(self: Path, target: Path) -> Path:
            steps.append("rename")
            return replace(self, target)

        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(Path, "replace", note_replace)
        assert keep_refresh_token(SecretFile(path), Secret(b"new")) is None
        assert steps == ["fsync file", "rename", "fsync folder"]

    def test_from_anywhere_else_it_is_a_warning(self) -> None:
        """A command cannot be told."""
        warning = keep_refresh_token(SecretCommand(("pass",)), Secret(HUNTER.encode()))
        assert warning is not None
        assert "new refresh token" in warning
        assert HUNTER not in warning

    def test_where_it_cannot_be_written_it_is_a_warning(self, tmp_path: Path) -> None:
        """The access token is good, so the fetch goes on."""
        (tmp_path / "file").touch()
        source = SecretFile(tmp_path / "file" / "token")
        warning = keep_refresh_token(source, Secret(HUNTER.encode()))
        assert warning is not None
        assert "cannot be written" in warning
        assert HUNTER not in warning
