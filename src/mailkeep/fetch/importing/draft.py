"""An account while it is read: what is said of every program's settings in the same words.

The rules of an import stand here: verification is always on, clear text becomes STLS, nothing is
deleted until the user confirms it, and a password is named by its place and never copied. It must
not know the format of any program.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from mailkeep.fetch.account import Transport
from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.found import (
    ImportedAccount,
    SeenGroup,
    Value,
    account_url,
    merge_seen,
)

_DAY_S = 86_400
_LONGEST_TIMEOUT_S = 3600
"""The most that `fetch.toml` takes."""
_TOKEN_MECHANISMS = frozenset({"OAUTHBEARER", "XOAUTH2"})

NO_DESTINATION = 'choose where mail goes: to = ["maildir:~/Maildir"]'
"""The note of an account without a destination."""


class Draft:
    """One account of `program`, as far as it was understood."""

    def __init__(self, program: str, label: str, where: str) -> None:
        """Begin with nothing.

        Args:
            program: as its users call it.
            label: the account's name there.
            where: file and line, for errors.
        """
        self.program = program
        self.label = label
        self.where = where
        self.host = ""
        self.user = ""
        self.port: int | None = None
        self.transport = Transport.TLS
        self.to: list[str] = []
        self.settings: dict[str, Value] = {"keep": True}
        self.notes: list[str] = []
        self.is_active = True
        self._unmapped: list[str] = []

    def note(self, text: str) -> None:
        """Tell the user something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def leave_out(self, *keys: str) -> None:
        """Name settings that have no like here."""
        self._unmapped += [key for key in keys if key not in self._unmapped]

    def was_clear(self) -> None:
        """Clear text, or TLS only where offered, becomes STLS or nothing."""
        self.transport = Transport.STLS
        self.note(
            f"{self.program} would have gone on without TLS: now it is STLS or nothing. Write "
            "pop3s:// if the server has TLS on port 995"
        )

    def was_unverified(self) -> None:
        """Say that the certificate is verified from now on."""
        self.note(
            f"{self.program} did not verify the server's certificate: it is verified now. If that "
            "fails, `mailkeep fetch probe` shows the certificate, for `ca` or `pins`"
        )

    def deleted(self, how: str, key: str) -> None:
        """Say how the program deleted; here nothing is until the user says so.

        Args:
            how: the old setting in its own words.
            key: what confirms it here.
        """
        self.note(
            f"{how} was on in {self.program}, and here nothing is deleted from the server yet: "
            f"confirm by setting {key} instead of keep = true"
        )

    def password_in(self, where: str) -> None:
        """Say where the password is; it is not copied."""
        self.note(
            f"the password is in {where} and was not copied: put it into a file that only you may "
            "read and set password_file, or set password_command"
        )

    def path(self, key: str, path: str) -> None:
        """Take over a path, if it means the same wherever one starts."""
        if _is_fixed(path):
            self.settings[key] = path
        else:
            self.note(f"{key}: {path} depends on the folder one is in; write the whole path")

    def deliver_to(self, kind: str, path: str) -> None:
        """Take over a destination on disk (`maildir`, `mbox`), likewise."""
        if not _is_fixed(path):
            self.note(f"to: {kind}:{path} depends on the folder one is in; write the whole path")
        elif f"{kind}:{path}" not in self.to:
            self.to.append(f"{kind}:{path}")

    def timeout(self, seconds: int) -> None:
        """Take over how long one thing may take on the network; 0 says nothing."""
        if 0 < seconds <= _LONGEST_TIMEOUT_S:
            self.settings["timeout"] = seconds
        elif seconds:
            self.leave_out(f"timeout {seconds}")

    def mechanism(self, name: str) -> None:
        """Take over a mechanism by its name in SASL, after the source of the password."""
        if name not in _TOKEN_MECHANISMS:
            self.settings["auth"] = name
        elif command := self.settings.pop("password_command", None):
            self.settings |= {"auth": name, "token_command": command}
        else:
            self.settings.pop("netrc", None)
            self.note(f"{name} takes a token: set auth, and token_command or oauth")

    def size_limit(self, octets: int, how: str) -> None:
        """Take over a size above which messages are treated otherwise (`skip`, `headers`)."""
        self.settings["larger_than"] = shortest_size(octets)
        self.settings["larger"] = how

    def pins(self, fingerprints: Sequence[str]) -> list[str]:
        """Take over the fingerprints that are SHA-256, and return them; refuse the others."""
        plain = [re.sub(r"[:\s]", "", text).lower() for text in fingerprints]
        good = [text for text in plain if re.fullmatch(r"[0-9a-f]{64}", text)]
        if good:
            self.settings["pins"] = good
        if len(good) < len(plain):
            self.note(
                "a fingerprint that is not SHA-256 (MD5 and SHA-1 can be forged) was left out: see "
                "the certificate with `mailkeep fetch probe` and set pins"
            )
        return good

    def finish(self, groups: Sequence[SeenGroup]) -> ImportedAccount:
        """Return the account.

        Raises:
            WrongSettings: it has no user, or no host that can be called.
        """
        try:
            url = account_url(self.transport, self.user, self.host, self.port)
        except WrongSettings as cause:
            raise WrongSettings(f"{self.where}: {cause}") from cause
        for text in (text for group in groups for text in group.notes()):
            self.note(text)
        if "client_certificate" not in self.settings:
            self.settings.pop("client_key", None)
        if not self.to:
            self.note(NO_DESTINATION)
        if self._unmapped:
            self.note(f"not carried over from {self.program}: {', '.join(self._unmapped)}")
        seen = merge_seen(groups)
        notes = tuple(self.notes)
        account = ImportedAccount(self.label, url, tuple(self.to), self.settings, notes, seen)
        return replace(account, is_active=self.is_active)


def _is_fixed(path: str) -> bool:
    return path == "~" or path.startswith(("/", "~/"))


def state_alone(program: str, group: SeenGroup) -> ImportedAccount:
    """Return an account of which only the state is left: it is shown, and not fetched.

    Raises:
        WrongSettings: the state names no mailbox.
    """
    draft = Draft(program, f"{group.user}@{group.host}", group.where)
    draft.user, draft.host, draft.port = group.user, group.host, group.port
    draft.is_active = False
    if group.port == 110:  # RFC 1939 section 3
        draft.transport = Transport.STLS
    draft.note(f"known from {group.where} alone: see whether host, port and TLS are right")
    return draft.finish([group])


def shortest_time(seconds: int) -> str:
    """Return seconds as `mailkeep.fetch.policy.parse_duration` takes them: `300` is `5m`."""
    for unit, size in (("d", _DAY_S), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def shortest_size(octets: int) -> str:
    """Return octets as `mailkeep.fetch.policy.parse_size` takes them: `20971520` is `20M`."""
    for unit, size in (("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10)):
        if octets and octets % size == 0:
            return f"{octets // size}{unit}"
    return str(octets)
