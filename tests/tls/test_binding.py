"""The octets of `tls-server-end-point` (RFC 5929 section 4.1)."""

import hashlib
import ssl
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from tests.harness.programs import find_program, run
from tests.tls.meeting import meet, new_rsa_key, write_pair

from mailkeep.tls import ClientChannel, TlsChannel, client_context, server_end_point


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("is_pss", [False, True])
def test_it_is_the_certificates_hash_by_its_signatures_own(
    tmp_path: Path,
    now: datetime,
    algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512,
    is_pss: bool,
) -> None:
    """The certificate as it was sent, hashed with the hash function of its signature."""
    pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size) if is_pss else None
    pair = write_pair(tmp_path, now, key=new_rsa_key(), algorithm=algorithm, rsa_padding=pss)
    assert server_end_point(pair.der) == hashlib.new(algorithm.name, pair.der).digest()


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_sha_256_stands_in_for_what_is_broken(tmp_path: Path, digest: str) -> None:
    """MD5 and SHA-1 are replaced by SHA-256."""
    certificate = tmp_path / "old.pem"
    run(
        [
            *(
                find_program("openssl"),
                "req",
                "-x509",
                f"-{digest}",
                "-newkey",
                "rsa:2048",
                "-nodes",
            ),
            *("-subj", "/CN=mail.example.com", "-keyout", tmp_path / "old.key"),
            *("-out", certificate),
        ]
    )
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert server_end_point(der) == hashlib.sha256(der).digest()


def test_a_signature_without_a_hash_of_its_own_has_no_binding(
    tmp_path: Path, now: datetime
) -> None:
    """Undefined for Ed25519: nothing is guessed, and SCRAM goes without -PLUS."""
    pair = write_pair(tmp_path, now, key=ed25519.Ed25519PrivateKey.generate(), algorithm=None)
    assert server_end_point(pair.der) is None


def test_it_is_had_from_a_connection(folder: Path, context: ssl.SSLContext) -> None:
    """What the client saw is what the server's own file gives."""
    client = ClientChannel(client_context(authorities=folder / "ca.pem"), "localhost")
    meet(client, TlsChannel(context))
    der = ssl.PEM_cert_to_DER_cert((folder / "server.pem").read_text())
    assert server_end_point(client.peer_certificate) == hashlib.sha256(der).digest()


def test_what_is_no_certificate_is_an_error() -> None:
    """There is no binding to nothing."""
    with pytest.raises(ValueError, match="pars"):
        server_end_point(b"no certificate")
