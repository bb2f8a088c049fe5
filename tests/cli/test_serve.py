"""`mailkeep serve` says when it listens, or in one line why it cannot."""

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.cli.conftest import Run
from tests.harness.programs import run
from tests.harness.site import python_path, start_serving

from mailkeep.cli.init import settings_text
from mailkeep.site import Service
from mailkeep.tls.authority import create_authority, issue


def test_it_says_where_it_listens_and_then_ready(site: Path) -> None:
    """One line a listener with the real port, then `ready`; SIGTERM ends it with 0."""
    serving = start_serving(site)
    assert serving.stop() == 0
    lines = serving.log.splitlines()
    first, second, *_ = (line for line in lines if not line.startswith("timestamp="))
    assert first.startswith("listening pop3s 127.0.0.1:")
    assert int(first.rpartition(":")[2]) > 0
    assert second == "ready"


def test_a_port_in_use_is_one_line_a_hint_and_2(mailkeep: Run, site: Path) -> None:
    """The place, the reason and how to find out who has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listeners = [(Service.POP3S, f"127.0.0.1:{port}")]
        (site / "mailkeep.toml").write_text(settings_text("mail.example.com", listeners))
        done = mailkeep("--site", site, "serve")
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first == f"error: cannot listen on pop3s 127.0.0.1:{port}: Address already in use"
    assert second.startswith("hint: ")
    assert f"ss -ltnp sport = :{port}" in second


def test_a_key_of_another_certificate_is_one_line_a_hint_and_2(
    mailkeep: Run, site: Path, tmp_path: Path
) -> None:
    """Both files are named; nothing listens."""
    create_authority(tmp_path / "other", "localhost", datetime.now(UTC))
    issue(tmp_path / "other", "localhost", datetime.now(UTC))
    key = tmp_path / "other" / "server.key"
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(f'[tls]\ncertificate = "tls/server.pem"\nkey = "{key}"\n')
    (site / "tls" / "ca.key").unlink()  # so that nothing can be renewed to fit
    done = mailkeep("--site", site, "serve")
    assert (done.code, done.out) == (2, "")
    lines = [line for line in done.err.splitlines() if not line.startswith("timestamp=")]
    assert len(lines) == 2
    assert lines[0].startswith(f"error: {key}: the key does not belong to the certificate")
    assert lines[1].startswith("hint: ")


def test_a_missing_database_is_no_empty_one(mailkeep: Run, site: Path) -> None:
    """A server without accounts would tell everybody that their password is wrong."""
    (site / "mailkeep.db").unlink()
    done = mailkeep("--site", site, "serve")
    assert done.code == 1
    assert done.err.startswith("error: database ")
    assert not (site / "mailkeep.db").exists()


def test_a_server_imports_no_reader_of_commands(site: Path) -> None:
    """It would keep it for weeks: what a process has imported it never lets go of."""
    (site / "mailkeep.db").unlink()  # it ends when it has imported all that it serves with
    probe = (
        "import sys; from mailkeep.cli.entry import run;"
        f" assert run(['--site', {str(site)!r}, 'serve']) == 1;"
        " assert 'mailkeep.app.serving' in sys.modules;"
        " sys.exit('typer' in sys.modules and 'typer is there' or 0)"
    )
    done = run([sys.executable, "-c", probe], environment=python_path(), check=False)
    assert done.returncode == 0, done.stderr


def test_what_stands_behind_serve_is_read(mailkeep: Run) -> None:
    """Help is shown, and what nobody knows is wrong usage: neither starts a server."""
    assert "Serve the site's mail" in mailkeep("serve", "--help").out
    assert mailkeep("serve", "--fast").code == 2
