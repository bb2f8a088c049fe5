"""What `doctor` looks at on the disk: who may read what, certificate, limits."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from mailkeep.cli.findings import Finding, note, ok, wrong
from mailkeep.site import Site
from mailkeep.tls import CertificateProblem
from mailkeep.tls.certificates import check_pair
from mailkeep.tls.contexts import ask_for_certificates
from mailkeep.tls.description import describe, judge_certificate

_OTHERS = 0o077
"""The permissions of everybody but the owner."""

_IDLE_LEAST_S = 600
"""RFC 1939 section 3."""


def check_folder(site: Site) -> Iterator[Finding]:
    """Look who else may enter the site, or read what is secret in it."""
    mode = site.folder.stat().st_mode & 0o777
    if mode & _OTHERS:
        yield wrong(
            "folder", f"{site.folder} is open to others ({mode:o})", f"chmod 700 {site.folder}"
        )
    else:
        yield ok("folder", f"{site.folder} is its owner's alone")
    databases = (site.database, site.door_database, site.events_database)
    for path in (*databases, site.key, site.tls / "ca.key", site.trail / "signing.key"):
        if path.exists() and path.stat().st_mode & _OTHERS:
            yield wrong("secrets", f"{path} is open to others", f"chmod 600 {path}")


def check_certificate(site: Site) -> Iterator[Finding]:
    """Look whether clients will accept the certificate, today and next month."""
    try:
        description = describe(site.certificate)
        check_pair(site.certificate, site.key)
        key_mode = site.key.stat().st_mode
    except CertificateProblem as problem:
        yield wrong("certificate", str(problem), problem.hint)
        return
    now = datetime.now(UTC)
    findings = judge_certificate(
        description, key_mode=key_mode, hostname=site.settings.hostname, now=now
    )
    for finding in findings:
        yield wrong("certificate", f"{site.certificate}: {finding.text}", finding.hint)
    if not findings:
        yield ok(
            "certificate",
            f"{site.certificate}: {', '.join(description.names)};"
            f" {description.days_left(now)} days left",
        )


def check_client_authorities(site: Site) -> Iterator[Finding]:
    """Look whether the authorities of client certificates can be used."""
    if site.settings.tls.client_ca is None:
        return
    path = site.folder / site.settings.tls.client_ca
    try:
        ask_for_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), path)
    except CertificateProblem as problem:
        yield wrong("client ca", str(problem), problem.hint)
    else:
        yield ok("client ca", f"{path}: clients are asked for a certificate")


def check_limits(site: Site) -> Iterator[Finding]:
    """Look for limits that clients will trip over."""
    if 0 < site.settings.limits.idle_s < _IDLE_LEAST_S:
        yield note(
            "limits",
            f"idle_s is {site.settings.limits.idle_s}, and RFC 1939 section 3 wants ten minutes",
            f"idle_s = {_IDLE_LEAST_S}",
        )
