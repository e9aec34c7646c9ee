"""Binance's words about orders in the port's, from the documented bodies of every kind."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.fixtures.binance import CL_ORD_ID, EVENTS, REPLIES, D, raw

from brokerd.executor import Execution, Report
from brokerd.money import ZERO
from brokerd.states import ExecType as E
from brokerd.states import OrdStatus
from brokerd.terms import OrdType, Side, check_instrument
from brokerd_adapters.binance import events, orders
from brokerd_adapters.binance.shapes import (
    AmendReply,
    BookTicker,
    Envelope,
    ExchangeInfo,
    ExecutionReport,
    OrderShape,
    StreamFrame,
    TradeShape,
    book_tickers,
    exact,
    read,
    read_list,
)
from brokerd_adapters.binance.symbols import symbols


def order(name: str, **changes: Any) -> OrderShape:
    return read(OrderShape, raw(REPLIES[name] | changes))


def told(name: str, **changes: Any) -> tuple[Report, ...]:
    return events.reports(raw(EVENTS[name]["event"] | changes))


def kinds(reports: tuple[Report, ...]) -> list[E]:
    return [report.exec_type for report in reports]


def test_an_ack_says_no_more_than_that_the_order_is_there() -> None:
    (report,) = orders.placed(order("ack"), CL_ORD_ID)
    assert report.exec_type is E.NEW
    assert report.venue_order_id == "BTCUSDT-12569099453"
    assert report.venue_cl_ord_id == CL_ORD_ID
    assert report.venue_at_ns == 1660801715639 * 1_000_000
    assert orders.placed(order("result"), CL_ORD_ID)[0].exec_type is E.NEW


@pytest.mark.parametrize(
    ("kind", "ord_type", "word"),
    [
        ("LIMIT_MAKER", OrdType.LIMIT, ""),
        ("STOP_LOSS", OrdType.STOP, ""),
        ("STOP_LOSS_LIMIT", OrdType.STOP_LIMIT, ""),
        ("TAKE_PROFIT", OrdType.MARKET, "TAKE_PROFIT"),
        ("TAKE_PROFIT_LIMIT", OrdType.LIMIT, "TAKE_PROFIT_LIMIT"),
        ("OF_TOMORROW", OrdType.LIMIT, "OF_TOMORROW"),
    ],
)
def test_a_type_of_somebody_elses_order_is_never_shown_as_its_opposite(
    kind: str, ord_type: OrdType, word: str
) -> None:
    view = orders.view(order("order", type=kind), (), is_open=True)
    assert (view.ord_type, view.venue_ord_type) == (ord_type, word)


def test_a_full_reply_tells_each_fill_and_the_filled_quantity_with_the_last() -> None:
    """Said with an earlier one, the fills that follow would seem missed."""
    reports = orders.placed(order("full"), CL_ORD_ID)
    assert kinds(reports) == [E.NEW, E.TRADE, E.TRADE]
    assert [report.cum_qty for report in reports] == [None, None, D("0.00847")]
    assert reports[2].execution == Execution(
        exec_id="BTCUSDT-1650422482",
        last_qty=D("0.00212"),
        last_px=D("23416.1"),
        fee=D("0.00004964"),
        fee_asset="USDT",
        liquidity="taker",
        venue_at_ns=1660801715793 * 1_000_000,
    )


def test_what_an_ioc_order_could_not_fill_has_expired() -> None:
    reports = orders.placed(order("ioc_expired"), CL_ORD_ID)
    assert kinds(reports) == [E.NEW, E.TRADE, E.EXPIRED]
    assert reports[-1].reason == "unfilled_ioc_quantity_expired"
    assert reports[-1].cum_qty == D("0.5")


def test_an_order_that_met_ones_own_expires_by_self_trade_prevention() -> None:
    reports = orders.placed(order("expired_in_match"), CL_ORD_ID)
    assert kinds(reports) == [E.NEW, E.EXPIRED]
    assert reports[-1].reason == orders.SELF_TRADE_PREVENTION


def test_an_order_in_anothers_place_is_told_as_its_replacement() -> None:
    (report,) = orders.placed(order("result"), CL_ORD_ID, replace_no=2)
    assert (report.exec_type, report.replace_no) == (E.REPLACED, 2)
    assert (report.qty, report.px) == (D("0.00847"), D("23416.1"))


def test_a_canceled_order_says_what_it_filled() -> None:
    (report,) = orders.canceled(order("cancel"), CL_ORD_ID)
    assert (report.exec_type, report.cum_qty, report.reason) == (E.CANCELED, D("0.001"), "")


def test_an_amended_order_has_its_new_quantity_less_what_was_prevented() -> None:
    reply = read(AmendReply, raw(REPLIES["amend"]))
    (report,) = orders.amended(reply, CL_ORD_ID, 3)
    assert (report.exec_type, report.replace_no) == (E.REPLACED, 3)
    assert (report.qty, report.px, report.cum_qty) == (D("4.5"), D(6), D(1))


def test_an_order_amended_to_what_is_filled_has_expired() -> None:
    body = REPLIES["amend"] | {
        "amendedOrder": REPLIES["amend"]["amendedOrder"] | {"status": "EXPIRED"}
    }
    reports = orders.amended(read(AmendReply, raw(body)), CL_ORD_ID, 3)
    assert kinds(reports) == [E.REPLACED, E.EXPIRED]
    assert reports[1].replace_no is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"clientOrderId": "random", "origClientOrderId": CL_ORD_ID}, True),
        ({"clientOrderId": f"{CL_ORD_ID}-r1"}, True),
        ({"clientOrderId": ""}, True),
        ({"clientOrderId": "other"}, False),
        ({"symbol": "ETHUSDT"}, False),
    ],
)
def test_a_reply_about_another_order_is_known_as_such(
    changes: dict[str, Any], expected: bool
) -> None:
    assert orders.is_about("BTCUSDT", CL_ORD_ID, order("result", **changes)) is expected


def test_a_queried_order_is_shown_with_its_executions() -> None:
    trade = read(TradeShape, raw(REPLIES["trade"]))
    view = orders.view(order("order"), (orders.execution(trade),))
    assert view.venue_order_id == "BTCUSDT-12569099453"
    assert (view.side, view.ord_type, view.ord_status) == (
        Side.SELL,
        OrdType.LIMIT,
        OrdStatus.FILLED,
    )
    assert view.cum_qty == D("0.00847")
    assert view.executions[0].exec_id == "BTCUSDT-1650422481"
    assert view.executions[0].liquidity == "maker"
    assert view.venue_at_ns == 1660801717945 * 1_000_000


def test_prevented_quantity_is_no_part_of_an_order_any_more() -> None:
    view = orders.view(order("order", origQty="3.2"), ())
    assert view.qty == D(2)


@pytest.mark.parametrize(
    "changes", [{"status": "MELTED"}, {"type": "LIMIT_SIDEWAYS"}, {"side": "LEFT"}]
)
def test_a_queried_order_that_cannot_be_understood_is_no_answer(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"MELTED|LIMIT_SIDEWAYS|left"):
        orders.view(order("order", **changes), ())


def test_an_open_order_of_a_kind_nobody_knows_is_open() -> None:
    """Anybody's: one strange order must not keep the account from being seen."""
    view = orders.view(order("order", status="MELTED", type="SIDEWAYS"), (), is_open=True)
    assert (view.ord_status, view.ord_type) == (OrdStatus.NEW, OrdType.LIMIT)


def test_a_trade_of_the_list_names_its_order_by_the_venues_number() -> None:
    report = orders.traded(read(TradeShape, raw(REPLIES["trade"])))
    assert (report.venue_order_id, report.venue_cl_ord_id) == ("BTCUSDT-12569099453", None)
    assert report.execution is not None
    assert report.execution.fee == D("0.00001")


@pytest.mark.parametrize("qty", ["0", "-1"])
def test_a_trade_of_nothing_cannot_be_read(qty: str) -> None:
    with pytest.raises(ValueError, match="a trade of"):
        orders.execution(read(TradeShape, raw(REPLIES["trade"] | {"qty": qty})))


def test_a_trade_without_a_number_cannot_be_read() -> None:
    """All of them would have one name, and count once."""
    fill = {"price": "1", "qty": "1", "commission": "0", "commissionAsset": "BNB", "tradeId": -1}
    with pytest.raises(ValueError, match="the number -1"):
        orders.placed(order("result", fills=[fill, fill]), CL_ORD_ID)
    with pytest.raises(ValueError, match="the number -1"):
        orders.execution(read(TradeShape, raw(REPLIES["trade"] | {"id": -1})))


def test_an_order_that_never_got_a_number_is_named_by_our_id_alone() -> None:
    (report,) = told("rejected", i=-1)
    assert (report.venue_cl_ord_id, report.venue_order_id) == (CL_ORD_ID, None)


def test_a_new_order_shows_on_the_stream() -> None:
    (report,) = told("new")
    assert (report.exec_type, report.venue_cl_ord_id) == (E.NEW, CL_ORD_ID)
    assert (report.venue_order_id, report.cum_qty) == ("ETHBTC-4293153", ZERO)


def test_a_fill_shows_with_its_price_fee_and_liquidity() -> None:
    (report,) = told("trade")
    assert report.execution == Execution(
        exec_id="ETHBTC-77517",
        last_qty=D("0.4"),
        last_px=D("0.10264"),
        fee=D("0.0004"),
        fee_asset="ETH",
        liquidity="maker",
        venue_at_ns=1499405658699 * 1_000_000,
    )
    assert report.cum_qty == D("0.4")


def test_a_fill_without_an_id_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="the number -1"):
        told("trade", t=-1)


def test_a_canceled_order_goes_by_the_id_it_had_before() -> None:
    """On a cancel, c is the cancel's id and C the order's."""
    (report,) = told("canceled")
    assert (report.exec_type, report.venue_cl_ord_id) == (E.CANCELED, CL_ORD_ID)
    assert report.cum_qty == D("0.4")


def test_an_expired_order_says_why() -> None:
    (report,) = told("expired")
    assert (report.exec_type, report.reason) == (E.EXPIRED, "unfilled_fok_order_expired")


def test_a_rejected_order_says_why() -> None:
    (report,) = told("rejected")
    assert (report.exec_type, report.reason) == (E.REJECTED, "insufficient_balances")


def test_an_amended_order_shows_its_new_quantity() -> None:
    (report,) = told("amended")
    assert (report.exec_type, report.qty, report.px) == (E.REPLACED, D(5), D(6))


def test_self_trade_prevention_takes_from_the_quantity_of_an_order_that_lives_on() -> None:
    """orig - executed - prevented is what may still fill (faqs/stp_faq.md)."""
    reports = told("prevented")
    assert kinds(reports) == [E.REPLACED, E.NEW]
    assert reports[0].qty == D("2.5")
    assert reports[0].cum_qty is None


def test_self_trade_prevention_may_be_an_orders_end() -> None:
    (report,) = told("expired_in_match")
    assert (report.exec_type, report.reason) == (E.EXPIRED, orders.SELF_TRADE_PREVENTION)
    assert report.cum_qty == D(1)


def test_an_order_filled_with_less_than_was_ordered_was_cut_down_first() -> None:
    reports = told("trade", X="FILLED", A="0.6")
    assert kinds(reports) == [E.REPLACED, E.TRADE]
    assert reports[0].qty == D("0.4")
    assert kinds(told("trade", A="0.1")) == [E.TRADE]


def test_the_halves_of_a_cancel_replace_are_one_replacement() -> None:
    """The old order leaves, of which nothing is told; the new one comes, and takes its name."""
    assert told("canceled", c=f"{CL_ORD_ID}-r1c") == ()
    (report,) = told("new", c=f"{CL_ORD_ID}-r1", i=4293160)
    assert (report.exec_type, report.venue_cl_ord_id) == (E.REPLACED, CL_ORD_ID)
    assert (report.venue_order_id, report.replace_no) == ("ETHBTC-4293160", 1)
    assert (report.qty, report.px) == (D(1), D("0.1026441"))


def test_a_cancel_replace_whose_new_order_is_rejected_has_canceled_the_old() -> None:
    (report,) = told("rejected", c=f"{CL_ORD_ID}-r1")
    assert (report.exec_type, report.venue_cl_ord_id) == (E.CANCELED, CL_ORD_ID)
    assert report.reason == "insufficient_balances"


def test_a_fill_of_a_replacement_is_a_fill_of_the_order() -> None:
    (report,) = told("trade", c=f"{CL_ORD_ID}-r1", i=4293160)
    assert report.venue_cl_ord_id == CL_ORD_ID


@pytest.mark.parametrize(
    ("x_and_status", "expected"),
    [
        (("SUSPENDED", "NEW"), E.NEW),
        (("SUSPENDED", "CANCELED"), E.CANCELED),
        (("SUSPENDED", "UNHEARD_OF"), E.NEW),
        (("", ""), E.NEW),
    ],
)
def test_what_happened_in_an_unknown_word_is_read_off_the_status(
    x_and_status: tuple[str, str], expected: E
) -> None:
    """With the filled quantity, so that the order is asked about if something is missing."""
    (report,) = told("trade", x=x_and_status[0], X=x_and_status[1])
    assert (report.exec_type, report.cum_qty) == (expected, D("0.4"))


@pytest.mark.parametrize(
    "name", ["list_status", "account_position", "balance_update", "external_lock", "of_tomorrow"]
)
def test_events_that_are_about_no_single_order_are_passed_over(name: str) -> None:
    assert told(name) == ()


def test_the_venues_word_that_a_stream_ends_is_its_end() -> None:
    with pytest.raises(events.StreamEnded):
        told("terminated")


def test_a_shutdown_is_announced() -> None:
    with pytest.raises(events.ShutdownAnnounced):
        told("shutdown")


def test_a_stopped_order_without_terms_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="an order of 0"):
        told("amended", q="0")


@pytest.mark.parametrize(
    "event", [b"", b"{", b"[]", b'{"e":1}', b'{"e":"executionReport"}', b"\xff"]
)
def test_an_event_that_cannot_be_read_says_so(event: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec has its own words
        events.reports(Raw(event))


@pytest.mark.parametrize("name", ["new", "trade", "canceled", "prevented"])
def test_numbers_may_come_as_text_or_as_numbers(name: str) -> None:
    """0.1 as a JSON number is exact: it never passes through a float."""
    event = EVENTS[name]["event"]

    def turned(value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return str(value)
        try:
            return Raw(str(D(value)).encode())
        except ArithmeticError:
            return value

    body = msgspec.json.encode({key: turned(value) for key, value in event.items()})
    assert events.reports(Raw(body)) == events.reports(raw(event))


def test_numbers_out_of_bounds_are_unreadable() -> None:
    for text in ("NaN", "Infinity", "1e999"):
        with pytest.raises(ValueError):  # noqa: PT011 - msgspec has its own words
            told("trade", l=text)
    assert exact(D("0.10")) == D("0.1")


def test_a_body_nested_without_end_is_unreadable() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec has its own words
        read(ExecutionReport, Raw(b'{"s":"A","i":1,"zz":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))


def test_fields_that_nobody_needs_may_be_missing_and_new_ones_may_come() -> None:
    event = {"e": "executionReport", "s": "ETHBTC", "i": 1, "c": CL_ORD_ID, "x": "NEW", "??": []}
    (report,) = events.reports(raw(event))
    assert (report.exec_type, report.venue_order_id) == (E.NEW, "ETHBTC-1")


def test_the_rules_of_a_symbol_come_from_its_filters() -> None:
    known, unreadable = symbols(read(ExchangeInfo, raw(REPLIES["exchange_info"])))
    assert unreadable == ("BADUSDT",)
    btc, old = known["BTCUSDT"], known["OLDBTC"]
    assert (btc.can_amend, btc.can_cancel_replace, old.can_amend) == (True, True, False)
    rules = btc.instrument
    assert (rules.base, rules.quote, rules.tick, rules.lot) == ("BTC", "USDT", D("0.01"), D("1e-5"))
    assert (rules.qty_min, rules.qty_max) == (D("0.00001"), D(9000))
    assert (rules.market_lot, rules.market_qty_max) == (ZERO, D("71.99790541"))
    assert (rules.notional_min, rules.notional_max) == (D(5), D(9_000_000))
    assert (rules.px_min, rules.px_max) == (D("0.01"), D(1_000_000))
    check_instrument(rules, D("0.01"), D(40_000), None)
    assert old.instrument.qty_max == ZERO, "a bound no order reaches is none"
    assert old.instrument.notional_min == D("0.0001")


PERCENT_PRICE = {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2"}
BY_SIDE = {
    "filterType": "PERCENT_PRICE_BY_SIDE",
    "bidMultiplierUp": "1.2",
    "bidMultiplierDown": "0.1",
    "askMultiplierUp": "9",
    "askMultiplierDown": "0.8",
}
NOTIONAL = {
    "filterType": "NOTIONAL",
    "minNotional": "5",
    "applyMinToMarket": True,
    "maxNotional": "9000",
    "applyMaxToMarket": False,
}
OLD_NOTIONAL = {"filterType": "MIN_NOTIONAL", "minNotional": "10", "applyToMarket": True}


@pytest.mark.parametrize(
    ("filters", "buys", "sells", "least", "most"),
    [
        ([], (0, 0), (0, 0), 0, 0),
        ([PERCENT_PRICE], (D("0.2"), 5), (D("0.2"), 5), 0, 0),
        ([BY_SIDE], (D("0.1"), D("1.2")), (D("0.8"), 9), 0, 0),
        ([PERCENT_PRICE, BY_SIDE], (D("0.2"), D("1.2")), (D("0.8"), 5), 0, 0),
        ([NOTIONAL], (0, 0), (0, 0), 5, 0),
        (
            [{**NOTIONAL, "applyMinToMarket": False, "applyMaxToMarket": True}],
            (0, 0),
            (0, 0),
            0,
            9000,
        ),
        ([OLD_NOTIONAL], (0, 0), (0, 0), 10, 0),
    ],
)
def test_filters_that_compare_with_an_average_are_bounds_of_the_market(
    filters: list[Any], buys: object, sells: object, least: int, most: int
) -> None:
    told = {"symbols": [{"symbol": "X", "filters": filters}]}
    rules = symbols(read(ExchangeInfo, raw(told)))[0]["X"].instrument
    assert (rules.buy_reach, rules.sell_reach) == (buys, sells)
    assert (rules.market_notional_min, rules.market_notional_max) == (least, most)


def test_a_frame_is_a_reply_or_an_event() -> None:
    assert read(Envelope, raw(EVENTS["new"])).is_event
    assert not read(Envelope, b'{"id":1,"status":200,"result":{}}').is_event
    assert read(StreamFrame, b'{"e":"serverShutdown","E":1}').is_about_connection
    assert read(StreamFrame, raw(EVENTS["shutdown"])).is_about_connection
    assert not read(StreamFrame, b'{"stream":"a@trade","data":{}}').is_about_connection


def test_best_prices_are_the_same_asked_for_or_told() -> None:
    asked = {"symbol": "A", "bidPrice": "4", "bidQty": "431", "askPrice": "4.1", "askQty": "9"}
    told = {"u": 400900217, "s": "A", "b": "4", "B": "431", "a": "4.1", "A": "9"}
    assert book_tickers(raw([asked])) == [read(BookTicker, raw(told))]


def test_lists_are_read_as_lists() -> None:
    trades = read_list(TradeShape, json.dumps([REPLIES["trade"]] * 2).encode())
    assert [trade.id for trade in trades] == [1650422481] * 2
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec has its own words
        read_list(TradeShape, b"{}")
