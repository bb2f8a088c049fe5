"""The client's channel and the server's, with no network between them; and odd certificates."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from tests.tls.peer import Split, whole

from mailkeep.tls import ClientChannel, TlsChannel
from mailkeep.tls.issuance import Authority
from mailkeep.tls.pem_files import read_chain, read_key

SHA256 = hashes.SHA256()


class Heard(NamedTuple):
    """What each side could read."""

    client: bytes
    server: bytes


def meet(client: ClientChannel, server: TlsChannel, split: Split = whole) -> Heard:
    """Begin, and move octets both ways until both are quiet."""
    return exchange(client, server, client.begin(), split)


def exchange(
    client: ClientChannel, server: TlsChannel, to_server: bytes, split: Split = whole
) -> Heard:
    """Move octets both ways until both are quiet, the client's first."""
    client_heard = server_heard = b""
    while True:
        for piece in split(to_server):
            server_heard += server.receive(piece)
        to_client = server.output()
        for piece in split(to_client):
            client_heard += client.receive(piece)
        to_server = client.output()
        if not to_server and not to_client:
            return Heard(client_heard, server_heard)


class Pair(NamedTuple):
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    @property
    def der(self) -> bytes:
        return read_chain(self.certificate)[0].public_bytes(serialization.Encoding.DER)


def authority_of(folder: Path) -> Authority:
    key = read_key(folder / "ca.key")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(read_chain(folder / "ca.pem")[0], key)


def write_pair(
    folder: Path,
    now: datetime,
    *,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    issuer: Authority | None = None,
    names: tuple[str, ...] = ("mail.example.com",),
    algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = SHA256,
    rsa_padding: padding.PSS | None = None,
    purpose: x509.ObjectIdentifier | None = None,
    life: timedelta = timedelta(days=30),
) -> Pair:
    """Write a certificate with few fields, self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.com")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life)
    )
    if purpose:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        general = [x509.DNSName(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    signer = issuer.key if issuer else key
    certificate = builder.sign(signer, algorithm, rsa_padding=rsa_padding)
    pair = Pair(folder / "pair.pem", folder / "pair.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair


def new_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
