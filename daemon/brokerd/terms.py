"""
The words of an order, in the field's own names, and the rules of the instrument it is for.

Values only: nothing here waits, reads a clock or knows of a venue.
"""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from brokerd.errors import InvalidOrder
from brokerd.money import EXACT, STEP_MIN, ZERO, ceil_to, floor_to, is_multiple, multiply

GROUP_KEYS_MAX = 16
GROUP_TEXT_MAX = 64
CL_ORD_ID_MAX = 64


class Side(StrEnum):
    """FIX tag 54."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: the s of every cost formula."""
        return 1 if self is Side.BUY else -1


class OrdType(StrEnum):
    """FIX tag 40."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"

    @property
    def has_px(self) -> bool:
        """Whether the order names a limit price."""
        return self is OrdType.LIMIT or self is OrdType.STOP_LIMIT

    @property
    def has_stop_px(self) -> bool:
        """Whether the order sleeps until a trigger price."""
        return self is OrdType.STOP or self is OrdType.STOP_LIMIT


class TimeInForce(StrEnum):
    """FIX tag 59."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    DAY = "day"
    GTD = "gtd"


AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
"""What does not rest."""


class Quote(Struct, gc=False, frozen=True):
    """The best bid and ask an executor saw, and when (ns, wall clock)."""

    bid_px: Decimal
    ask_px: Decimal
    at_ns: int


class Terms(Struct, gc=False, frozen=True):
    """
    What the bot asked for, as it asked for it; a replace changes the order, never its terms.

    Quantities are in the base asset, prices in the quote asset; `expire_at_ns` belongs to gtd.
    """

    executor: str
    symbol: str
    side: Side
    ord_type: OrdType
    qty: Decimal
    px: Decimal | None = None
    stop_px: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_at_ns: int | None = None
    post_only: bool = False
    group: dict[str, str] = {}
    decision_px: Decimal | None = None


class Instrument(Struct, frozen=True):
    """
    A symbol's rules at a venue; a step or bound of 0 means the venue sets none.

    `market_...` are the rules for market orders, where a venue has stricter ones for them. Of the
    two steps, the wider is a multiple of the other. A `..._reach` is how low and how high a limit
    price may be, as multiples of the market's; what the market is worth is known to `bounds` only.
    """

    symbol: str
    base: str
    quote: str
    tick: Decimal = ZERO
    lot: Decimal = ZERO
    qty_min: Decimal = ZERO
    qty_max: Decimal = ZERO
    notional_min: Decimal = ZERO
    notional_max: Decimal = ZERO
    px_min: Decimal = ZERO
    px_max: Decimal = ZERO
    market_lot: Decimal = ZERO
    market_qty_min: Decimal = ZERO
    market_qty_max: Decimal = ZERO
    market_notional_min: Decimal = ZERO
    market_notional_max: Decimal = ZERO
    buy_reach: tuple[Decimal, Decimal] = (ZERO, ZERO)
    sell_reach: tuple[Decimal, Decimal] = (ZERO, ZERO)


def check_terms(terms: Terms) -> None:
    """Raise InvalidOrder if the terms contradict themselves, whatever the venue."""
    _check_positive("qty", terms.qty)
    _check_presence("px", terms.px, terms.ord_type, needed=terms.ord_type.has_px)
    _check_presence("stop_px", terms.stop_px, terms.ord_type, needed=terms.ord_type.has_stop_px)
    if terms.decision_px is not None:
        _check_positive("decision_px", terms.decision_px)
    if (terms.time_in_force is TimeInForce.GTD) != (terms.expire_at_ns is not None):
        raise InvalidOrder(
            "expire_at and time_in_force gtd go together",
            reason="expire_at_mismatch",
            field="expire_at",
            hint="send both, or neither",
        )
    if terms.post_only and (terms.ord_type is not OrdType.LIMIT or terms.time_in_force in AT_ONCE):
        raise InvalidOrder(
            "post_only is for limit orders that may rest",
            reason="post_only_cannot_rest",
            field="post_only",
            hint="use ord_type limit with gtc, day or gtd",
        )


def check_instrument(
    instrument: Instrument, qty: Decimal, px: Decimal | None, stop_px: Decimal | None
) -> None:
    """
    Raise InvalidOrder, naming the nearest valid values, if the venue's filters would refuse it.

    A refusal that can be foreseen costs no request and no rate budget.
    """
    for field, price in (("px", px), ("stop_px", stop_px)):
        if price is not None:
            _check_px(instrument, field, price)
    grid = _qty_grid(instrument, is_market=px is None and stop_px is None)
    fault = _qty_fault(grid, qty, instrument, px)
    if fault is not None:
        what, reason = fault
        least, most = _qty_bounds(grid, instrument, px)
        hint = _nearest(qty, grid.lot, least=least, most=most)
        raise InvalidOrder(what, reason=reason, field="qty", hint=hint)


def _check_positive(field: str, value: Decimal) -> None:
    if value <= 0:
        raise InvalidOrder(f"{field} must be above 0", reason="not_positive", field=field)


def _check_presence(field: str, value: Decimal | None, ord_type: OrdType, *, needed: bool) -> None:
    if needed == (value is not None):
        if value is not None:
            _check_positive(field, value)
        return
    verb = "needs" if needed else "takes no"
    raise InvalidOrder(
        f"a {ord_type} order {verb} {field}",
        reason=f"{field}_missing" if needed else f"{field}_not_allowed",
        field=field,
    )


def _check_px(instrument: Instrument, field: str, price: Decimal) -> None:
    tick, px_min, px_max = instrument.tick, instrument.px_min, instrument.px_max
    if not is_multiple(price, tick):
        what, reason = f"is not a multiple of the tick size {tick:f}", "not_on_tick"
    elif price < px_min:
        what, reason = f"is below the minimum {px_min:f}", "below_minimum_px"
    elif px_max and price > px_max:
        what, reason = f"is above the maximum {px_max:f}", "above_maximum_px"
    else:
        return
    hint = _nearest(price, tick, least=ceil_to(max(px_min, tick), tick), most=px_max or None)
    raise InvalidOrder(f"{field} {price:f} {what}", reason=reason, field=field, hint=hint)


class _QtyGrid(NamedTuple):
    """The step of a quantity, and the least and most of it that a venue takes (0: no maximum)."""

    lot: Decimal
    least: Decimal
    most: Decimal


def _qty_grid(instrument: Instrument, *, is_market: bool) -> _QtyGrid:
    """Return the grid for an order: the strictest of the rules that apply to it."""
    lot, least, most = instrument.lot, instrument.qty_min, instrument.qty_max
    if is_market:
        lot, least = max(lot, instrument.market_lot), max(least, instrument.market_qty_min)
        most = min((each for each in (most, instrument.market_qty_max) if each), default=ZERO)
    return _QtyGrid(lot, least, most)


def _qty_fault(
    grid: _QtyGrid, qty: Decimal, instrument: Instrument, px: Decimal | None
) -> tuple[str, str] | None:
    """Return the sentence and the reason of the first filter that `qty` fails, if it fails one."""
    if not is_multiple(qty, grid.lot):
        return f"qty {qty:f} is not a multiple of the lot size {grid.lot:f}", "not_on_lot"
    if qty < grid.least:
        return f"qty {qty:f} is below the minimum {grid.least:f}", "below_minimum_qty"
    if grid.most and qty > grid.most:
        return f"qty {qty:f} is above the maximum {grid.most:f}", "above_maximum_qty"
    if px is None:
        return None
    notional, least, most = multiply(px, qty), instrument.notional_min, instrument.notional_max
    if notional < least:
        end, reason = f"below the minimum notional {least:f}", "below_minimum_notional"
    elif most and notional > most:
        end, reason = f"above the maximum notional {most:f}", "above_maximum_notional"
    else:
        return None
    return f"qty x px is {notional:f} at px {px:f}, {end}", reason


def _qty_bounds(
    grid: _QtyGrid, instrument: Instrument, px: Decimal | None
) -> tuple[Decimal, Decimal | None]:
    """Return the least and the most that an order at `px` may be; None: there is no maximum."""
    least: Decimal = max(grid.least, grid.lot)
    most: Decimal | None = grid.most or None
    if px:
        # The notional of a whole number of lots: divided by px it is exact.
        lot_notional = multiply(px, grid.lot or STEP_MIN)
        least = max(least, EXACT.divide(ceil_to(instrument.notional_min, lot_notional), px))
        if instrument.notional_max:
            dearest = EXACT.divide(floor_to(instrument.notional_max, lot_notional), px)
            most = dearest if most is None else min(most, dearest)
    return ceil_to(least, grid.lot), most


def _nearest(value: Decimal, step: Decimal, *, least: Decimal, most: Decimal | None) -> str:
    """Name the valid values on both sides of `value`; a `most` of None means there is no maximum."""
    top = None if most is None else floor_to(most, step)
    if top is not None and top < least:
        return f"no value is valid: the least is {least:f}, the most {top:f}"
    below, above = (max(near(value, step), least) for near in (floor_to, ceil_to))
    values = sorted({near if top is None else min(near, top) for near in (below, above)})
    return f"nearest valid: {' or '.join(f'{near:f}' for near in values)}"
