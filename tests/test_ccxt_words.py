"""ccxt's dicts in the port's words, and what an exchange promises: pure, by the shapes of its manual."""

from decimal import Decimal
from typing import Any

import pytest

from brokerd.executor import Balance
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side, TimeInForce
from brokerd_adapters.ccxt import promises, words
from brokerd_adapters.ccxt.promises import Exchange
from brokerd_adapters.kit import reports_of

D = Decimal
S = OrdStatus

ORDER: dict[str, Any] = {
    "id": "17",
    "clientOrderId": "ours",
    "symbol": "BTC/USDT",
    "type": "limit",
    "side": "buy",
    "status": "open",
    "price": D("39400.10"),
    "amount": D("0.02"),
    "filled": D(0),
    "timestamp": 1_700_000_000_123,
}
TRADE: dict[str, Any] = {
    "id": "9",
    "order": "17",
    "symbol": "BTC/USDT",
    "price": D("39400.1"),
    "amount": D("0.01"),
    "fee": {"cost": D("0.394"), "currency": "USDT"},
    "takerOrMaker": "maker",
    "timestamp": 1_700_000_000_456,
}


def order(**changes: Any) -> dict[str, Any]:
    return {**ORDER, **changes}


def test_an_order_is_read_exactly() -> None:
    view = words.view(ORDER)
    assert (view.venue_cl_ord_id, view.venue_order_id) == ("ours", "BTC/USDT:17")
    assert (view.side, view.ord_type, view.ord_status) == (Side.BUY, OrdType.LIMIT, S.NEW)
    assert (view.qty, view.px, view.cum_qty) == (D("0.02"), D("39400.1"), D(0))
    assert view.venue_at_ns == 1_700_000_000_123_000_000
    assert words.own_id(view.symbol, view.venue_order_id) == "17"


@pytest.mark.parametrize(
    ("told", "filled", "status"),
    [
        ("open", "0", S.NEW),
        ("open", "0.01", S.PARTIALLY_FILLED),
        ("open", "0.02", S.FILLED),
        ("closed", "0.02", S.FILLED),
        ("closed", "0.01", S.CANCELED),
        ("closed", "0", S.CANCELED),
        ("canceled", "0.01", S.CANCELED),
        ("canceling", "0", S.NEW),
        ("expired", "0", S.EXPIRED),
        ("rejected", "0", S.REJECTED),
    ],
)
def test_the_status_is_read_with_what_is_filled(told: str, filled: str, status: S) -> None:
    assert words.view(order(status=told, filled=D(filled))).ord_status is status


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": None}, "the status None"),
        ({"status": "haunted"}, "haunted"),
        ({"amount": None}, "no amount"),
        ({"amount": "NaN"}, "plain decimal"),
        ({"id": None}, "no id"),
        ({"side": "long"}, "long"),
    ],
)
def test_what_cannot_be_an_order_is_no_answer(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        words.view(order(**changes))


def test_what_is_filled_is_summed_where_it_is_not_told() -> None:
    assert words.view(order(filled=None), [TRADE]).cum_qty == D("0.01")


def test_a_market_order_has_no_price() -> None:
    assert words.view(order(type="market", price=D(1))).px is None


def test_a_trade_is_an_execution_with_its_symbol_in_its_id() -> None:
    report = words.trade_report(TRADE)
    assert report.exec_type is ExecType.TRADE
    assert report.venue_order_id == "BTC/USDT:17"
    assert report.execution is not None
    assert report.execution.exec_id == "BTC/USDT:9"
    assert (report.execution.fee, report.execution.fee_asset) == (D("0.394"), "USDT")
    assert report.execution.liquidity == "maker"


@pytest.mark.parametrize("amount", [0, -1])
def test_a_trade_of_nothing_is_no_answer(amount: int) -> None:
    with pytest.raises(ValueError, match="a trade of"):
        words.execution({**TRADE, "amount": amount})


def test_a_trade_without_an_id_is_no_answer() -> None:
    """Counted twice or not at all: either would be a lie."""
    with pytest.raises(ValueError, match="no id"):
        words.trade_report({**TRADE, "id": None})


def test_a_float_is_read_by_its_shortest_text() -> None:
    assert words.number(0.1) == D("0.1")
    assert words.number("1e-7") == D("0.0000001")
    assert words.number(None) is None


@pytest.mark.parametrize("told", ["open", "canceled", "expired", "rejected"])
def test_reports_tell_fills_before_an_end_and_after_a_beginning(told: str) -> None:
    reports = reports_of(words.view(order(status=told, filled=D("0.01")), [TRADE]))
    kinds = [each.exec_type for each in reports]
    end = {
        "canceled": ExecType.CANCELED,
        "expired": ExecType.EXPIRED,
        "rejected": ExecType.REJECTED,
    }
    expected = [ExecType.TRADE, end[told]] if told in end else [ExecType.NEW, ExecType.TRADE]
    assert kinds == expected
    assert {each.venue_order_id for each in reports} == {"BTC/USDT:17"}


MARKET: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "base": "BTC",
    "quote": "USDT",
    "precision": {"price": D("0.01"), "amount": D("0.00001")},
    "limits": {"amount": {"min": D("0.00001"), "max": D(9000)}, "cost": {"min": D(5)}},
}


@pytest.mark.parametrize(
    ("mode", "price", "tick"),
    [
        (words.TICK_SIZE, D("0.01"), D("0.01")),
        (words.DECIMAL_PLACES, D(2), D("0.01")),
        (words.DECIMAL_PLACES, D(0), D(1)),
        (words.SIGNIFICANT_DIGITS, D(5), D(0)),
        (words.TICK_SIZE, None, D(0)),
    ],
)
def test_a_precision_is_a_step_by_its_mode(mode: int, price: D | None, tick: D) -> None:
    market = {**MARKET, "precision": {"price": price, "amount": price}}
    read = words.instrument(market, mode)
    assert (read.tick, read.lot) == (tick, tick)


def test_limits_that_are_not_told_are_no_limits() -> None:
    read = words.instrument({**MARKET, "limits": {"amount": None}}, words.TICK_SIZE)
    assert (read.qty_min, read.qty_max, read.notional_min) == (0, 0, 0)
    told = words.instrument(MARKET, words.TICK_SIZE)
    assert (told.qty_min, told.qty_max, told.notional_min) == (D("0.00001"), 9000, 5)


def test_balances_are_those_that_are_something() -> None:
    told = {
        "free": {"BTC": D("1.5"), "ETH": D(0), "XRP": None},
        "used": {"BTC": D(0), "USDT": D("39.4")},
    }
    assert words.balances(told) == (
        Balance("BTC", D("1.5"), D(0)),
        Balance("USDT", D(0), D("39.4")),
    )


def test_a_quote_needs_both_sides() -> None:
    assert words.quote({"bid": D(1), "ask": D(2)}, 7) is not None
    assert words.quote({"bid": D(1), "ask": None}, 7) is None


def exchange(**changes: Any) -> Exchange:
    has = {
        "createOrder": True,
        "cancelOrder": True,
        "createMarketOrder": True,
        "fetchOpenOrders": True,
        "fetchBalance": True,
        "fetchMyTrades": True,
        "fetchOrder": True,
        "watchOrders": True,
    }
    told: dict[str, Any] = {
        "exchange_id": "some",
        "has": {**has, **changes.pop("has", {})},
        "create": {"timeInForce": {"GTC": True, "IOC": True, "FOK": False, "PO": True}},
        "trades": {},
        "takes_client_id": True,
        "asks_client_id": True,
        "recv_window_s": 10.0,
    }
    return Exchange(**{**told, **changes})


def promised(told: Exchange) -> Any:
    return promises.promises(told, is_sandbox=False)


def test_an_exchange_nobody_read_about_never_ends_a_doubt_by_not_found() -> None:
    assert promised(exchange()).final_after_s is None
    assert promised(exchange()).repeat_id == "nothing"


def test_binance_promises_what_its_documents_say() -> None:
    told = promised(exchange(exchange_id="binance"))
    assert told.repeat_id == "refused_while_open"
    assert told.final_after_s == 26.0


def test_a_longer_receive_window_is_a_longer_doubt() -> None:
    assert promised(exchange(exchange_id="binance", recv_window_s=60.0)).final_after_s == 76.0
    assert promised(exchange(exchange_id="binance", recv_window_s=None)).final_after_s is None


def test_without_a_query_by_client_id_not_found_is_never_final_even_there() -> None:
    told = promised(exchange(exchange_id="binance", asks_client_id=False))
    assert told.final_after_s is None
    assert not told.query_closed


def test_what_has_and_features_say_is_what_is_taken() -> None:
    assert promised(exchange()).times_in_force == {TimeInForce.GTC, TimeInForce.IOC}
    assert promises.takes_post_only(exchange())
    assert not promises.takes_post_only(exchange(create={}))
    assert promised(exchange(has={"createMarketOrder": False})).ord_types == {OrdType.LIMIT}
    assert promises.market_takes_cost(exchange(create={"marketBuyRequiresPrice": True}))
    assert promises.executions_back_s(exchange(trades={"daysBack": 2})) == 2 * promises.DAY_S
    assert promised(exchange()).amend == "none"


@pytest.mark.parametrize(
    ("has", "why"),
    [
        ({"createOrder": False}, "placed and canceled"),
        ({"cancelOrder": None}, "placed and canceled"),
        ({"fetchOpenOrders": False}, "open orders"),
        ({"fetchBalance": False}, "balances"),
        ({"fetchMyTrades": False}, "executions"),
    ],
)
def test_an_exchange_that_cannot_be_followed_is_refused(has: dict[str, Any], why: str) -> None:
    assert why in (promises.lacks(exchange(has=has)) or "")
    assert promises.lacks(exchange()) is None


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (exchange(takes_client_id=False), "carry no id of ours"),
        (exchange(asks_client_id=False), "only among open and recent ones"),
        (exchange(has={"fetchOrder": False}), "only lists"),
        (exchange(has={"watchOrders": None}), "no order stream"),
        (exchange(), "a replace is refused"),
    ],
)
def test_every_weakness_is_told(told: Exchange, sentence: str) -> None:
    assert sentence in " ".join(promises.weaknesses(told))
    if told != exchange():
        assert sentence not in " ".join(promises.weaknesses(exchange()))
