"""
From tallies to figures: means, quantiles, shares, and the curve of fills.

A figure that no order could give is None, never 0.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from brokerd.money import divide, from_units, multiply, rounded, subtract
from brokerd.stats.sample import RATIO_PLACES
from brokerd.stats.tally import Tally

BPS_PLACES = RATIO_PLACES - 4
"""A ratio in 10^-8 is a count of 10^-4 basis points."""

BPS_SHOWN_PLACES = 4
SHARE_SHOWN_PLACES = 6
CURVE_POINTS_MAX = 24


def weighted_bps(tally: Tally, kind: str) -> Decimal | None:
    """Return all that was paid over all that it would have cost at the benchmark, in bps."""
    base = tally.sum(f"{kind}_base")
    return share_bps(tally.sum(f"{kind}_cost"), base)


def share_bps(cost: int, base: int) -> Decimal | None:
    """Return a ratio of two sums in bps."""
    return rounded(_ratio(cost * 10_000, base), BPS_SHOWN_PLACES) if base else None


def weighted_markout_bps(tally: Tally, kind: str) -> Decimal | None:
    """Return the mean of fills' markouts, each by its quantity, in bps."""
    return _mean_of_ratios(tally.sum(f"{kind}_cost"), tally.sum(f"{kind}_base"))


def mean_bps(tally: Tally, kind: str) -> Decimal | None:
    """Return the plain mean of the orders' own figures, in bps."""
    return _mean_of_ratios(tally.sum(f"{kind}_ratio"), tally.sum(f"{kind}_n"))


def quantile(spread: Mapping[int, int], q: float) -> int | None:
    """Return the smallest value with at least the share `q` of all at or below it."""
    wanted, seen = q * sum(spread.values()), 0
    for value in sorted(spread):
        seen += spread[value]
        if seen >= wanted:
            return value
    return None


def quantile_bps(spread: Mapping[int, int], q: float) -> Decimal | None:
    """Return a quantile of a spread of ratios, in bps."""
    value = quantile(spread, q)
    return None if value is None else from_units(value, BPS_PLACES)


def share(part: int, whole: int) -> Decimal | None:
    """Return a part of a whole, None of nothing."""
    return rounded(_ratio(part, whole), SHARE_SHOWN_PLACES) if whole else None


def filled_by(
    filled: Mapping[int, int], censored: Mapping[int, int]
) -> Iterator[tuple[int, Decimal, int]]:
    """
    Yield the Kaplan-Meier estimate of P(filled by t): (t, share, orders at risk), as it steps.

    An order that ended unfilled, or is still open, was at risk until then: it says nothing of
    what would have come later. Of fills and ends at the same t the fills come first (Kaplan and
    Meier, Nonparametric Estimation from Incomplete Observations, 1958).
    """
    at_risk = sum(filled.values()) + sum(censored.values())
    unfilled = Decimal(1)
    for moment in sorted(filled.keys() | censored.keys()):
        fills = filled.get(moment, 0)
        if fills:
            unfilled = divide(multiply(unfilled, Decimal(at_risk - fills)), Decimal(at_risk))
            yield moment, rounded(subtract(Decimal(1), unfilled), SHARE_SHOWN_PLACES), at_risk
        at_risk -= fills + censored.get(moment, 0)


def thinned(curve: Iterable[tuple[int, Decimal, int]]) -> list[tuple[int, Decimal, int]]:
    """Return at most CURVE_POINTS_MAX steps of a curve, evenly chosen, the last among them."""
    steps = list(curve)
    if len(steps) <= CURVE_POINTS_MAX:
        return steps
    last = len(steps) - 1
    chosen = {round(number * last / (CURVE_POINTS_MAX - 1)) for number in range(CURVE_POINTS_MAX)}
    return [steps[place] for place in sorted(chosen)]


def _mean_of_ratios(total: int, weight: int) -> Decimal | None:
    """Return the mean of ratios in 10^-8 in bps, from their weighted sum and the sum of weights."""
    return rounded(_ratio(total, weight * 10**BPS_PLACES), BPS_SHOWN_PLACES) if weight else None


def _ratio(dividend: int, divisor: int) -> Decimal:
    return divide(Decimal(dividend), Decimal(divisor))
