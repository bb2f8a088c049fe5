"""The site's own authority: what real programs accept, and when and how it issues anew."""

import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.harness.programs import find_program
from tests.tls.peer import MemoryClient, carry
from tests.tls.test_description import GOOD, START
from tests.tls.wire import run_client, serving

from mailkeep.tls import CertificateProblem, TlsChannel, server_context
from mailkeep.tls.authority import create_authority, is_renewal_due, issue, renew_if_due
from mailkeep.tls.certificates import check_pair
from mailkeep.tls.description import describe
from mailkeep.tls.hostnames import InvalidHostname

HOSTNAME = "mail.example.com"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize("name", [HOSTNAME, "localhost", "127.0.0.1", "::1"])
def test_openssl_accepts_it_strictly(folder: Path, name: str) -> None:
    """RFC 5280, as strictly as `openssl verify` can read it."""
    option = "-verify_ip" if name[0] in "1:" else "-verify_hostname"
    result = subprocess.run(
        [
            find_program("openssl"),
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-purpose",
            "sslserver",
            option,
            name,
            "-CAfile",
            folder / "ca.pem",
            folder / "server.pem",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", [HOSTNAME, "localhost", "127.0.0.1", "::1"])
def test_python_accepts_it_strictly(
    context: ssl.SSLContext, client_context: ssl.SSLContext, name: str
) -> None:
    """With the host name checked and VERIFY_X509_STRICT, the default since Python 3.13."""
    client, channel = MemoryClient(client_context, name), TlsChannel(context)
    carry(client, channel)
    assert channel.established


def test_python_refuses_it_for_another_name(
    context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """RFC 9525: the certificate is for its names and no other."""
    client, channel = MemoryClient(client_context, "mail.example.org"), TlsChannel(context)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        carry(client, channel)


async def test_curl_accepts_it(context: ssl.SSLContext, folder: Path) -> None:
    """The authority is given to a real mail client, which checks the name over a real socket."""

    def answer(asked: bytes) -> bytes:
        return b"+OK\r\nUSER\r\n.\r\n" if asked == b"CAPA\r\n" else b"+OK\r\n"

    async with serving(context, answer) as (port, _):
        code, said = await run_client(
            "curl",
            *("-sS", "--cacert", str(folder / "ca.pem"), "--user", "alice:secret"),
            *("--request", "NOOP", "--head", f"pop3s://localhost:{port}/"),
        )
    assert (code, said) == (0, b"")


def test_fields(folder: Path, now: datetime) -> None:
    """Lives, serials, what each may do (RFC 5280 section 4.2; Mozilla: at most 366 days)."""
    authority, server = certificate(folder / "ca.pem"), certificate(folder / "server.pem")
    assert server.not_valid_after_utc - server.not_valid_before_utc == timedelta(days=366)
    assert authority.not_valid_after_utc > now + timedelta(days=3650)
    assert server.not_valid_before_utc < now
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose.dotted_string for purpose in usage] == ["1.3.6.1.5.5.7.3.1"]
    assert server.serial_number.bit_length() > 100
    assert server.serial_number != authority.serial_number
    key = certificate(folder / "server.pem").public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_the_keys_are_for_the_sites_user_alone(folder: Path) -> None:
    """Whatever the umask; the certificates are for everybody."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}


@pytest.mark.parametrize(
    ("hostname", "names"),
    [
        ("posteingang.müller.example", ("posteingang.xn--mller-kva.example", "localhost")),
        ("LOCALHOST", ("localhost",)),
        ("192.0.2.7", ("localhost", "192.0.2.7")),
        (".".join(["a" * 60] * 4), (".".join(["a" * 60] * 4), "localhost")),
    ],
)
def test_names_of_all_kinds(
    tmp_path: Path, now: datetime, hostname: str, names: tuple[str, ...]
) -> None:
    """IDNA names go in as A-labels (RFC 5280 section 7.2), long ones fit, none comes twice."""
    create_authority(tmp_path, hostname, now)
    issue(tmp_path, hostname, now)
    own = describe(tmp_path / "server.pem")
    assert set(own.names) == {*names, "127.0.0.1", "::1"}
    assert len(own.names) == len(set(own.names))
    assert own.covers(hostname)


def test_a_bad_name_writes_nothing(tmp_path: Path, now: datetime) -> None:
    """Bad input leaves the data as it was."""
    with pytest.raises(InvalidHostname):
        create_authority(tmp_path / "tls", "no host name", now)
    assert not (tmp_path / "tls").exists()


def test_an_authority_is_never_replaced(own_folder: Path, now: datetime) -> None:
    """Clients trust it: a second `init` must not take that away."""
    before = contents(own_folder)
    with pytest.raises(CertificateProblem, match="already"):
        create_authority(own_folder, HOSTNAME, now)
    assert contents(own_folder) == before


@pytest.mark.parametrize(
    ("day", "hostname", "is_due"),
    [
        (0, HOSTNAME, False),
        (66, HOSTNAME, False),
        (67, HOSTNAME, True),
        (99, HOSTNAME, True),
        (200, HOSTNAME, True),
        (0, "pop.example.com", True),
        (0, "127.0.0.1", False),
        (0, "a.example.org", False),
    ],
)
def test_when_renewal_is_due(day: int, hostname: str, is_due: bool) -> None:
    """Less than a third of its life is left (GOOD lives 100 days), or the site has another name."""
    now = START + timedelta(days=day)
    assert is_renewal_due(GOOD, hostname=hostname, now=now) is is_due


def test_renewal_replaces_one_file_and_keeps_the_key(own_folder: Path, now: datetime) -> None:
    """There is no moment at which certificate and key do not belong together."""
    before = contents(own_folder)
    assert not renew_if_due(own_folder, HOSTNAME, now)
    assert contents(own_folder) == before
    later = now + timedelta(days=300)
    assert renew_if_due(own_folder, HOSTNAME, later)
    after = contents(own_folder)
    assert {name for name in after if after[name] != before.get(name)} == {"server.pem"}
    assert describe(own_folder / "server.pem").days_left(later) == 365
    assert not renew_if_due(own_folder, HOSTNAME, later)


def test_a_site_with_a_new_name_gets_a_certificate_for_it(own_folder: Path, now: datetime) -> None:
    """The name in the settings is the name clients call."""
    assert renew_if_due(own_folder, "pop.example.net", now)
    assert describe(own_folder / "server.pem").covers("pop.example.net")


@pytest.mark.parametrize("lost", [["server.pem"], ["server.key"], ["server.pem", "server.key"]])
def test_what_was_lost_is_made_anew(own_folder: Path, now: datetime, lost: list[str]) -> None:
    """Also how an operator asks for a new key."""
    for name in lost:
        (own_folder / name).unlink()
    assert renew_if_due(own_folder, HOSTNAME, now)
    server_context(own_folder / "server.pem", own_folder / "server.key", ssl.TLSVersion.TLSv1_2)


def test_a_power_cut_after_the_new_key_is_mended(own_folder: Path, now: datetime) -> None:
    """A key whose certificate never came: the next look issues for it."""
    old = (own_folder / "server.pem").read_bytes()
    (own_folder / "server.key").unlink()
    issue(own_folder, HOSTNAME, now)
    (own_folder / "server.pem").write_bytes(old)
    assert renew_if_due(own_folder, HOSTNAME, now)
    check_pair(own_folder / "server.pem", own_folder / "server.key")


def test_a_power_cut_in_the_middle_of_init_is_no_obstacle(
    own_folder: Path, now: datetime, tmp_path: Path
) -> None:
    """A key that came alone is worth nothing: the same command again makes all four files."""
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(own_folder / "ca.key", again / "ca.key")
    create_authority(again, HOSTNAME, now)
    issue(again, HOSTNAME, now)
    check_pair(again / "ca.pem", again / "ca.key")
    check_pair(again / "server.pem", again / "server.key")


def test_a_certificate_from_elsewhere_is_left_alone(
    own_folder: Path, rsa_folder: Path, now: datetime
) -> None:
    """An operator put a public one there: expired or not, it is not ours to replace."""
    for name in ("server.pem", "server.key"):
        shutil.copy(rsa_folder / name, own_folder / name)
    before = contents(own_folder)
    assert not renew_if_due(own_folder, "pop.example.net", now + timedelta(days=1000))
    assert contents(own_folder) == before


def test_a_server_does_not_outlive_its_authority(own_folder: Path, now: datetime) -> None:
    """And an authority that is over signs nothing: it says what to do."""
    end = certificate(own_folder / "ca.pem").not_valid_after_utc
    issue(own_folder, HOSTNAME, end - timedelta(days=10))
    assert certificate(own_folder / "server.pem").not_valid_after_utc == end
    before = contents(own_folder)
    with pytest.raises(CertificateProblem, match="expired") as problem:
        issue(own_folder, HOSTNAME, end)
    assert "ca.pem" in problem.value.hint
    assert contents(own_folder) == before
    assert now < end


@pytest.mark.parametrize("spoiled", ["lost", "another"])
def test_an_authority_without_its_key_issues_nothing(
    own_folder: Path, now: datetime, spoiled: str
) -> None:
    """The old certificate stays; an operator may keep the key elsewhere until it is due."""
    if spoiled == "lost":
        (own_folder / "ca.key").unlink()
    else:
        shutil.copy(own_folder / "server.key", own_folder / "ca.key")
    before = contents(own_folder)
    assert not renew_if_due(own_folder, HOSTNAME, now)
    with pytest.raises(CertificateProblem) as problem:
        renew_if_due(own_folder, HOSTNAME, now + timedelta(days=300))
    assert problem.value.path == own_folder / "ca.key"
    assert contents(own_folder) == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_certificate(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nothing half written takes a file's place, and nothing is left lying about."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = contents(own_folder)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync" if step == "fsync" else "pathlib.Path.replace", fail)
        with pytest.raises(CertificateProblem, match="No space left on device"):
            issue(own_folder, HOSTNAME, datetime.now(UTC))
    assert contents(own_folder) == before
