"""A worker lets in without asking only who has just been let in, with the very same proof."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mailkeep.defence import Attempt
from mailkeep.server.permissions import PERMITTED_FOR_S, REPORTED_EVERY_S, Permissions

ALICE = Attempt(
    session="s",
    source=ip_address("192.0.2.7"),
    name="alice@example.com",
    mechanism="USER",
    password_seal=b"seal",
    is_sure=False,
)
SURE = replace(ALICE, password_seal=None, is_sure=True)


def test_the_same_may_come_again() -> None:
    """In another session, by another mechanism, for some minutes."""
    permissions = Permissions()
    assert permissions.find(ALICE, 0.0) is None
    permissions.lend(ALICE, 0.0)
    assert permissions.find(replace(ALICE, session="t", mechanism="PLAIN"), 1.0)
    assert permissions.find(ALICE, PERMITTED_FOR_S) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(ALICE, password_seal=b"a guess"),
        replace(ALICE, password_seal=None),
        replace(ALICE, name="bob@example.com"),
        replace(ALICE, source=ip_address("192.0.2.8")),
        SURE,
    ],
)
def test_anybody_else_is_asked_about(other: Attempt) -> None:
    """Another password, name, network or kind of proof: a guess is never let in unasked."""
    permissions = Permissions()
    permissions.lend(ALICE, 0.0)
    assert permissions.find(other, 1.0) is None


def test_a_proof_without_a_seal_that_could_be_guessed_is_always_asked_about() -> None:
    """SCRAM with a main password: nothing says that it is the same one."""
    permissions = Permissions()
    permissions.lend(replace(ALICE, password_seal=None), 0.0)
    assert len(permissions) == 0


@pytest.mark.parametrize("about", ["alice@example.com", "192.0.2.7/32", b"seal"])
def test_a_failure_takes_permissions_back(about: str | bytes) -> None:
    """Of its name anywhere, of its network, and of its password."""
    permissions = Permissions()
    permissions.lend(ALICE, 0.0)
    permissions.lend(bob := replace(ALICE, name="bob@example.com", password_seal=b"other"), 0.0)
    permissions.take_back(about)
    assert permissions.find(ALICE, 1.0) is None
    assert (permissions.find(bob, 1.0) is None) == (about == "192.0.2.7/32")
    permissions.take_all_back()
    assert len(permissions) == 0
    assert not permissions._about


def test_they_are_bounded() -> None:
    """Who came first is asked about again; nothing is left behind of it."""
    permissions = Permissions(limit=3)
    people = [replace(ALICE, name=f"n{number}@example.com") for number in range(5)]
    for one in people:
        permissions.lend(one, 0.0)
    assert [permissions.find(one, 1.0) is not None for one in people] == [False] * 2 + [True] * 3
    assert len(permissions._about) == 3 + 2


def test_coming_again_is_reported_now_and_then() -> None:
    """So that nobody's familiarity ends while he comes every day."""
    permissions = Permissions()
    permissions.lend(SURE, 0.0)
    permission = permissions.find(SURE, 1.0)
    assert permission is not None
    assert not permission.is_to_be_reported(REPORTED_EVERY_S - 1)
    assert permission.is_to_be_reported(REPORTED_EVERY_S)


TAKINGS: list[Callable[[Permissions], None]] = [
    lambda it: it.take_back(b"seal"),
    Permissions.take_all_back,
    lambda it: it.drop(ALICE),
    lambda it: it.lend(replace(ALICE, password_seal=b"another"), 1.0),
]


@pytest.mark.parametrize("take_back", TAKINGS)
def test_who_holds_a_permission_knows_when_it_is_taken_back(
    take_back: Callable[[Permissions], None],
) -> None:
    """It may be while the password is checked: then the door is asked after all."""
    permissions = Permissions()
    permissions.lend(ALICE, 0.0)
    held = permissions.find(ALICE, 1.0)
    assert held is not None
    assert held.covers(1.0)
    take_back(permissions)
    assert not held.covers(1.0)


def test_a_permission_that_is_lent_again_lasts_longer_for_who_holds_it() -> None:
    """It is the same one: name, network and proof."""
    permissions = Permissions()
    permissions.lend(ALICE, 0.0)
    held = permissions.find(ALICE, 0.0)
    assert held is not None
    permissions.lend(ALICE, 100.0)
    assert held.covers(PERMITTED_FOR_S)
    assert not held.covers(PERMITTED_FOR_S + 100.0)
    assert not held.is_to_be_reported(100.0)
