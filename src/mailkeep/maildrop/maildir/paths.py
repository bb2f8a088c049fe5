"""Where an account's Maildir lies.

An address comes from outside in the end, so although `Address` refuses what could leave its folder,
it is looked at once more here, where the path is built.
"""

import re
from pathlib import Path

from mailkeep.values import Address, InvalidAddress

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KNOWN = frozenset({"local", "domain"})
_NOT_IN_A_PATH = frozenset("/\0")


class MaildirPaths:
    """The rule that gives every address its Maildir.

    Args:
        site: the site's folder.
        pattern: a path below it, or an absolute one, with `{local}` and, where the site has more
            than one domain, `{domain}`.

    Raises:
        ValueError: the pattern has another placeholder, or would give every account one Maildir.
    """

    def __init__(self, site: Path, pattern: str) -> None:
        named = set(_PLACEHOLDER.findall(pattern))
        if unknown := named - _KNOWN:
            raise ValueError(f"{pattern!r}: no such placeholder: {', '.join(sorted(unknown))}")
        if "local" not in named:
            raise ValueError(f"{pattern!r}: without {{local}} all accounts would share one Maildir")
        self._site = site
        self._pattern = pattern

    def of(self, address: Address) -> Path:
        """Return the Maildir of `address`, which need not be there.

        Raises:
            InvalidAddress: the path would leave the folder that the pattern names.
        """
        parts = {"local": address.local, "domain": address.domain}
        for part in parts.values():
            if part in {"", ".", ".."} or not _NOT_IN_A_PATH.isdisjoint(part):
                raise InvalidAddress(f"{address} can name no folder")
        return self._site / _PLACEHOLDER.sub(lambda found: parts[found[1]], self._pattern)
