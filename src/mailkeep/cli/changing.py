"""What every command that changes something has in common: who did it, and telling the server.

The change is in the database before anybody is told. It must not know what was changed.
"""

import os
import pwd
from typing import TYPE_CHECKING

from mailkeep.cli.talk import say

if TYPE_CHECKING:
    from mailkeep.accounts import Account
    from mailkeep.site import Site


def this_user() -> str:
    """Return who runs this command, for the record of changes.

    Behind sudo that is who called it, as far as sudo's word is to be had: whoever may write the
    site's databases can write anything there, so this is a help and no proof.
    """
    name = _name_of(os.getuid())
    before_sudo = os.environ.get("SUDO_UID", "")
    if not (before_sudo.isascii() and before_sudo.isdecimal()):
        return name
    caller = _name_of(int(before_sudo))
    return name if caller == name else f"{caller} as {name}"


def tell_of_account(site: "Site", account: "Account") -> None:
    """Have a running server look at an account anew: sessions that may not go on end now."""
    notice = {"notice": "accounts", "account": account.id}
    _tell(site, notice, "sessions that are open go on; new logins go by the change already")


def tell_of_bans(site: "Site") -> None:
    """Have a running server read its bans anew."""
    _tell(site, {"notice": "bans"}, "it takes this up at its next start")


def _tell(site: "Site", notice: dict[str, object], otherwise: str) -> None:
    """Tell the server, if there is one; a socket may also be what a killed one left."""
    from mailkeep.app import tell_server

    if site.control.exists() and not tell_server(site, notice):
        say(f"if a server is running, it did not answer: {otherwise}")


def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return f"#{number}"  # as sudo writes a user without a name
