"""The promises through kill -9; `make crash CYCLES=200` is the long version."""

from tests.crash import crash


def test_twenty_deaths_under_load_lose_nothing_and_double_nothing() -> None:
    numbers = crash(cycles=20, seed=20)
    assert numbers["orders_acknowledged"] > 100
    assert numbers["orders_unanswered_and_sent_again"] > 0
    assert numbers["orders_in_doubt"] > 0
    assert numbers["starts_killed"] > 0
    assert numbers["quantities_compared"] > 100
