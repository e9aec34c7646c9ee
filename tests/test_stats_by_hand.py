"""The definitions of docs/statistics.md on small examples: every number was worked out on paper."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.test_stats import MS, T0, S, canceled, quote, row, rows, submit, traded

from brokerd.events import (
    Event,
    OrderAcknowledged,
    OrderRejected,
    OrderReplaced,
    OrderSubmitted,
    OrderTraded,
    QuoteSampled,
)
from brokerd.terms import OrdType, Quote, Side


def market(mid: str, after_ns: int) -> QuoteSampled:
    return QuoteSampled(
        at_ns=T0 + after_ns,
        executor="main",
        symbol="BTCUSDT",
        quote=quote(mid, T0 + after_ns, half="0.02"),
    )


SOLD: tuple[Event, ...] = (
    # To sell 8, decided at 50.10; it arrives at 49.98 / 50.02 and is sent at a mid of 49.95.
    submit(
        "s",
        quote("50.00", half="0.02"),
        side=Side.SELL,
        qty=Decimal(8),
        px=Decimal("49.75"),
        decision_px=Decimal("50.10"),
    ),
    OrderAcknowledged(
        at_ns=T0 + 30 * MS,
        cl_ord_id="s",
        venue_order_id="1",
        sent_at_ns=T0 + 10 * MS,
        sent_quote=quote("49.95", T0 + 10 * MS),
    ),
    traded(5, "49.90", 200 * MS, cl_ord_id="s", fee="0.12"),
    traded(1, "49.80", 1_200 * MS, cl_ord_id="s", fee="0.03"),
    market("49.85", 1_200 * MS),
    market("49.90", 2_200 * MS),
    replace(canceled(3 * S, "s"), quote=quote("49.70", T0 + 3 * S)),
)
"""6 of 8 sold, 5 at 49.90 and 1 at 49.80: P = 299.3 / 6 = 49.8833."""


def test_the_costs_of_a_sell() -> None:
    found = row(*SOLD)
    assert found.slippage_bps.bps == "23.3333"  # 0.116667 / 50
    assert found.slippage_touch_bps.bps == "19.3411"  # 0.096667 / 49.98, the bid
    assert found.slippage_decision_bps.bps == "43.2468"  # 0.216667 / 50.10
    assert found.slippage_limit_bps.bps == "-26.8007"  # -0.133333 / 49.75
    assert found.delay_bps.bps == "10"  # the mid fell by 0.05 of 50
    assert found.slippage_cost == {"USDT": "0.7"}  # 300 - 299.3
    assert found.volume == {"USDT": "299.3"}


def test_the_shortfall_of_a_sell_is_perolds() -> None:
    """6 x (50.10 - 49.8833) + 2 x (50.10 - 49.70) + 0.15 = 1.30 + 0.80 + 0.15."""
    found = row(*SOLD).shortfall
    assert (found.delay, found.trading) == ({"USDT": "0.8"}, {"USDT": "0.7"})
    assert (found.opportunity, found.fees) == ({"USDT": "0.6"}, {"USDT": "0.15"})
    assert (found.sum, found.bps) == ({"USDT": "2.25"}, "56.1377")  # of 8 x 50.10


def test_the_markouts_of_a_sell_are_weighted_by_quantity() -> None:
    """5 fell by 0.05 of 49.90 (10.0200 bps), 1 rose by 0.10 of 49.80 (-20.0803): 30.0197 / 6."""
    found = row(*SOLD).markout_bps["1s"]
    assert (found.bps, found.n, found.total) == ("5.0033", 2, 2)
    assert (found.p5_bps, found.p95_bps) == ("-20.0803", "10.02")


def test_the_times_of_a_sell() -> None:
    found = row(*SOLD)
    assert found.time_to_ack.p50_s == 0.02
    assert found.time_to_first_fill.p50_s == 0.2
    assert found.time_to_fill.n == 0  # 2 were left
    assert found.time_to_fill.qty_weighted_mean_s == 0.366667  # (5 x 0.2 + 1 x 1.2) / 6
    assert found.fill_ratio_qty.value == "0.75"


def test_both_sides_add_up_by_what_they_were_worth() -> None:
    """A buy of 10 at 100.20 for a mid of 100 (2.00 of 1,000) beside the sell (0.70 of 300)."""
    bought = (submit("b", quote("100.00")), traded(10, "100.20", MS, cl_ord_id="b"))
    found = row(*SOLD, *bought)
    assert found.slippage_bps.bps == "20.7692"  # 2.70 / 1,300
    assert found.slippage_bps.mean_bps == "21.6666"  # (23.3333 + 20) / 2, a half to even
    assert found.fill_ratio_qty.value == "0.888889"  # 16 / 18


def test_a_replaced_order_is_one_order_from_its_first_arrival() -> None:
    """Of 10 at 100 became 6 at 101: all 6 filled at 100.50, for a mid of 99.90 at arrival."""
    found = row(
        submit("r", quote("99.90"), px=Decimal(100)),
        OrderReplaced(at_ns=T0 + 2 * S, cl_ord_id="r", qty=Decimal(6), px=Decimal(101)),
        traded(6, "100.50", 4 * S, cl_ord_id="r", fee="0"),
    )
    assert (found.orders, found.orders_full_fill.value, found.fill_ratio_qty.value) == (1, "1", "1")
    assert found.slippage_bps.bps == "60.0601"  # 0.60 / 99.90
    assert found.slippage_limit_bps.bps == "-49.505"  # -0.50 / 101
    assert found.time_to_fill.p50_s == 4.0
    assert found.shortfall.sum == {"USDT": "3"}  # 6 x (100.50 - 100)


def test_one_rejected_order_far_too_large_is_told_beside_the_share_that_filled() -> None:
    """10 and 10 filled; 1,999,980 rejected at once: 20 of 2,000,000, the rest of it in one order."""
    filled = [
        event for each in "ab" for event in (submit(each), traded(10, "100", MS, cl_ord_id=each))
    ]
    refused = OrderRejected(at_ns=T0 + MS, cl_ord_id="c", reason="insufficient_balance")
    found = row(*filled, submit("c", qty=Decimal(1_999_980)), refused).fill_ratio_qty
    assert (found.value, found.n) == ("0.00001", 3)
    assert (found.rejected_orders, found.rejected_share) == (1, "0.99999")
    none = row(*filled, submit("d")).fill_ratio_qty
    assert (none.rejected_orders, none.rejected_share) == (0, "0")


def test_the_curve_of_fills_of_four_orders() -> None:
    """Filled at 10 s; canceled at 30 s; filled at 40 s; still open at 60 s: 1/4, then 1/2 of 3/4."""
    buys = [submit(each) for each in "abcd"]
    fills = [traded(10, "100", at * S, cl_ord_id=each) for each, at in (("a", 10), ("c", 40))]
    found = row(*buys, fills[0], canceled(30 * S, "b"), fills[1])
    assert [(each.after_s, each.share, each.at_risk) for each in found.filled_by] == [
        (10.0, "0.25", 4),
        (40.0, "0.625", 2),
    ]


def test_a_quote_is_stale_after_ten_seconds_and_not_at_them() -> None:
    for age_ns, n in ((10 * S, 1), (10 * S + 1, 0)):
        found = row(submit(arrival=quote("100", T0 - age_ns)), traded(10, "100", MS))
        assert (found.slippage_bps.n, found.arrival.stale) == (n, 1 - n)


def test_what_a_venue_filled_too_much_is_part_of_the_shortfall() -> None:
    """To buy 10, 12 were bought at 100.10, decided at 100: 1.20 and the fees, whoever wanted them."""
    found = row(submit(), traded(12, "100.10", MS, fee="0.3"))
    assert found.shortfall.delay == {"USDT": "0.6"}  # 12 x 0.05
    assert found.shortfall.sum == {"USDT": "1.5"}
    assert found.shortfall.bps == "12.5"  # of 12 x 100


def test_a_benchmark_of_0_is_none() -> None:
    """An empty book told as 0, a fill for nothing: missing, and never the end of all statistics."""
    nothing = Quote(Decimal(0), Decimal(0), T0)
    found = row(
        submit(arrival=nothing),
        OrderAcknowledged(
            at_ns=T0 + MS, cl_ord_id="x", venue_order_id="1", sent_at_ns=T0, sent_quote=nothing
        ),
        traded(10, "0", 100 * MS),
        market("100", 1_100 * MS),
    )
    for measured in (found.slippage_bps, found.slippage_touch_bps, found.delay_bps):
        assert (measured.n, measured.missing, measured.bps) == (0, 1, None)
    assert (found.arrival.n, found.arrival.missing, found.arrival.stale) == (0, 1, 1)
    assert (found.markout_bps["1s"].n, found.markout_bps["1s"].missing) == (0, 1)
    assert found.slippage_decision_bps.bps == "-10000"


def test_a_limit_of_0_is_no_benchmark() -> None:
    """As a venue may tell the terms of what became a market order."""
    free = OrderReplaced(at_ns=T0, cl_ord_id="x", qty=Decimal(10), px=Decimal(0))
    limit = row(submit(), free, traded(10, "100", MS)).slippage_limit_bps
    assert (limit.n, limit.total, limit.bps) == (0, 1, None)


@pytest.mark.parametrize("side", Side)
def test_figures_are_told_of_the_widest_numbers(side: Side) -> None:
    """A decision at the smallest price there is, a fill at the largest: nearly 10^39 bps."""
    tiny, huge = Decimal("1e-18"), Decimal("1e17")
    event: OrderSubmitted = submit(
        side=side, qty=Decimal(1), px=None, ord_type=OrdType.MARKET, decision_px=tiny
    )
    fill = OrderTraded(at_ns=T0 + MS, cl_ord_id="x", exec_id="1", last_qty=Decimal(1), last_px=huge)
    (found,) = rows([event, fill])
    expected = side.sign * (10**39 - 10_000)
    assert Decimal(found.slippage_decision_bps.median_bps or 0) == expected
    assert Decimal(found.slippage_decision_bps.bps or 0) == expected
    assert Decimal(found.shortfall.bps or 0) == expected
