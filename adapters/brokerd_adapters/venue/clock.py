"""The venue's own clock, which may go wrong on command."""

from brokerd.executor import Clock


class SkewedClock:
    """A wall clock that is `skew_s` ahead of another (behind, below 0)."""

    def __init__(self, clock: Clock) -> None:
        self.skew_s = 0.0
        self._clock = clock

    def now_ns(self) -> int:
        """Return nanoseconds since 1970, as this clock has them."""
        return self._clock.now_ns() + round(self.skew_s * 1_000_000_000)

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back."""
        return self._clock.monotonic_ns()
