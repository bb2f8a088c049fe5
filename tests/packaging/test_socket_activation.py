"""Ports inherited from systemd, passed by systemd's own tool: no test runs systemd itself."""

import socket
import sys
from pathlib import Path

import pytest
from tests.harness.client import WireClient
from tests.harness.programs import Background, Port, find_program
from tests.harness.site import MAILKEEP, python_path

from mailkeep.cli.init import make_site, settings_text
from mailkeep.site import Service

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux'")


def free_port() -> int:
    """Return a port that was free a moment ago: the tool takes none of its own choice."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def activate(site: Path, sockets: list[tuple[str, int]]) -> Background:
    """Run `systemd-socket-activate`, which starts `mailkeep serve` at the first client."""
    tool = find_program("systemd-socket-activate")
    listens = [f"--listen=127.0.0.1:{port}" for _, port in sockets]
    names = ":".join(name for name, _ in sockets)
    environment = python_path()
    kept = [f"--setenv=PYTHONPATH={environment['PYTHONPATH']}"]
    command: list[str | Path] = [
        tool,
        *listens,
        f"--fdname={names}",
        *kept,
        *MAILKEEP,
        "--site",
        site,
        "serve",
    ]
    return Background(command)


def test_sockets_are_matched_by_service_and_address(tmp_path: Path) -> None:
    """sd_listen_fds(3): both ports are served, each as the service that its name says."""
    pop3s, pop3 = free_port(), free_port()
    site = tmp_path / "site"
    both = ((Service.POP3, f"127.0.0.1:{pop3}"), (Service.POP3S, f"127.0.0.1:{pop3s}"))
    make_site(site, settings_text("localhost", both))
    activated = activate(site, [("pop3s", pop3s), ("pop3", pop3)])
    try:
        activated.wait_for(lambda line: "Listening on" in line, "that it listens")
        with WireClient(Port("127.0.0.1", pop3s)) as client:
            activated.wait_for(lambda line: line == "ready", "ready")
            client.start_tls(site / "tls" / "ca.pem")
            assert client.read_ok() == b"POP3 ready"
        with WireClient(Port("127.0.0.1", pop3)) as client:
            assert client.read_ok() == b"POP3 ready"
            client.send(b"USER alice\r\n")
            assert client.read_line() == b"-ERR STLS first\r\n"
    finally:
        assert activated.stop() == 0


def test_a_socket_that_no_setting_expects_is_refused(tmp_path: Path) -> None:
    """A unit and a settings file that disagree: one line, a hint, exit 2, and nothing is served."""
    expected, other = free_port(), free_port()
    site = tmp_path / "site"
    make_site(site, settings_text("localhost", [(Service.POP3S, f"127.0.0.1:{expected}")]))
    activated = activate(site, [("pop3s", other)])
    activated.wait_for(lambda line: "Listening on" in line, "that it listens")
    with socket.create_connection(("127.0.0.1", other)):
        told = activated.wait_for(lambda line: line.startswith("error:"), "an error")
        activated.wait_for(lambda line: line.startswith("hint:"), "a hint")
    assert f"pop3s 127.0.0.1:{other} is in no [[listen]]" in told
    assert activated.wait() == 2
