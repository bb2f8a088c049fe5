"""What a connection is offered: no more than it can keep, best first."""

from itertools import count, product

import pytest
from tests.harness.scram import BINDING, CLIENT_FIRST

from mailkeep.sasl import (
    Challenge,
    ChannelBinding,
    KeyedMechanism,
    KeysWanted,
    MechanismOffers,
    SaslFailed,
    TokenMechanism,
    server_mechanisms,
)
from mailkeep.values import Secret

BEST_FIRST = [
    "EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN",
]  # fmt: skip


def offers(
    *,
    scram: bool = True,
    binding: ChannelBinding | None = BINDING,
    tokens: bool = True,
    certificate: bool = True,
) -> MechanismOffers:
    numbers = count(1)
    return MechanismOffers(lambda: f"nonce{next(numbers)}", scram, binding, tokens, certificate)


@pytest.mark.parametrize(
    ("scram", "binding", "tokens", "certificate"),
    list(product([True, False], [BINDING, None], [True, False], [True, False])),
)
def test_a_mechanism_is_there_exactly_when_it_can_be_kept(
    scram: bool, binding: ChannelBinding | None, tokens: bool, certificate: bool
) -> None:
    """RFC 2449 section 6.3: what is listed works; the order is ours, and the same for all."""
    there = server_mechanisms(
        offers(scram=scram, binding=binding, tokens=tokens, certificate=certificate)
    )
    can_be_kept = {
        "EXTERNAL": certificate,
        "SCRAM-SHA-256-PLUS": scram and binding is not None,
        "SCRAM-SHA-256": scram,
        "OAUTHBEARER": tokens,
        "XOAUTH2": tokens,
        "PLAIN": True,
    }
    assert list(there) == [name for name in BEST_FIRST if can_be_kept[name]]


@pytest.mark.parametrize("name", BEST_FIRST)
def test_each_exchange_starts_anew_with_a_question(name: str) -> None:
    """RFC 5034 section 4: without an initial response the challenge is empty, whoever speaks."""
    start = server_mechanisms(offers())[name]
    one, other = start(), start()
    assert one is not other
    assert one.step(None) == Challenge(b"")


@pytest.mark.parametrize(
    ("name", "asks_for_keys", "explains"),
    [(name, "SCRAM" in name, "OAUTH" in name) for name in BEST_FIRST],
)
def test_who_drives_a_mechanism_can_tell_what_more_it_can_do(
    name: str, asks_for_keys: bool, explains: bool
) -> None:
    """RFC 5802 and RFC 7628 need a second answer of the driver; the others do not have it."""
    mechanism = server_mechanisms(offers())[name]()
    assert isinstance(mechanism, KeyedMechanism) is asks_for_keys
    assert isinstance(mechanism, TokenMechanism) is explains


def test_each_exchange_of_scram_draws_its_own_nonce() -> None:
    """RFC 5802 section 5.1, `r`: a nonce that comes twice lets an old proof be said again."""
    start = server_mechanisms(offers(binding=None))["SCRAM-SHA-256"]
    seen = set()
    for _ in range(3):
        mechanism = start()
        mechanism.step(Secret(CLIENT_FIRST))
        assert isinstance(mechanism, KeyedMechanism)
        seen.add(mechanism.use_keys(b"salt", 4096, [(Secret(b"s"), Secret(b"k"))]).data)
    assert len(seen) == 3


def test_a_client_that_could_bind_is_welcome_only_where_nobody_binds() -> None:
    """RFC 5802 section 6: `y` means that PLUS was taken off the list, if it was on it."""
    first = Secret(b"y" + CLIENT_FIRST[1:])
    welcoming = server_mechanisms(offers(binding=None))["SCRAM-SHA-256"]()
    assert welcoming.step(first) == KeysWanted(b"user")
    with pytest.raises(SaslFailed, match="bind"):
        server_mechanisms(offers())["SCRAM-SHA-256"]().step(first)
