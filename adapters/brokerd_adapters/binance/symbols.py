"""
exchangeInfo -> the rules of each symbol, and what can be done with its orders.

Taken over are the filters that need nothing but the order: PRICE_FILTER, LOT_SIZE,
MARKET_LOT_SIZE, MIN_NOTIONAL and NOTIONAL. Those that compare with a moving price or with what
else is open (PERCENT_PRICE, MAX_NUM_ORDERS, MAX_POSITION, ...) only the venue can check.

Source: filters.md of binance-spot-api-docs.
"""

from decimal import Decimal

from msgspec import Struct

from brokerd.money import ZERO
from brokerd.terms import Instrument
from brokerd_adapters.binance.shapes import ExchangeInfo, FilterShape, SymbolShape, exact

_NO_FILTER = FilterShape()
_DIGITS_MAX = Decimal(10) ** 18


class Symbol(Struct, frozen=True):
    """One symbol: its rules, and which of the two ways to replace an order it has."""

    instrument: Instrument
    can_amend: bool
    can_cancel_replace: bool


def symbols(info: ExchangeInfo) -> tuple[dict[str, Symbol], tuple[str, ...]]:
    """Return every symbol that can be read, and the names of those that cannot."""
    known: dict[str, Symbol] = {}
    unreadable: list[str] = []
    for shape in info.symbols:
        try:
            known[shape.symbol] = _symbol(shape)
        except ValueError:
            unreadable.append(shape.symbol)
    return known, tuple(unreadable)


def _symbol(shape: SymbolShape) -> Symbol:
    filters = {each.filter_type: each for each in shape.filters}
    price = filters.get("PRICE_FILTER", _NO_FILTER)
    lot = filters.get("LOT_SIZE", _NO_FILTER)
    market_lot = filters.get("MARKET_LOT_SIZE", _NO_FILTER)
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", _NO_FILTER))
    instrument = Instrument(
        symbol=shape.symbol,
        base=shape.base_asset,
        quote=shape.quote_asset,
        tick=exact(price.tick_size),
        lot=exact(lot.step_size),
        px_min=exact(price.min_price),
        px_max=_most(price.max_price),
        qty_min=exact(lot.min_qty),
        qty_max=_most(lot.max_qty),
        market_lot=exact(market_lot.step_size),
        market_qty_min=exact(market_lot.min_qty),
        market_qty_max=_most(market_lot.max_qty),
        notional_min=exact(notional.min_notional),
        notional_max=_most(notional.max_notional),
    )
    return Symbol(instrument, shape.amend_allowed, shape.cancel_replace_allowed)


def _most(value: Decimal) -> Decimal:
    """Read a maximum; one that no order can reach is none (some symbols have 9 x 10^18 and more)."""
    return ZERO if value.is_finite() and value >= _DIGITS_MAX else exact(value)
