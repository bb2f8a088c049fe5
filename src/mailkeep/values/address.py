"""The address of an account: who it is, in one form.

An address names a folder too (`mail/{domain}/{local}`), so whatever could leave that folder is
refused here, before any path is built: a separator, a NUL, a leading dot.
"""

import re
from dataclasses import dataclass

from mailkeep.values.prepared import NotPrepared, prepare_name

LOCAL_LIMIT_OCTETS = 64
"""RFC 5321 section 4.5.3.1.1."""

DOMAIN_LIMIT_OCTETS = 255
"""RFC 5321 section 4.5.3.1.2; and no file system takes a longer name."""

_LABEL = r"[a-z0-9\u0080-\U0010ffff]([a-z0-9\u0080-\U0010ffff_-]*[a-z0-9\u0080-\U0010ffff])?"
_DOMAIN = rf"{_LABEL}(\.{_LABEL})*"
"""Compiled when it is needed: that takes 20 ms, and most commands read no address."""
_NOT_IN_A_LOCAL_PART = frozenset('/\\@"<>()[],;:')


class InvalidAddress(ValueError):
    """A text that can be no account's address; the reason is for operators."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """`local@domain`, both prepared: equal addresses are the same account.

    Make one with `Address.parse`.
    """

    local: str
    domain: str

    @classmethod
    def parse(cls, text_untrusted: str, *, default_domain: str) -> "Address":
        """Return the address that a user or an operator named.

        Args:
            text_untrusted: `alice` or `alice@mail.example.com`.
            default_domain: what a name without a domain belongs to.

        Raises:
            InvalidAddress: it can name no account, or could leave the mail folder as a path.
        """
        local_untrusted, at, domain_untrusted = text_untrusted.rpartition("@")
        if not at:
            local_untrusted, domain_untrusted = domain_untrusted, default_domain
        try:
            local, domain = prepare_name(local_untrusted), prepare_name(domain_untrusted)
        except NotPrepared as cause:
            raise InvalidAddress(str(cause)) from cause
        if len(local.encode()) > LOCAL_LIMIT_OCTETS:
            raise InvalidAddress(f"the part before @ is longer than {LOCAL_LIMIT_OCTETS} octets")
        if local.startswith(".") or not _NOT_IN_A_LOCAL_PART.isdisjoint(local):
            raise InvalidAddress('the part before @ starts with a dot or has one of /\\@"<>()[],;:')
        if len(domain.encode()) > DOMAIN_LIMIT_OCTETS or not re.fullmatch(_DOMAIN, domain):
            raise InvalidAddress("the part after @ is not a domain")
        return cls(local, domain)

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"
