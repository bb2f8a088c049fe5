"""The options of `mailkeep fetch`, and what they make of an account."""

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailkeep.cli.failure import CommandFailed, ExitCode

if TYPE_CHECKING:
    from mailkeep.fetch.account import Account
    from mailkeep.fetch.job import Job
    from mailkeep.fetch.policy import Policy
    from mailkeep.fetch.secret_sources import SecretSource


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """How to reach an account, and where its secret is."""

    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input, one line."),
    ] = False
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read it from a file that only you can read (0600)."),
    ] = None
    password_command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Read it from a program; no shell is used."),
    ] = None
    credential: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Read it from a credential of systemd."),
    ] = None
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Read it from the keyring (extra `keyring`).")
    ] = False
    netrc: Annotated[bool, typer.Option("--netrc", help="Read it from ~/.netrc.")] = False
    token_command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Log in with the OAuth token that a program prints."),
    ] = None
    auth: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Use this mechanism or none: SCRAM-SHA-256, PLAIN, ..."),
    ] = None
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trust these authorities (PEM) beside the system's."),
    ] = None
    pin: Annotated[
        list[str],
        typer.Option(
            metavar="SHA256",
            help="Trust only the certificate or key with this SHA-256; may be repeated.",
        ),
    ] = field(default_factory=list)
    client_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show this certificate (PEM).")
    ] = None
    client_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its key, if it is in another file.")
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.1, help="Seconds for one thing to happen; 60 unless said."),
    ] = None
    cleartext: Annotated[
        bool,
        typer.Option("--cleartext", help="No TLS at all: pop3:// on this machine only."),
    ] = False
    accept_change: Annotated[
        bool,
        typer.Option(
            "--accept-change", help="Go on although TLS or login are weaker than they were."
        ),
    ] = False
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep journals here, not in ~/.local/state/mailkeep."),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings; else ~/.config/mailkeep/fetch.toml."),
    ] = None

    def secret(self, account: "Account") -> "SecretSource | None":
        """Return where the secret of an account is, or None if no option says so.

        Raises:
            CommandFailed: several do.
        """
        from mailkeep.fetch import secret_sources as sources

        said: list[SecretSource] = []
        if self.password_stdin:
            said.append(sources.StandardInput())
        if self.password_file is not None:
            said.append(sources.SecretFile(self.password_file))
        if self.password_command is not None:
            said.append(sources.SecretCommand(_words(self.password_command)))
        if self.credential is not None:
            said.append(sources.SystemdCredential(self.credential))
        if self.keyring:
            said.append(sources.Keyring(account.host))
        if self.netrc:
            said.append(sources.Netrc(None))
        if self.token_command is not None:
            said.append(sources.TokenCommand(_words(self.token_command)))
        if len(said) > 1:
            raise CommandFailed("one secret is enough: two options name one", code=ExitCode.WRONG)
        return said[0] if said else None

    def apply(self, account: "Account") -> "Account":
        """Return an account as these options want it.

        Raises:
            WrongSettings: they contradict each other or its URL.
        """
        from mailkeep.fetch.account import Transport
        from mailkeep.fetch.failures import WrongSettings
        from mailkeep.fetch.pins import parse_pin

        changes: dict[str, object] = {}
        if self.auth is not None:
            changes["mechanism"] = self.auth.upper()
        if self.timeout is not None:
            changes["timeout_s"] = self.timeout
        if self.cleartext:
            if account.transport is Transport.TLS:
                raise WrongSettings("--cleartext and pop3s:// contradict each other")
            changes["transport"] = Transport.CLEARTEXT
        tls = {
            "authorities": self.ca,
            "pins": tuple(map(parse_pin, self.pin)) or None,
            "certificate": self.client_certificate,
            "key": self.client_key,
        }
        said = {name: value for name, value in tls.items() if value is not None}
        if said:
            changes["tls"] = replace(account.tls, **said)  # type: ignore[arg-type]  # by name
        return replace(account, **changes)  # type: ignore[arg-type]  # by name


@dataclass(frozen=True, slots=True)
class MailOptions:
    """What to fetch, where to, and what to delete."""

    to: Annotated[
        list[str],
        typer.Option(
            metavar="DEST",
            help="maildir:PATH, mbox:FILE, dir:FOLDER, pipe:COMMAND, lmtp:HOST:PORT or"
            " lmtp:SOCKET; may be repeated, and a message is done when all have it.",
        ),
    ] = field(default_factory=list)
    recipient: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Whose mail it is, for lmtp; else the user's name."),
    ] = None
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything on the server (the default).")
    ] = False
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete from the server what is safe everywhere.")
    ] = False
    delete_after: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Delete it so long after it was stored: 14d."),
    ] = None
    keep_newest: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Delete it unless it is among the newest N."),
    ] = None
    initial: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="What a first run fetches: all, none, 30d or last:100."),
    ] = None
    larger_than: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="SIZE ACTION", help="skip larger messages, or fetch their headers: 20M skip."
        ),
    ] = None
    limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Never take a message above this; 150M unless said."),
    ] = None

    def apply(self, policy: "Policy") -> "Policy":
        """Return a policy as these options want it.

        Raises:
            CommandFailed: they contradict each other.
            WrongSettings: one cannot be understood.
        """
        from mailkeep.fetch.policy import Larger, parse_duration, parse_initial, parse_size

        rules = self.delete or self.delete_after is not None or self.keep_newest is not None
        if self.keep and rules:
            raise CommandFailed("--keep and deleting contradict each other", code=ExitCode.WRONG)
        if self.delete and (self.delete_after is not None or self.keep_newest is not None):
            raise CommandFailed(
                "--delete deletes at once; --delete-after and --keep-newest say what stays longer",
                code=ExitCode.WRONG,
            )
        if self.keep or rules:
            after = None if self.delete_after is None else parse_duration(self.delete_after)
            policy = replace(
                policy, delete=self.delete, delete_after_s=after, keep_newest=self.keep_newest
            )
        if self.initial is not None:
            what, amount = parse_initial(self.initial)
            policy = replace(policy, initial=what, initial_amount=amount)
        if self.larger_than is not None:
            size, action = self.larger_than
            if action not in {"skip", "headers"}:
                raise CommandFailed(
                    f"{action} is nothing to do with a larger message",
                    hint="write --larger-than 20M skip, or --larger-than 20M headers",
                    code=ExitCode.WRONG,
                )
            policy = replace(policy, larger_than=parse_size(size), larger=Larger(action))
        if self.limit is not None:
            policy = replace(policy, limit_octets=parse_size(self.limit))
        return policy


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as cause:
        raise CommandFailed(
            f"a quote is not closed: {text}", hint="quotes are as in a shell", code=ExitCode.WRONG
        ) from cause


def with_mail(job: "Job", options: MailOptions) -> "Job":
    """Return a job as the options want it."""
    return replace(
        job,
        policy=options.apply(job.policy),
        destinations=tuple(options.to) or job.destinations,
        recipient=options.recipient or job.recipient,
    )
