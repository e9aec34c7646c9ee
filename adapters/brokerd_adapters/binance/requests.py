"""
What is asked of Binance Spot: every request once, for both of its roads.

A `Call` has the WebSocket API's method and the REST endpoint, with the same parameters; which road
it takes, and how it is signed, is not its business. Weights are those of the documented tables:
what a request costs at most, for since April 2026 a successful order costs none.

Sources: web-socket-api.md and rest-api.md of binance-spot-api-docs, "Trading requests".
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from brokerd.executor import CancelOrder, OrderRef, PlaceOrder, ReplaceOrder
from brokerd.money import digits
from brokerd.terms import OrdType, Side, Terms, TimeInForce
from brokerd_adapters.binance.names import venue_number
from brokerd_adapters.kit.links import left_id, link_id

TRADES_PAGE = 1_000
"""The most trades one answer holds."""

ORDER_WEIGHT = 1
AMEND_WEIGHT = 4
QUERY_WEIGHT = 4
OPEN_ORDERS_WEIGHT = 80
ORDER_TRADES_WEIGHT = 5
TRADES_WEIGHT = 20
ACCOUNT_WEIGHT = 20
EXCHANGE_INFO_WEIGHT = 20
BOOK_TICKERS_WEIGHT = 4


class Call(Struct, frozen=True, kw_only=True):
    """
    One request. `orders` is what it adds to the count of unfilled orders; `is_signed` whether it
    needs a timestamp and a signature.
    """

    method: str
    verb: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    params: dict[str, str | int]
    weight: int
    orders: int = 0
    is_signed: bool = True


_SIDES: dict[Side, str] = {Side.BUY: "BUY", Side.SELL: "SELL"}
_TYPES: dict[OrdType, str] = {
    OrdType.MARKET: "MARKET",
    OrdType.LIMIT: "LIMIT",
    OrdType.STOP: "STOP_LOSS",
    OrdType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
TIMES_IN_FORCE: dict[TimeInForce, str] = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
}


def why_not(terms: Terms) -> str | None:
    """Say why Binance has no such order, where the capabilities alone cannot; None if it has."""
    if terms.time_in_force not in TIMES_IN_FORCE:
        return f"there is no {terms.time_in_force} at Binance Spot"
    if not terms.ord_type.has_px and terms.time_in_force is TimeInForce.FOK:
        return f"a {terms.ord_type} order cannot be fok at Binance: it takes what there is"
    return None


def place(request: PlaceOrder, self_trade_prevention: str = "") -> Call:
    """
    Ask for a new order, and for its fills in the reply.

    `self_trade_prevention` is one of the venue's modes; without it the symbol's own one rules.
    """
    terms = request.terms
    params = _order_params(terms, terms.qty, terms.px, request.venue_cl_ord_id)
    params |= _prevention(self_trade_prevention)
    return Call(
        method="order.place",
        verb="POST",
        path="/api/v3/order",
        params=params,
        weight=ORDER_WEIGHT,
        orders=1,
    )


def cancel(request: CancelOrder) -> Call:
    """
    Ask for a cancel. The canceled order keeps our id.

    By default the venue gives a canceled order a random one, under which nobody would find it.
    """
    ref = request.ref
    return Call(
        method="order.cancel",
        verb="DELETE",
        path="/api/v3/order",
        params={
            "symbol": ref.symbol,
            **_named(ref, "orderId", "origClientOrderId"),
            "newClientOrderId": ref.venue_cl_ord_id,
        },
        weight=ORDER_WEIGHT,
    )


def amend(request: ReplaceOrder) -> Call:
    """Ask for a smaller quantity, which keeps the order's place in the queue and our id."""
    ref = request.ref
    return Call(
        method="order.amend.keepPriority",
        verb="PUT",
        path="/api/v3/order/amend/keepPriority",
        params={
            "symbol": ref.symbol,
            **_named(ref, "orderId", "origClientOrderId"),
            "newQty": digits(request.qty),
            "newClientOrderId": ref.venue_cl_ord_id,
        },
        weight=AMEND_WEIGHT,
    )


def cancel_replace(request: ReplaceOrder, self_trade_prevention: str = "") -> Call:
    """
    Ask for another order in place of an order that has no fills.

    Cancel and placing are two steps at the venue, and a fill between them would come on top of the
    new quantity: ONLY_NEW makes the venue refuse both if there is any fill. The old order leaves
    under an id that says what became of it, the new one under one that says where it comes from (see
    `kit.links`).
    """
    ref, number = request.ref, request.replace_no
    cl_ord_id = link_id(ref.venue_cl_ord_id, number)
    params = _order_params(request.terms, request.qty, request.px, cl_ord_id)
    return Call(
        method="order.cancelReplace",
        verb="POST",
        path="/api/v3/order/cancelReplace",
        params={
            **params,
            **_prevention(self_trade_prevention),
            "cancelReplaceMode": "STOP_ON_FAILURE",
            **_named(ref, "cancelOrderId", "cancelOrigClientOrderId"),
            "cancelNewClientOrderId": left_id(ref.venue_cl_ord_id, number),
            "cancelRestrictions": "ONLY_NEW",
        },
        weight=ORDER_WEIGHT,
        orders=1,
    )


def order_status(symbol: str, *, number: int | None = None, cl_ord_id: str | None = None) -> Call:
    """Ask for one order, by the venue's number or by client id."""
    name: dict[str, str | int] = {}
    if number is not None:
        name["orderId"] = number
    elif cl_ord_id is not None:
        name["origClientOrderId"] = cl_ord_id
    return Call(
        method="order.status",
        verb="GET",
        path="/api/v3/order",
        params={"symbol": symbol, **name},
        weight=QUERY_WEIGHT,
    )


def open_orders() -> Call:
    """Ask for every open order of the account, on all symbols."""
    return Call(
        method="openOrders.status",
        verb="GET",
        path="/api/v3/openOrders",
        params={},
        weight=OPEN_ORDERS_WEIGHT,
    )


def order_trades(symbol: str, number: int, from_id: int | None = None) -> Call:
    """Ask for the latest executions of one order, or for those from an id on."""
    params: dict[str, str | int] = {"symbol": symbol, "orderId": number, "limit": TRADES_PAGE}
    if from_id is not None:
        params["fromId"] = from_id
    return _trades(params, ORDER_TRADES_WEIGHT)


def latest_trades(symbol: str) -> Call:
    """Ask for a symbol's latest executions, as many as one answer holds."""
    return _trades({"symbol": symbol, "limit": TRADES_PAGE}, TRADES_WEIGHT)


def trades_between(symbol: str, since_ms: int, until_ms: int) -> Call:
    """Ask for a symbol's executions in a window of at most 24 hours."""
    return _trades(
        {"symbol": symbol, "startTime": since_ms, "endTime": until_ms, "limit": TRADES_PAGE},
        TRADES_WEIGHT,
    )


def account() -> Call:
    """Ask for the balances that are not zero."""
    return Call(
        method="account.status",
        verb="GET",
        path="/api/v3/account",
        params={"omitZeroBalances": "true"},
        weight=ACCOUNT_WEIGHT,
    )


def server_time() -> Call:
    """Ask for the venue's clock."""
    return Call(
        method="time", verb="GET", path="/api/v3/time", params={}, weight=1, is_signed=False
    )


def book_tickers(symbols: tuple[str, ...]) -> Call:
    """Ask for the best bids and asks of some symbols."""
    return Call(
        method="ticker.book",
        verb="GET",
        path="/api/v3/ticker/bookTicker",
        params={"symbols": _listed(symbols)},
        weight=BOOK_TICKERS_WEIGHT,
        is_signed=False,
    )


def exchange_info(symbols: tuple[str, ...] = ()) -> Call:
    """Ask for the rules of some symbols, or of all."""
    return Call(
        method="exchangeInfo",
        verb="GET",
        path="/api/v3/exchangeInfo",
        params={"symbols": _listed(symbols)} if symbols else {},
        weight=EXCHANGE_INFO_WEIGHT,
        is_signed=False,
    )


def _listed(symbols: tuple[str, ...]) -> str:
    """Write a list as REST wants it: JSON without spaces."""
    quoted = ",".join(f'"{symbol}"' for symbol in symbols)
    return f"[{quoted}]"


def _order_params(
    terms: Terms, qty: Decimal, px: Decimal | None, cl_ord_id: str
) -> dict[str, str | int]:
    """Return what an order is made of; a post-only order is a type of its own, without a time."""
    params: dict[str, str | int] = {
        "symbol": terms.symbol,
        "side": _SIDES[terms.side],
        "type": "LIMIT_MAKER" if terms.post_only else _TYPES[terms.ord_type],
    }
    if terms.ord_type.has_px and not terms.post_only:
        params["timeInForce"] = TIMES_IN_FORCE[terms.time_in_force]
    params["quantity"] = digits(qty)
    if px is not None:
        params["price"] = digits(px)
    if terms.stop_px is not None:
        params["stopPrice"] = digits(terms.stop_px)
    return {**params, "newClientOrderId": cl_ord_id, "newOrderRespType": "FULL"}


def _prevention(mode: str) -> dict[str, str | int]:
    return {"selfTradePreventionMode": mode.upper()} if mode else {}


def _named(ref: OrderRef, by_number: str, by_client_id: str) -> dict[str, str | int]:
    """Name an order by one id only: together they must fit, and others may change a client id."""
    number = venue_number(ref.venue_order_id)
    return {by_client_id: ref.venue_cl_ord_id} if number is None else {by_number: number}


def _trades(params: dict[str, str | int], weight: int) -> Call:
    return Call(
        method="myTrades", verb="GET", path="/api/v3/myTrades", params=params, weight=weight
    )
