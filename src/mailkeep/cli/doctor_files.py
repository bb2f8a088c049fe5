"""What `doctor` looks at on the disk: folders, database, maildrops, certificate, limits."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from mailkeep.accounts import Account
from mailkeep.cli.findings import Finding, note, ok, wrong
from mailkeep.cli.site_option import maildrop_of, open_accounts
from mailkeep.database import DatabaseUnavailable
from mailkeep.site import Site
from mailkeep.tls import CertificateProblem
from mailkeep.tls.certificates import check_pair
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
    for path in (site.database, site.key, site.tls / "ca.key"):
        if path.exists() and path.stat().st_mode & _OTHERS:
            yield wrong("secrets", f"{path} is open to others", f"chmod 600 {path}")


def check_accounts(site: Site) -> Iterator[Finding]:
    """Open the database and look at the maildrop of every account."""
    try:
        with open_accounts(site) as directory:
            accounts = directory.list()
    except DatabaseUnavailable as failure:
        yield wrong("database", str(failure), failure.hint)
        return
    counted = "1 account" if len(accounts) == 1 else f"{len(accounts)} accounts"
    yield ok("database", f"{site.database}: {counted}")
    if not accounts:
        yield note("accounts", "nobody can log in", "mailkeep account add NAME")
    trouble = [finding for account in accounts for finding in _check_maildrop(site, account)]
    yield from trouble
    yield from _check_root_of_maildrops(site)


def _check_maildrop(site: Site, account: Account) -> Iterator[Finding]:
    if not site.settings.has_own_maildrop(account.address):
        yield wrong(
            "maildrops",
            f"{account.address} shares its maildrop with a namesake of another domain",
            "have {domain} in maildrops.path",
        )
    folder = maildrop_of(site, account.address)
    for part in ("new", "cur", "tmp"):
        if (folder / part).exists() and not os.access(folder / part, os.R_OK | os.W_OK | os.X_OK):
            yield wrong(
                "maildrops",
                f"{folder / part} cannot be read and written",
                f"see that {folder} belongs to the site's user and is not mounted read-only",
            )


def _check_root_of_maildrops(site: Site) -> Iterator[Finding]:
    """Look whether a maildrop could be made where the first placeholder of the path is."""
    pattern = site.folder / site.settings.maildrops.path
    root = next(folder for folder in pattern.parents if "{" not in str(folder))
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        yield ok("maildrops", f"{root} takes mail")
    else:
        yield wrong(
            "maildrops",
            f"no maildrop can be made in {there}",
            "see that it belongs to the site's user and is not mounted read-only",
        )


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


def check_limits(site: Site) -> Iterator[Finding]:
    """Look for limits that clients will trip over."""
    if 0 < site.settings.limits.idle_s < _IDLE_LEAST_S:
        yield note(
            "limits",
            f"idle_s is {site.settings.limits.idle_s}, and RFC 1939 section 3 wants ten minutes",
            f"idle_s = {_IDLE_LEAST_S}",
        )
