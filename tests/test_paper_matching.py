"""The paper venue's matching: every order type, time in force, priority, stops, expiries, money."""

from decimal import Decimal
from time import perf_counter

import msgspec
import pytest
from tests.fixtures.paper.orders import (
    BTC,
    FUNDS,
    cancel,
    code,
    free,
    locked,
    order,
    print_trade,
    quote,
    ref,
    replace,
    told,
    venue,
)

from brokerd.executor import OrderRef, PlaceOrder
from brokerd.states import OrdStatus
from brokerd_adapters.paper import Fees, PaperVenue
from brokerd_adapters.paper.matching import Special
from brokerd_adapters.paper.records import SelfTrade
from brokerd_adapters.paper.rules import DAY_NS


def status(at: PaperVenue, placed: PlaceOrder) -> tuple[OrdStatus, Decimal]:
    view = at.order(ref(placed))
    assert view is not None
    return view.ord_status, view.cum_qty


class TestTaking:
    def test_a_market_order_trades_up_to_the_quotes_size_and_the_rest_expires(self) -> None:
        at = venue()
        placed = order("buy", "1.5")
        assert told(at.place(placed, 2)) == ["new", "trade 1 @ 101 taker", "expired"]
        assert status(at, placed) == (OrdStatus.EXPIRED, Decimal(1))

    def test_a_market_sell_hits_the_bid(self) -> None:
        assert told(venue().place(order("sell", "0.4"), 2)) == ["new", "trade 0.4 @ 99 taker"]

    def test_consumed_size_is_gone_until_the_next_quote(self) -> None:
        at = venue()
        at.place(order("buy", "0.7"), 2)
        assert told(at.place(order("buy", "0.7"), 2)) == ["new", "trade 0.3 @ 101 taker", "expired"]
        assert told(at.place(order("buy", "0.7"), 2)) == ["new", "expired"]
        quote(at)
        assert told(at.place(order("buy", "0.7"), 3)) == ["new", "trade 0.7 @ 101 taker"]

    def test_before_the_first_quote_a_market_order_finds_nothing(self) -> None:
        at = PaperVenue({"BTCUSDT": BTC}, FUNDS)
        assert told(at.place(order("buy", "1"), 1)) == ["new", "expired"]

    def test_a_limit_order_trades_at_the_better_price_and_rests_with_the_remainder(self) -> None:
        at = venue()
        placed = order("buy", "1.5", "102")
        assert told(at.place(placed, 2)) == ["new", "trade 1 @ 101 taker"]
        assert status(at, placed) == (OrdStatus.PARTIALLY_FILLED, Decimal(1))

    @pytest.mark.parametrize("tif", ["ioc", "fok"])
    def test_at_once_orders_never_rest(self, tif: str) -> None:
        at = venue()
        assert told(at.place(order("buy", "1", "100", tif=tif), 2)) == ["new", "expired"]
        assert not list(at.open_orders())

    def test_ioc_takes_what_is_there(self) -> None:
        words = told(venue().place(order("buy", "1.5", "101", tif="ioc"), 2))
        assert words == ["new", "trade 1 @ 101 taker", "expired"]

    @pytest.mark.parametrize("px", ["101", None])
    def test_fok_takes_all_or_nothing(self, px: str | None) -> None:
        at = venue()
        assert told(at.place(order("buy", "1.001", px, tif="fok"), 2)) == ["new", "expired"]
        assert told(at.place(order("buy", "1", px, tif="fok"), 2)) == ["new", "trade 1 @ 101 taker"]

    def test_fok_counts_our_own_resting_orders_and_the_quote_together(self) -> None:
        at = venue()
        at.place(order("sell", "1", "102"), 2)
        assert told(at.place(order("buy", "2.001", "102", tif="fok"), 3)) == ["new", "expired"]
        assert told(at.place(order("buy", "2", "102", tif="fok"), 3)) == [
            "new",
            "trade 1 @ 101 taker",
            "trade 1 @ 102 taker",
            "trade 1 @ 102 maker",
        ]

    def test_a_quote_off_the_lot_grid_is_traded_down_to_the_grid(self) -> None:
        at = venue()
        quote(at, size="0.0019")
        placed = order("buy", "0.1", "101")
        assert told(at.place(placed, 2)) == ["new", "trade 0.001 @ 101 taker"]


class TestResting:
    def test_an_order_far_from_the_market_rests(self) -> None:
        at = venue()
        assert told(at.place(order("buy", "1000", "0.01"), 2)) == ["new"]
        assert told(at.place(order("sell", "0.001", "99999999"), 2)) == ["new"]

    def test_a_quote_that_meets_a_resting_order_trades_at_the_orders_price(self) -> None:
        at = venue()
        at.place(order("buy", "2", "100"), 2)
        assert told(quote(at, "98", "100", size="0.5")) == ["trade 0.5 @ 100 maker"]
        assert told(quote(at, "90", "95", size="5")) == ["trade 1.5 @ 100 maker"]

    def test_a_falling_quote_does_not_trade_with_sells(self) -> None:
        at = venue()
        at.place(order("sell", "2", "102"), 2)
        assert told(quote(at, "98", "100")) == []
        assert told(quote(at, "102", "103")) == ["trade 1 @ 102 maker"]

    def test_makers_consume_the_quote_that_crossed_them(self) -> None:
        at = venue()
        at.place(order("buy", "0.6", "100"), 2)
        quote(at, "98", "100", size="1")
        assert told(at.place(order("buy", "1", "100"), 3)) == ["new", "trade 0.4 @ 100 taker"]

    def test_a_print_is_shared_in_price_then_time_order(self) -> None:
        at = venue()
        late, early, better = (order("buy", "1", px) for px in ("99", "99", "100"))
        for placed in (early, late, better):
            at.place(placed, 2)
        assert told(print_trade(at, "99", "2.5", seller_took=True)) == [
            "trade 1 @ 100 maker",
            "trade 1 @ 99 maker",
            "trade 0.5 @ 99 maker",
        ]
        assert status(at, better)[0] is OrdStatus.FILLED
        assert status(at, early)[0] is OrdStatus.FILLED
        assert status(at, late) == (OrdStatus.PARTIALLY_FILLED, Decimal("0.5"))

    def test_a_print_at_our_price_on_the_other_side_leaves_us_alone(self) -> None:
        at = venue()
        at.place(order("buy", "1", "99"), 2)
        assert told(print_trade(at, "99", "1", seller_took=False)) == []

    def test_a_print_through_our_price_trades_with_us_whoever_took(self) -> None:
        at = venue()
        at.place(order("buy", "1", "99"), 2)
        assert told(print_trade(at, "98.99", "0.3", seller_took=False)) == ["trade 0.3 @ 99 maker"]

    def test_a_print_beyond_our_price_does_not_reach_us(self) -> None:
        at = venue()
        at.place(order("buy", "1", "99"), 2)
        assert told(print_trade(at, "99.01", "1", seller_took=True)) == []

    def test_our_own_orders_trade_with_each_other_in_price_time_order(self) -> None:
        at = venue()
        first, second = order("sell", "0.2", "100"), order("sell", "1", "100")
        at.place(first, 2)
        at.place(second, 2)
        assert told(at.place(order("buy", "0.5", "100"), 3)) == [
            "new",
            "trade 0.2 @ 100 taker",
            "trade 0.2 @ 100 maker",
            "trade 0.3 @ 100 taker",
            "trade 0.3 @ 100 maker",
        ]
        assert status(at, second) == (OrdStatus.PARTIALLY_FILLED, Decimal("0.3"))

    def test_at_one_price_the_quote_goes_before_our_own(self) -> None:
        at = venue()
        at.place(order("sell", "1", "101"), 2)
        assert told(at.place(order("buy", "1.5", "101"), 3)) == [
            "new",
            "trade 1 @ 101 taker",
            "trade 0.5 @ 101 taker",
            "trade 0.5 @ 101 maker",
        ]

    def test_post_only_is_refused_where_it_would_trade_and_rests_where_not(self) -> None:
        at = venue()
        assert code(at.place(order("buy", "1", "101", post_only=True), 2)) == "would_trade"
        assert told(at.place(order("buy", "1", "100.99", post_only=True), 2)) == ["new"]
        assert code(at.place(order("sell", "1", "100.99", post_only=True), 2)) == "would_trade"


class TestStops:
    def test_a_stop_sleeps_until_the_last_trade_reaches_it(self) -> None:
        at = venue()
        placed = order("buy", "0.5", stop_px="105")
        assert told(at.place(placed, 2)) == ["new"]
        quote(at, "106", "107")
        assert told(print_trade(at, "104.99", "1", seller_took=False)) == []
        assert told(print_trade(at, "105", "1", seller_took=False)) == ["trade 0.5 @ 107 taker"]

    def test_a_sell_stop_waits_for_a_fall(self) -> None:
        at = venue()
        at.place(order("sell", "0.5", stop_px="95"), 2)
        assert told(print_trade(at, "96", "1", seller_took=True)) == []
        assert told(print_trade(at, "94", "1", seller_took=True)) == ["trade 0.5 @ 99 taker"]

    def test_an_elected_stop_limit_rests_at_its_limit(self) -> None:
        at = venue()
        placed = order("buy", "0.5", "100", stop_px="105")
        at.place(placed, 2)
        assert told(print_trade(at, "105", "1", seller_took=False)) == []
        assert told(quote(at, "98", "100")) == ["trade 0.5 @ 100 maker"]

    def test_a_sleeping_stop_limit_does_not_trade(self) -> None:
        at = venue()
        at.place(order("buy", "0.5", "200", stop_px="150"), 2)
        assert told(quote(at, "99", "101")) == []
        assert told(print_trade(at, "101", "1", seller_took=True)) == []

    def test_a_stop_that_is_reached_already_is_elected_at_once(self) -> None:
        at = venue()
        print_trade(at, "110", "1", seller_took=False)
        placed = order("buy", "0.5", stop_px="105")
        assert told(at.place(placed, 2)) == ["new", "trade 0.5 @ 101 taker"]

    def test_our_own_fills_do_not_elect_stops(self) -> None:
        at = venue()
        at.place(order("buy", "0.1", stop_px="101"), 2)
        assert told(at.place(order("buy", "0.5"), 2)) == ["new", "trade 0.5 @ 101 taker"]

    def test_stops_are_elected_nearest_trigger_first(self) -> None:
        at = venue()
        far, near = order("buy", "1", stop_px="106"), order("buy", "1", stop_px="105")
        at.place(far, 2)
        at.place(near, 2)
        print_trade(at, "107", "1", seller_took=False)
        assert status(at, near) == (OrdStatus.FILLED, Decimal(1))
        assert status(at, far) == (OrdStatus.EXPIRED, Decimal(0))

    def test_a_sleeping_stop_can_be_canceled_and_replaced(self) -> None:
        at = venue()
        placed = order("buy", "1", stop_px="105")
        at.place(placed, 2)
        assert told(at.replace(replace(placed, "2"), 3)) == ["replaced"]
        assert code(at.replace(replace(placed, "2", "100"), 3)) == "px_not_allowed"
        assert told(at.cancel(cancel(placed), 4)) == ["canceled"]
        assert told(print_trade(at, "110", "1", seller_took=False)) == []

    def test_a_replaced_stop_is_measured_as_the_stop_it_is(self) -> None:
        coarse = msgspec.structs.replace(BTC, lot=Decimal("0.1"), market_lot=Decimal(1))
        at = PaperVenue({"BTCUSDT": coarse}, FUNDS)
        quote(at)
        placed = order("buy", "0.5", stop_px="105")
        assert told(at.place(placed, 2)) == ["new"]
        assert told(at.replace(replace(placed, "0.4"), 3)) == ["replaced"]


class TestTime:
    def test_day_orders_expire_at_midnight_utc(self) -> None:
        at = venue()
        placed = order("buy", "1", "90", tif="day")
        at.place(placed, 5 * DAY_NS + 1)
        assert told(at.on_time(6 * DAY_NS - 1)) == []
        assert told(at.on_time(6 * DAY_NS)) == ["expired"]
        assert status(at, placed)[0] is OrdStatus.EXPIRED

    def test_gtd_orders_expire_at_their_time_and_release_their_funds(self) -> None:
        at = venue()
        at.place(order("buy", "1", "90", tif="gtd", expire_at_ns=1_000), 2)
        at.place(order("sell", "1", stop_px="50", tif="gtd", expire_at_ns=500), 2)
        assert told(at.on_time(999)) == ["expired"]
        assert told(at.on_time(1_000)) == ["expired"]
        assert (locked(at, "USDT"), locked(at, "BTC")) == (0, 0)

    def test_gtd_in_the_past_is_refused(self) -> None:
        placed = order("buy", "1", "90", tif="gtd", expire_at_ns=5)
        assert code(venue().place(placed, 5)) == "expire_at_passed"

    def test_a_closed_order_does_not_expire(self) -> None:
        at = venue()
        placed = order("buy", "1", "90", tif="gtd", expire_at_ns=1_000)
        at.place(placed, 2)
        at.cancel(cancel(placed), 3)
        assert told(at.on_time(1_000)) == []

    def test_time_never_steps_back(self) -> None:
        at = venue()
        at.place(order("buy", "0.1"), 100)
        at.place(order("buy", "0.1"), 50)
        assert [r.venue_at_ns for r in at.executions_since(100)] == [100, 100]


class TestRefusals:
    @pytest.mark.parametrize(
        ("placed", "word"),
        [
            (order("buy", "1", "100", symbol="DOGEUSDT"), "unknown_symbol"),
            (order("buy", "1", "100.001"), "not_on_tick"),
            (order("buy", "1.0001", "100"), "not_on_lot"),
            (order("buy", "0.049", "100"), "below_minimum_notional"),
            (order("buy", "0.049"), "below_minimum_notional"),
            (order("buy", "0.01", stop_px="200"), "below_minimum_notional"),
            (order("buy", "10001", "100"), "insufficient_balance"),
            (order("buy", "9901"), "insufficient_balance"),
            (order("buy", "5001", stop_px="200"), "insufficient_balance"),
            (order("sell", "1000.001", "100"), "insufficient_balance"),
            (order("sell", "1000.001"), "insufficient_balance"),
            (order("buy", "1", "100", tif="ioc", post_only=True), "post_only_cannot_rest"),
            (order("buy", "1", "100", id="x" * 65), "bad_client_id"),
        ],
    )
    def test_what_cannot_be_is_refused_and_leaves_no_trace(
        self, placed: PlaceOrder, word: str
    ) -> None:
        at = venue()
        before = at.balances()
        assert code(at.place(placed, 2)) == word
        assert at.order(ref(placed)) is None
        assert at.balances() == before

    def test_a_client_id_is_refused_for_ever_by_default(self) -> None:
        at = venue()
        placed = order("buy", "0.5", "101")
        at.place(placed, 2)
        assert code(at.place(placed, 3)) == "duplicate_client_id"

    def test_a_client_id_can_be_refused_only_while_open(self) -> None:
        at = venue(repeat_id="refused_while_open")
        placed = order("buy", "1", "100")
        at.place(placed, 2)
        assert code(at.place(placed, 3)) == "duplicate_client_id"
        at.cancel(cancel(placed), 4)
        assert told(at.place(placed, 5)) == ["new"]
        assert status(at, placed)[0] is OrdStatus.NEW

    def test_cancel_and_replace_say_whether_the_order_is_unknown_or_done(self) -> None:
        at = venue()
        placed = order("buy", "0.5")
        for request in (at.cancel(cancel(placed), 2), at.replace(replace(placed, "1"), 2)):
            assert code(request) == "unknown_order"
            assert request.is_about_order
        at.place(placed, 2)
        for request in (at.cancel(cancel(placed), 3), at.replace(replace(placed, "1"), 3)):
            assert code(request) == "order_done"
            assert request.is_about_order


class TestReplacing:
    def test_a_smaller_quantity_at_the_same_price_keeps_its_place(self) -> None:
        at = venue()
        first, second = order("buy", "1", "100"), order("buy", "1", "100")
        at.place(first, 2)
        at.place(second, 2)
        at.replace(replace(first, "0.5"), 3)
        print_trade(at, "100", "0.5", seller_took=True)
        assert status(at, first)[0] is OrdStatus.FILLED

    @pytest.mark.parametrize(("qty", "px"), [("1.5", None), ("1", "99.5")])
    def test_more_quantity_or_another_price_goes_to_the_back(
        self, qty: str, px: str | None
    ) -> None:
        at = venue()
        first, second = order("buy", "1", "100"), order("buy", "1", px or "100")
        at.place(first, 2)
        at.place(second, 2)
        at.replace(replace(first, qty, px), 3)
        print_trade(at, "99.5", "1", seller_took=True)
        assert status(at, second)[0] is OrdStatus.FILLED
        assert status(at, first)[0] is OrdStatus.NEW

    def test_the_quantity_is_the_total_with_what_is_filled(self) -> None:
        at = venue()
        placed = order("buy", "2", "101")
        at.place(placed, 2)
        report = at.replace(replace(placed, "1.5", "100", no=7), 3)[0]
        assert (report.qty, report.px, report.replace_no) == (Decimal("1.5"), Decimal(100), 7)
        assert told(print_trade(at, "100", "9", seller_took=True)) == ["trade 0.5 @ 100 maker"]
        assert code(at.replace(replace(placed, "3"), 4)) == "order_done"

    def test_below_what_is_filled_is_refused(self) -> None:
        at = venue()
        placed = order("buy", "2", "101")
        at.place(placed, 2)
        assert code(at.replace(replace(placed, "1"), 3)) == "qty_already_filled"

    def test_a_new_price_may_take(self) -> None:
        at = venue()
        placed = order("buy", "0.5", "90")
        at.place(placed, 2)
        assert told(at.replace(replace(placed, "0.5", "101"), 3)) == [
            "replaced",
            "trade 0.5 @ 101 taker",
        ]

    def test_post_only_stays_post_only(self) -> None:
        at = venue()
        placed = order("buy", "0.5", "90", post_only=True)
        at.place(placed, 2)
        assert code(at.replace(replace(placed, "0.5", "101"), 3)) == "would_trade"

    def test_filters_and_funds_are_checked_again(self) -> None:
        at = venue()
        placed = order("buy", "1", "100")
        at.place(placed, 2)
        assert code(at.replace(replace(placed, "1", "100.001"), 3)) == "not_on_tick"
        assert code(at.replace(replace(placed, "10001"), 3)) == "insufficient_balance"
        assert told(at.replace(replace(placed, "10000"), 3)) == ["replaced"]


class TestMoney:
    def test_a_resting_buy_locks_its_cost_with_the_worst_fee_and_a_cancel_releases_it(self) -> None:
        at = venue(fees=Fees(maker_bps=Decimal(5), taker_bps=Decimal(10)))
        placed = order("buy", "2", "90")
        at.place(placed, 2)
        assert locked(at, "USDT") == Decimal("180.18")
        assert free(at, "USDT") == Decimal("999819.82")
        at.cancel(cancel(placed), 3)
        assert (free(at, "USDT"), locked(at, "USDT")) == (Decimal(1_000_000), Decimal(0))

    def test_fees_are_exact_and_in_the_quote_asset(self) -> None:
        at = venue(fees=Fees(maker_bps=Decimal(-1), taker_bps=Decimal("7.5")))
        at.place(order("buy", "0.123", "101"), 2)
        fill = at.executions_since(0)[0].execution
        assert (fill.fee, fill.fee_asset) == (Decimal("0.00931725"), "USDT")
        assert free(at, "USDT") == Decimal("999987.56768275")
        assert free(at, "BTC") == Decimal("1000.123")
        at.place(order("sell", "1", "110"), 3)
        print_trade(at, "110", "1", seller_took=False)
        assert at.executions_since(0)[1].execution.fee == Decimal("-0.011")

    def test_a_better_price_gives_back_the_difference(self) -> None:
        at = venue()
        at.place(order("buy", "1", "150"), 2)
        assert (free(at, "USDT"), locked(at, "USDT")) == (Decimal(999_899), Decimal(0))

    def test_a_stop_locks_by_its_trigger_price(self) -> None:
        at = venue()
        at.place(order("buy", "1", stop_px="150"), 2)
        assert locked(at, "USDT") == 150
        print_trade(at, "150", "1", seller_took=False)
        assert (free(at, "USDT"), locked(at, "USDT")) == (Decimal(999_899), Decimal(0))

    def test_an_elected_stop_stops_buying_where_the_money_ends(self) -> None:
        at = venue(balances={"USDT": Decimal(150), "BTC": Decimal(0)})
        placed = order("buy", "1", stop_px="150")
        at.place(placed, 2)
        quote(at, "199", "200")
        assert told(print_trade(at, "150", "1", seller_took=False)) == ["expired"]
        assert (free(at, "USDT"), locked(at, "USDT")) == (Decimal(150), Decimal(0))

    def test_every_open_order_is_covered_together(self) -> None:
        at = venue(balances={"USDT": Decimal(150), "BTC": Decimal(0)})
        at.place(order("buy", "1", "100"), 2)
        assert code(at.place(order("buy", "1", "51"), 2)) == "insufficient_balance"
        assert told(at.place(order("buy", "1", "50"), 2)) == ["new"]


class TestQuestions:
    def test_an_order_is_found_by_either_id_with_all_its_executions(self) -> None:
        at = venue()
        placed = order("buy", "2", "101")
        number = at.place(placed, 2)[0].venue_order_id
        print_trade(at, "101", "0.25", seller_took=True)
        by_ours = at.order(ref(placed))
        by_theirs = at.order(
            OrderRef(symbol="BTCUSDT", venue_cl_ord_id="unknown", venue_order_id=number)
        )
        assert by_ours == by_theirs
        assert [e.last_qty for e in by_ours.executions] == [Decimal(1), Decimal("0.25")]
        assert by_ours.cum_qty == Decimal("1.25")

    def test_executions_since_a_time_include_that_time(self) -> None:
        at = venue()
        for now_ns in (10, 20, 30):
            at.place(order("buy", "0.1"), now_ns)
        assert [r.venue_at_ns for r in at.executions_since(20)] == [20, 30]

    def test_open_orders_yields_each_as_it_is_by_then(self) -> None:
        at = venue()
        first, second = order("buy", "1", "90"), order("buy", "1", "91")
        at.place(first, 2)
        at.place(second, 2)
        views = at.open_orders()
        assert next(views).ord_status is OrdStatus.NEW
        at.cancel(cancel(second), 3)
        assert next(views).ord_status is OrdStatus.CANCELED

    def test_memory_of_closed_orders_is_bounded(self) -> None:
        at = venue(closed_max=2)
        placed = [order("buy", "0.1") for _ in range(4)]
        for request in placed:
            at.place(request, 2)
        assert [at.order(ref(request)) is not None for request in placed] == [
            False,
            False,
            True,
            True,
        ]
        assert len(at.executions_since(0)) == 2

    def test_forgetting_loses_orders_but_never_repeats_a_number(self) -> None:
        at = venue()
        placed = order("buy", "1", "90")
        number = at.place(placed, 2)[0].venue_order_id
        at.forget()
        assert at.order(ref(placed)) is None
        assert free(at, "USDT") == 1_000_000
        assert not told(quote(at, "80", "85"))
        assert int(at.place(placed, 3)[0].venue_order_id) > int(number)


class TestScale:
    def test_tens_of_thousands_of_resting_orders_do_not_slow_the_next(self) -> None:
        """A scan over open orders or levels would cost 100 times more; the bound is 10 times."""

        def cost_s(at: PaperVenue) -> float:
            requests = [order("buy", "0.001", f"{5_000 + i}.5") for i in range(300)]
            quote(at, "9000000", "9000001")
            began_s = perf_counter()
            for request in requests:
                at.place(request, 3)
            for request in requests:
                at.cancel(cancel(request), 4)
            return perf_counter() - began_s

        balances = {"USDT": Decimal(10) ** 15, "BTC": Decimal(0)}
        small, large = venue(balances=balances), venue(balances=balances)
        quote(large, "9000000", "9000001")
        for i in range(30_000):
            large.place(order("buy", "0.01", f"{1_000 + i}"), 2)
        assert sum(1 for _ in large.open_orders()) == 30_000
        assert min(cost_s(large) for _ in range(3)) < 10 * min(cost_s(small) for _ in range(3))

    def test_placing_and_canceling_at_ever_new_prices_leaves_nothing_behind(self) -> None:
        at = venue()
        for i in range(2_000):
            placed = order("buy", "1", f"{10 + i / 100:.2f}", tif="day")
            at.place(placed, 2)
            at.cancel(cancel(placed), 2)
        ladder = at._floor.books["BTCUSDT"]._resting[placed.terms.side]
        assert len(ladder._keys) < 200
        assert len(at._floor._expiries) < 200


class TestSelfTrade:
    """A resting sell of ours of 1 @ 100 inside the market's 99 at 101, and a buy that meets it."""

    def meet(self, mode: SelfTrade, qty: str = "1.5", **more: str) -> tuple[list[str], PaperVenue]:
        at = venue()
        at.place(order("sell", "1", "100"), 2)
        taker = order("buy", qty, "101", **more)
        return told(at.place(taker, 3, Special(self_trade=mode))), at

    def test_by_default_our_orders_trade_with_each_other(self) -> None:
        words, _ = self.meet(SelfTrade.TRADE)
        assert words == [
            "new",
            "trade 1 @ 100 taker",
            "trade 1 @ 100 maker",
            "trade 0.5 @ 101 taker",
        ]

    def test_expire_maker_takes_the_resting_order_away_and_trades_on(self) -> None:
        words, at = self.meet(SelfTrade.EXPIRE_MAKER)
        assert words == ["new", "expired", "trade 1 @ 101 taker"]
        assert [view.cum_qty for view in at.open_orders()] == [Decimal(1)]

    def test_expire_taker_keeps_the_resting_order(self) -> None:
        words, at = self.meet(SelfTrade.EXPIRE_TAKER)
        assert words == ["new", "expired"]
        assert [(view.side, view.cum_qty) for view in at.open_orders()] == [("sell", 0)]

    def test_expire_both_leaves_neither(self) -> None:
        words, at = self.meet(SelfTrade.EXPIRE_BOTH)
        assert words == ["new", "expired", "expired"]
        assert not list(at.open_orders())
        assert locked(at, "USDT") == locked(at, "BTC") == 0

    def test_what_traded_before_the_own_order_was_met_stays_traded(self) -> None:
        at = venue()
        at.place(order("sell", "1", "102"), 2)
        taker = order("buy", "1.5", "102")
        words = told(at.place(taker, 3, Special(self_trade=SelfTrade.EXPIRE_TAKER)))
        assert words == ["new", "trade 1 @ 101 taker", "expired"]
        view = at.order(ref(taker))
        assert view is not None
        assert view.reason == "self_trade_prevented"

    def test_what_may_not_trade_does_not_fill_a_fok(self) -> None:
        words, _ = self.meet(SelfTrade.EXPIRE_MAKER, qty="1.001", tif="fok")
        assert words == ["new", "expired"]


class TestTakeProfit:
    @pytest.mark.parametrize(
        ("side", "stop_px", "still", "elects"),
        [("buy", "95", "96", "95"), ("sell", "105", "104", "105")],
    )
    def test_it_is_elected_from_the_other_side_than_a_stop(
        self, side: str, stop_px: str, still: str, elects: str
    ) -> None:
        at = venue()
        at.place(order(side, "0.5", stop_px=stop_px), 2, Special(takes_profit=True))
        assert told(print_trade(at, still, "0.1", seller_took=True)) == []
        words = told(print_trade(at, elects, "0.1", seller_took=True))
        assert words == [f"trade 0.5 @ {'101' if side == 'buy' else '99'} taker"]


class TestFeesInWhatIsReceived:
    FEES = Fees(taker_bps=Decimal(10), in_received=True, step=Decimal("0.0001"))

    def test_a_buy_pays_in_the_base_asset_and_locks_no_fee(self) -> None:
        at = venue(fees=self.FEES, balances={"USDT": Decimal(101)})
        assert told(at.place(order("buy", "1", "101"), 2)) == ["new", "trade 1 @ 101 taker"]
        assert (free(at, "BTC"), free(at, "USDT")) == (Decimal("0.999"), 0)

    def test_a_fee_is_rounded_down_to_the_assets_step(self) -> None:
        at = venue(fees=self.FEES)
        at.place(order("sell", "0.123", "99"), 2)
        assert free(at, "USDT") == Decimal("1000012.1649")
