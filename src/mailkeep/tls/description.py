"""What a certificate says, and what an operator should be told about it.

Reading is one function, judging another, pure one. It must not know who asks: `doctor`, the log and
the renewal all do.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from mailkeep.tls.errors import CertificateProblem
from mailkeep.tls.hostnames import InvalidHostname, a_label_form, covers, read_ip_address
from mailkeep.tls.pem_files import read_chain


@dataclass(frozen=True, slots=True)
class CertificateDescription:
    """A server's certificate in the words of an operator."""

    names: tuple[str, ...]
    """The DNS names and addresses it is for (its subject alternative names)."""
    not_before: datetime
    not_after: datetime
    is_chain_in_order: bool
    """Each certificate of the file is issued by the next."""
    is_chain_missing: bool
    """It stands alone and names a place to fetch its issuer from, so it is no root's own."""

    def days_left(self, now: datetime) -> int:
        """Return the whole days until it expires; negative once it has."""
        return (self.not_after - now).days

    def covers(self, hostname: str) -> bool:
        """Tell whether a client that called `hostname` (a name or an address) will accept it."""
        if read_ip_address(hostname) is None:
            try:
                hostname = a_label_form(hostname)
            except InvalidHostname:
                return False
        return any(covers(name, hostname) for name in self.names)


@dataclass(frozen=True, slots=True)
class PeerDescription:
    """A certificate that some server showed; its texts are that server's and are checked by nobody.

    Attributes:
        names_untrusted: the DNS names and addresses it is for.
        subject_untrusted, issuer_untrusted: as RFC 4514 writes them.
        key: its kind and size, `EC secp256r1` or `RSA 2048`.
    """

    names_untrusted: tuple[str, ...]
    subject_untrusted: str
    issuer_untrusted: str
    not_before: datetime
    not_after: datetime
    key: str


@dataclass(frozen=True, slots=True)
class CertificateFinding:
    """Something about a certificate that works and is not as it should be."""

    text: str
    hint: str


_RENEW = "renew it; `serve` takes the new files by itself"
_WHOLE_CHAIN = "the file should hold the server's certificate, then its issuer, and so on"


def describe(path: Path) -> CertificateDescription:
    """Return what the first certificate in a PEM file says.

    Raises:
        CertificateProblem: the file cannot be read or holds no certificate.
    """
    chain = read_chain(path)
    leaf = chain[0]
    try:
        return CertificateDescription(
            names=_names(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            is_chain_in_order=_is_in_order(chain),
            is_chain_missing=len(chain) == 1 and _names_its_issuers_place(leaf),
        )
    except ValueError as cause:
        raise CertificateProblem(
            path, f"has a field that cannot be read ({cause})", "have it issued anew"
        ) from cause


def describe_der(certificate: bytes) -> PeerDescription:
    """Return what a certificate (DER) from a connection says.

    Raises:
        ValueError: it is no certificate, or has a field that cannot be read.
    """
    leaf = x509.load_der_x509_certificate(certificate)
    return PeerDescription(
        names_untrusted=_names(leaf),
        subject_untrusted=leaf.subject.rfc4514_string(),
        issuer_untrusted=leaf.issuer.rfc4514_string(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        key=_kind_of_key(leaf),
    )


def judge_certificate(
    certificate: CertificateDescription, *, key_mode: int, hostname: str, now: datetime
) -> tuple[CertificateFinding, ...]:
    """Return what an operator should mend about a certificate that works.

    Args:
        certificate: what it says.
        key_mode: the permissions of its key's file (`st_mode`).
        hostname: the name clients call.
        now: aware.
    """
    findings = list(_judge_dates(certificate, now))
    if not certificate.covers(hostname):
        findings.append(
            CertificateFinding(
                f"it is not for {hostname} but for {', '.join(certificate.names) or 'no name'}",
                "clients will refuse it: have one issued for that name, or set `hostname`",
            )
        )
    if not certificate.is_chain_in_order:
        findings.append(CertificateFinding("its chain is out of order", _WHOLE_CHAIN))
    if certificate.is_chain_missing:
        findings.append(CertificateFinding("its chain is missing", _WHOLE_CHAIN))
    if key_mode & 0o007:
        findings.append(CertificateFinding("every user here can get at its key", "chmod o= KEY"))
    return tuple(findings)


def _judge_dates(
    certificate: CertificateDescription, now: datetime
) -> tuple[CertificateFinding, ...]:
    if now >= certificate.not_after:
        return (CertificateFinding(f"it expired on {certificate.not_after:%Y-%m-%d}", _RENEW),)
    if now < certificate.not_before:
        since = f"{certificate.not_before:%Y-%m-%d %H:%M} UTC"
        return (CertificateFinding(f"it is valid from {since} on", "check this machine's clock"),)
    # Renewal is due when a third is left (certbot's rule and ours); at a quarter it has failed.
    if certificate.not_after - now < (certificate.not_after - certificate.not_before) / 4:
        return (CertificateFinding(f"it expires in {certificate.days_left(now)} days", _RENEW),)
    return ()


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _kind_of_key(leaf: x509.Certificate) -> str:
    try:
        key = leaf.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return f"of an unknown kind ({leaf.public_key_algorithm_oid.dotted_string})"
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case _:
            return type(key).__name__.removesuffix("PublicKey")


def _is_in_order(chain: list[x509.Certificate]) -> bool:
    return all(issued.issuer == issuer.subject for issued, issuer in pairwise(chain))


def _names_its_issuers_place(leaf: x509.Certificate) -> bool:
    try:
        places = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(place.access_method == AuthorityInformationAccessOID.CA_ISSUERS for place in places)
