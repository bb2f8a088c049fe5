"""What a certificate says in an operator's words, and what should be mended about it."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from tests.tls.meeting import new_rsa_key, write_pair

from mailkeep.tls import CertificateProblem
from mailkeep.tls.description import (
    CertificateDescription,
    describe,
    describe_der,
    judge_certificate,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = CertificateDescription(
    names=("mail.example.com", "*.example.org", "127.0.0.1"),
    not_before=START,
    not_after=START + timedelta(days=100),
    is_chain_in_order=True,
    is_chain_missing=False,
)


def texts(
    certificate: CertificateDescription,
    *,
    day: float = 50,
    key_mode: int = 0o100600,
    hostname: str = "mail.example.com",
) -> list[str]:
    now = START + timedelta(days=day)
    findings = judge_certificate(certificate, key_mode=key_mode, hostname=hostname, now=now)
    assert all(finding.hint for finding in findings)
    return [finding.text for finding in findings]


def test_a_certificate_of_our_own(folder: Path, now: datetime) -> None:
    """Every field of it, as `doctor` and the renewal read them."""
    own = describe(folder / "server.pem")
    assert own.names == ("mail.example.com", "localhost", "127.0.0.1", "::1")
    assert own.days_left(now) == 365
    assert own.not_after.tzinfo is UTC
    assert own.is_chain_in_order
    assert not own.is_chain_missing
    assert own.covers("MAIL.example.com")
    assert own.covers("::1")
    assert not own.covers("example.com")
    assert not own.covers("no host name")
    assert judge_certificate(own, key_mode=0o600, hostname="localhost", now=now) == ()


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (-1, ["it is valid from 2026-01-01 00:00 UTC on"]),
        (0, []),
        (75, []),
        (75.5, ["it expires in 24 days"]),
        (99.5, ["it expires in 0 days"]),
        (100, ["it expired on 2026-04-11"]),
        (1000, ["it expired on 2026-04-11"]),
    ],
)
def test_dates(day: float, expected: list[str]) -> None:
    """Renewal is due at a third; at a quarter of its life it must have failed, and is told."""
    assert texts(GOOD, day=day) == expected


def test_names_chain_and_permissions() -> None:
    """Each is told with what to do; the key's group may read it (Debian's `ssl-cert`)."""
    assert texts(GOOD, hostname="a.example.org") == []
    assert texts(GOOD, hostname="example.org") == [
        "it is not for example.org but for mail.example.com, *.example.org, 127.0.0.1"
    ]
    assert texts(replace(GOOD, names=())) == ["it is not for mail.example.com but for no name"]
    assert texts(replace(GOOD, is_chain_in_order=False)) == ["its chain is out of order"]
    assert texts(replace(GOOD, is_chain_missing=True)) == ["its chain is missing"]
    assert texts(GOOD, key_mode=0o100640) == []
    assert texts(GOOD, key_mode=0o100644) == ["every user here can get at its key"]


def test_the_order_of_a_chain(folder: Path, rsa_folder: Path, tmp_path: Path) -> None:
    """Each certificate certifies the one before it (RFC 5246 section 7.4.2)."""
    server, authority = ((folder / name).read_bytes() for name in ("server.pem", "ca.pem"))
    path = tmp_path / "chain.pem"
    path.write_bytes(server + authority)
    assert describe(path).is_chain_in_order
    path.write_bytes(server + (rsa_folder / "server.pem").read_bytes() + authority)
    assert not describe(path).is_chain_in_order


def test_a_file_without_a_certificate_is_named(folder: Path) -> None:
    """A key in the place of a certificate is the common mix-up."""
    with pytest.raises(CertificateProblem, match=r"server\.key: holds no certificate"):
        describe(folder / "server.key")


def test_a_certificate_of_a_peer(folder: Path, tmp_path: Path, now: datetime) -> None:
    """Names, subject, issuer, dates and key, as `fetch probe` shows them (RFC 4514 texts)."""
    der = ssl.PEM_cert_to_DER_cert((folder / "server.pem").read_text())
    shown, own = describe_der(der), describe(folder / "server.pem")
    assert shown.names_untrusted == own.names
    assert (shown.not_before, shown.not_after) == (own.not_before, own.not_after)
    assert shown.subject_untrusted == "CN=mail.example.com"
    assert shown.issuer_untrusted == "CN=Mailkeep authority of mail.example.com"
    assert shown.key == "EC secp256r1"
    assert describe_der(write_pair(tmp_path, now, key=new_rsa_key()).der).key == "RSA 2048"
    curve = write_pair(tmp_path, now, key=ed25519.Ed25519PrivateKey.generate(), algorithm=None)
    assert describe_der(curve.der).key == "Ed25519"
    with pytest.raises(ValueError, match="pars"):
        describe_der(b"no certificate")
