"""Enumerations and numbers in Binance's spelling. Pure."""

from decimal import Decimal
from typing import NamedTuple

from brokerd.states import OrdStatus
from brokerd.terms import OrdType, Side, TimeInForce
from brokerd_adapters.paper.floor import SELF_TRADE
from brokerd_adapters.paper.records import SelfTrade
from brokerd_adapters.venue.orders import Order

MS_NS = 1_000_000
US_NS = 1_000

SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
TIMES_IN_FORCE = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
RESPONSES = ("ACK", "RESULT", "FULL")
SELF_TRADES = {
    "NONE": SelfTrade.TRADE,
    "EXPIRE_TAKER": SelfTrade.EXPIRE_TAKER,
    "EXPIRE_MAKER": SelfTrade.EXPIRE_MAKER,
    "EXPIRE_BOTH": SelfTrade.EXPIRE_BOTH,
}
SELF_TRADE_DEFAULT = "EXPIRE_MAKER"


class TypeWord(NamedTuple):
    """What an order type of Binance's is in the matching's words."""

    ord_type: OrdType
    takes_profit: bool = False
    post_only: bool = False


TYPES = {
    "LIMIT": TypeWord(OrdType.LIMIT),
    "LIMIT_MAKER": TypeWord(OrdType.LIMIT, post_only=True),
    "MARKET": TypeWord(OrdType.MARKET),
    "STOP_LOSS": TypeWord(OrdType.STOP),
    "STOP_LOSS_LIMIT": TypeWord(OrdType.STOP_LIMIT),
    "TAKE_PROFIT": TypeWord(OrdType.STOP, takes_profit=True),
    "TAKE_PROFIT_LIMIT": TypeWord(OrdType.STOP_LIMIT, takes_profit=True),
}

_STATUSES = {
    OrdStatus.NEW: "NEW",
    OrdStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrdStatus.FILLED: "FILLED",
    OrdStatus.CANCELED: "CANCELED",
    OrdStatus.EXPIRED: "EXPIRED",
}


def number(value: Decimal | None) -> str:
    """Write a number with eight digits after the point, as every answer does; None is zero."""
    return format(value, ".8f") if value else "0.00000000"


def status(order: Order) -> str:
    """Return the order's status word."""
    return "EXPIRED_IN_MATCH" if is_prevented(order) else _STATUSES[order.ord_status]


def is_prevented(order: Order) -> bool:
    """Say whether the order ended because it would have traded with another of ours."""
    return order.reason == SELF_TRADE


def side(order: Order) -> str:
    """Return BUY or SELL."""
    return "BUY" if order.terms.side is Side.BUY else "SELL"


def expiry_reason(order: Order) -> str:
    """Return why an order expired, NONE if it did not expire of itself."""
    if order.ord_status is not OrdStatus.EXPIRED or is_prevented(order):
        return "NONE"
    if order.terms.time_in_force is TimeInForce.FOK:
        return "UNFILLED_FOK_ORDER_EXPIRED"
    if order.px is None:
        return "INSUFFICIENT_LIQUIDITY"
    return "UNFILLED_IOC_QUANTITY_EXPIRED"
