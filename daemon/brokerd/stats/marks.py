"""
Markouts: the mid price a while after a fill, from quotes put on record when they were due.

Rule 1: a fill's mark at horizon h is the first quote on record at or after t_f + h, if it came
        within the horizon's grace; else it is missing. Nothing is interpolated.
Rule 2: dues are rounded up to the horizon's grid, so that fills near each other share a quote and
        the number of quotes on record is bounded however fast one trades.
"""

from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct

from brokerd.terms import Quote

MS_NS = 1_000_000
S_NS = 1_000 * MS_NS


QUOTE_AGE_NS_MAX = 10 * S_NS
"""A quote older than this is stale, and no benchmark."""


class Horizon(Struct, frozen=True):
    """How long after a fill; the grid its dues are rounded up to; how late a quote may be."""

    name: str
    after_ns: int
    grid_ns: int
    grace_ns: int


HORIZONS = (
    Horizon("1s", 1 * S_NS, 100 * MS_NS, 300 * MS_NS),
    Horizon("5s", 5 * S_NS, 500 * MS_NS, 1_000 * MS_NS),
    Horizon("30s", 30 * S_NS, 1 * S_NS, 2 * S_NS),
    Horizon("1m", 60 * S_NS, 1 * S_NS, 2 * S_NS),
    Horizon("5m", 300 * S_NS, 5 * S_NS, 10 * S_NS),
)

SETTLED_AFTER_NS = HORIZONS[-1].after_ns + HORIZONS[-1].grace_ns
"""How long after its last fill an order's marks may still come in."""


def dues_ns(filled_at_ns: int) -> list[int]:
    """Return when the quotes for a fill's horizons are due, on their grids."""
    return [-(-(filled_at_ns + each.after_ns) // each.grid_ns) * each.grid_ns for each in HORIZONS]


class Mids(Struct, frozen=True):
    """A symbol's mid prices on record: when each was seen, in order, and what it was."""

    at_ns: list[int]
    mids: list[int]


def spans(filled_at_ns: Iterable[int]) -> list[tuple[int, int]]:
    """Return the times in which the marks of some fills are looked for, those that meet as one."""
    found: list[tuple[int, int]] = []
    for at_ns in sorted(filled_at_ns):
        until_ns = at_ns + SETTLED_AFTER_NS
        if found and at_ns <= found[-1][1]:
            found[-1] = found[-1][0], until_ns
        else:
            found.append((at_ns, until_ns))
    return found


def marks(filled_at_ns: int, seen: Mids) -> tuple[int | None, ...]:
    """Return the mid price at each horizon after a fill, None where none is on record in time."""
    return tuple(_mark(seen, filled_at_ns + each.after_ns, each.grace_ns) for each in HORIZONS)


def _mark(seen: Mids, due_ns: int, grace_ns: int) -> int | None:
    place = bisect_left(seen.at_ns, due_ns)
    if place < len(seen.at_ns) and seen.at_ns[place] <= due_ns + grace_ns:
        return seen.mids[place]
    return None


def is_fresh(quote: Quote, at_ns: int) -> bool:
    """Whether a quote is a benchmark at that time: young enough, and not of an empty book."""
    return at_ns - quote.at_ns <= QUOTE_AGE_NS_MAX and is_two_sided(quote)


def is_two_sided(quote: Quote) -> bool:
    """Whether there is a mid price: a side of the book that is empty is told as 0."""
    return quote.bid_px > 0 < quote.ask_px
