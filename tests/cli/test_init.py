"""`mailkeep init` makes a site that works, once, for its user alone."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.harness.programs import run
from tests.harness.site import MAILKEEP, python_path

from mailkeep.site import read_site
from mailkeep.tls.certificates import check_pair
from mailkeep.tls.description import describe


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_site_is_whole(mailkeep: Run, tmp_path: Path) -> None:
    """Folder, settings, database, authority and certificate; the doctor finds nothing wrong."""
    folder = tmp_path / "deep" / "site"
    done = mailkeep("--site", folder, "init", "--hostname", "Mail.Example.com")
    assert (done.code, done.out) == (0, "")
    assert f"made the site {folder}" in done.err
    site = read_site(folder)
    assert site.settings.hostname == "mail.example.com"
    check_pair(site.certificate, site.key)
    certificate = describe(site.certificate)
    for name in ("mail.example.com", "localhost", "127.0.0.1", "::1"):
        assert certificate.covers(name)
    assert certificate.days_left(datetime.now(UTC)) == 365
    assert mailkeep("--site", folder, "account", "list", "--json").out == "[]\n"


def test_listeners_are_what_was_said(mailkeep: Run, tmp_path: Path) -> None:
    """pop3s on every address unless said, pop3 only when said."""
    mailkeep("--site", tmp_path / "a", "init", "--hostname", "localhost")
    listens = read_site(tmp_path / "a").settings.listen
    assert [f"{it.service.value} {it.address}" for it in listens] == [
        "pop3s 0.0.0.0:995",
        "pop3s [::]:995",
    ]
    ports = ["--pop3s", "127.0.0.1:9950", "--pop3s", "[::1]:9950", "--pop3", "127.0.0.1:1110"]
    mailkeep("--site", tmp_path / "b", "init", "--hostname", "localhost", *ports)
    listens = read_site(tmp_path / "b").settings.listen
    assert [f"{it.service.value} {it.address}" for it in listens] == [
        "pop3s 127.0.0.1:9950",
        "pop3s [::1]:9950",
        "pop3 127.0.0.1:1110",
    ]


def test_a_site_is_never_overwritten(mailkeep: Run, site: Path) -> None:
    """A second `init` changes no octet: accounts and an authority that clients trust stay."""
    before = contents(site)
    done = mailkeep("--site", site, "init", "--hostname", "other.example.com")
    assert done.code == 2
    assert "is a site already; nothing was changed" in done.err
    assert contents(site) == before


def test_an_interrupted_init_can_be_run_again(mailkeep: Run, site: Path) -> None:
    """Without its settings a folder is no site yet; the authority that was made is kept."""
    authority = (site / "tls" / "ca.pem").read_bytes()
    (site / "mailkeep.toml").unlink()
    (site / "tls" / "server.pem").unlink()
    done = mailkeep("--site", site, "init", "--hostname", "mail.example.com")
    assert done.code == 0
    assert (site / "tls" / "ca.pem").read_bytes() == authority
    read_site(site)
    assert describe(site / "tls" / "server.pem").covers("mail.example.com")


def test_a_folder_that_is_something_else_is_left_alone(mailkeep: Run, tmp_path: Path) -> None:
    """A home or /tmp by mistake: its permissions stay too."""
    (tmp_path / "letter.odt").touch()
    tmp_path.chmod(0o755)
    done = mailkeep("--site", tmp_path, "init", "--hostname", "localhost")
    assert done.code == 2
    assert "letter.odt" in done.err
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["letter.odt"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--hostname", 'a" b'],
        ["--hostname", "a\nb"],
        ["--hostname", "192.0.2.1"],
        ["--hostname", ""],
        ["--hostname", "localhost", "--pop3s", "localhost:995"],
        ["--hostname", "localhost", "--pop3", '127.0.0.1:1"\nallow = ["x'],
        ["--hostname", "localhost", "--pop3s", "127.0.0.1:1", "--pop3", "127.0.0.1:1"],
    ],
)
def test_settings_that_could_not_be_used_are_not_written(
    mailkeep: Run, tmp_path: Path, arguments: list[str]
) -> None:
    """Refused before anything is made, with the place and no way to smuggle a setting in."""
    done = mailkeep("--site", tmp_path / "site", "init", *arguments)
    assert done.code == 2
    assert done.err.startswith("error: mailkeep.toml")
    assert not (tmp_path / "site").exists()


def test_a_place_that_cannot_be_had_is_an_error_with_a_hint(mailkeep: Run, tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").touch()
    done = mailkeep("--site", tmp_path / "file" / "site", "init", "--hostname", "localhost")
    assert done.code == 1
    assert "error: cannot make" in done.err
    assert "hint: " in done.err


def test_everything_is_its_users_alone(tmp_path: Path) -> None:
    """Whatever the umask: only the certificates, which are public, can be read by others."""
    folder = tmp_path / "site"
    mailkeep = (*MAILKEEP, "--site", folder, "init", "--hostname", "localhost")
    run(["sh", "-c", 'umask 000; exec "$@"', "sh", *mailkeep], environment=python_path())
    public = {folder / "tls" / "ca.pem", folder / "tls" / "server.pem"}
    for path in (folder, *folder.rglob("*")):
        if path not in public:
            assert stat.S_IMODE(path.stat().st_mode) in {0o600, 0o700}, path


@pytest.mark.root
def test_a_folder_of_another_user_is_left_to_that_user(mailkeep: Run, tmp_path: Path) -> None:
    """Packaging makes /var/lib/mailkeep for mailkeep; root is told to become that user."""
    folder = tmp_path / "site"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    done = mailkeep("--site", folder, "init", "--hostname", "localhost")
    assert done.code == 2
    assert "hint: sudo -u #12345 mailkeep" in done.err
    assert not any(folder.iterdir())
