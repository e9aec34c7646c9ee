"""The system's clocks: the only file that reads `time`."""

import time


class SystemClock:
    """`brokerd.executor.Clock` on the machine's own clocks."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 by the wall clock: for stamps."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back: for durations."""
        return time.monotonic_ns()
