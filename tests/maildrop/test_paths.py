"""Where an account's Maildir lies."""

from pathlib import Path

import pytest

from mailkeep.maildrop.maildir import MaildirPaths
from mailkeep.values import Address, InvalidAddress

SITE = Path("/site/{local}")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("mail/{domain}/{local}", "/site/{local}/mail/example.com/al"),
        ("/home/{local}/Maildir", "/home/al/Maildir"),
        ("m/{local}@{domain}/", "/site/{local}/m/al@example.com"),
    ],
)
def test_an_address_has_its_maildir(pattern: str, path: str) -> None:
    """A pattern below the site, or an existing tree elsewhere."""
    assert MaildirPaths(SITE, pattern).of(Address("al", "example.com")) == Path(path)


def test_an_address_is_never_a_template() -> None:
    """What is filled in is not looked at for placeholders again."""
    paths = MaildirPaths(SITE, "{domain}/{local}")
    assert paths.of(Address("{domain}", "{local}")) == SITE / "{local}" / "{domain}"


@pytest.mark.parametrize("pattern", ["mail", "mail/{domain}", "{user}/{local}", "{}/{local}"])
def test_a_pattern_that_would_mix_accounts_up_is_refused(pattern: str) -> None:
    """Two accounts on one Maildir would read each other's mail; a typo must not do that."""
    with pytest.raises(ValueError, match=r"placeholder|share"):
        MaildirPaths(SITE, pattern)


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "/etc", "../bob", "a\0"])
def test_an_address_cannot_leave_the_folder(part: str) -> None:
    """The path is looked at where it is built, whoever made the address."""
    paths = MaildirPaths(SITE, "{domain}/{local}")
    for address in (Address(part, "example.com"), Address("al", part)):
        with pytest.raises(InvalidAddress):
            paths.of(address)
