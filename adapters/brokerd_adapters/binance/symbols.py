"""
exchangeInfo -> the rules of each symbol, and what can be done with its orders.

Taken over are the filters that need nothing but the order, PRICE_FILTER, LOT_SIZE,
MARKET_LOT_SIZE, MIN_NOTIONAL and NOTIONAL, and those that compare with an average price,
PERCENT_PRICE, PERCENT_PRICE_BY_SIDE and the notional of market orders. Those that compare with
what else is open (MAX_NUM_ORDERS, MAX_POSITION, ...) only the venue can check.

Source: filters.md of binance-spot-api-docs.
"""

from decimal import Decimal

from msgspec import Struct

from brokerd.money import ZERO
from brokerd.terms import Instrument
from brokerd_adapters.binance.shapes import ExchangeInfo, FilterShape, SymbolShape, exact

_NO_FILTER = FilterShape()
_Reach = tuple[Decimal, Decimal]
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
    has_least = notional.apply_min_to_market or notional.apply_to_market
    buys, sells = _reaches(filters)
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
        market_notional_min=exact(notional.min_notional) if has_least else ZERO,
        market_notional_max=_most(notional.max_notional) if notional.apply_max_to_market else ZERO,
        buy_reach=buys,
        sell_reach=sells,
    )
    return Symbol(instrument, shape.amend_allowed, shape.cancel_replace_allowed)


def _reaches(filters: dict[str, FilterShape]) -> tuple[_Reach, _Reach]:
    """Return how far the prices of buys and of sells may be from the market; both filters may hold."""
    both = filters.get("PERCENT_PRICE", _NO_FILTER)
    side = filters.get("PERCENT_PRICE_BY_SIDE", _NO_FILTER)
    buys = (side.bid_multiplier_down, side.bid_multiplier_up)
    sells = (side.ask_multiplier_down, side.ask_multiplier_up)
    down, up = exact(both.multiplier_down), exact(both.multiplier_up)
    return _narrower(buys, down, up), _narrower(sells, down, up)


def _narrower(reach: _Reach, down: Decimal, up: Decimal) -> _Reach:
    low, high = exact(reach[0]), exact(reach[1])
    return max(low, down), min((each for each in (high, up) if each), default=ZERO)


def _most(value: Decimal) -> Decimal:
    """Read a maximum; one that no order can reach is none (some symbols have 9 x 10^18 and more)."""
    return ZERO if value.is_finite() and value >= _DIGITS_MAX else exact(value)
