"""The system's clocks: the only file that reads `time`."""

import time

from brokerd.executor import Clock
from brokerd.times import NS_PER_S

SET_BACK_NS_MAX = 86_400 * NS_PER_S
"""How far the journal may be ahead of the wall clock for its time to be taken up."""


class SystemClock:
    """`brokerd.executor.Clock` on the machine's own clocks."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 by the wall clock: for stamps."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back: for durations."""
        return time.monotonic_ns()


class SteadyClock:
    """
    A clock whose time is read once from the wall and goes on by the monotonic clock.

    Doubt ends by times that are compared: whoever sets the host's clock must not shorten a wait or
    turn the order of events around. So times on record never step within a run. `stepped_ns` tells
    how far the wall clock has gone its own way since.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ns = clock.now_ns() - clock.monotonic_ns()

    def now_ns(self) -> int:
        """Return nanoseconds since 1970, without steps."""
        return self._clock.monotonic_ns() + self._ahead_ns

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back."""
        return self._clock.monotonic_ns()

    def follow(self, known_until_ns: int) -> None:
        """
        Go on from where a run before this one stopped, if the wall clock was set back since.

        Called before anything is stamped. More than a day is not caught up with: then it was that
        run whose clock was wrong.
        """
        behind_ns = known_until_ns - self.now_ns()
        if 0 < behind_ns <= SET_BACK_NS_MAX:
            self._ahead_ns += behind_ns

    @property
    def stepped_ns(self) -> int:
        """The wall clock's time minus this one's."""
        return self._clock.now_ns() - self.now_ns()
