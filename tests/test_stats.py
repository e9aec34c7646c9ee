"""The figures, by formulas and by laws: docs/statistics.md in numbers."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from brokerd.events import (
    DaemonStarted,
    Entry,
    Event,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderSubmitted,
    OrderTraded,
    QuoteSampled,
    RequestDoubted,
    RequestKind,
    RequestRetried,
)
from brokerd.fold import submitted
from brokerd.params import Window
from brokerd.scorecard.shapes import StatsRow
from brokerd.scorecard.show import show_statistics
from brokerd.stats import figures
from brokerd.stats.replay import samples
from brokerd.stats.runs import is_across
from brokerd.stats.sample import sample, unfilled_for
from brokerd.stats.tally import Table, Tally, coarsely, count, count_all, empty, exactly, merge
from brokerd.terms import OrdType, Quote, Side, Terms

MS, S = 1_000_000, 1_000_000_000
T0 = 1_760_000_000 * S


def quote(mid: str, at_ns: int = T0, half: str = "0.05") -> Quote:
    return Quote(Decimal(mid) - Decimal(half), Decimal(mid) + Decimal(half), at_ns)


def submit(cl_ord_id: str = "x", arrival: Quote | None = None, **terms: object) -> OrderSubmitted:
    told = {
        "executor": "main",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty": Decimal(10),
        "px": Decimal("100.5"),
        "decision_px": Decimal(100),
        **terms,
    }
    return OrderSubmitted(
        at_ns=T0,
        cl_ord_id=cl_ord_id,
        venue_cl_ord_id=f"v-{cl_ord_id}",
        terms=Terms(**told),  # type: ignore[arg-type]
        arrival=arrival or quote("100.05"),
        quote_asset="USDT",
    )


def traded(
    qty: int,
    px: str,
    after_ns: int,
    *,
    cl_ord_id: str = "x",
    fee: str = "0.35",
    asset: str = "USDT",
) -> OrderTraded:
    return OrderTraded(
        at_ns=T0 + after_ns,
        cl_ord_id=cl_ord_id,
        exec_id=f"{cl_ord_id}-{after_ns}",
        last_qty=Decimal(qty),
        last_px=Decimal(px),
        fee=Decimal(fee),
        fee_asset=asset,
    )


def acknowledged(cl_ord_id: str = "x", sent_quote: Quote | None = None) -> OrderAcknowledged:
    return OrderAcknowledged(
        at_ns=T0 + 5 * MS,
        cl_ord_id=cl_ord_id,
        venue_order_id=f"o-{cl_ord_id}",
        sent_at_ns=T0 + 1 * MS,
        sent_quote=sent_quote,
    )


def canceled(
    after_ns: int, cl_ord_id: str = "x", mid: str = "100.40", reason: str = ""
) -> OrderCanceled:
    return OrderCanceled(at_ns=T0 + after_ns, cl_ord_id=cl_ord_id, quote=quote(mid), reason=reason)


CHECK: tuple[Event, ...] = (
    submit(),
    acknowledged(sent_quote=quote("100.06")),
    traded(4, "100.10", 100 * MS),
    traded(3, "100.20", 300 * MS),
    canceled(1 * S),
)
"""The check value of the definitions."""


def rows(events: Sequence[Event], *group_by: str, now_ns: int = T0 + 60 * S) -> list[StatsRow]:
    table = Table(group_by)
    for each in samples([(n, Entry(event)) for n, event in enumerate(events, 1)], now_ns):  # type: ignore[arg-type]
        table.count(each)
    return show_statistics(table, window=Window(), seq=1, now_ns=now_ns, limit=100).rows


def row(*events: Event) -> StatsRow:
    (found,) = rows(events)
    return found


def test_the_check_value_comes_out() -> None:
    found = row(*CHECK)
    assert found.slippage_bps.bps == "9.2811"
    assert found.slippage_decision_bps.bps == "14.2857"
    shortfall = found.shortfall
    assert (shortfall.delay, shortfall.trading) == ({"USDT": "0.5"}, {"USDT": "0.65"})
    assert (shortfall.opportunity, shortfall.fees) == ({"USDT": "1.05"}, {"USDT": "0.7"})
    assert (shortfall.sum, shortfall.bps) == ({"USDT": "2.9"}, "29")
    assert (shortfall.mean_bps, shortfall.median_bps) == ("29", "29")
    assert found.fill_ratio_qty.value == "0.7"
    assert found.slippage_cost == {"USDT": "0.65"}


def test_the_other_benchmarks() -> None:
    found = row(*CHECK)
    assert found.slippage_touch_bps.bps == "4.2814"  # against the ask of 100.10
    assert found.slippage_limit_bps.bps == "-35.5366"
    assert found.delay_bps.bps == "0.9995"
    assert found.volume == {"USDT": "701"}
    assert found.arrival.n == 1


def test_costs_are_above_0_where_it_was_worse_for_us_on_both_sides() -> None:
    sell = row(
        submit(side=Side.SELL, px=Decimal(99), decision_px=Decimal("100.10")),
        traded(10, "100.00", 10 * MS),
    )
    assert Decimal(sell.slippage_bps.bps or 0) > 0
    assert Decimal(sell.slippage_decision_bps.bps or 0) > 0
    assert Decimal(sell.slippage_limit_bps.bps or 0) < 0


def test_the_headline_is_weighted_and_the_plain_mean_stands_beside_it() -> None:
    """5 bps on 1,000 and 1 bp on 100,000: 3.0 on average, 1.04 weighted."""
    at = quote("100", half="0")
    found = row(
        submit("a", at, qty=Decimal(10), px=None, ord_type=OrdType.MARKET),
        traded(10, "100.05", MS, cl_ord_id="a"),
        submit("b", at, qty=Decimal(1000), px=None, ord_type=OrdType.MARKET),
        traded(1000, "100.01", MS, cl_ord_id="b"),
    )
    assert (found.slippage_bps.bps, found.slippage_bps.mean_bps) == ("1.0396", "3")
    assert (found.slippage_bps.p5_bps, found.slippage_bps.p95_bps) == ("1", "5")


def test_what_is_missing_or_stale_is_counted_and_never_0() -> None:
    stale = quote("100.05", at_ns=T0 - 11 * S)
    events = (submit(arrival=stale, decision_px=None), traded(10, "100.10", MS))
    found = row(*events)
    assert (found.slippage_bps.n, found.slippage_bps.total, found.slippage_bps.missing) == (0, 1, 1)
    assert found.slippage_bps.bps is found.slippage_bps.median_bps is None
    assert (found.arrival.stale, found.arrival.missing) == (1, 1)
    assert found.slippage_decision_bps.missing == found.shortfall.missing == 1
    assert found.slippage_cost == {}


def test_a_stale_quote_is_no_benchmark_whatever_it_is_for() -> None:
    """Also the market when an order was sent, and at its end: it counts as missing, never as old."""
    old, fresh = -11 * S, -9 * S
    for after_ns, n in ((old, 0), (fresh, 1)):
        sent = quote("100.06", T0 + 1 * MS + after_ns)
        assert row(submit(), acknowledged(sent_quote=sent)).delay_bps.n == n
        end = quote("100.40", T0 + 1 * S + after_ns)
        found = row(submit(), acknowledged(), replace(canceled(1 * S), quote=end))
        assert (found.shortfall.n, found.shortfall.missing) == (n, 1 - n)


def test_the_headline_of_a_shortfall_is_weighted_and_its_distribution_stands_beside_it() -> None:
    """29 bps on 10, and 5 bps on 90: 7.4 by quantity, 17 on average."""
    small = CHECK
    large = (
        submit("y", qty=Decimal(90)),
        traded(90, "100.05", 100 * MS, cl_ord_id="y", fee="0"),
    )
    found = row(*small, *large).shortfall
    assert (found.bps, found.mean_bps) == ("7.4", "17")
    assert (found.p5_bps, found.median_bps, found.p95_bps) == ("5", "5", "29")


def test_a_shortfall_needs_the_market_at_the_end_only_for_what_was_left() -> None:
    full = row(submit(), traded(10, "100.10", MS))
    assert full.shortfall.n == 1
    left = row(submit(), traded(4, "100.10", MS), OrderCanceled(at_ns=T0 + S, cl_ord_id="x"))
    assert left.shortfall.n == 0
    other = row(submit(), traded(10, "100.10", MS, asset="BNB"))
    assert (other.shortfall.n, other.fees) == (0, {"BNB": "0.35"})


def test_a_fee_in_the_base_asset_costs_what_its_fill_did() -> None:
    fills = [
        traded(4, "100.10", MS, fee="0.004", asset="BTC"),
        traded(6, "100.20", 2 * MS, fee="0.5"),
    ]
    told = row(replace(submit(), base_asset="BTC"), *fills)
    assert (told.shortfall.n, told.fees) == (1, {"BTC": "0.004", "USDT": "0.5"})
    assert told.shortfall.fees == {"USDT": "0.9004"}
    assert row(submit(), *fills).shortfall.n == 0, "what the base asset is must be on record"


def test_paper_and_live_and_different_money_are_never_added_together() -> None:
    live, paper = submit("a"), submit("b")
    paper = OrderSubmitted(
        **{f: getattr(paper, f) for f in paper.__struct_fields__} | {"is_paper": True}
    )
    other = submit("c")
    other = OrderSubmitted(
        **{f: getattr(other, f) for f in other.__struct_fields__} | {"quote_asset": "EUR"}
    )
    fills = [traded(10, "100.10", MS, cl_ord_id=each) for each in "abc"]
    found = {each.mode: each for each in rows([live, paper, other, *fills])}
    assert (found["live"].orders, found["paper"].orders) == (2, 1)
    assert found["live"].volume == {"EUR": "1001", "USDT": "1001"}
    assert found["live"].slippage_bps.bps is None
    assert found["live"].slippage_bps.mean_bps == found["paper"].slippage_bps.bps


def test_rows_are_by_any_key_with_our_own_words_first() -> None:
    events = [
        submit("a", group={"user": "alice", "side": "left"}),
        submit("b", side=Side.SELL, group={"user": "bob"}),
        submit("c", group={"user": "alice"}),
    ]
    assert [each.group for each in rows(events, "user")] == [{"user": "alice"}, {"user": "bob"}]
    by_side = {each.group["side"]: each.orders for each in rows(events, "side")}
    assert by_side == {"buy": 2, "sell": 1}
    theirs = {each.group["group.side"]: each.orders for each in rows(events, "group.side")}
    assert theirs == {None: 2, "left": 1}


def test_markouts_are_gains_and_wait_for_their_quotes() -> None:
    sampled = QuoteSampled(
        at_ns=T0 + 1_100 * MS, executor="main", symbol="BTCUSDT", quote=quote("100.20")
    )
    found = row(submit(), traded(10, "100.00", 50 * MS), sampled)
    one = found.markout_bps["1s"]
    assert (one.bps, one.n, one.total) == ("20", 1, 1)
    assert found.markout_bps["5s"].missing == 1


def test_times_are_from_where_they_say() -> None:
    found = row(*CHECK)
    assert found.time_to_ack.mean_s == 0.004
    assert found.time_to_first_fill.p50_s == 0.1
    assert (found.time_to_fill.n, found.time_to_fill.total) == (0, 0)
    assert found.time_to_fill.qty_weighted_mean_s == round((4 * 0.1 + 3 * 0.3) / 7, 6)


def started(after_ns: int) -> DaemonStarted:
    return DaemonStarted(at_ns=T0 + after_ns, version="t", epoch="t")


def test_a_time_across_a_restart_is_told_apart() -> None:
    """The wall clock, which may have been set meanwhile, is all that there is to measure it by."""
    found = row(
        started(-60 * S),
        submit("within"),
        acknowledged("within"),
        traded(10, "100", S, cl_ord_id="within"),
        submit("across"),
        acknowledged("across"),
        traded(4, "100", S, cl_ord_id="across"),
        submit("unfilled"),
        started(10 * S),
        traded(3, "100", 20 * S, cl_ord_id="across"),
        started(30 * S),
        traded(3, "100", 40 * S, cl_ord_id="across"),
        traded(1, "100", 41 * S, cl_ord_id="unfilled"),
    )
    across = {
        "time_to_ack": found.time_to_ack.across_restarts,
        "time_to_first_fill": found.time_to_first_fill.across_restarts,
        "time_to_fill": found.time_to_fill.across_restarts,
    }
    # Whoever is first heard of by a fill has no time to the venue's first word.
    assert across == {"time_to_ack": 0, "time_to_first_fill": 1, "time_to_fill": 1}
    assert (found.time_to_ack.n, found.time_to_first_fill.n, found.time_to_fill.n) == (2, 3, 2)
    assert found.time_to_fill.fills_across_restarts == 3


def test_a_doubt_that_outlived_its_run_is_told_apart() -> None:
    """What a start only then begins to doubt, or what was over before, is not."""
    doubt = RequestKind.NEW
    found = row(
        submit("over"),
        RequestDoubted(at_ns=T0 + S, cl_ord_id="over", request=doubt),
        replace(acknowledged("over"), at_ns=T0 + 3 * S),
        submit("outlives"),
        RequestDoubted(at_ns=T0 + 2 * S, cl_ord_id="outlives", request=doubt),
        submit("by the start"),
        started(10 * S),
        RequestDoubted(at_ns=T0 + 10 * S, cl_ord_id="outlives", request=doubt),
        RequestDoubted(at_ns=T0 + 10 * S, cl_ord_id="by the start", request=doubt),
        replace(acknowledged("outlives"), at_ns=T0 + 12 * S),
        replace(acknowledged("by the start"), at_ns=T0 + 12 * S),
    )
    lasted = found.doubts.lasted
    assert (lasted.n, lasted.across_restarts) == (3, 1)
    assert lasted.p99_s == 10.0


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "expected"),
    [(1, 9, False), (1, 10, True), (9, 11, True), (10, 19, False), (5, 25, True), (20, 20, False)],
)
def test_what_happens_as_a_run_begins_belongs_to_it(
    from_ns: int, to_ns: int, expected: bool
) -> None:
    assert is_across([10, 20], from_ns, to_ns) is expected


def test_the_three_fill_ratios_differ() -> None:
    found = row(*CHECK, submit("b"), traded(10, "100", MS, cl_ord_id="b"), submit("c"))
    assert found.fill_ratio_qty.value == "0.566667"
    assert found.orders_any_fill.value == "0.666667"
    assert found.orders_full_fill.value == "0.333333"


def test_outcomes_reasons_retries_and_doubts_are_counted() -> None:
    found = row(
        submit("a"),
        RequestDoubted(at_ns=T0 + S, cl_ord_id="a", request=RequestKind.NEW),
        RequestDoubted(at_ns=T0 + 2 * S, cl_ord_id="a", request=RequestKind.NEW),
        OrderAcknowledged(at_ns=T0 + 4 * S, cl_ord_id="a", venue_order_id="1"),
        submit("b"),
        RequestRetried(at_ns=T0 + S, cl_ord_id="b", request=RequestKind.NEW, attempt=2),
        OrderRejected(at_ns=T0 + S, cl_ord_id="b", reason="insufficient_balance"),
        submit("c"),
        canceled(S, "c", reason="self_trade"),
        submit("d"),
        OrderExpired(at_ns=T0 + S, cl_ord_id="d", reason="ioc"),
        submit("e"),
        RequestDoubted(at_ns=T0 + S, cl_ord_id="e", request=RequestKind.NEW),
    )
    assert found.outcomes == {
        "canceled": 1, "expired": 1, "new": 1, "pending_new": 1, "rejected": 1,
    }  # fmt: skip
    assert (found.rejected, found.canceled) == ({"insufficient_balance": 1}, {"self_trade": 1})
    assert (found.expired, found.retries, found.orders_retried) == ({"ioc": 1}, 1, 1)
    doubts = found.doubts
    assert (doubts.requests, doubts.orders, doubts.unresolved) == (3, 2, 1)
    assert (doubts.lasted.n, doubts.lasted.missing, doubts.lasted.mean_s) == (1, 1, 3.0)


def test_the_curve_of_fills_counts_cancels_as_censored() -> None:
    """Kaplan and Meier: two of five fill at 1 s, one leaves at 2 s, one of the last two at 3 s."""
    filled, censored = {1: 2, 3: 1}, {2: 1, 4: 1}
    assert list(figures.filled_by(filled, censored)) == [
        (1, Decimal("0.4"), 5),
        (3, Decimal("0.7"), 2),
    ]


def test_an_open_order_is_censored_when_somebody_asks() -> None:
    order = submitted(submit(), 1)
    assert sample(order, (), None).values == []
    assert sample(order, (), T0 + 3 * S).values == [unfilled_for(T0, T0 + 3 * S)]


def test_an_order_without_any_quote_has_no_arrival() -> None:
    bare = submit()
    event = OrderSubmitted(
        **{f: getattr(bare, f) for f in bare.__struct_fields__} | {"arrival": None}
    )
    assert (row(event).arrival.n, row(event).arrival.missing) == (0, 1)


def test_tallies_of_one_key_join_their_row() -> None:
    life = samples([(n, Entry(event)) for n, event in enumerate(CHECK, 1)], T0)[0]  # type: ignore[arg-type]
    tally, whole, parts = empty(), Table(("user",)), Table(("user",))
    count(tally, life, exactly)
    whole.count(life)
    parts.merge(parts.row_of(life.key), life.key.quote_asset, tally)
    assert parts.rows == whole.rows


def test_an_open_order_is_censored_now() -> None:
    found = row(submit("a"), traded(10, "100", 2 * S, cl_ord_id="a"), submit("b"))
    assert [(each.after_s, each.share, each.at_risk) for each in found.filled_by] == [
        (2.0, "0.5", 2)
    ]


def test_a_long_curve_keeps_its_ends() -> None:
    steps = [(t, Decimal(t), 1) for t in range(1000)]
    thin = figures.thinned(steps)
    assert (thin[0], thin[-1], len(thin)) == (steps[0], steps[-1], figures.CURVE_POINTS_MAX)


@given(st.integers(-(10**15), 10**15))
def test_a_bucket_is_within_its_promise(value: int) -> None:
    assert abs(coarsely(value) - value) * 250 <= abs(value)
    assert coarsely(-value) == -coarsely(value)
    assert exactly(value) == value


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1), st.sampled_from([0.05, 0.5, 0.95, 1.0]))
def test_a_quantile_has_its_share_at_or_below(values: list[int], q: float) -> None:
    spread = {value: values.count(value) for value in values}
    found = figures.quantiles(spread, (q,))[0]
    assert found in values
    assert sum(value <= found for value in values) >= q * len(values)
    assert sum(value < found for value in values) < q * len(values)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1))
def test_quantiles_are_the_same_together_as_alone(values: list[int]) -> None:
    spread, shares = {value: values.count(value) for value in values}, (0.05, 0.5, 0.5, 0.95, 1.0)
    alone = [figures.quantiles(spread, (share,))[0] for share in shares]
    assert figures.quantiles(spread, shares) == alone


def test_a_quantile_of_nothing_is_missing() -> None:
    assert figures.quantiles({}, (0.5, 0.9)) == [None, None]


LIVES = [
    CHECK,
    (submit("a"), traded(10, "100.07", 3 * MS, cl_ord_id="a")),
    (submit("b", side=Side.SELL), acknowledged("b"), canceled(9 * MS, "b")),
    (submit("c"), OrderRejected(at_ns=T0 + S, cl_ord_id="c", reason="r")),
    (submit("d", decision_px=None, group={"k": "v"}),),
]


@given(st.permutations(range(len(LIVES))), st.integers(0, len(LIVES)))
def test_samples_add_up_the_same_in_any_order_and_any_parts(order: list[int], cut: int) -> None:
    found = [
        samples([(n, Entry(event)) for n, event in enumerate(life, 1)], T0 + S)[0]  # type: ignore[arg-type]
        for life in LIVES
    ]
    whole, parts, at_once = empty(), [empty(), empty()], empty()
    for each in found:
        count(whole, each, coarsely)
    for place in order:
        count(parts[place < cut], found[place], coarsely)
    both: Tally = empty()
    for part in parts:
        merge(both, part)
    assert both == whole
    for some in (found[:cut], found[cut:]):
        count_all(at_once, some, coarsely)
    assert at_once == whole


def test_a_duration_that_would_run_backwards_is_missing() -> None:
    late = OrderAcknowledged(at_ns=T0, cl_ord_id="x", venue_order_id="1", sent_at_ns=T0 + S)
    found = row(submit(), late)
    assert (found.time_to_ack.n, found.time_to_ack.missing) == (0, 1)


def test_rows_beyond_the_limit_are_counted() -> None:
    table = Table(("user",))
    events = [submit(str(n), group={"user": str(n % 3)}) for n in range(7)]
    for each in samples([(n, Entry(event)) for n, event in enumerate(events, 1)], T0):
        table.count(each)
    shown = show_statistics(
        table, window=Window(since_ns=T0, until_ns=T0 + S), seq=1, now_ns=T0, limit=1
    )
    assert ([each.orders for each in shown.rows], shown.rows_left_out, shown.orders) == ([3], 2, 7)


@pytest.mark.parametrize("name", ["slippage_bps", "slippage_touch_bps", "delay_bps"])
def test_no_orders_no_figures(name: str) -> None:
    assert rows([]) == []
    assert getattr(row(submit(arrival=quote("1", at_ns=0))), name).bps is None
