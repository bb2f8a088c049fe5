import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailkeep.tls import server_context
from mailkeep.tls.authority import create_authority, issue

HOSTNAME = "mail.example.com"


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC)  # real clients verify with the real clock


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Path:
    """A site's `tls` folder. Read only: a test that changes files makes its own."""
    folder = tmp_path_factory.mktemp("site") / "tls"
    create_authority(folder, HOSTNAME, now)
    issue(folder, HOSTNAME, now)
    return folder


@pytest.fixture
def own_folder(tmp_path: Path, now: datetime) -> Path:
    """A site's `tls` folder that the test may spoil."""
    create_authority(tmp_path / "tls", HOSTNAME, now)
    issue(tmp_path / "tls", HOSTNAME, now)
    return tmp_path / "tls"


@pytest.fixture
def context(folder: Path) -> ssl.SSLContext:
    return server_context(folder / "server.pem", folder / "server.key", ssl.TLSVersion.TLSv1_2)


@pytest.fixture
def client_context(folder: Path) -> ssl.SSLContext:
    """A client that verifies as strictly as Python can."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.fixture(scope="session")
def rsa_folder(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Path:
    """`server.pem` and `server.key` with an RSA key, self-signed."""
    folder = tmp_path_factory.mktemp("rsa")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOSTNAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOSTNAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder
