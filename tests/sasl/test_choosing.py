"""Which mechanism a client uses: a table, and what holds for any list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.sasl import NoMechanism, choose_mechanism

PLUS, SCRAM, PLAIN, USER = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "USER"
BEARER, XOAUTH2, EXTERNAL = "OAUTHBEARER", "XOAUTH2", "EXTERNAL"
ALL = [PLAIN, XOAUTH2, "LOGIN", SCRAM, EXTERNAL, PLUS, BEARER, "CRAM-MD5", "NTLM", "APOP"]
WEAK = ["LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "APOP", "GSSAPI", "ANONYMOUS", "SCRAM-SHA-1"]


@pytest.mark.parametrize(
    ("offered", "can_bind", "user_pass", "chosen"),
    [
        (ALL, True, True, PLUS),
        (ALL, False, True, SCRAM),
        ([PLUS], False, True, USER),
        ([PLUS, PLAIN], False, True, PLAIN),
        ([PLAIN, SCRAM], True, True, SCRAM),
        ([PLAIN, EXTERNAL], True, True, PLAIN),
        (["plain", "login"], False, True, PLAIN),
        (["scram-sha-256"], False, False, SCRAM),
        ([BEARER, XOAUTH2], False, True, USER),
        (WEAK, True, True, USER),
        ([], False, True, USER),
    ],
)
def test_the_best_for_a_password(
    offered: list[str], can_bind: bool, user_pass: bool, chosen: str
) -> None:
    """First the two with which the password does not leave; then PLAIN; then USER and PASS."""
    got = choose_mechanism(
        offered, is_token=False, can_bind=can_bind, user_pass=user_pass, forced=None
    )
    assert got == chosen


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (ALL, BEARER),
        ([PLAIN, XOAUTH2], XOAUTH2),
        (["xoauth2"], XOAUTH2),
        ([BEARER], BEARER),
    ],
)
def test_the_best_for_a_token(offered: list[str], chosen: str) -> None:
    """The standard first (RFC 7628)."""
    got = choose_mechanism(offered, is_token=True, can_bind=True, user_pass=True, forced=None)
    assert got == chosen


@pytest.mark.parametrize(
    ("offered", "is_token", "user_pass"),
    [
        ([], False, False),
        (WEAK, False, False),
        ([PLUS], False, False),
        ([EXTERNAL], False, False),
        ([USER], False, False),
        ([BEARER, XOAUTH2], False, False),
        ([PLAIN, SCRAM, PLUS], True, True),
        ([], True, True),
    ],
)
def test_nothing_fits(offered: list[str], is_token: bool, user_pass: bool) -> None:
    """Weak ones are never taken, EXTERNAL only by name, and a token is never a password."""
    with pytest.raises(NoMechanism, match="in no way"):
        choose_mechanism(
            offered, is_token=is_token, can_bind=False, user_pass=user_pass, forced=None
        )


@pytest.mark.parametrize(
    ("forced", "is_token"),
    [
        (PLUS, False),
        (SCRAM, False),
        (PLAIN, False),
        (USER, False),
        (EXTERNAL, False),
        (EXTERNAL, True),
        (BEARER, True),
        (XOAUTH2, True),
    ],
)
def test_the_one_that_is_asked_for_is_used(forced: str, is_token: bool) -> None:
    """Whatever else is offered; its case does not matter (RFC 5034 section 4)."""
    for spelled in (forced, forced.lower()):
        got = choose_mechanism(
            ALL, is_token=is_token, can_bind=True, user_pass=True, forced=spelled
        )
        assert got == forced


@pytest.mark.parametrize(
    ("forced", "offered", "is_token", "can_bind", "why"),
    [
        (SCRAM, [PLAIN, PLUS], False, True, "does not offer SCRAM-SHA-256: PLAIN, SCRAM"),
        (PLAIN, [SCRAM], False, True, "does not offer PLAIN"),
        (PLAIN, [], False, True, "does not offer PLAIN: nothing"),
        (USER, [USER, PLAIN], False, True, "does not offer USER"),
        (PLUS, ALL, False, False, "bound"),
        (BEARER, ALL, False, True, "wants a token"),
        (PLAIN, ALL, True, True, "wants a password"),
        (USER, ALL, True, True, "wants a password"),
        ("LOGIN", ALL, False, True, "LOGIN is not one that is spoken here"),
        ("CRAM-MD5", ALL, False, True, "CRAM-MD5 is not one that is spoken here"),
        ("", ALL, False, True, "not one that is spoken here"),
    ],
)
def test_the_one_that_is_asked_for_is_refused_and_not_replaced(
    forced: str, offered: list[str], is_token: bool, can_bind: bool, why: str
) -> None:
    """The text says which side does not have it."""
    with pytest.raises(NoMechanism, match=why):
        choose_mechanism(
            offered, is_token=is_token, can_bind=can_bind, user_pass=False, forced=forced
        )


NAMES = st.one_of(st.sampled_from(ALL + WEAK), st.text(max_size=30))


@given(
    st.lists(NAMES, max_size=40),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.sampled_from([*ALL, *WEAK, USER]),
)
def test_only_what_is_safe_and_offered_comes_out(
    offered: list[str], is_token: bool, can_bind: bool, user_pass: bool, forced: str | None
) -> None:
    """S-56, S-60: any list gives a mechanism of ours that the server has, or a printable error."""
    try:
        name = choose_mechanism(
            offered, is_token=is_token, can_bind=can_bind, user_pass=user_pass, forced=forced
        )
    except NoMechanism as refused:
        text = str(refused)
    else:
        assert name not in WEAK
        assert user_pass if name == USER else name in {word.upper() for word in offered}
        assert name in ({BEARER, XOAUTH2} if is_token else {PLUS, SCRAM, PLAIN, USER}) | {EXTERNAL}
        assert can_bind or name != PLUS
        assert forced is None or name == forced
        assert forced is not None or name != EXTERNAL
        return
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 400
