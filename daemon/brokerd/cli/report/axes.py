"""Numbers -> places in a picture, and the ticks between which a person reads them. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


class Axis(NamedTuple):
    """From `low` at the place `begin` to `high` at `end`; by the same factor where it is `log`."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value, at the edge if it is outside."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.begin + share * (self.end - self.begin)

    def holds(self, value: float) -> bool:
        """Whether a value is not beyond the edges."""
        return self.low <= value <= self.high

    @property
    def ticks(self) -> list[float]:
        """Round numbers within the axis, at least one."""
        return _log_ticks(self.low, self.high) if self.log else round_ticks(self.low, self.high)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about so many multiples of 1, 2, 2.5 or 5 times a power of ten within a range."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in _STEPS if power * each >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)] or [low]


def padded(values: Sequence[float], around: float | None = None) -> tuple[float, float]:
    """Return a range with some air around the values, and around zero if that is asked for."""
    there = [*values, *([] if around is None else [around])]
    low, high = min(there), max(there)
    air = (high - low) * 0.06 or max(abs(high), 1.0) * 0.1
    return low - air, high + air


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = math.log10(high) - math.log10(low)
    factors = (1, 2, 5) if decades < 2 else (1,)
    every = max(math.ceil(decades / 6), 1)
    ticks = [f * 10.0**p for p in powers if p % every == 0 for f in factors]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)] or [low]
