"""Bounds that move with the market: a slip of the pen is refused here, what is near them is not."""

from decimal import Decimal

import pytest

from brokerd.bounds import DRIFT, check_market_notional, check_reach, is_bounded
from brokerd.errors import InvalidOrder
from brokerd.terms import Instrument, Quote, Side

D = Decimal
QUOTE = Quote(D(99), D(101), 1)
BOUNDED = Instrument(
    "X",
    "A",
    "B",
    tick=D("0.1"),
    lot=D("0.01"),
    market_notional_min=D(10),
    market_notional_max=D(1000),
    buy_reach=(D("0.5"), D("1.2")),
    sell_reach=(D("0.8"), D(5)),
)
ONLY_BELOW = Instrument("X", "A", "B", buy_reach=(D("0.5"), D(0)))
FREE = Instrument("X", "A", "B")


@pytest.mark.parametrize("rules", [BOUNDED, ONLY_BELOW])
def test_a_symbol_with_any_such_filter_is_bounded(rules: Instrument) -> None:
    assert is_bounded(rules)
    assert not is_bounded(FREE)


@pytest.mark.parametrize(
    ("side", "px", "reason", "hint"),
    [
        (Side.BUY, "47", "too_far_below_market", "about 49.5 to 121.2 is taken"),
        (Side.BUY, "127.3", "too_far_above_market", "about 49.5 to 121.2 is taken"),
        (Side.SELL, "75.2", "too_far_below_market", "about 79.2 to 505 is taken"),
        (Side.SELL, "531", "too_far_above_market", "about 79.2 to 505 is taken"),
    ],
)
def test_a_price_far_from_the_market_is_refused_with_what_is_taken(
    side: Side, px: str, reason: str, hint: str
) -> None:
    with pytest.raises(InvalidOrder) as refused:
        check_reach(BOUNDED, side, D(px), QUOTE)
    assert (refused.value.reason, refused.value.field) == (reason, "px")
    assert refused.value.hint == hint
    assert "99 to 101" in str(refused.value)


@pytest.mark.parametrize(
    ("side", "px"),
    [(Side.BUY, "47.1"), (Side.BUY, "127.2"), (Side.SELL, "75.3"), (Side.SELL, "530.2")],
)
def test_what_the_venue_may_take_by_its_own_average_is_left_to_it(side: Side, px: str) -> None:
    """Beyond the filter by our quote, and within DRIFT of it."""
    assert D("0.05") == DRIFT
    check_reach(BOUNDED, side, D(px), QUOTE)


def test_where_there_is_no_filter_any_price_goes() -> None:
    check_reach(FREE, Side.BUY, D("0.001"), QUOTE)
    check_reach(FREE, Side.SELL, D(10**9), QUOTE)
    check_reach(ONLY_BELOW, Side.BUY, D(10**9), QUOTE)
    with pytest.raises(InvalidOrder, match=r"about 49\.5 and more is taken"):
        check_reach(ONLY_BELOW, Side.BUY, D(1), QUOTE)


@pytest.mark.parametrize(
    ("qty", "reason", "hint"),
    [
        ("0.09", "below_minimum_notional", "about 0.1 would be taken"),
        ("10.64", "above_maximum_notional", "about 10.1 would be taken"),
    ],
)
def test_a_market_order_worth_too_little_or_too_much_is_refused(
    qty: str, reason: str, hint: str
) -> None:
    with pytest.raises(InvalidOrder) as refused:
        check_market_notional(BOUNDED, D(qty), QUOTE)
    assert (refused.value.reason, refused.value.field, refused.value.hint) == (reason, "qty", hint)


@pytest.mark.parametrize("qty", ["0.095", "10.63"])
def test_a_market_order_near_the_bound_is_left_to_the_venue(qty: str) -> None:
    check_market_notional(BOUNDED, D(qty), QUOTE)


def test_a_market_order_without_such_a_filter_may_be_worth_anything() -> None:
    check_market_notional(FREE, D("1e-9"), QUOTE)
    check_market_notional(FREE, D(10**9), QUOTE)
