"""
Rate limits: request weight, raw requests, unfilled orders. Pure, given the time.

Windows are fixed and aligned to the clock. With `enforced` off they only count, and say so with
limits out of anybody's reach. Sources: rest-api.md "LIMITS", faqs/order_count_decrement.md.
"""

from msgspec import Struct

from brokerd.times import NS_PER_S
from brokerd_adapters.venue.binance.errors import Rejected, too_many_requests

_INTERVALS_S = {"SECOND": 1, "MINUTE": 60, "DAY": 86_400}
BAN_S = 120
"""How long an address is banned that goes on after 429."""
WARNINGS_MAX = 20
"""Refusals in one window before the ban."""
OPEN_LIMIT = 1_000_000_000
MAKER_FILL_PAYS = 5
TAKER_FILL_PAYS = 1


class Window(Struct, kw_only=True):
    """One limit: so many units in an interval."""

    kind: str
    interval: str
    interval_num: int
    limit: int
    used: int = 0
    number: int = -1

    @property
    def length_ns(self) -> int:
        """How long one window is."""
        return _INTERVALS_S[self.interval] * self.interval_num * NS_PER_S

    @property
    def name(self) -> str:
        """The window in words: 1 MINUTE."""
        return f"{self.interval_num} {self.interval}"

    @property
    def header(self) -> str:
        """The window as headers have it: 1M."""
        return f"{self.interval_num}{self.interval[0]}"

    def turn(self, now_ns: int) -> None:
        """Begin the window anew if its time is over."""
        number = now_ns // self.length_ns
        if number != self.number:
            self.number, self.used = number, 0

    def ends_at_ns(self) -> int:
        """Return when the window begins anew."""
        return (self.number + 1) * self.length_ns

    def told(self, *, count: bool = True) -> dict[str, str | int]:
        """Return the limit as `rateLimits` has it."""
        told: dict[str, str | int] = {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.interval_num,
            "limit": self.limit,
        }
        if count:
            told["count"] = self.used
        return told


class Limits:
    """All windows of one address and one account."""

    def __init__(self, *, enforced: bool) -> None:
        def window(kind: str, interval: str, num: int, limit: int) -> Window:
            most = limit if enforced else OPEN_LIMIT
            return Window(kind=kind, interval=interval, interval_num=num, limit=most)

        self.weight = window("REQUEST_WEIGHT", "MINUTE", 1, 6_000)
        self.raw = window("RAW_REQUESTS", "MINUTE", 5, 300_000)
        self.orders = (window("ORDERS", "SECOND", 10, 50), window("ORDERS", "DAY", 1, 160_000))
        self._all = (self.weight, self.raw, *self.orders)
        self._warnings = 0
        self._banned_until_ns = 0

    def enter(self, weight: int, now_ns: int) -> None:
        """Let a request in and count it; raises Rejected with the time when to try again."""
        for window in self._all:
            window.turn(now_ns)
        if now_ns < self._banned_until_ns:
            raise self._over(418, now_ns, self._banned_until_ns)
        self.raw.used += 1
        if self.weight.used + weight <= self.weight.limit and self.raw.used <= self.raw.limit:
            self._warnings = 0
            return
        self._warnings += 1
        if self._warnings > WARNINGS_MAX:
            self._banned_until_ns = now_ns + BAN_S * NS_PER_S
            raise self._over(418, now_ns, self._banned_until_ns)
        raise self._over(429, now_ns, self.weight.ends_at_ns())

    def spend(self, weight: int) -> None:
        """Count the weight of a request that was let in."""
        self.weight.used += weight

    def check_orders(self, orders: int, now_ns: int) -> None:
        """Refuse new orders beyond the limit of unfilled ones; raises Rejected."""
        for window in self.orders:
            if window.used + orders > window.limit:
                msg = f"Too many new orders; current limit is {window.limit} orders per {window.name}."
                raise Rejected(429, -1015, msg, _wait(now_ns, window.ends_at_ns()))

    def add_orders(self, orders: int) -> None:
        """Count orders that were accepted."""
        for window in self.orders:
            window.used += orders

    def first_fill(self, *, is_maker: bool) -> None:
        """Give back what an order's first fill is worth."""
        pays = MAKER_FILL_PAYS if is_maker else TAKER_FILL_PAYS
        for window in self.orders:
            window.used = max(0, window.used - pays)

    def _over(self, status: int, now_ns: int, until_ns: int) -> Rejected:
        over = too_many_requests(status, self.weight.name, self.weight.limit)
        over.data = _wait(now_ns, until_ns)
        return over


def _wait(now_ns: int, until_ns: int) -> dict[str, int]:
    return {"serverTime": now_ns // 1_000_000, "retryAfter": -(-until_ns // 1_000_000)}
