"""Whatever goes wrong ends in a line or two and a code; no trace, no secret."""

from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.harness.programs import run
from tests.harness.site import MAILKEEP, python_path

LISTEN = 'hostname = "x"\n[[listen]]\nservice = "{}"\naddress = "127.0.0.1:0"\n'


def break_listing(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr("mailkeep.cli.account.open_site", fail)


def test_an_internal_error_is_an_apology_and_2(
    mailkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the error says may be a secret, so only its type is told."""
    break_listing(monkeypatch, ZeroDivisionError("hunter2"))
    done = mailkeep("account", "list")
    assert (done.code, done.out) == (2, "")
    assert "internal error (ZeroDivisionError)" in done.err
    assert "hint: run it again with MAILKEEP_TRACE=1" in done.err
    assert "hunter2" not in done.err
    assert "Traceback" not in done.err


def test_a_trace_is_shown_to_who_asks(mailkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAILKEEP_TRACE is for reports; it shows no local variables."""
    break_listing(monkeypatch, ZeroDivisionError("detail"))
    monkeypatch.setenv("MAILKEEP_TRACE", "1")
    assert "ZeroDivisionError: detail" in mailkeep("account", "list").err


def test_ctrl_c_is_130(mailkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """128 + SIGINT, and nothing said."""
    break_listing(monkeypatch, KeyboardInterrupt())
    done = mailkeep("account", "list")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_an_error_is_one_line_whatever_it_names(mailkeep: Run, tmp_path: Path) -> None:
    """A folder's name cannot forge a second line or move the cursor."""
    done = mailkeep("--site", tmp_path / "a\nerror: forged\x1b[2J", "account", "list")
    assert done.code == 2
    assert len(done.err.splitlines()) == 2
    assert "\x1b" not in done.err


@pytest.mark.parametrize("into", ["/dev/full", "&-"])
def test_output_that_cannot_be_written_is_a_failure(site: Path, into: str) -> None:
    """A full disk under `> list.txt` must not look like an empty list."""
    command = (*MAILKEEP, "--site", site, "account", "list")
    done = run(
        ["sh", "-c", f'exec "$@" >{into}', "sh", *command], environment=python_path(), check=False
    )
    assert done.returncode == (1 if into == "/dev/full" else 0)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_reader_that_has_enough_is_no_error(site: Path) -> None:
    """`mailkeep account list | true`."""
    command = (*MAILKEEP, "--site", site, "account", "list")
    script = '"$@" | true; exit 0'
    done = run(["bash", "-c", script, "bash", *command], environment=python_path(), check=False)
    assert done.stderr == b""


def test_a_site_that_is_not_there_names_the_place_and_init(mailkeep: Run, tmp_path: Path) -> None:
    """Exit 2, one line, a hint."""
    done = mailkeep("--site", tmp_path / "none", "serve")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: no site at {tmp_path}/none (--site): it has no mailkeep.toml\n"
        f"hint: mailkeep --site {tmp_path}/none init --hostname NAME makes one\n"
    )


@pytest.mark.parametrize(
    ("settings", "told", "hint"),
    [
        ('hostname = "x\n', ":1: not TOML", "toml.io"),
        ('hostname = "x"\n[limits]\nidel_s = 3\n', ":3: limits.idel_s: unknown key", "idle_s"),
        (
            'hostname = "x"\n[[listen]]\nservice = "pop3s"\naddress = "localhost"\n',
            ":4: listen[0].address: ",
            "127.0.0.1:995",
        ),
        (
            LISTEN.format("pop3") + 'cleartext_from = ["10.0.0.1/8"]\n',
            ":5: listen[0].cleartext_from: ",
            "10.0.0.0/8",
        ),
        (
            LISTEN.format("pop3s") + 'cleartext_from = ["10.0.0.0/8"]\n',
            ":5: listen[0].cleartext_from: there is no login without TLS",
            "pop3",
        ),
    ],
)
@pytest.mark.parametrize("command", [("serve",), ("account", "list"), ("maildrop", "list", "a")])
def test_wrong_settings_are_one_line_a_hint_and_2(
    mailkeep: Run, site: Path, command: tuple[str, ...], settings: str, told: str, hint: str
) -> None:
    """The file, the line, the place and the next step, whatever the command."""
    (site / "mailkeep.toml").write_text(settings)
    done = mailkeep("--site", site, *command)
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith(f"error: {site}/mailkeep.toml{told}")
    assert second.startswith("hint: ")
    assert hint in second
