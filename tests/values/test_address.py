"""An address names one account, and a folder that cannot be left."""

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailkeep.values import Address, InvalidAddress
from mailkeep.values.address import DOMAIN_LIMIT_OCTETS, LOCAL_LIMIT_OCTETS

HERE = "mail.example.com"
FILE_NAME_LIMIT_OCTETS = 255


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("alice", "alice@mail.example.com"),
        ("alice@mail.example.com", "alice@mail.example.com"),
        ("ALICE@Mail.Example.COM", "alice@mail.example.com"),
        ("alice@other.example", "alice@other.example"),
        ("a.b+c-d_e", "a.b+c-d_e@mail.example.com"),
        ("Rene\u0301@b\u00fccher.example", "ren\u00e9@b\u00fccher.example"),
        ("printer@localhost", "printer@localhost"),
        ("x@under_score.example", "x@under_score.example"),
        ("o'neil", "o'neil@mail.example.com"),
    ],
)
def test_one_account_has_one_address(typed: str, address: str) -> None:
    """RFC 8265 section 3.3; a name without a domain belongs to the default domain."""
    assert str(Address.parse(typed, default_domain=HERE)) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "@",
        "alice@",
        "@example.com",
        "a@b@c",
        "..",
        ".",
        ".hidden",
        "../../etc/passwd",
        "a/b",
        "a\\b",
        "a\0b",
        "\uff0e\uff0e",
        "\uff0e\uff0e\uff0fetc",
        "a\uff0fb",
        "a@..",
        "a@.",
        "a@.example.com",
        "a@example.com.",
        "a@exa..mple",
        "a@example.com/",
        "a@example.com\\",
        "a@ex/ample",
        "a@../x",
        "a@-example.com",
        "a@example.com-",
        "a@example.-com",
        "a@example.com\0",
        'a@example.com"',
        "a@[127.0.0.1]",
        '"quoted"',
        "a b",
        "a;b",
        "a\u037eb",
        "x" * (LOCAL_LIMIT_OCTETS + 1),
        "\u00e9" * (LOCAL_LIMIT_OCTETS // 2 + 1),
        "a@" + "d" * (DOMAIN_LIMIT_OCTETS + 1),
        "a@" + "\u00e9" * (DOMAIN_LIMIT_OCTETS // 2 + 1),
    ],
)
def test_what_can_name_no_account_is_refused(typed: str) -> None:
    """RFC 5321 sections 4.1.2 and 4.5.3.1; a separator, a NUL, a leading dot leave the folder."""
    with pytest.raises(InvalidAddress):
        Address.parse(typed, default_domain=HERE)


def test_the_longest_parts_are_taken() -> None:
    """RFC 5321 section 4.5.3.1: 64 and 255 octets."""
    address = Address.parse("x" * 64 + "@" + "d" * 255, default_domain=HERE)
    assert (len(address.local), len(address.domain)) == (64, 255)


_NASTY = st.text(alphabet="ab.@/\\\0-_ \uff0e\uff0f\uff20\u2024\u2025\u3002\u00e9~%{}", max_size=12)


@example("a@b/")
@example("a@\uff0e\uff0e")
@given(st.one_of(_NASTY, st.text(max_size=20)))
def test_an_address_stays_in_the_mail_folder(typed: str) -> None:
    """Path traversal: whatever is accepted is two plain file names, one below the other."""
    try:
        address = Address.parse(typed, default_domain=HERE)
    except InvalidAddress:
        return
    path = PurePosixPath("/mail") / address.domain / address.local
    assert path.parts == ("/", "mail", address.domain, address.local)
    for name in (address.domain, address.local):
        assert not name.startswith(".")
        assert 0 < len(name.encode()) <= FILE_NAME_LIMIT_OCTETS


@given(st.one_of(_NASTY, st.text(max_size=20)))
def test_an_address_that_is_kept_is_read_back_as_the_same(typed: str) -> None:
    """RFC 8265 section 3.3: what is stored is compared with what is prepared again."""
    try:
        address = Address.parse(typed, default_domain=HERE)
    except InvalidAddress:
        return
    assert Address.parse(str(address), default_domain="another.example") == address
