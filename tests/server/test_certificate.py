"""The certificate of a running site: what a connection is given, what is told."""

import shutil
import ssl
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.server.parts import Recorder
from tests.tls.peer import MemoryClient, carry

from mailkeep.cli.init import make_site, settings_text
from mailkeep.events import EventType
from mailkeep.server import SiteCertificate
from mailkeep.site import Service, Site, read_site
from mailkeep.tls import CertificateProblem, TlsChannel, server_end_point
from mailkeep.tls.pem_files import read_chain


@pytest.fixture
def site(tmp_path: Path) -> Site:
    make_site(tmp_path / "site", settings_text("localhost", ((Service.POP3S, "127.0.0.1:0"),)))
    return read_site(tmp_path / "site")


def with_client_ca(site: Site, path: Path) -> Site:
    tls = msgspec.structs.replace(site.settings.tls, client_ca=path)
    return Site(site.folder, msgspec.structs.replace(site.settings, tls=tls))


def der(site: Site) -> bytes:
    return read_chain(site.certificate)[0].public_bytes(Encoding.DER)


def test_context_and_channel_binding_are_of_one_certificate(site: Site) -> None:
    """RFC 5929 section 4: what SCRAM-SHA-256-PLUS binds is what this connection was shown."""
    context, end_point = SiteCertificate(site, Recorder()).current()
    client = MemoryClient(ssl.create_default_context(cafile=site.tls / "ca.pem"), "localhost")
    carry(client, TlsChannel(context))
    assert client.tls.getpeercert(binary_form=True) == der(site)
    assert end_point == server_end_point(der(site))


def test_the_authorities_of_clients_start_at_the_sites_folder(site: Site) -> None:
    """As every path in the settings does; without them no client is asked."""
    certificate = SiteCertificate(site, Recorder())
    assert certificate.current().context.verify_mode is ssl.CERT_NONE
    certificate.use(with_client_ca(site, Path("tls/ca.pem")))
    context = certificate.current().context
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert len(context.get_ca_certs()) == 1


def test_authorities_that_cannot_be_read_leave_all_as_it_was(site: Site, tmp_path: Path) -> None:
    """At a change of settings, and when the file goes bad later; then it is told once."""
    sink = Recorder()
    certificate = SiteCertificate(site, sink)
    before = certificate.current()
    with pytest.raises(CertificateProblem):
        certificate.use(with_client_ca(site, Path("missing.pem")))
    assert certificate.current() == before
    authorities = tmp_path / "clients.pem"
    shutil.copy(site.tls / "ca.pem", authorities)
    certificate.use(with_client_ca(site, authorities))
    certificate.tell_loaded()
    good = certificate.current()
    authorities.write_bytes(b"none")
    for _ in range(2):
        assert not certificate.look()
    assert certificate.current() == good
    [rejected] = sink.of(EventType.CERTIFICATE_REJECTED)
    assert str(authorities) in rejected["reason"]
    assert rejected["hint"]
    [loaded] = sink.of(EventType.CERTIFICATE_LOADED)
    assert loaded["path"] == str(site.certificate)


def test_a_certificate_that_is_missing_is_made_and_told(site: Site) -> None:
    """The site's own is issued anew when it is due."""
    site.certificate.unlink()
    sink = Recorder()
    SiteCertificate(site, sink)
    assert [told["path"] for told in sink.of(EventType.CERTIFICATE_RENEWED)] == [
        str(site.certificate)
    ]
