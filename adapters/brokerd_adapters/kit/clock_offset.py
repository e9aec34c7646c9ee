"""
The venue's clock, as seen from here: how far it is off ours, and how sure that is.

A probe asks the venue for its time. The answer was made somewhere between the question and the
answer's arrival, so each probe gives an interval for the offset; the truth lies in all of them. The
estimate is the median of the middles, its error the farthest edge of what all intervals share.

It is kept against the monotonic clock: a step of the wall clock does not spoil a signature.
"""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median_low

from msgspec import Struct

from brokerd.executor import Clock
from brokerd_adapters.kit.faults import Unsent

PROBES = 5
DRIFT_PPM = 200
"""How fast two clocks may part: ten times a bad crystal, and what a slewing wall clock adds."""


class Probe(Struct, frozen=True):
    """One question: when it left and came back, and the time in the answer, which was cut to `tick_ns`."""

    asked_ns: int
    answered_ns: int
    venue_ns: int
    tick_ns: int = 1_000_000

    @property
    def least_ns(self) -> int:
        """The least offset that explains it: the answer was made at the last moment."""
        return self.venue_ns - self.answered_ns

    @property
    def most_ns(self) -> int:
        """The most: it was made at the first moment, at the end of the venue's tick."""
        return self.venue_ns + self.tick_ns - self.asked_ns


class Estimate(Struct, frozen=True):
    """The venue's clock minus ours, within `error_ns`, as of `at_ns` on our monotonic clock."""

    offset_ns: int
    error_ns: int
    at_ns: int

    def error_at(self, now_ns: int) -> int:
        """Return the error by then: clocks drift apart."""
        return self.error_ns + abs(now_ns - self.at_ns) * DRIFT_PPM // 1_000_000


def estimate(probes: Sequence[Probe]) -> Estimate:
    """
    Return what the probes, at least one, say together.

    If they contradict each other a clock has been set meanwhile, and the error spans them all.
    """
    offset_ns = median_low((each.least_ns + each.most_ns) // 2 for each in probes)
    least_ns = max(each.least_ns for each in probes)
    most_ns = min(each.most_ns for each in probes)
    if least_ns > most_ns:
        least_ns = min(each.least_ns for each in probes)
        most_ns = max(each.most_ns for each in probes)
    error_ns = max(abs(offset_ns - least_ns), abs(most_ns - offset_ns))
    return Estimate(offset_ns, error_ns, max(each.answered_ns for each in probes))


class ClockOffset:
    """
    Gives the venue's time for signing, and refuses once it is off by more than `error_s_max`.

    A signature with a wrong time is refused at best; at worst its validity window begins later than
    we think, and a request that was given up still arrives.
    """

    def __init__(self, clock: Clock, *, error_s_max: float, tick_ns: int = 1_000_000) -> None:
        self._clock = clock
        self._error_ns_max = int(error_s_max * 1e9)
        self._tick_ns = tick_ns
        self._estimate: Estimate | None = None

    async def measure(self, ask: Callable[[], Awaitable[int]], probes: int = PROBES) -> None:
        """Ask the venue for its time (ns since 1970) a few times; errors of `ask` pass."""
        taken: list[Probe] = []
        for _ in range(probes):
            asked_ns = self._clock.monotonic_ns()
            venue_ns = await ask()
            taken.append(Probe(asked_ns, self._clock.monotonic_ns(), venue_ns, self._tick_ns))
        self._estimate = estimate(taken)

    @property
    def error_s(self) -> float | None:
        """How far the estimate may be off by now; None before the first."""
        if self._estimate is None:
            return None
        return self._estimate.error_at(self._clock.monotonic_ns()) / 1e9

    @property
    def offset_s(self) -> float | None:
        """The venue's clock minus our wall clock; None before the first measurement."""
        if self._estimate is None:
            return None
        venue_ns = self._clock.monotonic_ns() + self._estimate.offset_ns
        return (venue_ns - self._clock.now_ns()) / 1e9

    @property
    def is_worn(self) -> bool:
        """Whether it is time to measure anew: half of the error that is borne is used up."""
        error_s = self.error_s
        return error_s is None or error_s * 2e9 > self._error_ns_max

    def forget(self) -> None:
        """Take back the estimate: the venue has said that it is wrong."""
        self._estimate = None

    def venue_ns(self) -> int:
        """Return the venue's time, to sign with; raises Unsent while it is not known well enough."""
        now_ns = self._clock.monotonic_ns()
        if self._estimate is None:
            raise Unsent("the venue's clock has not been measured", reason="clock_uncertain")
        error_ns = self._estimate.error_at(now_ns)
        if error_ns > self._error_ns_max:
            told = f"the venue's clock is known to {error_ns / 1e9:.3f} s only"
            hint = f"signing needs {self._error_ns_max / 1e9:g} s"
            raise Unsent(told, reason="clock_uncertain", hint=hint)
        return now_ns + self._estimate.offset_ns
