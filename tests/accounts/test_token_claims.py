"""What claims must say, whoever vouches for them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.made_tokens import CLAIMS, ISSUER, NOW_S, RULES

from mailkeep.accounts import TokenRefused
from mailkeep.accounts.token_claims import judge_claims


@given(
    st.dictionaries(
        st.sampled_from([*CLAIMS, "nbf", "scope", "scp", "email_verified"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    ),
    st.booleans(),
)
def test_claims_are_judged_whatever_they_are(claims: dict[str, Any], is_signed: bool) -> None:
    """A name comes out only if it is in them, and of signed ones only from the right issuer."""
    outcome = judge_claims(claims, RULES, NOW_S, is_signed=is_signed)
    assert isinstance(outcome, TokenRefused) or outcome == claims["email"]
    if is_signed:
        assert isinstance(outcome, TokenRefused) or claims["iss"] == ISSUER
