"""
An order against the market: the venue's filters that compare with a price that moves.

The venue compares with an average over minutes, which we do not have; we compare with a fresh
quote. So what is refused here is outside by more than DRIFT: that is a slip of the pen, and the
venue's own word decides about the rest.
"""

from decimal import Decimal

from brokerd.errors import InvalidOrder
from brokerd.money import ceil_to, divide, floor_to, multiply
from brokerd.terms import Instrument, Quote, Side

DRIFT = Decimal("0.05")
"""How far a quote may be from the average that the venue takes, as a part of it."""

MORE, LESS = 1 + DRIFT, 1 - DRIFT


def is_bounded(instrument: Instrument) -> bool:
    """Whether a symbol has filters that compare with the market."""
    reaches = (*instrument.buy_reach, *instrument.sell_reach)
    return any((*reaches, instrument.market_notional_min, instrument.market_notional_max))


def check_reach(instrument: Instrument, side: Side, px: Decimal, quote: Quote) -> None:
    """Raise InvalidOrder if a limit price is much farther from the market than the venue takes."""
    reach = instrument.buy_reach if side is Side.BUY else instrument.sell_reach
    least, most = multiply(quote.bid_px, reach[0]), multiply(quote.ask_px, reach[1])
    if px < multiply(least, LESS):
        end, reason = "below", "too_far_below_market"
    elif most and px > multiply(most, MORE):
        end, reason = "above", "too_far_above_market"
    else:
        return
    low, high = ceil_to(least, instrument.tick), floor_to(most, instrument.tick)
    taken = f"{low:f} to {high:f}" if most else f"{low:f} and more"
    raise InvalidOrder(
        f"px {px:f} is too far {end} the market, {quote.bid_px:f} to {quote.ask_px:f}",
        reason=reason,
        field="px",
        hint=f"about {taken} is taken",
    )


def check_market_notional(instrument: Instrument, qty: Decimal, quote: Quote) -> None:
    """Raise InvalidOrder if a market order is worth much less or more than the venue takes."""
    least, most = instrument.market_notional_min, instrument.market_notional_max
    if multiply(multiply(qty, quote.ask_px), MORE) < least:
        near = ceil_to(divide(least, quote.ask_px), instrument.lot)
        end, reason = f"below the minimum notional {least:f}", "below_minimum_notional"
    elif most and multiply(multiply(qty, quote.bid_px), LESS) > most:
        near = floor_to(divide(most, quote.bid_px), instrument.lot)
        end, reason = f"above the maximum notional {most:f}", "above_maximum_notional"
    else:
        return
    raise InvalidOrder(
        f"qty {qty:f} is {end} at the market, {quote.bid_px:f} to {quote.ask_px:f}",
        reason=reason,
        field="qty",
        hint=f"about {near:f} would be taken",
    )
