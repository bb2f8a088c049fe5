"""A running server gets a new certificate, or keeps the one it has and says why."""

import os
import shutil
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.tls.peer import MemoryClient, carry

from mailkeep.tls import CertificateProblem, TlsChannel, server_end_point
from mailkeep.tls.authority import issue
from mailkeep.tls.certificates import Certificates

TLS12 = ssl.TLSVersion.TLSv1_2


@pytest.fixture
def certificates(own_folder: Path) -> Certificates:
    return Certificates(own_folder / "server.pem", own_folder / "server.key", minimum=TLS12)


def serial(client_context: ssl.SSLContext, certificates: Certificates) -> object:
    """Return the serial number that a new, verifying client sees."""
    client = MemoryClient(client_context)
    carry(client, TlsChannel(certificates.context))
    certificate = client.tls.getpeercert()
    assert certificate is not None
    return certificate["serialNumber"]


@pytest.fixture
def own_client(own_folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(own_folder / "ca.pem"))


def test_new_files_serve_new_connections_and_old_ones_live_on(
    certificates: Certificates, own_folder: Path, own_client: ssl.SSLContext, now: datetime
) -> None:
    """A session is not dropped because the certificate is renewed."""
    running, channel = MemoryClient(own_client), TlsChannel(certificates.context)
    carry(running, channel)
    before = serial(own_client, certificates)
    assert certificates.reload_if_changed() is None
    issue(own_folder, "mail.example.com", now + timedelta(days=200))
    assert serial(own_client, certificates) == before
    loaded = certificates.reload_if_changed()
    assert loaded is not None
    assert loaded == certificates.description
    assert loaded.days_left(now) > 500
    assert certificates.reload_if_changed() is None
    running.tls.write(b"NOOP\r\n")
    assert carry(running, channel) == b"NOOP\r\n"
    running.feed(channel.send(b"+OK\r\n"))
    assert running.plaintext == b"+OK\r\n"


def test_a_client_in_the_middle_of_its_handshake_is_not_disturbed(
    certificates: Certificates, own_folder: Path, own_client: ssl.SSLContext, now: datetime
) -> None:
    """The context changes for new connections, and for no other."""
    client, channel = MemoryClient(own_client), TlsChannel(certificates.context)
    client.advance()
    channel.receive(client.output())
    issue(own_folder, "mail.example.com", now)
    certificates.reload()
    client.feed(channel.output())
    carry(client, channel)
    assert channel.established


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [truncate, empty, garbage, Path.unlink, directory])
@pytest.mark.parametrize("name", ["server.pem", "server.key"])
def test_broken_files_keep_the_old_certificate(
    certificates: Certificates,
    own_folder: Path,
    own_client: ssl.SSLContext,
    name: str,
    spoil: Callable[[Path], None],
) -> None:
    """The old one serves on; what is told names the file and the next step, and is told once."""
    before = serial(own_client, certificates)
    good = (own_folder / name).read_bytes()
    spoil(own_folder / name)
    with pytest.raises(CertificateProblem) as problem:
        certificates.reload_if_changed()
    assert problem.value.path == own_folder / name
    assert str(own_folder / name) in str(problem.value)
    assert problem.value.hint
    assert certificates.reload_if_changed() is None
    with pytest.raises(CertificateProblem):
        certificates.reload()
    assert serial(own_client, certificates) == before
    if (own_folder / name).is_dir():
        (own_folder / name).rmdir()
    (own_folder / name).write_bytes(good)
    assert certificates.reload_if_changed() is not None
    assert serial(own_client, certificates) == before


def test_half_a_pair_is_not_loaded_and_the_whole_is(
    certificates: Certificates, own_folder: Path, own_client: ssl.SSLContext, rsa_folder: Path
) -> None:
    """Two files cannot be replaced at once: between them the old pair serves."""
    before = serial(own_client, certificates)
    shutil.copy(rsa_folder / "server.key", own_folder / "server.key")
    with pytest.raises(CertificateProblem, match="does not belong to the certificate") as problem:
        certificates.reload_if_changed()
    assert problem.value.path == own_folder / "server.key"
    assert serial(own_client, certificates) == before
    shutil.copy(rsa_folder / "server.pem", own_folder / "server.pem")
    loaded = certificates.reload_if_changed()
    assert loaded is not None
    assert loaded.names == ("mail.example.com",)


def test_files_that_cannot_be_used_at_the_start_are_an_error(
    own_folder: Path, rsa_folder: Path
) -> None:
    """There is no old certificate to keep: the command ends with the place and a hint."""
    with pytest.raises(CertificateProblem, match=str(own_folder)):
        Certificates(own_folder / "server.pem", rsa_folder / "server.key", minimum=TLS12)
    with pytest.raises(CertificateProblem, match="No such file") as problem:
        Certificates(own_folder / "no.pem", own_folder / "server.key", minimum=TLS12)
    assert problem.value.path == own_folder / "no.pem"


def test_a_chain_that_does_not_start_with_the_server_says_so(own_folder: Path) -> None:
    """TLS wants the server's certificate first (RFC 8446 section 4.4.2)."""
    chain = (own_folder / "ca.pem").read_bytes() + (own_folder / "server.pem").read_bytes()
    (own_folder / "chain.pem").write_bytes(chain)
    with pytest.raises(CertificateProblem, match="not the first in the file"):
        Certificates(own_folder / "chain.pem", own_folder / "server.key", minimum=TLS12)


def test_an_expired_certificate_is_loaded(own_folder: Path, now: datetime) -> None:
    """Mail programs that were told to accept it go on working; doctor and the log complain."""
    issue(own_folder, "mail.example.com", now - timedelta(days=400))
    loaded = Certificates(own_folder / "server.pem", own_folder / "server.key", minimum=TLS12)
    assert loaded.description.days_left(now) < 0


def test_a_link_that_points_elsewhere_is_a_change(
    own_folder: Path, rsa_folder: Path, tmp_path: Path
) -> None:
    """certbot's `live` folder holds symbolic links; a renewal turns them."""
    links = tmp_path / "live"
    links.mkdir()
    for name in ("server.pem", "server.key"):
        (links / name).symlink_to(own_folder / name)
    certificates = Certificates(links / "server.pem", links / "server.key", minimum=TLS12)
    for name in ("server.pem", "server.key"):
        (links / "new").symlink_to(rsa_folder / name)
        (links / "new").replace(links / name)
    assert certificates.reload_if_changed() is not None
    assert certificates.description.names == ("mail.example.com",)


def test_the_same_time_and_size_in_another_file_is_a_change(
    certificates: Certificates, own_folder: Path
) -> None:
    """A copy that keeps the time of its source (`cp -p`) is still another file."""
    path = own_folder / "server.pem"
    copy = own_folder / "copy.pem"
    shutil.copy2(path, copy)
    assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
    copy.replace(path)
    assert certificates.reload_if_changed() is not None


def test_the_next_look_sees_what_changed_while_it_was_read(
    certificates: Certificates, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp is older than what was read: a change in between costs a reload, never misses."""
    path = own_folder / "server.pem"
    os.utime(path, ns=(1, 1))
    read_bytes = Path.read_bytes

    def read_then_change(read: Path) -> bytes:
        octets = read_bytes(read)
        os.utime(path, ns=(2, 2))
        return octets

    monkeypatch.setattr(Path, "read_bytes", read_then_change)
    assert certificates.reload_if_changed() is not None
    monkeypatch.undo()
    assert certificates.reload_if_changed() is not None
    assert certificates.reload_if_changed() is None


def test_the_channel_binding_is_that_of_the_certificate_in_force(
    certificates: Certificates, own_folder: Path, own_client: ssl.SSLContext, now: datetime
) -> None:
    """RFC 5929 section 4.1: what a client computes from what it was shown, before and after."""
    for _ in range(2):
        client = MemoryClient(own_client)
        context, end_point = certificates.in_force
        carry(client, TlsChannel(context))
        shown = client.tls.getpeercert(binary_form=True)
        assert shown is not None
        assert end_point == certificates.end_point == server_end_point(shown)
        issue(own_folder, "mail.example.com", now)
        certificates.reload()


def test_new_authorities_of_clients_are_a_change(
    own_folder: Path, rsa_folder: Path, tmp_path: Path
) -> None:
    """Whoever is taken out of the file is refused from the next look on."""
    authorities = tmp_path / "clients.pem"
    shutil.copy(own_folder / "ca.pem", authorities)
    certificates = Certificates(
        own_folder / "server.pem", own_folder / "server.key", minimum=TLS12, client_ca=authorities
    )
    assert certificates.reload_if_changed() is None
    before = certificates.context.get_ca_certs(binary_form=True)
    shutil.copy(rsa_folder / "server.pem", tmp_path / "new.pem")
    (tmp_path / "new.pem").replace(authorities)
    assert certificates.reload_if_changed() is not None
    after = certificates.context.get_ca_certs(binary_form=True)
    assert len(before) == 1
    assert before != after
    authorities.unlink()
    with pytest.raises(CertificateProblem) as problem:
        certificates.reload_if_changed()
    assert problem.value.path == authorities
