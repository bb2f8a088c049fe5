"""Which messages are read to find out whether a RETR costs more where there are more of them."""

import pytest
from bench.server.growth import RETRS_A_SESSION, RETRS_IN_A_ROW, numbers_read


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
