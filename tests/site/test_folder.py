"""Which site a command is about, and who may use it."""

import os
from pathlib import Path

import pytest

from mailkeep.site import (
    SITE_DEFAULT,
    NoSite,
    SettingsError,
    WrongUser,
    check_owner,
    find_site,
    read_site,
)

SETTINGS = 'hostname = "mail.example.com"\n'


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "mailkeep.toml").write_text(SETTINGS)
    return folder


def test_the_option_comes_first_then_the_environment_then_here(tmp_path: Path) -> None:
    """--site, $MAILKEEP_SITE, the folder here or above, in this order."""
    said, named, around = (make(tmp_path / name) for name in ("said", "named", "around"))
    below = around / "a" / "b"
    below.mkdir(parents=True)
    environment = {"MAILKEEP_SITE": str(named)}
    assert find_site(said, environment=environment, here=below) == said
    assert find_site(None, environment=environment, here=below) == named
    assert find_site(None, environment={}, here=below) == around
    assert find_site(None, environment={"MAILKEEP_SITE": ""}, here=below) == around


def test_a_relative_site_starts_at_the_current_folder(tmp_path: Path) -> None:
    """What is found is absolute, so that a later change of folder changes nothing."""
    make(tmp_path / "site")
    assert find_site(Path("site"), environment={}, here=tmp_path) == tmp_path / "site"


@pytest.mark.parametrize("name", ["said", "environment"])
def test_a_site_that_is_named_and_not_there_is_not_replaced_by_another(
    tmp_path: Path, name: str
) -> None:
    """A typo in --site must not end in the site of the current folder."""
    here = make(tmp_path / "here")
    wrong = tmp_path / "wrong"
    with pytest.raises(NoSite) as caught:
        find_site(
            wrong if name == "said" else None,
            environment={"MAILKEEP_SITE": str(wrong)} if name == "environment" else {},
            here=here,
        )
    assert str(wrong) in str(caught.value)
    assert "init" in (caught.value.hint or "")


def test_without_any_the_default_is_looked_at(tmp_path: Path) -> None:
    """The last place is /var/lib/mailkeep."""
    if SITE_DEFAULT.exists():
        pytest.skip("this machine has a site at the default place")
    with pytest.raises(NoSite, match="/var/lib/mailkeep"):
        find_site(None, environment={}, here=tmp_path)


@pytest.mark.parametrize("kind", ["folder", "dangling", "circle"])
def test_only_a_file_makes_a_site(tmp_path: Path, kind: str) -> None:
    """A folder or a broken link of the right name is no settings file."""
    settings = tmp_path / "mailkeep.toml"
    match kind:
        case "folder":
            settings.mkdir()
        case "dangling":
            settings.symlink_to(tmp_path / "nowhere")
        case _:
            settings.symlink_to(settings)
    with pytest.raises(NoSite):
        find_site(tmp_path, environment={}, here=Path("/"))


def test_relative_paths_start_at_the_site(tmp_path: Path) -> None:
    """Certificate and key lie in the site unless an absolute path says otherwise."""
    folder = make(tmp_path / "site")
    (folder / "mailkeep.toml").write_text(SETTINGS + '[tls]\nkey = "/etc/x.key"\n')
    site = read_site(folder)
    assert site.certificate == folder / "tls" / "server.pem"
    assert site.key == Path("/etc/x.key")


@pytest.mark.parametrize(
    ("octets", "told"),
    [(b"\xff", "not UTF-8"), (b"#" * (1 << 20) + b"\n", "longer than"), (b"\0", "not TOML")],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, octets: bytes, told: str) -> None:
    """The confused user names a picture or a log."""
    folder = make(tmp_path / "site")
    (folder / "mailkeep.toml").write_bytes(octets)
    with pytest.raises(SettingsError, match=told):
        read_site(folder)


def test_a_site_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root and everybody else: what they write the site's user could not remove."""
    folder = make(tmp_path / "site")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(WrongUser) as caught:
        read_site(folder)
    assert str(folder) in str(caught.value)
    assert (caught.value.hint or "").startswith("sudo -u ")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_settings_that_somebody_else_wrote_are_refused(tmp_path: Path) -> None:
    """In /tmp anybody can lay a mailkeep.toml in the way of root."""
    folder = make(tmp_path / "site")
    os.chown(folder / "mailkeep.toml", 12345, 12345)
    with pytest.raises(SettingsError, match="#12345"):
        read_site(folder)


def test_a_folder_that_is_gone_is_no_site(tmp_path: Path) -> None:
    """Removed between the look and the reading."""
    with pytest.raises(NoSite):
        check_owner(tmp_path / "gone")


def test_an_address_without_a_domain_is_of_the_default_domain(tmp_path: Path) -> None:
    """`alice` and `alice@mail.example.com` are one account."""
    site = read_site(make(tmp_path / "site"))
    assert site.address("alice") == site.address("alice@mail.example.com")


def test_without_a_domain_in_the_path_only_the_default_domain_has_maildrops(tmp_path: Path) -> None:
    """Alice of one domain must not read the mail of alice of another."""
    folder = make(tmp_path / "site")
    (folder / "mailkeep.toml").write_text(SETTINGS + '[maildrops]\npath = "mail/{local}"\n')
    site = read_site(folder)
    assert site.settings.has_own_maildrop(site.address("alice"))
    assert not site.settings.has_own_maildrop(site.address("alice@example.org"))
