"""Connecting and logging in, with what was seen of the account before in mind.

What is weaker than before is told before the password is sent (S-17, S-60).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from mailkeep.fetch.account import Account, Transport
from mailkeep.fetch.client import Client
from mailkeep.fetch.events import Connected, LoggedIn
from mailkeep.fetch.failures import SuspiciousChange, WrongSettings
from mailkeep.fetch.loopback import is_loopback
from mailkeep.fetch.remembered import Seen, judge_change
from mailkeep.sasl import Login


async def connect(
    account: Account,
    login: Login,
    before: Mapping[str, str],
    tell: Callable[[Connected | LoggedIn], None],
    heed: Callable[[Client], None] | None = None,
) -> tuple[Client, dict[str, str]]:
    """Return a client that is logged in; its capabilities are those from before.

    Args:
        account: where.
        login: who.
        before: what was remembered of the account; empty to accept any change.
        tell: hears of both steps.
        heed: looks at what the server says of itself before login.

    Returns:
        the client, and the facts to remember.

    Raises:
        SuspiciousChange: something got worse; no password was sent.
        FetchFailed: it cannot be done.
    """
    refuse_cleartext(account)
    seen = protection_of(account)
    _refuse(before, seen)
    client = await Client.connect(account)
    try:
        tell(Connected(account.host, account.port, client.tls_version))
        if not login.is_token:
            names = client.capabilities.get("SASL", ())
            seen = replace(seen, scram=any(name.startswith("SCRAM-SHA-256") for name in names))
        _refuse(before, seen)
        if heed is not None:
            heed(client)
        await client.login(login)
        tell(LoggedIn(client.mechanism))
    except BaseException:
        client.close()
        raise
    return client, seen.facts()


def protection_of(account: Account) -> Seen:
    """Return what an account's settings protect it with, before anything was sent."""
    if account.transport is Transport.CLEARTEXT:
        return Seen(tls=False)
    return Seen(tls=True, authority=account.tls.verifies)


def refuse_cleartext(account: Account) -> None:
    """Let no password pass in clear but to this machine, or where the user vouches for the way.

    Raises:
        WrongSettings: it would.
    """
    is_clear = account.transport is Transport.CLEARTEXT
    if is_clear and not account.may_be_clear and not is_loopback(account.host):
        raise WrongSettings(
            f"the password and the mail would go to {account.host} for everybody to read",
            hint='use pop3s://; or mean it and say in fetch.toml: insecure = "beyond loopback"',
        )


def _refuse(before: Mapping[str, str], seen: Seen) -> None:
    if worse := judge_change(before, seen):
        raise SuspiciousChange(
            f"{'; '.join(worse)}; no password was sent",
            hint="find out why; --accept-change goes on and forgets what was before",
        )
