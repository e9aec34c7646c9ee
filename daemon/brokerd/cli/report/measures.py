"""
Orders, as order.list gives them -> each one's slippage, size and stages. Definitions: docs/statistics.md.

What cannot be measured is None: an order without a fill, an arrival quote that is missing or stale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from brokerd.cli.figures import decimal
from brokerd.cli.jsontext import Record, as_record
from brokerd.money import add, divide, multiply, subtract
from brokerd.times import parse_rfc3339

QUOTE_AGE_NS_MAX = 10_000_000_000
"""An arrival quote older than this is no benchmark: the same limit as the daemon's."""

STAGES = {
    "receipt to sent": ("created_at", "sent_at"),
    "sent to the venue's word": ("sent_at", "acked_at"),
    "word to first fill": ("acked_at", "first_fill_at"),
    "first fill to done": ("first_fill_at", "closed_at"),
    "receipt to done": ("created_at", "closed_at"),
}

_BPS = Decimal(10_000)
_TWO = Decimal(2)


@dataclass(frozen=True)
class Measured:
    """One order and what can be measured of it; `size` and `cost` in the quote currency."""

    order: Record
    size: Decimal | None
    cost: Decimal | None
    bps: Decimal | None
    stages_s: dict[str, float]


def measure(order: Record) -> Measured:
    """Measure one order."""
    qty, paid_px, mid = decimal(order.get("cum_qty")), decimal(order.get("avg_px")), _mid(order)
    size = cost = bps = None
    if qty and paid_px is not None:
        size = multiply(qty, paid_px)
        if mid:
            worse = subtract(paid_px, mid) if order.get("side") == "buy" else subtract(mid, paid_px)
            cost, bps = multiply(qty, worse), multiply(divide(worse, mid), _BPS)
    return Measured(order, size, cost, bps, _stages(order))


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """Return the value with at least that share of all at or below it; there must be one."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def worst(orders: Sequence[Measured], count: int, *, by_cost: bool) -> list[Measured]:
    """Return the dearest orders, the dearest first; by cost only within one quote currency."""
    paid = [(each.cost if by_cost else each.bps, each) for each in orders]
    dear = [(figure, each) for figure, each in paid if figure is not None and figure > 0]
    return [each for _, each in sorted(dear, key=lambda pair: pair[0], reverse=True)[:count]]


def _mid(order: Record) -> Decimal | None:
    arrival = as_record(order.get("arrival"))
    bid_px, ask_px = decimal(arrival.get("bid_px")), decimal(arrival.get("ask_px"))
    at_ns, created_ns = _time_ns(arrival.get("at")), _time_ns(order.get("created_at"))
    if not bid_px or not ask_px or at_ns is None or created_ns is None:
        return None
    if created_ns - at_ns > QUOTE_AGE_NS_MAX:
        return None
    return divide(add(bid_px, ask_px), _TWO)


def _stages(order: Record) -> dict[str, float]:
    """Return the stages that were passed; one that ran backwards, after a step of the clock, is not."""
    at_ns = {name: _time_ns(order.get(name)) for pair in STAGES.values() for name in pair}
    lengths: dict[str, float] = {}
    for stage, (begin, end) in STAGES.items():
        begin_ns, end_ns = at_ns[begin], at_ns[end]
        if begin_ns is not None and end_ns is not None and end_ns >= begin_ns:
            lengths[stage] = (end_ns - begin_ns) / 1e9
    return lengths


def _time_ns(at: object) -> int | None:
    try:
        return parse_rfc3339(str(at)) if at else None
    except ValueError:
        return None
