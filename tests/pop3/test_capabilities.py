"""CAPA tells the truth (RFC 2449 section 5)."""

import pytest
from tests.pop3.driving import session_in
from tests.pop3.goldens import FOLDER, MOST, render_capabilities

from mailkeep.pop3 import Phase, Security, commands
from mailkeep.pop3.capabilities import CapabilityOffers, list_capabilities
from mailkeep.pop3.states import LEGAL

ASKED_IN = [
    (phase, security)
    for phase in Phase
    for security in Security
    if commands.Capa in LEGAL[phase][security]
]


def listed(phase: Phase, security: Security, *mechanisms: str) -> tuple[bytes, ...]:
    offers = CapabilityOffers(mechanisms or ("PLAIN",), utf8=False, login_delay_s=0)
    return list_capabilities(phase, security, offers)


def test_capa_lists_what_was_agreed_on() -> None:
    """RFC 2449 section 5: the whole answer wherever it may be asked (see goldens.py to change)."""
    assert render_capabilities() == (FOLDER / "capabilities.txt").read_text()


def test_capa_may_be_asked_before_and_after_login() -> None:
    """RFC 2449 section 5: CAPA is valid in AUTHORIZATION and in TRANSACTION."""
    for security in Security:
        assert (Phase.AUTHORIZATION, security) in ASKED_IN
    for security in (Security.TLS, Security.CLEARTEXT_ALLOWED):
        assert (Phase.NAMED, security) in ASKED_IN
        assert (Phase.TRANSACTION, security) in ASKED_IN


@pytest.mark.parametrize(("phase", "security"), ASKED_IN)
def test_top_and_uidl_are_listed_everywhere(phase: Phase, security: Security) -> None:
    """RFC 2449 sections 6.1 and 6.8: some programs ask only before login, so they must see them."""
    assert {
        b"TOP", b"UIDL", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"EXPIRE NEVER",
    } <= set(listed(phase, security))  # fmt: skip


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.NAMED])
@pytest.mark.parametrize("security", Security)
def test_a_login_is_listed_where_it_is_possible(phase: Phase, security: Security) -> None:
    """RFC 2595 section 2.4, RFC 8314 section 3.3: no USER and no SASL PLAIN before STLS."""
    lines = listed(phase, security)
    possible = commands.User in LEGAL[phase][security]
    assert (b"USER" in lines) is possible
    assert (b"SASL PLAIN" in lines) is possible
    assert (commands.Auth in LEGAL[phase][security]) is possible


@pytest.mark.parametrize(("phase", "security"), ASKED_IN)
def test_stls_is_listed_before_tls_and_login_only(phase: Phase, security: Security) -> None:
    """RFC 2595 section 4: offered while it can be used, and not while TLS is active."""
    offered = phase is not Phase.TRANSACTION and security is not Security.TLS
    assert (b"STLS" in listed(phase, security)) is offered


def test_the_answer_before_stls_and_the_one_after_it_differ() -> None:
    """RFC 2595 section 4: a client asks again; USER and SASL appear then, STLS disappears."""
    before = set(listed(Phase.AUTHORIZATION, Security.STLS_FIRST))
    after = set(listed(Phase.AUTHORIZATION, Security.TLS))
    assert after - before == {b"USER", b"SASL PLAIN"}
    assert before - after == {b"STLS"}


@pytest.mark.parametrize("security", Security)
def test_a_name_just_given_changes_nothing(security: Security) -> None:
    """RFC 2449 section 5: USER decides nothing yet, so CAPA behind it answers the same."""
    if commands.Capa in LEGAL[Phase.NAMED][security]:
        assert listed(Phase.NAMED, security) == listed(Phase.AUTHORIZATION, security)


@pytest.mark.parametrize("security", [Security.TLS, Security.CLEARTEXT_ALLOWED])
def test_the_product_is_named_after_login_only(security: Security) -> None:
    """RFC 2449 section 6.9: IMPLEMENTATION may be hidden before login; no version ever."""
    assert listed(Phase.TRANSACTION, security)[-1] == b"IMPLEMENTATION Mailkeep"
    for phase in (Phase.AUTHORIZATION, Phase.NAMED):
        assert not any(line.startswith(b"IMPLEMENTATION") for line in listed(phase, security))


def test_mechanisms_are_listed_in_the_order_given() -> None:
    """RFC 5034 section 6: SASL is followed by the names of the mechanisms."""
    lines = listed(Phase.AUTHORIZATION, Security.TLS, "SCRAM-SHA-256", "PLAIN")
    assert b"SASL SCRAM-SHA-256 PLAIN" in lines


@pytest.mark.parametrize(("phase", "security"), ASKED_IN)
def test_lang_is_listed_wherever_it_may_be_said(phase: Phase, security: Security) -> None:
    """RFC 6856 section 3: announced in both states, and valid in both, under TLS or not."""
    assert b"LANG" in listed(phase, security)
    assert commands.Lang in LEGAL[phase][security]


@pytest.mark.parametrize(("phase", "security"), ASKED_IN)
def test_utf8_is_listed_where_names_are_taken_and_only_when_it_is_on(
    phase: Phase, security: Security
) -> None:
    """RFC 6856 section 2: UTF8 USER, before login and after; not before STLS, which it bars."""
    for line in listed(phase, security):
        assert not line.startswith(b"UTF8")
    there = b"UTF8 USER" in list_capabilities(phase, security, MOST)
    assert there is (security is not Security.STLS_FIRST)
    assert there is (commands.Utf8 in LEGAL[phase][security])


@pytest.mark.parametrize(("phase", "security"), ASKED_IN)
@pytest.mark.parametrize(
    ("seconds", "line"), [(0, None), (1, b"LOGIN-DELAY 1"), (600, b"LOGIN-DELAY 600")]
)
def test_a_delay_between_logins_is_announced_when_there_is_one(
    phase: Phase, security: Security, seconds: int, line: bytes | None
) -> None:
    """RFC 2449 section 6.5: seconds, in both states; without the capability there is no delay."""
    offers = CapabilityOffers(("PLAIN",), utf8=False, login_delay_s=seconds)
    lines = list_capabilities(phase, security, offers)
    found = [line for line in lines if line.startswith(b"LOGIN-DELAY")]
    assert found == ([line] if line else [])


@pytest.mark.parametrize(("phase", "security"), ASKED_IN)
def test_lines_are_keywords_and_parameters_with_one_space_between(
    phase: Phase, security: Security
) -> None:
    """RFC 2449 section 3: no line is empty, listed twice, starts with a dot or is over 512."""
    lines = list_capabilities(phase, security, MOST)
    assert len({line.split(b" ")[0] for line in lines}) == len(lines)
    for line in lines:
        assert all(line.split(b" "))
        assert line.isascii()
        assert not line.startswith(b".")
        assert len(line) + 2 <= 512


@pytest.mark.parametrize("phase", [Phase.AUTHORIZATION, Phase.NAMED, Phase.TRANSACTION])
def test_a_session_lists_what_holds_where_it_stands(phase: Phase) -> None:
    """RFC 2449 section 5: the answer on the wire is the list of that moment, ended by a dot."""
    driver = session_in(phase)
    driver.receive(b"CAPA\r\n")
    first, *lines, dot, end = b"".join(driver.wire).split(b"\r\n")
    assert first.startswith(b"+OK ")
    assert (dot, end) == (b".", b"")
    assert tuple(lines) == listed(phase, Security.TLS)
