"""
Orders as the documents show them: answers to placing, canceling and asking, rows of trades. Pure.

Field names and their order are those of rest-api.md and web-socket-api.md; numbers are texts with
eight digits, times are in the client's unit.
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from brokerd.executor import Execution
from brokerd.money import ZERO, multiply
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.words import MS_NS, expiry_reason, number, side, status
from brokerd_adapters.venue.orders import Order


class Facts(Struct, kw_only=True, gc=False):
    """What this dialect knows of an order beyond the order of record."""

    type_word: str
    tif_word: str = "GTC"
    self_trade: str = "NONE"
    iceberg_qty: str | None = None
    quote_order_qty: str = "0.00000000"
    strategy_id: int | None = None
    strategy_type: int | None = None
    working_at_ns: int | None = None
    prevented_qty: str | None = None
    prevented_match_id: int | None = None
    amendments: list[dict[str, Any]] = []


def _conditional(order: Order, facts: Facts) -> dict[str, Any]:
    """Return the fields that are there only when they say something."""
    more: dict[str, Any] = {}
    if order.terms.stop_px is not None:
        more["stopPrice"] = number(order.terms.stop_px)
    if facts.iceberg_qty is not None:
        more["icebergQty"] = facts.iceberg_qty
    if facts.strategy_id is not None:
        more["strategyId"] = facts.strategy_id
    if facts.strategy_type is not None:
        more["strategyType"] = facts.strategy_type
    if facts.prevented_qty is not None:
        more["preventedMatchId"] = facts.prevented_match_id
        more["preventedQuantity"] = facts.prevented_qty
    reason = expiry_reason(order)
    if reason != "NONE":
        more["expiryReason"] = reason
    return more


def _terms(order: Order, facts: Facts) -> dict[str, Any]:
    return {
        "price": number(order.px),
        "origQty": number(order.qty),
        "executedQty": number(order.cum_qty),
        "origQuoteOrderQty": facts.quote_order_qty,
        "cummulativeQuoteQty": number(order.cum_quote),
        "status": status(order),
        "timeInForce": facts.tif_word,
        "type": facts.type_word,
        "side": side(order),
    }


def _working(facts: Facts, params: Params) -> int:
    return -1 if facts.working_at_ns is None else params.stamp(facts.working_at_ns)


def ack(order: Order, params: Params) -> dict[str, Any]:
    """Return the shortest answer to a new order."""
    return {
        "symbol": order.terms.symbol,
        "orderId": int(order.order_id),
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": params.stamp(order.updated_at_ns),
    }


def placed(order: Order, facts: Facts, params: Params, response: str) -> dict[str, Any]:
    """Return the answer to a new order: ACK, RESULT or FULL."""
    told = ack(order, params)
    if response == "ACK":
        return told
    told |= _terms(order, facts)
    told["workingTime"] = _working(facts, params)
    told["selfTradePreventionMode"] = facts.self_trade
    told |= _conditional(order, facts)
    if response == "FULL":
        told["fills"] = [_fill(execution) for execution in order.executions]
    return told


def canceled(order: Order, facts: Facts, params: Params, before: str) -> dict[str, Any]:
    """Return the answer to a cancel; `before` is the client order id that was canceled."""
    return {
        "symbol": order.terms.symbol,
        "origClientOrderId": before,
        **ack(order, params),
        **_terms(order, facts),
        "selfTradePreventionMode": facts.self_trade,
        **_conditional(order, facts),
    }


def view(order: Order, facts: Facts, params: Params) -> dict[str, Any]:
    """Return an order as queries show it."""
    return {
        "symbol": order.terms.symbol,
        "orderId": int(order.order_id),
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        **_terms(order, facts),
        "stopPrice": number(order.terms.stop_px),
        "icebergQty": facts.iceberg_qty or number(ZERO),
        "time": params.stamp(order.created_at_ns),
        "updateTime": params.stamp(order.updated_at_ns),
        "isWorking": not order.is_asleep,
        "workingTime": _working(facts, params),
        "selfTradePreventionMode": facts.self_trade,
        **_conditional(order, facts),
    }


def amended(order: Order, facts: Facts, params: Params, before: str) -> dict[str, Any]:
    """Return the order in the answer to an amendment; here, cumulative is spelled with one m."""
    return {
        "symbol": order.terms.symbol,
        "orderId": int(order.order_id),
        "orderListId": -1,
        "origClientOrderId": before,
        "clientOrderId": order.client_order_id,
        "price": number(order.px),
        "qty": number(order.qty),
        "executedQty": number(order.cum_qty),
        "preventedQty": facts.prevented_qty or number(ZERO),
        "quoteOrderQty": facts.quote_order_qty,
        "cumulativeQuoteQty": number(order.cum_quote),
        "status": status(order),
        "timeInForce": facts.tif_word,
        "type": facts.type_word,
        "side": side(order),
        "workingTime": _working(facts, params),
        "selfTradePreventionMode": facts.self_trade,
    }


def amendment(order: Order, execution_id: int, before: str, before_qty: Decimal) -> dict[str, Any]:
    """Return one row of what was amended about an order."""
    return {
        "symbol": order.terms.symbol,
        "orderId": int(order.order_id),
        "executionId": execution_id,
        "origClientOrderId": before,
        "newClientOrderId": order.client_order_id,
        "origQty": number(before_qty),
        "newQty": number(order.qty),
        "time": order.updated_at_ns // MS_NS,
    }


def trade(order: Order, execution: Execution, params: Params) -> dict[str, Any]:
    """Return one of the account's trades; it does not tell the client order id."""
    return {
        "symbol": order.terms.symbol,
        "id": int(execution.exec_id),
        "orderId": int(order.order_id),
        "orderListId": -1,
        "price": number(execution.last_px),
        "qty": number(execution.last_qty),
        "quoteQty": number(multiply(execution.last_px, execution.last_qty)),
        "commission": number(execution.fee),
        "commissionAsset": execution.fee_asset,
        "time": params.stamp(execution.venue_at_ns or 0),
        "isBuyer": order.terms.side.sign > 0,
        "isMaker": execution.liquidity == "maker",
        "isBestMatch": True,
    }


def _fill(execution: Execution) -> dict[str, Any]:
    return {
        "price": number(execution.last_px),
        "qty": number(execution.last_qty),
        "commission": number(execution.fee),
        "commissionAsset": execution.fee_asset,
        "tradeId": int(execution.exec_id),
    }
