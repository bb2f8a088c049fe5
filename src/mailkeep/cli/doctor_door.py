"""What `doctor` looks at of the door: its memory, the files that it reads, whom it asks.

Nothing is asked over the network: of a server elsewhere only what is written about it is judged.
"""

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from mailkeep.accounts.asking import ANSWER_LIMIT_OCTETS
from mailkeep.accounts.key_sets import read_key_set
from mailkeep.accounts.rules import Breached, BreachedFileProblem
from mailkeep.app import open_bans
from mailkeep.app.tokens import make_token_check
from mailkeep.cli.findings import Finding, note, ok, wrong
from mailkeep.database import DatabaseUnavailable
from mailkeep.defence.places import Places
from mailkeep.site import Site
from mailkeep.values import Secret

_ANY_PASSWORD = Secret(b"a password that nobody has looked for yet")
"""Searched for in the list of breached ones: a list that is not in order shows it."""


def check_door(site: Site) -> Iterator[Finding]:
    """Look at everything that decides about a login and is not an account."""
    yield from _check_memory(site)
    yield from _check_bans_file(site)
    yield from _check_breached(site)
    yield from _check_places(site)
    yield from _check_policy_server(site)
    yield from _check_tokens(site)


def _check_memory(site: Site) -> Iterator[Finding]:
    """Look into the door's database; `serve` makes it."""
    if not site.door_database.exists():
        return
    try:
        with open_bans(site) as directory:
            bans = len(directory.list())
    except DatabaseUnavailable as failure:
        yield wrong("door", str(failure), failure.hint)
    else:
        counted = "1 ban" if bans == 1 else f"{bans} bans"
        yield ok("door", f"{site.door_database}: {counted} in force")


def _check_bans_file(site: Site) -> Iterator[Finding]:
    """Look whether the file can be replaced, which takes a folder that can be written."""
    if site.settings.door.bans_file is None:
        return
    path = site.folder / site.settings.door.bans_file
    if not os.access(path.parent, os.W_OK | os.X_OK):
        yield wrong(
            "bans file",
            f"{path} cannot be written in {path.parent}",
            f"make the folder, for the site's user: install -d -o USER {path.parent}",
        )
    elif path.is_dir():
        yield wrong("bans file", f"{path} is a folder", "name a file in bans_file under [door]")
    else:
        yield ok("bans file", f"{path} can be written")


def _check_breached(site: Site) -> Iterator[Finding]:
    if site.settings.login.breached_passwords is None:
        return
    path = site.folder / site.settings.login.breached_passwords
    try:
        Breached(path).holds(_ANY_PASSWORD)
    except BreachedFileProblem as problem:
        yield wrong("breached", str(problem), problem.hint)
    else:
        yield ok("breached", f"{path} can be searched")


def _check_places(site: Site) -> Iterator[Finding]:
    if site.settings.door.places is None:
        return
    path = site.folder / site.settings.door.places
    problem = Places(path).refresh(0.0)
    if problem is not None:
        hint = "it must be a MaxMind database (.mmdb) that the site's user may read"
        yield wrong("places", problem, hint)
    else:
        yield ok("places", f"{path} can be read")


def _check_policy_server(site: Site) -> Iterator[Finding]:
    """Judge the URL of the policy server, and look at the file of its key."""
    chosen = site.settings.door
    if not chosen.policy_server:
        return
    try:
        if chosen.policy_server_key is not None:
            _read(site.folder / chosen.policy_server_key)
    except OSError as failure:
        text = f"policy_server_key: {failure.filename} cannot be read: {failure.strerror}"
        yield wrong("policy", text, "name a file that the site's user may read")
        return
    parts = urlsplit(chosen.policy_server)
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        text = f"{chosen.policy_server} is told names and addresses in the clear"
        yield note("policy", text, "take https, or a server on this machine")
    else:
        yield ok("policy", f"{chosen.policy_server} is asked about each login")


def _check_tokens(site: Site) -> Iterator[Finding]:
    """Look at the keys that tokens are checked with, or at who is asked about them."""
    oauth = site.settings.oauth
    if oauth is None:
        return
    hint = "see [oauth] in docs/settings.md"
    try:
        check = make_token_check(oauth, site.folder)
        if check is not None:
            check.close()
        where = _check_key_source(site.folder, oauth.keys or oauth.introspection)
    except OSError as failure:
        text = f"{failure.filename} cannot be read: {failure.strerror}"
        yield wrong("tokens", text, "name a file that the site's user may read")
    except ValueError as failure:
        yield wrong("tokens", str(failure), hint)
    else:
        yield ok("tokens", f"tokens of {oauth.issuer} are checked with {where}")


def _check_key_source(folder: Path, source: str) -> str:
    """Return where keys or answers come from.

    Raises:
        OSError: a file cannot be read.
        ValueError: there is nothing that can be used.
    """
    if source.startswith("https://"):
        return source
    path = folder / source
    with path.open("rb") as file:
        octets = file.read(ANSWER_LIMIT_OCTETS + 1)
    try:
        keys = read_key_set(octets)
    except ValueError as cause:
        raise ValueError(f"{path}: {cause}") from cause
    if not keys:
        raise ValueError(f"{path} has no key that can check a signature")
    return str(path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
