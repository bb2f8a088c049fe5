"""What was seen once must not get worse silently, and a server that deletes mail is told of."""

import itertools

import pytest

from mailkeep.fetch.remembered import (
    AUTHORITY,
    REMEMBERED,
    SCRAM,
    TLS,
    Seen,
    judge_change,
    judge_expire,
)

YES = dict.fromkeys(REMEMBERED, "yes")


def test_only_what_is_good_is_remembered() -> None:
    """A session without TLS does not take back that there was TLS before."""
    assert Seen(tls=True, scram=True, authority=True).facts() == YES
    assert Seen(tls=False, scram=None, authority=False).facts() == {}


@pytest.mark.parametrize("before", [*itertools.product(["yes", "", None], repeat=3)])
def test_each_protection_is_judged_by_itself(before: tuple[str | None, ...]) -> None:
    """S-17, S-60: worse is what was there for sure and is missing for sure."""
    names = (TLS, SCRAM, AUTHORITY)
    words = {TLS: "encrypted", SCRAM: "SCRAM", AUTHORITY: "authority"}
    facts = {n: value for n, value in zip(names, before, strict=True) if value is not None}
    for now in itertools.product([True, False, None], repeat=3):
        lost = [
            name
            for name, was, is_there in zip(names, before, now, strict=True)
            if was == "yes" and is_there is False
        ]
        worse = judge_change(facts, Seen(*now))
        assert [words[name] in text for name, text in zip(lost, worse, strict=True)].count(
            False
        ) == 0


def test_what_is_said_does_not_blame_the_user() -> None:
    """Each line stands alone in an error of one line."""
    worse = judge_change(YES, Seen(tls=False, scram=False, authority=False))
    assert len(worse) == 3
    assert not any("\n" in line or line.endswith(".") for line in worse)


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        ((), None),
        (("NEVER",), None),
        (("NEVER", "USER"), None),
        (("never",), None),
        (("0",), "the copy here is the only one"),
        (("00",), "the copy here is the only one"),
        (("30",), "after 30 days"),
        (("7", "USER"), "after 7 days"),
        (("-1",), None),
        (("soon",), None),
        (("\u0663",), None),
        (("9" * 6000,), None),
    ],
)
def test_a_server_that_deletes_by_itself_is_told_of(
    words: tuple[str, ...], warning: str | None
) -> None:
    """RFC 2449 section 6.7, S-39: EXPIRE 0 leaves nothing on the server; nonsense says nothing."""
    told = judge_expire(words)
    if warning is None:
        assert told is None
    else:
        assert told is not None
        assert warning in told
