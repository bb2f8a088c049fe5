"""What is measured to find out whether costs grow, and what is taken for growth."""

import pytest
from bench.server.growth import RETRS_A_SESSION, RETRS_IN_A_ROW, Costs, numbers_read, steadied


@pytest.mark.parametrize("messages", [1, 10, 100, 1_000, 2_000, 2_050, 10_000, 100_000])
def test_as_many_are_read_of_every_maildrop_as_it_has_or_as_are_wanted(messages: int) -> None:
    """Costs are compared that differ in the size of the maildrop and in nothing else."""
    numbers = numbers_read(messages)
    assert len(set(numbers)) == len(numbers) == min(messages, RETRS_A_SESSION)
    assert 1 <= min(numbers) <= max(numbers) <= messages


def test_they_are_in_rows_from_all_over_the_maildrop() -> None:
    """As mail programs read; where a message lies must not matter."""
    numbers = numbers_read(100_000)
    breaks = [at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1] + 1]
    assert breaks == list(range(RETRS_IN_A_ROW, RETRS_A_SESSION, RETRS_IN_A_ROW))
    assert numbers[-1] > 95_000


def test_a_slow_minute_is_no_growth() -> None:
    """What a server beside costs more at the same time is the machine's doing."""
    usual, slow = Costs(2.0, 4.0, 0.25), Costs(4.0, 5.0, 0.5)
    assert steadied([(0, usual, usual), (100, slow, slow)]) == [(0, usual), (100, usual)]


def test_what_the_server_beside_does_not_see_is_growth() -> None:
    """Accounts or sessions that cost something cost it where they are."""
    usual, grown = Costs(2.0, 4.0, 0.25), Costs(3.0, 4.0, 0.25)
    assert steadied([(0, usual, usual), (100, grown, usual)]) == [(0, usual), (100, grown)]
