"""
What the paper venue refuses at its door, and with which words.

A refusal's `code` is a snake_case word of this file or of `brokerd.terms`; dialects translate it.
"""

from decimal import Decimal

from brokerd.errors import InvalidOrder
from brokerd.executor import Refused
from brokerd.money import multiply
from brokerd.terms import (
    CL_ORD_ID_MAX,
    Instrument,
    Terms,
    TimeInForce,
    check_instrument,
    check_terms,
)
from brokerd.times import NS_PER_S
from brokerd_adapters.paper.records import VenueOrder

DAY_NS = 86_400 * NS_PER_S

UNKNOWN_SYMBOL = Refused(code="unknown_symbol", reason="no such symbol here")
DUPLICATE_ID = Refused(
    code="duplicate_client_id",
    reason="the client order id was used before",
    # The one before it may be what the caller asks for.
    is_about_order=True,
)
BAD_CLIENT_ID = Refused(
    code="bad_client_id", reason=f"a client order id has 1 to {CL_ORD_ID_MAX} characters"
)
INSUFFICIENT = Refused(code="insufficient_balance", reason="the free balance does not cover it")
WOULD_TRADE = Refused(code="would_trade", reason="a post-only order would trade at once")
EXPIRED_AT_ENTRY = Refused(code="expire_at_passed", reason="expire_at is not in the future")
UNKNOWN_ORDER = Refused(code="unknown_order", reason="no such order here", is_about_order=True)
ORDER_DONE = Refused(code="order_done", reason="the order is done", is_about_order=True)
QTY_FILLED = Refused(
    code="qty_already_filled", reason="the new total quantity is not above what is filled"
)
NO_LIMIT_PX = Refused(code="px_not_allowed", reason="the order has no limit price to change")


def terms_refused(terms: Terms, instrument: Instrument, now_ns: int) -> Refused | None:
    """Check a new order's terms against themselves, the instrument and the time."""
    try:
        check_terms(terms)
        check_instrument(instrument, terms.qty, terms.px, terms.stop_px)
    except InvalidOrder as error:
        return Refused(code=error.reason, reason=str(error))
    if terms.expire_at_ns is not None and terms.expire_at_ns <= now_ns:
        return EXPIRED_AT_ENTRY
    return None


def size_refused(
    instrument: Instrument, order: VenueOrder, qty: Decimal, px: Decimal | None
) -> Refused | None:
    """Check a replaced order's new total quantity and limit price."""
    if qty <= order.cum_qty:
        return QTY_FILLED
    try:
        check_instrument(instrument, qty, px, order.stop_px)
    except InvalidOrder as error:
        return Refused(code=error.reason, reason=str(error))
    return None


def notional_refused(instrument: Instrument, qty: Decimal, px: Decimal) -> Refused | None:
    """Check the minimum notional of an order without a limit, at the price it would start at."""
    if multiply(qty, px) >= instrument.notional_min:
        return None
    return Refused(
        code="below_minimum_notional",
        reason=f"qty x {px} is below the minimum notional {instrument.notional_min}",
    )


def expires_at(terms: Terms, now_ns: int) -> int | None:
    """Return when the order's time runs out: day orders at the next 00:00 UTC, gtc never."""
    if terms.time_in_force is TimeInForce.DAY:
        return (now_ns // DAY_NS + 1) * DAY_NS
    return terms.expire_at_ns
