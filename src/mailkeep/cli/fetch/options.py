"""The options of `mailkeep fetch`, and what they make of an account."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mailkeep.cli.failure import CommandFailed, ExitCode
from mailkeep.cli.fetch.arguments import (
    argument,
    at_least,
    group,
    option,
    pair,
    repeated,
    seconds,
    switch,
)

if TYPE_CHECKING:
    from mailkeep.fetch.account import Account
    from mailkeep.fetch.job import Job
    from mailkeep.fetch.policy import Policy
    from mailkeep.fetch.secret_sources import SecretSource


TARGETS = "pop3s://alice@mail.example.com, or accounts of fetch.toml; all of them without."
"""What every command says of the accounts that it is about."""


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """How to reach an account, and where its secret is."""

    password_stdin: bool = switch(
        "--password-stdin", "Read the password from standard input, one line."
    )
    password_file: Path | None = option(
        "--password-file",
        "FILE",
        "Read it from a file that only you can read (0600).",
        convert=Path,
    )
    password_command: str | None = option(
        "--password-command", "COMMAND", "Read it from a program; no shell is used."
    )
    credential: str | None = option("--credential", "NAME", "Read it from a credential of systemd.")
    keyring: bool = switch("--keyring", "Read it from the keyring (extra `keyring`).")
    netrc: bool = switch("--netrc", "Read it from ~/.netrc.")
    token_command: str | None = option(
        "--token-command", "COMMAND", "Log in with the OAuth token that a program prints."
    )
    auth: str | None = option(
        "--auth", "NAME", "Use this mechanism or none: SCRAM-SHA-256, PLAIN, ..."
    )
    ca: Path | None = option(
        "--ca", "FILE", "Trust these authorities (PEM) beside the system's.", convert=Path
    )
    pin: list[str] = repeated(
        "--pin",
        "SHA256",
        "Trust only the certificate or key with this SHA-256; may be repeated.",
    )
    client_certificate: Path | None = option(
        "--client-certificate", "FILE", "Show this certificate (PEM).", convert=Path
    )
    client_key: Path | None = option(
        "--client-key", "FILE", "Its key, if it is in another file.", convert=Path
    )
    timeout: float | None = option(
        "--timeout", "S", "Seconds for one thing to happen; 60 unless said.", convert=seconds
    )
    cleartext: bool = switch("--cleartext", "No TLS at all: pop3:// on this machine only.")
    accept_change: bool = switch(
        "--accept-change", "Go on although TLS or login are weaker than they were."
    )
    state: Path | None = option(
        "--state", "DIR", "Keep journals here, not in ~/.local/state/mailkeep.", convert=Path
    )
    config: Path | None = option(
        "--config", "FILE", "Settings; else ~/.config/mailkeep/fetch.toml.", convert=Path
    )

    def secret(self, account: "Account") -> "SecretSource | None":
        """Return where the secret of an account is, or None if no option says so.

        Raises:
            CommandFailed: several do.
        """
        from mailkeep.fetch import secret_sources as sources

        said: dict[str, SecretSource] = {}
        if self.password_stdin:
            said["--password-stdin"] = sources.StandardInput()
        if self.password_file is not None:
            said["--password-file"] = sources.SecretFile(self.password_file)
        if self.password_command is not None:
            said["--password-command"] = sources.SecretCommand(_words(self.password_command))
        if self.credential is not None:
            said["--credential"] = sources.SystemdCredential(self.credential)
        if self.keyring:
            said["--keyring"] = sources.Keyring(account.host)
        if self.netrc:
            said["--netrc"] = sources.Netrc(None)
        if self.token_command is not None:
            said["--token-command"] = sources.TokenCommand(_words(self.token_command))
        if len(said) > 1:
            raise CommandFailed(
                f"{' and '.join(said)} each say where the secret is: choose one",
                code=ExitCode.WRONG,
            )
        return next(iter(said.values()), None)

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
                raise WrongSettings(
                    "--cleartext and pop3s:// contradict each other",
                    hint="pop3:// is the one that can do without TLS",
                )
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

    to: list[str] = repeated(
        "--to",
        "DEST",
        "maildir:PATH, mbox:FILE, dir:FOLDER, pipe:COMMAND, lmtp:HOST:PORT or lmtp:SOCKET; may be"
        " repeated, and a message is done when all have it.",
    )
    recipient: str | None = option(
        "--recipient", "ADDRESS", "Whose mail it is, for lmtp; else the user's name."
    )
    keep: bool = switch("--keep", "Leave everything on the server (the default).")
    delete: bool = switch("--delete", "Delete from the server what is safe everywhere.")
    delete_after: str | None = option(
        "--delete-after", "TIME", "Delete it so long after it was stored: 14d."
    )
    keep_newest: int | None = option(
        "--keep-newest",
        "N",
        "Delete it unless it is among the newest N.",
        convert=at_least(0),
    )
    initial: str | None = option(
        "--initial", "WHAT", "What a first run fetches: all, none, 30d or last:100."
    )
    larger_than: list[str] | None = pair(
        "--larger-than",
        ("SIZE", "ACTION"),
        "skip larger messages, or fetch their headers: 20M skip.",
    )
    limit: str | None = option(
        "--limit", "SIZE", "Never take a message above this; 150M unless said."
    )

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


@dataclass(frozen=True, slots=True)
class LookOptions:
    """Of the commands that look at accounts."""

    targets: list[str] = argument("targets", "URL|ACCOUNT", TARGETS, count="*")
    json: bool = switch("--json", "Print JSON.")
    account: AccountOptions = group(AccountOptions, "the account")
