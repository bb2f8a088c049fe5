"""`mailkeep doctor`: look at everything that a site stands on and say how to mend it.

It changes nothing and makes no file, but that a database of an older version is brought up to date
as by every other command. It looks at the machine it runs on: what a client far away sees, it
cannot know, and no server elsewhere is asked anything.
"""

from collections.abc import Iterator

import typer

from mailkeep.cli.arguments import JsonOption
from mailkeep.cli.failure import CommandFailed
from mailkeep.cli.findings import Finding, Level, ok, wrong
from mailkeep.cli.site_option import site_option
from mailkeep.cli.talk import printable, show, show_json
from mailkeep.site import NoSite, SettingsError, SiteError, WrongUser, read_site

_SITE_CHECKS: dict[type[SiteError], str] = {
    NoSite: "site",
    WrongUser: "owner",
    SettingsError: "settings",
}
"""Which check a site fails that cannot even be opened."""


def doctor(context: typer.Context, *, json: JsonOption = False) -> None:
    """Check the site and say how to mend what is wrong; exit 1 if something is."""
    findings = list(_examine(context))
    if json:
        show_json([_describe(finding) for finding in findings])
    else:
        for finding in findings:
            _show(finding)
    bad = sum(finding.level is Level.WRONG for finding in findings)
    if bad:
        raise CommandFailed("1 check failed" if bad == 1 else f"{bad} checks failed")


def _examine(context: typer.Context) -> Iterator[Finding]:
    try:
        site = read_site(site_option(context).folder())
    except SiteError as failure:
        yield wrong(_SITE_CHECKS[type(failure)], str(failure), failure.hint)
        return
    yield ok("settings", f"{site.settings_file}: hostname {site.settings.hostname}")
    from mailkeep.cli import (
        doctor_accounts,
        doctor_door,
        doctor_files,
        doctor_ports,
        doctor_record,
    )

    yield from doctor_files.check_folder(site)
    yield from doctor_accounts.check_accounts(site)
    yield from doctor_files.check_certificate(site)
    yield from doctor_files.check_client_authorities(site)
    yield from doctor_ports.check_ports(site)
    yield from doctor_door.check_door(site)
    yield from doctor_record.check_record(site)
    yield from doctor_files.check_limits(site)


def _show(finding: Finding) -> None:
    show(f"{finding.level.value:<6} {finding.check:<12} {printable(finding.text)}")
    if finding.hint:
        show(f"{'':<19} hint: {printable(finding.hint)}")


def _describe(finding: Finding) -> dict[str, str | None]:
    """Return a finding as `--json` shows it; these names stay."""
    return {
        "check": finding.check,
        "level": finding.level.value,
        "text": finding.text,
        "hint": finding.hint,
    }
