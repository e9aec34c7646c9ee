"""
The promises through kill -9; `make crash` is the long version.

On the wire the daemon and its venue are two processes with a bad network between them, and the
venue's own record is the judge.
"""

import pytest
from tests.crash import WIRE, crash, crash_on_the_wire


@pytest.mark.timeout(600)
def test_twenty_deaths_under_load_lose_nothing_and_double_nothing() -> None:
    numbers = crash(cycles=20, seed=20)
    assert numbers["orders_acknowledged"] > 100
    assert numbers["orders_unanswered_and_sent_again"] > 0
    assert numbers["orders_in_doubt"] > 0
    assert numbers["starts_killed"] > 0
    assert numbers["quantities_compared"] > 100


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dialect", sorted(WIRE))
def test_deaths_over_a_bad_network_lose_nothing_and_double_nothing(dialect: str) -> None:
    numbers = crash_on_the_wire(dialect, cycles=5, seed=5)
    assert numbers["orders_in_doubt"] > 0
    assert numbers["quantities_compared"] > 10
    assert sum(count for name, count in numbers.items() if name.startswith("network_")) > 0
