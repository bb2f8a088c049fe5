"""Running a server in the foreground, for `mailkeep serve` and `mailkeep demo`.

No command line is read here: a server keeps what its process imported for as long as it runs, so
`entry` comes here before typer is imported. Without it the process is 6 MB smaller.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import SiteOption
from mailkeep.cli.talk import say
from mailkeep.site import Endpoint, Service, Site, read_site

if TYPE_CHECKING:
    from mailkeep.server import Inherited

Listening = Sequence[tuple[Service, Endpoint]]


def serve_site(said: Path | None) -> int:
    """Serve a site until SIGTERM or Ctrl-C, and return the exit code.

    Args:
        said: what `--site` named.

    Raises:
        CommandFailed, DatabaseUnavailable, OSError: see `run_server`.
        SiteError: there is none, it is somebody else's, or its settings are wrong.
    """
    run_server(read_site(SiteOption(said).folder()))
    return ExitCode.DONE


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
    from mailkeep.app import serve
    from mailkeep.events.chain import TrailHeld
    from mailkeep.server import CannotListen
    from mailkeep.tls import CertificateProblem

    def announce(listening: Listening) -> None:
        for service, address in listening:
            say(f"listening {service.value} {address}")
        on_ready(listening)
        say("ready")

    try:
        serve(site, announce, inherited)
    except (CannotListen, CertificateProblem) as failure:
        raise CommandFailed(str(failure), hint=failure.hint, code=ExitCode.WRONG) from failure
    except TrailHeld as failure:
        raise CommandFailed(str(failure), hint="is this site being served already?") from failure
    except ValueError as failure:
        raise CommandFailed(
            str(failure), hint="mailkeep doctor checks the site", code=ExitCode.WRONG
        ) from failure
