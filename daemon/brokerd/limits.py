"""
Limits: how much may be open at one executor, and what an order counts in them.

Rule 1: what is not known to be over counts in full: an order in doubt as if it had arrived, a
        replace without an outcome at the larger of both quantities and prices.
Rule 2: an order is refused before anything is written, and a repeated one never: it is known.

Pure. Notionals are in the quote asset; a sum over symbols means something where they share it.
"""

from decimal import Decimal
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from brokerd.errors import RefusedByLimits
from brokerd.money import ZERO, add, digits, multiply, subtract
from brokerd.orders import Order
from brokerd.terms import Quote, Side, Terms


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of [executors.NAME.limits]; what is left out has no limit."""

    open_orders_max: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="orders that may be open at the same time"),
    ] = None
    order_notional_max: Annotated[
        Decimal | None, Meta(description="qty x px of one order, in the quote asset")
    ] = None
    open_notional_max: Annotated[
        Decimal | None, Meta(description="qty x px still open over all orders together")
    ] = None

    def __post_init__(self) -> None:
        """Raise ValueError, naming the key, for a notional that nothing could be below."""
        for key in ("order_notional_max", "open_notional_max"):
            most = getattr(self, key)
            if most is not None and most <= 0:
                raise ValueError(f"{key} must be above 0")


class Exposure(NamedTuple):
    """What is open at an executor: how many orders, and their notional at the most."""

    orders: int
    notional: Decimal

    def plus(self, other: "Exposure") -> "Exposure":
        """Return both together."""
        return Exposure(self.orders + other.orders, add(self.notional, other.notional))

    def minus(self, other: "Exposure") -> "Exposure":
        """Return this without the other."""
        return Exposure(self.orders - other.orders, subtract(self.notional, other.notional))


NOTHING = Exposure(0, ZERO)


def exposure_of(order: Order | None) -> Exposure:
    """Return what an order counts: what may be open of it, in doubt or not; those of others nothing."""
    if order is None or order.is_over or order.is_external:
        return NOTHING
    wanted = order.replacing
    px = max(
        order.px or price_of(order.terms, order.arrival) or ZERO,
        (wanted.px if wanted else None) or ZERO,
    )
    return Exposure(1, multiply(order.open_qty_max, px))


def price_of(terms: Terms, arrival: Quote | None) -> Decimal | None:
    """Return what a unit costs at the most, as far as can be told; None if it cannot."""
    if terms.px is not None or terms.stop_px is not None:
        return terms.px or terms.stop_px
    if arrival is None:
        return None
    return arrival.ask_px if terms.side is Side.BUY else arrival.bid_px


def new_order_refused(
    limits: Limits, now: Exposure, terms: Terms, arrival: Quote | None
) -> RefusedByLimits | None:
    """Say why a new order is beyond the limits, None if it is not."""
    px = price_of(terms, arrival)
    if px is None:
        has_notionals = limits.order_notional_max or limits.open_notional_max
        if has_notionals is None:
            return _refused(limits, now, Exposure(1, ZERO), terms.executor, ZERO)
        return RefusedByLimits(
            f"{terms.symbol} has no price to hold against the limits of {terms.executor}",
            reason="no_price",
            hint="submit when there is a fresh quote, or with a px",
        )
    notional = multiply(terms.qty, px)
    return _refused(limits, now, Exposure(1, notional), terms.executor, notional)


def replace_refused(
    limits: Limits, now: Exposure, order: Order, qty: Decimal | None, px: Decimal | None
) -> RefusedByLimits | None:
    """Say why another quantity or price is beyond the limits; one that asks for less never is."""
    qty, px = qty or order.qty, px or order.px or price_of(order.terms, order.arrival) or ZERO
    rest = multiply(max(subtract(qty, order.cum_qty), ZERO), px)
    more = subtract(rest, exposure_of(order).notional)
    if more <= 0:
        return None
    return _refused(limits, now, Exposure(0, more), order.terms.executor, multiply(qty, px))


def _refused(
    limits: Limits, now: Exposure, more: Exposure, executor: str, size: Decimal
) -> RefusedByLimits | None:
    after = now.plus(more)
    for key, found, most in (
        ("open_orders_max", Decimal(after.orders), limits.open_orders_max),
        ("order_notional_max", size, limits.order_notional_max),
        ("open_notional_max", after.notional, limits.open_notional_max),
    ):
        # What asks for no further order is not held up by their number.
        if most is None or found <= most or (key == "open_orders_max" and not more.orders):
            continue
        return RefusedByLimits(
            f"it would make {digits(found)} at {executor}, and {key} is {most}",
            reason=key,
            hint=f"cancel something, ask for less, or raise executors.{executor}.limits.{key}",
            executor=executor,
            would_be=digits(found),
            limit=str(most),
        )
    return None
