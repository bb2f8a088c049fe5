"""Pins are the sums that `openssl` prints, so that people can compare them."""

import ssl
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tests.harness.programs import find_program, run
from tests.tls.meeting import new_rsa_key, write_pair

from mailkeep.tls import fingerprints, matches_pin


def read_der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA", "Ed25519"])
def test_the_sums_are_openssls(tmp_path: Path, now: datetime, kind: str) -> None:
    """SHA-256 of the certificate, and of its SubjectPublicKeyInfo (RFC 7469 section 2.4)."""
    is_ed25519 = kind == "Ed25519"
    if is_ed25519:
        pair = write_pair(tmp_path, now, key=ed25519.Ed25519PrivateKey.generate(), algorithm=None)
    elif kind == "RSA":
        pair = write_pair(tmp_path, now, key=new_rsa_key())
    else:
        curve = ec.SECP384R1() if kind == "P-384" else ec.SECP256R1()
        pair = write_pair(tmp_path, now, key=ec.generate_private_key(curve))
    openssl = find_program("openssl")
    said = run([openssl, "x509", "-in", pair.certificate, "-noout", "-fingerprint", "-sha256"])
    certificate = bytes.fromhex(said.stdout.decode().partition("=")[2].replace(":", ""))
    key = run([openssl, "x509", "-in", pair.certificate, "-noout", "-pubkey"]).stdout
    key = run([openssl, "pkey", "-pubin", "-outform", "DER"], stdin=key).stdout
    spki = run([openssl, "dgst", "-sha256", "-binary"], stdin=key).stdout
    assert fingerprints(pair.der) == (certificate, spki)


def test_one_of_several_pins_is_enough(folder: Path) -> None:
    """The certificate's or the key's; a second one waits for the next key (RFC 7469 2.5)."""
    der = read_der(folder / "server.pem")
    certificate, key = fingerprints(der)
    assert matches_pin(der, (bytes(32), certificate))
    assert matches_pin(der, [key])
    assert matches_pin(der, {key, certificate})
    assert not matches_pin(der, ())
    assert not matches_pin(der, (bytes(32), certificate[:31], key.hex().encode()))


def test_another_certificate_with_the_same_key_has_the_keys_pin_only(
    tmp_path: Path, now: datetime
) -> None:
    """A renewal that keeps its key does not lock anybody out who pinned the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    old = fingerprints(write_pair(tmp_path, now, key=key).der)
    new = write_pair(tmp_path, now, key=key).der
    assert not matches_pin(new, old[:1])
    assert matches_pin(new, old[1:])


def test_what_is_no_certificate_matches_nothing() -> None:
    """Doubt is a mismatch."""
    assert not matches_pin(b"no certificate", (bytes(32),))
    with pytest.raises(ValueError, match="pars"):
        fingerprints(b"no certificate")
