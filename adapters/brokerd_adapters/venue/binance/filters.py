"""
A symbol's filters: what exchangeInfo says, and what is refused by them. Pure.

Source: filters.md. Each check raises "Filter failure: NAME" (-1013).
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from brokerd.money import divide, is_multiple, multiply
from brokerd.terms import Instrument
from brokerd_adapters.venue.binance.errors import filter_failure
from brokerd_adapters.venue.binance.words import number

PX_MAX = Decimal(1_000_000)
QTY_MAX = Decimal(9_000)
ICEBERG_PARTS_MAX = 10
NOTIONAL_MAX = Decimal(9_000_000)
PERCENT_UP = Decimal(100)
PERCENT_DOWN = Decimal("0.01")


class Caps(Struct, frozen=True):
    """How many orders may be open on one symbol: all, and those asleep (algo orders)."""

    orders: int
    algo_orders: int


DOCUMENTED = Caps(200, 5)
OPEN = Caps(1_000_000, 1_000_000)


def told(instrument: Instrument, caps: Caps) -> list[dict[str, Any]]:
    """Return the filters as exchangeInfo has them."""
    lot = {
        "minQty": number(instrument.qty_min),
        "maxQty": number(QTY_MAX),
        "stepSize": number(instrument.lot),
    }
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": number(instrument.tick),
            "maxPrice": number(PX_MAX),
            "tickSize": number(instrument.tick),
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "ICEBERG_PARTS", "limit": ICEBERG_PARTS_MAX},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": number(PERCENT_UP),
            "bidMultiplierDown": number(PERCENT_DOWN),
            "askMultiplierUp": number(PERCENT_UP),
            "askMultiplierDown": number(PERCENT_DOWN),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": number(instrument.notional_min),
            "applyMinToMarket": True,
            "maxNotional": number(NOTIONAL_MAX),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": caps.orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": caps.algo_orders},
    ]


def check_px(instrument: Instrument, px: Decimal | None) -> None:
    """Check a limit or stop price: PRICE_FILTER."""
    if px is None:
        return
    if not instrument.tick <= px <= PX_MAX or not is_multiple(px, instrument.tick):
        raise filter_failure("PRICE_FILTER")


def check_distance(px: Decimal | None, average_px: Decimal | None) -> None:
    """Check a limit price against the average of late: PERCENT_PRICE_BY_SIDE."""
    if px is None or average_px is None:
        return
    low, high = multiply(average_px, PERCENT_DOWN), multiply(average_px, PERCENT_UP)
    if not low <= px <= high:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")


def check_qty(instrument: Instrument, qty: Decimal, *, is_market: bool = False) -> None:
    """Check a quantity: LOT_SIZE or MARKET_LOT_SIZE."""
    if not instrument.qty_min <= qty <= QTY_MAX or not is_multiple(qty, instrument.lot):
        raise filter_failure("MARKET_LOT_SIZE" if is_market else "LOT_SIZE")


def check_iceberg(instrument: Instrument, qty: Decimal, iceberg: Decimal) -> None:
    """Check the visible part of an iceberg order: LOT_SIZE and ICEBERG_PARTS."""
    check_qty(instrument, iceberg)
    if divide(qty, iceberg) > ICEBERG_PARTS_MAX:
        raise filter_failure("ICEBERG_PARTS")


def check_notional(instrument: Instrument, qty: Decimal, px: Decimal, *, is_market: bool) -> None:
    """Check what an order is worth: NOTIONAL."""
    notional = multiply(qty, px)
    if notional < instrument.notional_min or (notional > NOTIONAL_MAX and not is_market):
        raise filter_failure("NOTIONAL")
