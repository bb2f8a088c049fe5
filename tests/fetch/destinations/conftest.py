"""The contract suite's asserts are explained by pytest like those of any test."""

import pytest

pytest.register_assert_rewrite("mailkeep.testing.destination_contract")
