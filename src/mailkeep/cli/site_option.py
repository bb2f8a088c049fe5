"""Which site a command is about: `--site`, the environment, the current folder, the default.

Nothing heavy is imported before it is needed, because `deliver` asks here too.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailkeep.cli.failure import CommandFailed, ExitCode

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import typer

    from mailkeep.accounts.directory import AccountDirectory
    from mailkeep.site import Site
    from mailkeep.values import Address


@dataclass(frozen=True, slots=True)
class SiteOption:
    """What stood before the command."""

    said: Path | None

    def folder(self) -> Path:
        """Return the folder of the site that exists.

        Raises:
            NoSite: there is none.
        """
        from mailkeep.site import find_site

        return find_site(self.said, environment=os.environ, here=Path.cwd())


def site_option(context: "typer.Context") -> SiteOption:
    """Return what stood before the command that runs in `context`."""
    option = context.find_object(SiteOption)
    return option if option is not None else SiteOption(None)


def open_site(context: "typer.Context") -> "Site":
    """Return the site that a command is about.

    Raises:
        SiteError: there is none, it is somebody else's, or its settings are wrong.
    """
    from mailkeep.site import read_site

    return read_site(site_option(context).folder())


def open_accounts(
    site: "Site", *, by: str = "nobody"
) -> "AbstractContextManager[AccountDirectory]":
    """Open the accounts of a site.

    Args:
        site: whose.
        by: who makes changes, for the record; not needed to read.

    Raises:
        DatabaseUnavailable: they cannot be read now.
    """
    from mailkeep.app import open_accounts as open_at  # everything there is, so not earlier

    return open_at(site, by=by)


def maildrop_of(site: "Site", address: "Address") -> Path:
    """Return the folder of an address's mail, which need not be there."""
    from mailkeep.maildrop.maildir import MaildirPaths

    return MaildirPaths(site.folder, site.settings.maildrops.path).of(address)


def read_address(site: "Site", text_untrusted: str) -> "Address":
    """Return the address that an argument names.

    Raises:
        CommandFailed: it can name no account.
    """
    from mailkeep.values import InvalidAddress

    try:
        return site.address(text_untrusted)
    except InvalidAddress as refusal:
        raise CommandFailed(
            f"{text_untrusted} is not an address: {refusal}",
            hint=f"write alice or alice@{site.settings.default_domain}",
            code=ExitCode.WRONG,
        ) from refusal
