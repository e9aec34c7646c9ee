"""
A venue's rate limits, as a pure account: what was spent, what is left, when there is more.

Rule 1: never optimistic. A request counts in every window the venue may have counted it in, and
        what the venue says can only raise a count; `refund` alone lowers it.
Rule 2: a cancel always finds room: orders leave a tenth of each window to it, questions a quarter
        to both.
Rule 3: nothing here waits or reads a clock. Times are ns since 1970 by the venue's clock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from brokerd.times import NS_PER_S

Cost = Mapping[str, int]
"""What one request uses: {"weight": 1, "orders": 1}."""

RECOVERY_NS = 30 * NS_PER_S
"""How long after a pause until the whole of a window may be used again."""

NEVER_NS = 10**18
"""The wait of a request that is dearer than a whole window."""

ROLLING_PARTS = 32


class Priority(IntEnum):
    """Who goes first, and how many percent of a window it leaves to those before it."""

    CANCEL = 0
    ORDER = 10
    QUESTION = 25


class Window(Struct, frozen=True, kw_only=True):
    """
    At most `limit` of what it `counts`, such as "weight", in `interval_ns`.

    A venue counts in windows aligned to its clock (Binance's minutes begin at :00), or in the time
    that just passed (`is_rolling`). `margin_ns` is how far its count may be off our time: the error
    of the clock and the time a request is on its way.
    """

    name: str
    counts: str
    limit: int
    interval_ns: int
    is_rolling: bool = False
    margin_ns: int = 250_000_000


class Pause(Struct, frozen=True):
    """Until when the venue wants to hear nothing, or nothing that uses `counts`, and why."""

    until_ns: int
    reason: str
    counts: str | None = None


class _Fixed:
    """The count of each aligned window that is not surely over; near an edge there are two."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._oldest = 0
        self._counts: dict[int, int] = {}
        self._told: dict[int, int] = {}

    def _first(self, at_ns: int) -> int:
        return (at_ns - self.window.margin_ns) // self.window.interval_ns

    def _last(self, at_ns: int) -> int:
        return (at_ns + self.window.margin_ns) // self.window.interval_ns

    def used(self, now_ns: int) -> int:
        first, last = self._first(now_ns), self._last(now_ns)
        if first == last:
            return self._counts.get(first, 0)
        return max(self._counts.get(number, 0) for number in range(first, last + 1))

    def add(self, amount: int, at_ns: int) -> None:
        first = self._first(at_ns)
        if first != self._oldest:
            self._oldest = first
            # One older is kept: our idea of the venue's clock may be set back a little.
            self._counts = {n: count for n, count in self._counts.items() if n >= first - 1}
            self._told = {n: count for n, count in self._told.items() if n >= first - 1}
        for number in range(first, self._last(at_ns) + 1):
            count = self._counts.get(number, 0) + amount
            self._counts[number] = max(count, self._told.get(number, 0))

    def raise_to(self, used: int, sent_ns: int, _now_ns: int) -> None:
        # The venue may have counted at any time since it was sent: the earliest window is sure.
        number = self._first(sent_ns)
        self._told[number] = max(self._told.get(number, 0), used)
        self._counts[number] = max(self._counts.get(number, 0), used)

    def until_room(self, room_for: int, now_ns: int) -> int:
        """Return how long until at most `room_for` is used, if nothing more is."""
        possible = range(self._first(now_ns), self._last(now_ns) + 1)
        full = max(number for number in possible if self._counts.get(number, 0) > room_for)
        return (full + 1) * self.window.interval_ns + self.window.margin_ns - now_ns


class _Rolling:
    """The count of each small part of the time that passed; a part counts until all of it is old."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._part_ns = max(window.interval_ns // ROLLING_PARTS, 1)
        self._counts: dict[int, int] = {}

    def _part(self, at_ns: int) -> int:
        return (at_ns + self.window.margin_ns) // self._part_ns

    def _over_ns(self, part: int) -> int:
        return (part + 1) * self._part_ns + self.window.interval_ns + self.window.margin_ns

    def used(self, now_ns: int) -> int:
        return sum(n for part, n in self._counts.items() if self._over_ns(part) > now_ns)

    def add(self, amount: int, at_ns: int) -> None:
        self._counts = {p: n for p, n in self._counts.items() if self._over_ns(p) > at_ns}
        part = self._part(at_ns)
        self._counts[part] = max(self._counts.get(part, 0) + amount, 0)

    def raise_to(self, used: int, _sent_ns: int, now_ns: int) -> None:
        missed = used - self.used(now_ns)
        if missed > 0:
            self.add(missed, now_ns)

    def until_room(self, room_for: int, now_ns: int) -> int:
        """Return how long until at most `room_for` is used, if nothing more is."""
        left = self.used(now_ns)
        over_ns = now_ns
        for part in sorted(self._counts):
            if left <= room_for:
                break
            if self._over_ns(part) > now_ns:
                left -= self._counts[part]
                over_ns = self._over_ns(part)
        return over_ns - now_ns


class Limits:
    """All windows of one venue and address, and its pauses."""

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        self._meters: dict[str, _Fixed | _Rolling] = {}
        self._pauses: dict[str | None, Pause] = {}
        self._open: Counter[str] = Counter()
        self.configure(windows)

    def configure(self, windows: Iterable[Window]) -> None:
        """Add windows, or set anew those of the same name: they keep what they have counted."""
        for window in windows:
            meter = self._meters.get(window.name)
            known = meter.window if meter else None
            if meter and known and _shape(known) == _shape(window):
                meter.window = window
            else:
                self._meters[window.name] = (_Rolling if window.is_rolling else _Fixed)(window)

    def wait_ns(self, cost: Cost, priority: Priority, now_ns: int) -> int:
        """Return 0 if such a request may be sent now, else for how long it surely cannot (ns)."""
        waits_ns = [pause.until_ns - now_ns for pause in self._pauses_of(cost)]
        waits_ns += [
            self._until_room(meter, amount, priority, now_ns)
            for meter in self._meters.values()
            if (amount := cost.get(meter.window.counts, 0))
        ]
        return max([0, *waits_ns])

    def _until_room(
        self, meter: _Fixed | _Rolling, amount: int, priority: Priority, now_ns: int
    ) -> int:
        limit, used = meter.window.limit, meter.used(now_ns)
        if amount > limit:
            return NEVER_NS
        # What is dearer than its share may be has the window to itself.
        ceiling = max(limit - limit * priority // 100, amount)
        if used + amount > ceiling:
            return meter.until_room(ceiling - amount, now_ns)
        if not used or priority is Priority.CANCEL or not self._pauses:
            return 0
        # Paced: after a pause the window opens again little by little.
        paused_until_ns = max(
            (each.until_ns for each in self._pauses_of({meter.window.counts: 1})), default=0
        )
        open_ns = -(-RECOVERY_NS * (used + amount) // ceiling)
        return max(paused_until_ns + open_ns - now_ns, 0)

    def charge(self, cost: Cost, now_ns: int) -> None:
        """Count a request that is about to be sent; `settle` it when its reply is here."""
        self._open.update(cost)
        self._add(cost, now_ns)

    def settle(self, cost: Cost) -> None:
        """Note that what was charged is under way no more: it had its reply, or never will."""
        self._open.subtract(cost)

    def refund(self, cost: Cost, charged_ns: int) -> None:
        """Take back what was charged then: it was not sent, or the venue documents it as free."""
        self._add({counts: -amount for counts, amount in cost.items()}, charged_ns)

    def observe(self, name: str, used: int, *, cost: Cost, charged_ns: int, now_ns: int) -> None:
        """
        Take what the venue says window `name` has used, in the reply to a request so charged.

        Others may share our address or account; what else is under way may not be in it yet.
        """
        meter = self._meters.get(name)
        if meter is not None:
            counts = meter.window.counts
            under_way = self._open[counts] - cost.get(counts, 0)
            meter.raise_to(used + max(under_way, 0), charged_ns, now_ns)

    def _add(self, cost: Cost, at_ns: int) -> None:
        for meter in self._meters.values():
            amount = cost.get(meter.window.counts, 0)
            if amount:
                meter.add(amount, at_ns)

    def pause(self, pause: Pause) -> None:
        """Send nothing until then, and less than usual for a while after it; the longest counts."""
        known = self._pauses.get(pause.counts)
        if known is None or pause.until_ns > known.until_ns:
            self._pauses[pause.counts] = pause

    def shift_pauses(self, by_ns: int) -> None:
        """Keep the length of every pause: the clock that all times here are told by was set."""
        self._pauses = {
            counts: replace(pause, until_ns=pause.until_ns + by_ns)
            for counts, pause in self._pauses.items()
        }

    def paused(self, cost: Cost, now_ns: int) -> Pause | None:
        """Return the longest pause that is not over and holds up what costs this."""
        under_way = [each for each in self._pauses_of(cost) if each.until_ns > now_ns]
        return max(under_way, key=lambda each: each.until_ns, default=None)

    def _pauses_of(self, cost: Cost) -> list[Pause]:
        return [
            each for each in self._pauses.values() if each.counts is None or cost.get(each.counts)
        ]

    def left(self, now_ns: int) -> dict[str, int]:
        """Return what may still be used of each window."""
        return {
            name: max(meter.window.limit - meter.used(now_ns), 0)
            for name, meter in self._meters.items()
        }


def _shape(window: Window) -> tuple[str, int, bool]:
    return window.counts, window.interval_ns, window.is_rolling
