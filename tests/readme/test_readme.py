"""Every command in the README is run here, but those that need what a test cannot have.

Those are named, and what can be checked of them is checked elsewhere: the units by systemd's own
tools and by real socket activation (tests/packaging), the certbot hook by running it.
"""

import os
import pty
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.client import WireClient
from tests.harness.site import running_site

from mailkeep.site import parse_settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
USER = "mkreadme"
PASSWORD = "correct horse battery staple"

RUN_BY_CI = {"make demo", "make test"}
"""`make test` is what runs this test; `make demo` has tests of its own (tests/cli)."""

RUN_ELSEWHERE = {
    "mailkeep fetch pop3s://alice@mail.example.com --to maildir:~/Mail/alice",
    "mailkeep fetch pop3s://alice@mail.example.com --to maildir:~/Mail/alice --dry-run",
    "mailkeep fetch import mpop",
    "mailkeep fetch --every 5m",
}
"""They need a mailbox of somebody's: tests/cli/fetch runs them against servers of their own."""

NEEDS_A_RECORD = {
    "runuser -u mailkeep -- mailkeep events report alice --since 7d",
    "runuser -u mailkeep -- mailkeep events verify",
}
"""They need a site that was served: tests/cli/test_events.py runs them after a break-in."""

NEEDS_SYSTEMD_OR_A_PUBLIC_NAME = {
    "cp packaging/systemd/*.* /etc/systemd/system/",
    "systemctl daemon-reload",
    "systemctl enable --now mailkeep-pop3s.socket mailkeep.service",
    "install -m 0755 packaging/certbot/mailkeep /etc/letsencrypt/renewal-hooks/deploy/mailkeep",
    "certbot certonly --standalone -d mail.example.com",
}

ELSEWHERE = RUN_BY_CI | RUN_ELSEWHERE | NEEDS_A_RECORD | NEEDS_SYSTEMD_OR_A_PUBLIC_NAME


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of one kind."""
    fenced = README.split("```")[1::2]
    return [block.partition("\n")[2] for block in fenced if block.partition("\n")[0] == kind]


def commands() -> list[str]:
    """Return every command line, without its comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.partition("  #")[0].strip() for line in lines]


def test_every_command_is_run_or_named() -> None:
    """A command that stands in the README and in none of the lists is run by the next test."""
    assert set(commands()) >= ELSEWHERE
    assert (ROOT / ".ci" / "run").read_text().count("make test") == 1
    assert len(set(commands()) - ELSEWHERE) >= 16


@pytest.fixture
def machine() -> Iterator[Path]:
    """A place for what the README installs, reachable for another user, and gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mailkeep-readme-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    (folder / "message.eml").write_bytes(b"Subject: hello\n\nworld\n")
    yield folder
    subprocess.run(["userdel", USER], check=False, capture_output=True)
    shutil.rmtree(folder)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a system user, as the README does: needs root")
@pytest.mark.timeout(300)
def test_commands_for_a_real_machine_work_one_after_the_other(machine: Path) -> None:
    """Installing, making a site, an account, a delivery and the checks, as they stand there."""
    shutil.copytree(
        ROOT, machine / "checkout", ignore=shutil.ignore_patterns(".*", "build", "tests")
    )
    outputs = {}
    for command in commands():
        if command not in ELSEWHERE:
            outputs[command] = _run(_moved(command, machine), machine)
    listing = outputs["runuser -u mailkeep -- mailkeep maildrop list alice"]
    assert "1" in listing.split()
    assert "hello" not in listing
    assert re.search("(?:[a-z2-9]{5}-){4}[a-z2-9]{5}", outputs[_only(outputs, "device add")])
    assert "office printer" in outputs[_only(outputs, "device list")]
    assert "192.0.2.0/24" in outputs[_only(outputs, "ban list")]


def _only(outputs: dict[str, str], command: str) -> str:
    """Return the one command line that has these words."""
    (found,) = (line for line in outputs if f"mailkeep {command}" in line)
    return found


def _moved(command: str, machine: Path) -> str:
    """Return the command with the machine's places and user replaced by the test's."""
    command = command.replace("/opt/mailkeep", f"{machine}/opt")
    command = command.replace("/var/lib/mailkeep", f"{machine}/site")
    command = command.replace("/usr/local/bin", f"{machine}/bin")
    command = command.replace("< message.eml", f"< {machine}/message.eml")
    command = re.sub(r"(useradd .*|-[ogu] )mailkeep\b", rf"\1{USER}", command)
    return re.sub(r"-g mailkeep\b", f"-g {USER}", command)


def _run(command: str, machine: Path) -> str:
    """Run a command line on a terminal, which is what asks for passwords, and return its output."""
    environment = {
        **os.environ,
        # A system's own Python, because another user cannot reach one in somebody's home.
        "PATH": f"{machine}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "MAILKEEP_SITE": f"{machine}/site",
    }
    terminal, its_side = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", "sh", "-c", command],
        cwd=machine / "checkout",
        env=environment,
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
    ) as running:
        os.close(its_side)
        output = _answer(terminal)
    os.close(terminal)
    assert running.returncode == 0, f"{command}\n{output}"
    return output


def _answer(terminal: int) -> str:
    """Type the password whenever one is asked for, and return what was written until the end."""
    output = answered = ""
    while True:
        try:
            octets = os.read(terminal, 4096)
        except OSError:  # Linux says EIO when the other side has closed its terminal
            return output
        output += octets.decode(errors="replace")
        if output.removeprefix(answered).endswith(": ") and "assword" in output:
            answered = output
            os.write(terminal, PASSWORD.encode() + b"\n")


def test_the_session_on_the_wire_is_what_the_server_says(tmp_path: Path) -> None:
    """The dialogue is real, answer for answer."""
    (dialogue,) = (block for block in blocks("") if block.startswith("S: +OK"))
    with running_site(tmp_path / "site") as site, WireClient(site.pop3s) as client:
        site.add_account("alice", PASSWORD)
        site.deliver("alice", b"a" * 140 + b"\n", b"b" * 176 + b"\n")
        client.start_tls(site.ca)
        for line in dialogue.splitlines():
            who, _, text = line.partition(" ")
            if who == "C:":
                client.send(text.encode() + b"\r\n")
            else:
                assert client.read_line() == text.encode() + b"\r\n"


@pytest.mark.parametrize("block", blocks("toml"))
def test_settings_in_the_readme_are_understood(block: str) -> None:
    """What an operator copies from the README is no error."""
    if "hostname" not in block:
        block = f'hostname = "mail.example.com"\n{block}'
    settings = parse_settings(block, source="mailkeep.toml")
    assert settings.hostname == "mail.example.com"


def test_files_that_the_readme_names_are_there() -> None:
    """No link and no path of the repository leads nowhere."""
    links = re.findall(r"\]\(([^)]+)\)", README)
    paths = [word for command in commands() for word in shlex.split(command) if "packaging" in word]
    for name in (*links, *paths):
        assert list(ROOT.glob(name)), name
