"""
From tallies to figures: means, quantiles, shares, and the curve of fills.

A figure that no order could give is None, never 0.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from brokerd.money import divide, from_units, rounded
from brokerd.stats.sample import RATIO_PLACES
from brokerd.stats.tally import Tally

T = TypeVar("T")

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


def quantiles(spread: Mapping[int, int], shares: Sequence[float]) -> list[int | None]:
    """Return for each share, in rising order, the smallest value with so many at or below it."""
    found: list[int | None] = []
    total, seen, values = sum(spread.values()), 0, iter(sorted(spread))
    value: int | None = None
    for wanted in shares:
        while spread and (value is None or seen < wanted * total):
            value = next(values)
            seen += spread[value]
        found.append(value)
    return found


def quantiles_bps(spread: Mapping[int, int], shares: Sequence[float]) -> list[Decimal | None]:
    """Return quantiles of a spread of ratios, in bps."""
    return [
        None if value is None else from_units(value, BPS_PLACES)
        for value in quantiles(spread, shares)
    ]


def share(part: int, whole: int) -> Decimal | None:
    """Return a part of a whole, None of nothing."""
    return rounded(_ratio(part, whole), SHARE_SHOWN_PLACES) if whole else None


def filled_by(
    filled: Mapping[int, int], censored: Mapping[int, int]
) -> list[tuple[int, Decimal, int]]:
    """
    Return the Kaplan-Meier estimate of P(filled by t): (t, share, orders at risk), as it steps.

    An order that ended unfilled, or is still open, was at risk until then: it says nothing of
    what would have come later. Of fills and ends at the same t the fills come first (Kaplan and
    Meier, Nonparametric Estimation from Incomplete Observations, 1958). Thinned, where there are
    very many steps.
    """
    return [
        (moment, rounded(from_units(_WHOLE - unfilled, _WHOLE_PLACES), SHARE_SHOWN_PLACES), at_risk)
        for moment, unfilled, at_risk in thinned(_steps(filled, censored))
    ]


_WHOLE_PLACES = 36
_WHOLE: int = 10**_WHOLE_PLACES


def _steps(
    filled: Mapping[int, int], censored: Mapping[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Yield (t, share unfilled in 10^-36, orders at risk) at each time of a fill."""
    at_risk = sum(filled.values()) + sum(censored.values())
    unfilled = _WHOLE
    for moment in sorted(filled.keys() | censored.keys()):
        fills = filled.get(moment, 0)
        if fills:
            unfilled = (2 * unfilled * (at_risk - fills) + at_risk) // (2 * at_risk)
            yield moment, unfilled, at_risk
        at_risk -= fills + censored.get(moment, 0)


def thinned(curve: Iterable[T]) -> list[T]:
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
