"""`mailkeep serve`: run the server in the foreground."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import open_site
from mailkeep.cli.talk import say
from mailkeep.site import Endpoint, Service, Site

if TYPE_CHECKING:
    from mailkeep.server import Inherited

Listening = Sequence[tuple[Service, Endpoint]]


def serve(context: typer.Context) -> None:
    """Serve the site's mail until SIGTERM or Ctrl-C."""
    run_server(open_site(context))


def run_server(
    site: Site,
    on_ready: Callable[[Listening], None] = lambda _: None,
    *,
    inherited: "Sequence[Inherited]" = (),
) -> None:
    """Serve a site, and say on standard error where when it really listens.

    Args:
        site: whose mail.
        on_ready: told where too, just before the line `ready`.
        inherited: sockets that the caller opened, beside those from systemd.

    Raises:
        CommandFailed: it cannot begin: a port, the certificate, the audit trail, a key, a setting.
        DatabaseUnavailable: it cannot begin: the accounts.
        OSError: it cannot begin: the leases.
    """
    from mailkeep.app import serve as serve_site
    from mailkeep.events.chain import TrailHeld
    from mailkeep.server import CannotListen
    from mailkeep.tls import CertificateProblem

    def announce(listening: Listening) -> None:
        for service, address in listening:
            say(f"listening {service.value} {address}")
        on_ready(listening)
        say("ready")

    try:
        serve_site(site, announce, inherited)
    except (CannotListen, CertificateProblem) as failure:
        raise CommandFailed(str(failure), hint=failure.hint, code=ExitCode.WRONG) from failure
    except TrailHeld as failure:
        raise CommandFailed(str(failure), hint="is this site being served already?") from failure
    except ValueError as failure:
        raise CommandFailed(
            str(failure), hint="mailkeep doctor checks the site", code=ExitCode.WRONG
        ) from failure
