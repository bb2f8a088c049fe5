"""`mailkeep device`: one password for each program, which can be taken back alone.

A password is printed once, alone on standard output, so that a script can take it from there.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.accounts import (
    Device,
    DeviceExists,
    May,
    TooManyDevices,
    UnknownDevice,
    UnusableDevice,
)
from mailkeep.cli.arguments import AddressArgument, JsonOption
from mailkeep.cli.changing import tell_of_account, this_user
from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.site_option import open_accounts, open_site, read_address
from mailkeep.cli.spans import read_later_moment
from mailkeep.cli.talk import printable, say, show, show_json, show_table

if TYPE_CHECKING:
    from mailkeep.values import Address

commands = typer.Typer(help="Give each program a password of its own, and take it back.")

Network = IPv4Network | IPv6Network

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="What the device is: 'office printer'.")
]


@commands.command("add")
def add(
    context: typer.Context,
    address: AddressArgument,
    name: NameArgument,
    *,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--from", metavar="NETWORK", help="Where it may log in from; more than one is fine."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="DATE", help="When it stops being good: 2027-06-01 (in UTC)."
        ),
    ] = None,
    may: Annotated[
        May, typer.Option("--may", help="Only read mail, or delete it too.")
    ] = May.DELETE,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="It is this client certificate (PEM), not a password.",
        ),
    ] = None,
) -> None:
    """Make a device and print its password, which is shown only now."""
    from mailkeep.accounts.devices import Terms

    site = open_site(context)
    named = read_address(site, address)
    now = datetime.now(UTC)
    terms = Terms(
        may=may,
        networks=tuple(_network(text) for text in networks or ()),
        until=None if until is None else read_later_moment(until, now=now),
    )
    sha256 = None if certificate is None else _sha256_of(certificate, now)
    with open_accounts(site, by=this_user()) as directory, _told(named):
        account = directory.get(named)
        if sha256 is not None:
            device = directory.devices.add_certificate(named, name, sha256, terms)
            say(f"added {device.name} for {named}; it logs in with EXTERNAL")
        else:
            made = directory.devices.add(named, name, terms)
            say(f"added {made.device.name} for {named}; its password is shown only now:")
            show(made.password.reveal().decode())
    tell_of_account(site, account)
    if sha256 is not None and site.settings.tls.client_ca is None:
        say("no client is asked for its certificate before client_ca is set under [tls]")


@commands.command("list")
def list_devices(
    context: typer.Context, address: AddressArgument, *, json: JsonOption = False
) -> None:
    """List an account's devices."""
    site = open_site(context)
    with open_accounts(site) as directory:
        devices = directory.devices.list(read_address(site, address))
    if json:
        show_json([describe(device) for device in devices])
        return
    rows = [_row(device) for device in devices]
    headings = ("NAME", "MAY", "UNTIL", "LAST USED", "ADDRESS", "CLIENT", "FROM")
    show_table(headings, rows)


@commands.command("revoke")
def revoke(context: typer.Context, address: AddressArgument, name: NameArgument) -> None:
    """Take a device's password back; a session that it has open ends at once."""
    site = open_site(context)
    named = read_address(site, address)
    with open_accounts(site, by=this_user()) as directory, _told(named):
        account = directory.get(named)
        revoked = directory.devices.revoke(named, name)
    tell_of_account(site, account)
    say(f"revoked {revoked.name} of {named}")


@commands.command("rename")
def rename(
    context: typer.Context,
    address: AddressArgument,
    name: NameArgument,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="What to call it from now on.")],
) -> None:
    """Call a device something else; its password stays, and so do its sessions."""
    site = open_site(context)
    named = read_address(site, address)
    with open_accounts(site, by=this_user()) as directory, _told(named):
        account = directory.get(named)
        renamed = directory.devices.rename(named, name, new_name)
    tell_of_account(site, account)
    say(f"{printable(name)} of {named} is {renamed.name} now")


def describe(device: Device) -> dict[str, object]:
    """Return a device as `--json` shows it; these names stay."""
    return {
        "name": device.name,
        "may": device.may.value,
        "from": [str(network) for network in device.networks],
        "until": _iso(device.until),
        "created": device.created.isoformat(),
        "last_used": _iso(device.last_used),
        "last_address": device.last_address,
        "last_client": device.last_client,
        "certificate": device.certificate,
    }


@contextmanager
def _told(address: "Address") -> Iterator[None]:
    """Turn what is wrong with a device's name or certificate into a failure with the next step."""
    try:
        yield
    except (DeviceExists, UnknownDevice) as refusal:
        hint = f"mailkeep device list {address} shows what is there"
        raise CommandFailed(str(refusal), hint=hint) from refusal
    except TooManyDevices as refusal:
        hint = f"mailkeep device list {address} shows them; revoke one that nobody uses"
        raise CommandFailed(str(refusal), hint=hint) from refusal
    except UnusableDevice as refusal:
        hint = "say what and where it is: 'office printer'"
        raise CommandFailed(str(refusal), hint=hint, code=ExitCode.WRONG) from refusal


def _row(device: Device) -> tuple[str, ...]:
    """Return what fits into 80 columns for most; where it may log in from can be long, so last."""
    return (
        device.name,
        device.may.value,
        _day(device.until, otherwise="-"),
        _day(device.last_used, otherwise="never"),
        device.last_address or "-",
        device.last_client or ("-" if device.certificate is None else "certificate"),
        ", ".join(map(str, device.networks)) or "everywhere",
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _day(moment: datetime | None, *, otherwise: str) -> str:
    return otherwise if moment is None else f"{moment:%Y-%m-%d}"


def _network(text: str) -> Network:
    """Return a network; one with bits beside its mask may be a slip, so it is refused."""
    from mailkeep.defence.prefixes import parse_prefix

    if "%" in text:  # RFC 4007: a zone is this machine's own word, and no client has one
        raise _no_network(text)
    try:
        ip_network(text)
        return ip_network(parse_prefix(text))  # an IPv4 network inside IPv6 is the IPv4 network
    except ValueError:
        raise _no_network(text) from None


def _no_network(text: str) -> CommandFailed:
    address, _, bits = text.partition("/")
    hint = "write 192.0.2.7, 10.1.0.0/16 or 2001:db8::/32"
    with suppress(ValueError):
        whole = ip_network(text, strict=False)
        if bits and "%" not in text:
            hint = f"{whole} is the whole network, {address} the one computer"
    return CommandFailed(f"{text} is not a network", hint=hint, code=ExitCode.WRONG)


def _sha256_of(path: Path, now: datetime) -> str:
    """Return the SHA-256 of the certificate in a PEM file, the first if there are several."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as cause:
        raise _unusable(
            path, f"cannot be read: {cause.strerror}", "name a PEM file that this user may read"
        ) from cause
    except ValueError as cause:
        raise _unusable(
            path,
            "holds no certificate",
            "it must be PEM: openssl x509 -inform DER -in FILE -out NEW",
        ) from cause
    if certificate.not_valid_after_utc <= now:
        raise _unusable(path, "the certificate has expired", "take the client's new one")
    return certificate.fingerprint(SHA256()).hex()


def _unusable(path: Path, reason: str, hint: str) -> CommandFailed:
    return CommandFailed(f"{path}: {reason}", hint=hint, code=ExitCode.WRONG)
