"""Names as certificates write them, and which certificate stands for which name."""

import pytest

from mailkeep.tls.hostnames import InvalidHostname, a_label_form, covers


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("mail.example.com", "mail.example.com"),
        ("Mail.Example.COM.", "mail.example.com"),
        ("posteingang.müller.example", "posteingang.xn--mller-kva.example"),
        ("почта.example", "xn--80a1acny.example"),
        ("xn--mller-kva.example", "xn--mller-kva.example"),
        ("localhost", "localhost"),
    ],
)
def test_names_become_a_labels(written: str, form: str) -> None:
    """RFC 5280 section 7.2: a certificate holds the ASCII form."""
    assert a_label_form(written) == form


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "a..b",
        "-a.example",
        "a_b.example",
        "*.example",
        "a b",
        "x" * 64 + ".example",
        "strasse.stra\u00dfe.example",
        "a\r\nb",
        "a/b",
        ".".join(["abcdefgh"] * 30),
    ],
)
def test_what_is_no_host_name_is_refused(written: str) -> None:
    """RFC 1123 section 2.1; a name that two tables read in two ways is not guessed at."""
    with pytest.raises(InvalidHostname):
        a_label_form(written)


@pytest.mark.parametrize(
    ("certificate_name", "name", "is_covered"),
    [
        ("mail.example.com", "mail.example.com", True),
        ("MAIL.example.com", "mail.example.com", True),
        ("example.com", "mail.example.com", False),
        ("*.example.com", "mail.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.mail.example.com", False),
        ("m*.example.com", "mail.example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("*.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "localhost", False),
    ],
)
def test_which_name_stands_for_which_host(
    certificate_name: str, name: str, is_covered: bool
) -> None:
    """RFC 9525 section 6.3: a star is the whole first label, and never stands for an address."""
    assert covers(certificate_name, name) is is_covered
