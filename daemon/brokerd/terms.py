"""
The words of an order, in the field's own names, and the rules of the instrument it is for.

Values only: nothing here waits, reads a clock or knows of a venue.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from brokerd.errors import InvalidOrder
from brokerd.money import STEP_MIN, ZERO, ceil_to, divide, floor_to, is_multiple, multiply

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
        return self in {OrdType.LIMIT, OrdType.STOP_LIMIT}

    @property
    def has_stop_px(self) -> bool:
        """Whether the order sleeps until a trigger price."""
        return self in {OrdType.STOP, OrdType.STOP_LIMIT}


class TimeInForce(StrEnum):
    """FIX tag 59."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    DAY = "day"
    GTD = "gtd"


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
    """A symbol's rules at a venue; a step or bound of 0 means the venue sets none."""

    symbol: str
    base: str
    quote: str
    tick: Decimal = ZERO
    lot: Decimal = ZERO
    qty_min: Decimal = ZERO
    qty_max: Decimal = ZERO
    notional_min: Decimal = ZERO


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
    at_once = {TimeInForce.IOC, TimeInForce.FOK}
    if terms.post_only and (terms.ord_type is not OrdType.LIMIT or terms.time_in_force in at_once):
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
        if price is not None and not is_multiple(price, instrument.tick):
            raise InvalidOrder(
                f"{field} {price:f} is not a multiple of the tick size {instrument.tick:f}",
                reason="not_on_tick",
                field=field,
                hint=_nearest(price, instrument.tick, least=instrument.tick),
            )
    fault = _qty_fault(instrument, qty, px)
    if fault is not None:
        what, reason = fault
        least = _least_qty(instrument, px)
        hint = _nearest(qty, instrument.lot, least=least, most=instrument.qty_max)
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


def _qty_fault(instrument: Instrument, qty: Decimal, px: Decimal | None) -> tuple[str, str] | None:
    """Return the sentence and the reason of the first filter that `qty` fails, if it fails one."""
    if not is_multiple(qty, instrument.lot):
        return f"qty {qty:f} is not a multiple of the lot size {instrument.lot:f}", "not_on_lot"
    if qty < instrument.qty_min:
        return f"qty {qty:f} is below the minimum {instrument.qty_min:f}", "below_minimum_qty"
    if instrument.qty_max and qty > instrument.qty_max:
        return f"qty {qty:f} is above the maximum {instrument.qty_max:f}", "above_maximum_qty"
    if px is not None and multiply(px, qty) < instrument.notional_min:
        told = f"qty x px is {multiply(px, qty):f} at px {px:f}"
        return (
            f"{told}, below the minimum notional {instrument.notional_min:f}",
            "below_minimum_notional",
        )
    return None


def _least_qty(instrument: Instrument, px: Decimal | None) -> Decimal:
    """Return the smallest quantity that the lot size and both minimums allow at `px`."""
    least = max(instrument.qty_min, instrument.lot)
    if px:
        lot_notional = multiply(px, instrument.lot or STEP_MIN)
        least = max(least, divide(ceil_to(instrument.notional_min, lot_notional), px))
    return ceil_to(least, instrument.lot)


def _nearest(value: Decimal, step: Decimal, *, least: Decimal, most: Decimal = ZERO) -> str:
    """Name the valid values on both sides of `value`; a `most` of 0 means there is no maximum."""
    top = floor_to(most, step)
    if most and top < least:
        return f"no value is valid: the least is {least:f}, the most {top:f}"
    below, above = (max(near(value, step), least) for near in (floor_to, ceil_to))
    values = sorted({min(near, top) if most else near for near in (below, above)})
    return f"nearest valid: {' or '.join(f'{near:f}' for near in values)}"
