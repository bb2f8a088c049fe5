"""`mailkeep serve` in the list of commands; what stands behind it is read here."""

import typer

from mailkeep.cli.serving import run_server
from mailkeep.cli.site_option import open_site


def serve(context: typer.Context) -> None:
    """Serve the site's mail until SIGTERM or Ctrl-C."""
    run_server(open_site(context))  # reached with an option like --help only: see `entry`
