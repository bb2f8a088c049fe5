"""How often those who are turned away are told: now and then, with how often it was."""

from mailkeep.server.turned_away import PREFIXES_LIMIT, TOLD_EVERY_S, TurnedAway


def test_the_first_is_told_at_once_and_the_rest_is_counted() -> None:
    """One line a prefix in ten seconds, and none is lost from the sum."""
    turned_away = TurnedAway()
    told = [turned_away.count("192.0.2.7/32", second / 10) for second in range(1000)]
    assert told[0] == 1
    assert [count for count in told if count] == [1] + [100] * 9


def test_prefixes_and_reasons_are_told_apart() -> None:
    """A loud one does not hide another."""
    turned_away = TurnedAway()
    for whom in ("192.0.2.7/32", "192.0.2.8/32", ("192.0.2.7/32", "banned")):
        assert turned_away.count(whom, 0) == 1
        assert turned_away.count(whom, TOLD_EVERY_S - 0.1) == 0


def test_who_comes_back_much_later_is_told_at_once() -> None:
    """As if for the first time."""
    turned_away = TurnedAway()
    turned_away.count("192.0.2.7/32", 0)
    turned_away.count("192.0.2.7/32", 1)
    assert turned_away.count("192.0.2.7/32", 3600) == 1


def test_any_number_of_prefixes_costs_bounded_memory_and_lines() -> None:
    """An attacker with an IPv6 network has millions; over the limit they are one."""
    turned_away = TurnedAway()
    lines = sum(turned_away.count(f"2001:db8:{number:x}::/64", 0) > 0 for number in range(20_000))
    assert lines == PREFIXES_LIMIT + 1
    assert len(turned_away._counts) == PREFIXES_LIMIT + 1
    assert turned_away.count("yet another", TOLD_EVERY_S) == 20_000 - PREFIXES_LIMIT
    for second in range(2000):
        turned_away.count("192.0.2.7/32", 100 + second)
    assert len(turned_away._counts) == 1
