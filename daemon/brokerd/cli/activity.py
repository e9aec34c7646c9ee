"""
What happened lately: rates by the second and times to the venue's word, from the event stream.

Pure: events and the monotonic time of their coming in, numbers out. Bounded by WINDOW_S and
SAMPLES_MAX, whatever comes.
"""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime

from brokerd.cli.jsontext import Record

WINDOW_S = 60
SAMPLES_MAX = 5_000
FOLLOWED_MAX = 5_000
"""Orders whose first fill is waited for."""

EVENTS = (
    "order_submitted",
    "order_acknowledged",
    "order_traded",
    "order_rejected",
    "request_doubted",
)
"""What must be subscribed to."""


class Activity:
    """The last minute. `take` an event; ask `per_s`, `by_second` and the two times."""

    def __init__(self) -> None:
        self._counts: OrderedDict[int, Counter[str]] = OrderedDict()
        self._acks: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MAX)
        self._fills: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MAX)
        self._unfilled: OrderedDict[str, float] = OrderedDict()
        self._began_s: float | None = None

    def begin(self, now_s: float) -> None:
        """Say since when events are heard: before that there is no rate."""
        if self._began_s is None:
            self._began_s = now_s

    def take(self, event: Record, now_s: float) -> None:
        """Count an event that came in at `now_s` (monotonic)."""
        name, at_s = str(event.get("event")), time_s(event.get("at"))
        self._counts.setdefault(int(now_s), Counter())[name] += 1
        while len(self._counts) > WINDOW_S + 1:
            self._counts.popitem(last=False)
        if at_s is None:
            return
        cl_ord_id = str(event.get("cl_ord_id"))
        if name == "order_submitted":
            self._unfilled[cl_ord_id] = at_s
            if len(self._unfilled) > FOLLOWED_MAX:
                self._unfilled.popitem(last=False)
        elif name == "order_acknowledged":
            sent_s = time_s(event.get("sent_at"))
            if sent_s is not None:
                self._acks.append((now_s, at_s - sent_s))
        elif name == "order_traded" and cl_ord_id in self._unfilled:
            self._fills.append((now_s, at_s - self._unfilled.pop(cl_ord_id)))

    def per_s(self, name: str, now_s: float) -> float | None:
        """Return how many came a second, over the window or since we listen; None before that."""
        if self._began_s is None or now_s - self._began_s < 1:
            return None
        length_s = min(now_s - self._began_s, WINDOW_S)
        return sum(self._window(name, now_s)) / length_s

    def by_second(self, name: str, now_s: float, seconds: int) -> list[float | None]:
        """Return the counts of the last whole seconds, oldest first; None before we listened."""
        began_s = math.inf if self._began_s is None else self._began_s
        last = int(now_s)
        return [
            float(self._counts.get(second, Counter())[name]) if second > began_s - 1 else None
            for second in range(last - seconds, last)
        ]

    def ack_s(self, now_s: float) -> list[float]:
        """Return the times from sending to the venue's word, shortest first."""
        return _recent(self._acks, now_s)

    def first_fill_s(self, now_s: float) -> list[float]:
        """Return the times from the daemon's receipt to the first fill, shortest first."""
        return _recent(self._fills, now_s)

    def _window(self, name: str, now_s: float) -> list[int]:
        oldest = int(now_s) - WINDOW_S
        return [count[name] for second, count in self._counts.items() if second >= oldest]


def _recent(samples: Sequence[tuple[float, float]], now_s: float) -> list[float]:
    return sorted(took_s for at_s, took_s in samples if at_s >= now_s - WINDOW_S)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile of values in order, of which there is at least one."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def time_s(at: object) -> float | None:
    """Read an RFC 3339 time, to the microsecond, in seconds since 1970."""
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except ValueError:
        return None
