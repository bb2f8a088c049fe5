"""Accounts out of a passwd-file, the form in which Dovecot keeps users in a text file.

A line is `user:password:uid:gid:gecos:home:shell:extra fields`; whatever follows the password may
be missing. It reads lines and says what each of them is good for; it makes no accounts. No password
or hash is in anything it says.

Known limits: uid, gid, home and the fields for Dovecot's userdb mean nothing here and are passed
over. A colon in a password or name is not possible in this format.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mailkeep.accounts.imported import UnusableHash, read_imported
from mailkeep.values import Address, InvalidAddress

LINE_LIMIT_CHARACTERS = 65_536
"""A name, a hash and some networks have 2,000."""

_DEFAULT_SCHEME = "CRYPT"
"""What Dovecot takes a hash without a scheme for, unless it is told otherwise."""

_EXTRA_FIELDS = 7
"""User, password, uid, gid, gecos, home and shell stand before them."""

_NETWORKS = re.compile(r"[0-9A-Fa-f.:/,]{1,1000}")
_ADD_IT = "add the account with a new password: mailkeep account add ADDRESS"
_LEAVE_IT = "leave it out, or remove the field to let the account in"


@dataclass(frozen=True, slots=True)
class Entry:
    """An account that can be made.

    Attributes:
        line: its number, from 1.
        address: whose.
        kept: what `mailkeep.accounts.imported` keeps for the hash.
        notes: what was said about the account and is not taken over.
    """

    line: int
    address: Address
    kept: str = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that no account is made from.

    Attributes:
        line: its number, from 1.
        address: whom it names, if it does.
        reason: why.
        hint: the next step, for an operator.
    """

    line: int
    address: Address | None
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Extra:
    """What the extra fields of a line say.

    Attributes:
        barred: why nobody should be let in on this line, and the next step.
        notes: what else an operator should know.
    """

    barred: tuple[str, str] | None
    notes: tuple[str, ...]


def read_passwd_file(
    lines: Iterable[str], default_domain: str, *, default_scheme: str = _DEFAULT_SCHEME
) -> list[Entry | Problem]:
    """Return what each line is good for, in their order, without comments and empty lines.

    Args:
        lines: of the file, with or without their ends.
        default_domain: what a name without a domain belongs to.
        default_scheme: of hashes without `{SCHEME}`, as `default_pass_scheme` in Dovecot.
    """
    found: list[Entry | Problem] = []
    first_lines: dict[Address, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff").rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        result = _without_double(
            _read_line(number, text, default_domain, default_scheme), first_lines
        )
        if isinstance(result, Entry):
            first_lines[result.address] = number
        found.append(result)
    return found


def _without_double(result: Entry | Problem, first_lines: dict[Address, int]) -> Entry | Problem:
    if isinstance(result, Problem) or result.address not in first_lines:
        return result
    return Problem(
        result.line,
        result.address,
        f"line {first_lines[result.address]} is about the same account and is taken",
        "remove one of the two lines; upper and lower case make no difference",
    )


def _read_line(number: int, text: str, default_domain: str, default_scheme: str) -> Entry | Problem:
    nobody = Problem(number, None, "", "write user:{SCHEME}hash, and a comment with # before it")
    if len(text) > LINE_LIMIT_CHARACTERS:
        return replace(nobody, reason=f"it is longer than {LINE_LIMIT_CHARACTERS} characters")
    name_untrusted, colon, rest = text.partition(":")
    if not colon:
        return replace(nobody, reason="there is no colon, so no password")
    try:
        address = Address.parse(name_untrusted, default_domain=default_domain)
    except InvalidAddress as cause:
        return replace(nobody, reason=f"the user can be no account: {cause}")
    return _read_account(number, address, rest.split(":"), default_scheme)


def _read_account(
    number: int, address: Address, fields: list[str], default_scheme: str
) -> Entry | Problem:
    """Return what the fields after the user say about an account."""
    extra = _read_extra(":".join(fields[_EXTRA_FIELDS - 1 :]))
    if extra.barred:
        return Problem(number, address, *extra.barred)
    hash_text = fields[0]
    if not hash_text:
        return Problem(number, address, "it has no password", _ADD_IT)
    if not hash_text.startswith(("{", "!", "*")) and hash_text != "x":
        hash_text = f"{{{default_scheme}}}{hash_text}"
    try:
        return Entry(number, address, read_imported(hash_text), extra.notes)
    except UnusableHash as cause:
        return Problem(number, address, f"the password is not taken over: {cause}", cause.hint)


def _read_extra(text: str) -> _Extra:
    """Read the extra fields; what Dovecot's userdb is told in them is passed over.

    A field's value is repeated only where it is a list of networks: others can hold a password.
    """
    barred, notes = None, []
    for part in text.split():
        name, _, value = part.partition("=")
        match name:
            case "nopassword":
                barred = "it lets everybody in without a password (nopassword)", _ADD_IT
            case "nologin":
                barred = "it may not log in (nologin)", _LEAVE_IT
            case "allow_nets" if _NETWORKS.fullmatch(value):
                notes.append(f"allow_nets={value} is not taken over: a device can have networks")
            case "allow_nets" | "allow_real_nets":
                notes.append(f"{name} is not taken over: a device can have networks")
            case "user" | "proxy" | "host" | "master" | "destuser":
                notes.append(f"{name} is not taken over")
            case _:
                pass
    return _Extra(barred, tuple(notes))
