"""What was measured against what was wanted: rows for a table and for bench.json."""

import math
import statistics
import sys
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class Target(Struct, frozen=True):
    """A bound, in the row's own unit."""

    at: Literal["most", "least"]
    bound: float

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.at == "most" else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at == 'most' else '>='} {self.bound:g}"


class Row(Struct, frozen=True):
    """One number. `met` is None where nothing was promised."""

    part: str
    what: str
    value: float
    unit: str
    target: str | None = None
    met: bool | None = None


def row(part: str, what: str, value: float, unit: str, target: Target | None = None) -> Row:
    """Return a number beside its target, if it has one."""
    if target is None:
        return Row(part, what, value, unit)
    return Row(part, what, value, unit, str(target), target.is_met(value))


def at_most(bound: float) -> Target:
    return Target("most", bound)


def at_least(bound: float) -> Target:
    return Target("least", bound)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest value with at least the share `q` of all at or below it."""
    ordered = sorted(values)
    return ordered[max(math.ceil(q * len(ordered)) - 1, 0)]


def median_ratio(values: Sequence[float], beside: Sequence[float]) -> float:
    """Return the median of the rounds' ratios: a round that was slow for both is slow for neither."""
    return statistics.median(a / b for a, b in zip(values, beside, strict=True))


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out as text."""
    lines = [("", "measured", "", "", "target", "")]
    for each in rows:
        verdict = "" if each.met is None else "met" if each.met else "MISSED"
        number = f"{each.value:,.0f}" if abs(each.value) >= 1_000 else f"{each.value:.3g}"
        lines.append((each.part, each.what, number, each.unit, each.target or "", verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column == 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def say(text: str) -> None:
    """Tell how far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)
