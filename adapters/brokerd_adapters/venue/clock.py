"""The venue's own clock, which may go wrong on command."""

from brokerd.executor import Clock
from brokerd.times import NS_PER_S


class SkewedClock:
    """A wall clock that is `skew_s` ahead of another (behind, below 0)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._skew_ns = 0

    @property
    def skew_s(self) -> float:
        """How far it is ahead."""
        return self._skew_ns / NS_PER_S

    @skew_s.setter
    def skew_s(self, skew_s: float) -> None:
        self._skew_ns = round(skew_s * NS_PER_S)

    def now_ns(self) -> int:
        """Return nanoseconds since 1970, as this clock has them."""
        return self._clock.now_ns() + self._skew_ns

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back."""
        return self._clock.monotonic_ns()
