"""
How measurements look: basis points, times, shares, amounts, "812 of 830". Pure.

What is missing is a dash, never a zero. Amounts are cut to what a person reads, from their exact
digits; the exact ones are in the JSON.
"""

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from brokerd.cli.jsontext import Record, as_record
from brokerd.cli.plots import spark
from brokerd.cli.views import duration

MISSING = "-"

_SHORT = Context(prec=4, rounding=ROUND_HALF_EVEN)
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


def decimal(value: object) -> Decimal | None:
    """Return a number from the wire exactly; None for what is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def bps(value: object) -> str:
    """Return basis points with their sign: +1.04, -0.07, 0.00."""
    number = decimal(value)
    if number is None:
        return MISSING
    text = f"{_rounded(number, 2):+.2f}"
    return text[1:] if text in {"+0.00", "-0.00"} else text


def percent(value: object) -> str:
    """Return a share (0 to 1) in percent."""
    number = decimal(value)
    return MISSING if number is None else f"{_rounded(_WIDE.scaleb(number, 2), 1):.1f}%"


def rejected_part(row: Record) -> str:
    """Say what rejected orders are of the quantity that "filled" is a share of; "" if there are none."""
    ratio = as_record(row.get("fill_ratio_qty"))
    number = ratio.get("rejected_orders")
    if not number:
        return ""
    orders = "order" if number == 1 else "orders"
    return f"{percent(ratio.get('rejected_share'))} of it in {count(number)} rejected {orders}"


def span(took_s: object) -> str:
    """Return a time in seconds in the unit that suits it: 850 us, 1.2 ms, 3.40 s, 12m."""
    number = decimal(took_s)
    if number is None:
        return MISSING
    length_s = float(number)
    if length_s >= 600:
        return duration(length_s)
    if length_s >= 1:
        return f"{length_s:.2f} s"
    return f"{length_s * 1e3:.1f} ms" if length_s >= 1e-3 else f"{max(length_s, 0) * 1e6:.0f} us"


def n_of(figure: Record) -> str:
    """Return how many could be measured: "812 of 830"."""
    return f"{count(figure.get('n'))} of {count(figure.get('total'))}"


def count(value: object) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) else MISSING


def amounts(by_asset: object) -> str:
    """Return amounts by asset, to the cent or to four digits that say something."""
    told = [f"{amount(value)} {asset}" for asset, value in as_record(by_asset).items()]
    return ", ".join(told) or MISSING


def amount(value: object) -> str:
    """Return one amount as a person reads it."""
    number = decimal(value)
    if number is None:
        return MISSING
    if number and abs(number) < 1:
        return f"{number.normalize(_SHORT):f}"
    return f"{_rounded(number, 2):,.2f}"


def curve(points: Sequence[Record], cells: int) -> str:
    """Plot P(filled by t), t growing by the same factor from cell to cell."""
    steps = [(decimal(p.get("after_s")), decimal(p.get("share"))) for p in points]
    known = [(float(t), float(share)) for t, share in steps if t is not None and share is not None]
    if not known:
        return ""
    first_s, last_s = max(known[0][0], 1e-6), max(known[-1][0], 1e-6)
    factor = (last_s / first_s) ** (1 / max(cells - 1, 1))
    moments = [first_s * factor**cell for cell in range(cells)]
    return spark([_share_at(known, moment) for moment in moments], top=1.0)


def _rounded(number: Decimal, places: int) -> Decimal:
    """Round a half to even, whatever somebody has set for the rest of the process."""
    return number.quantize(Decimal(1).scaleb(-places), context=_WIDE)


def _share_at(steps: Sequence[tuple[float, float]], moment_s: float) -> float:
    reached = [share for at_s, share in steps if at_s <= moment_s * (1 + 1e-9)]
    return reached[-1] if reached and math.isfinite(reached[-1]) else 0.0
