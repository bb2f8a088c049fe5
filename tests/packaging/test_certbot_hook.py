"""The certbot deploy hook, run as certbot runs it, beside a server that is running."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.harness.client import WireClient
from tests.harness.programs import run
from tests.harness.site import listening_port, start_serving

from mailkeep.cli.init import make_site, settings_text
from mailkeep.site import Service
from mailkeep.tls.authority import create_authority, issue

HOOK = Path(__file__).parents[2] / "packaging" / "certbot" / "mailkeep"


@pytest.fixture
def lineage(tmp_path: Path) -> Path:
    """A certificate of another authority, laid out as certbot does."""
    folder = tmp_path / "lineage"
    create_authority(folder, "localhost", datetime.now(UTC))
    issue(folder, "localhost", datetime.now(UTC))
    (folder / "server.pem").rename(folder / "fullchain.pem")
    (folder / "server.key").rename(folder / "privkey.pem")
    return folder


def test_hook_copies_chain_and_key_and_reloads(tmp_path: Path, lineage: Path) -> None:
    """After a renewal new connections see the new certificate; only the owner has its key."""
    site = tmp_path / "site"
    make_site(site, settings_text("localhost", [(Service.POP3S, "127.0.0.1:0")]))
    serving = start_serving(site)
    try:
        with (site / "mailkeep.toml").open("a") as settings:
            settings.write('\n[tls]\ncertificate = "tls/fullchain.pem"\nkey = "tls/privkey.pem"\n')
        environment = {
            "MAILKEEP_SITE": str(site),
            "RENEWED_LINEAGE": str(lineage),
            "MAILKEEP_RELOAD": f"kill -s {signal.SIGHUP.value} {serving.pid}",
        }
        run([HOOK], environment=environment)
        serving.wait_for(lambda line: "settings loaded" in line, "that it is loaded")
        with WireClient(listening_port(serving, Service.POP3S)) as client:
            client.start_tls(lineage / "ca.pem")
            assert client.read_ok() == b"POP3 ready"
    finally:
        assert serving.stop() == 0
    key = (site / "tls" / "privkey.pem").stat()
    assert (key.st_mode & 0o777, key.st_uid) == (0o600, os.geteuid())
    assert not list((site / "tls").glob("*.new"))


def test_hook_says_what_it_needs(tmp_path: Path) -> None:
    """Run by hand, without certbot's variable, it changes nothing."""
    done = run([HOOK], environment={"MAILKEEP_SITE": str(tmp_path)}, check=False)
    assert done.returncode != 0
    assert b"RENEWED_LINEAGE" in done.stderr
    assert not list(tmp_path.iterdir())
