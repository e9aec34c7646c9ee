"""
The rate budget that all executors of one venue share: wait here before you sign.

A venue's limits belong to an address or to a key, so a window of a key counts a thing of its own:
`counts="orders:" + key_mark(api_key)`. Who comes first goes first, but cancels before orders before
questions; who would have to wait for too long is told at once, with the time to come again.
"""

import asyncio
import hashlib
from bisect import insort
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from brokerd.executor import Clock
from brokerd.secrets import Secret
from brokerd_adapters.kit.faults import Unsent
from brokerd_adapters.kit.limits import Cost, Limits, Pause, Priority, Window

PATIENCE_S = 1.0
"""How long a request waits for its turn: well below the deadline of an order."""

PAUSE_S_MAX = 3 * 86_400.0
"""The longest ban a venue documents (Binance's 418). What asks for more is a fault, not a wish."""

WAITING_MAX = 1_024
LOOK_S_MAX = 60.0


class Charge(Struct, frozen=True):
    """What one request was charged, and when, by the venue's clock: to be sent now."""

    cost: Cost
    at_ns: int


class _Waiter:
    def __init__(self, number: int, cost: Cost, priority: Priority) -> None:
        self.number = number
        self.cost = cost
        self.priority = priority
        self.turn: asyncio.Future[Charge] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: "_Waiter") -> bool:
        return (self.priority, self.number) < (other.priority, other.number)


class Budget:
    """The queue before `Limits`. See `shared_budget` for the one to use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limits = Limits()
        # A wall clock that is set must not open a window, or close it for hours.
        self._base_ns = clock.now_ns() - clock.monotonic_ns()
        self._waiting: list[_Waiter] = []
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None

    def now_ns(self) -> int:
        """Return the venue's time as it is known here."""
        return self._clock.monotonic_ns() + self._base_ns

    def align(self, venue_ns: int) -> None:
        """Take the venue's time as it is now: its windows are aligned to it, pauses last as long."""
        self._limits.shift_pauses(venue_ns - self.now_ns())
        self._base_ns = venue_ns - self._clock.monotonic_ns()

    def configure(self, windows: Iterable[Window]) -> None:
        """Add the venue's windows, or set anew those of the same name."""
        self._limits.configure(windows)

    @asynccontextmanager
    async def spend(
        self, cost: Cost, priority: Priority, *, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[Charge]:
        """
        Wait up to `patience_s` for a turn; send the request and read its reply inside the block.

        Raises Unsent, with `retry_after_s`, if the turn would come too late.
        """
        charge = await self._take(cost, priority, patience_s)
        try:
            yield charge
        finally:
            self._limits.settle(charge.cost)

    def refund(self, charge: Charge, cost: Cost | None = None) -> None:
        """Take back a charge, or the part `cost`: not sent after all, or documented as free."""
        self._limits.refund(charge.cost if cost is None else cost, charge.at_ns)
        self._serve()

    def observe(self, name: str, used: int, charge: Charge) -> None:
        """Take what the venue said window `name` has used, in the reply to that request."""
        self._limits.observe(
            name, used, cost=charge.cost, charged_ns=charge.at_ns, now_ns=self.now_ns()
        )

    def pause(self, seconds: float, reason: str, *, counts: str | None = None) -> None:
        """Obey a Retry-After, up to PAUSE_S_MAX: send nothing, or nothing that uses `counts`."""
        pause_ns = int(min(seconds, PAUSE_S_MAX) * 1e9)
        self._limits.pause(Pause(self.now_ns() + pause_ns, reason, counts))

    def pause_until(self, until_ns: int, reason: str, *, counts: str | None = None) -> None:
        """Keep a pause that an earlier run was told of; `until_ns` is by our wall clock."""
        self._limits.pause(Pause(until_ns + self._ahead_ns, reason, counts))

    def paused(self, cost: Cost) -> Pause | None:
        """Return the pause under way that holds up what costs this, by our wall clock; or None."""
        pause = self._limits.paused(cost, self.now_ns())
        return pause and replace(pause, until_ns=pause.until_ns - self._ahead_ns)

    @property
    def left(self) -> dict[str, int]:
        """What may still be used of each window."""
        return self._limits.left(self.now_ns())

    @property
    def _ahead_ns(self) -> int:
        """The venue's clock minus our wall clock as it is set now."""
        return self.now_ns() - self._clock.now_ns()

    async def _take(self, cost: Cost, priority: Priority, patience_s: float) -> Charge:
        now_ns = self.now_ns()
        if not self._waiting and not self._limits.wait_ns(cost, priority, now_ns):
            self._limits.charge(cost, now_ns)
            return Charge(cost, now_ns)
        if len(self._waiting) >= WAITING_MAX:
            told = f"{WAITING_MAX} requests wait for budget"
            raise Unsent(told, reason="rate_budget", retry_after_s=PATIENCE_S)
        self._taken += 1
        waiter = _Waiter(self._taken, cost, priority)
        insort(self._waiting, waiter)
        self._serve()
        try:
            return await self._turn(waiter, patience_s)
        except BaseException:
            self._give_up(waiter)
            raise

    async def _turn(self, waiter: _Waiter, patience_s: float) -> Charge:
        if not waiter.turn.done():
            wait_ns = self._wait_ns(waiter)
            if wait_ns > patience_s * 1e9:
                raise self._refusal(waiter, wait_ns)
        try:
            async with asyncio.timeout(patience_s):
                return await waiter.turn
        except TimeoutError:
            raise self._refusal(waiter, self._wait_ns(waiter)) from None

    def _wait_ns(self, waiter: _Waiter) -> int:
        return self._limits.wait_ns(waiter.cost, waiter.priority, self.now_ns())

    def _serve(self) -> None:
        """Let pass who can, in order; who cannot holds back those behind that want the same."""
        if not self._waiting:
            return
        now_ns = self.now_ns()
        held: set[str] = set()
        waits_ns: list[int] = []
        for waiter in tuple(self._waiting):
            # Whose turn is done already has given up, and leaves the queue when it runs next.
            if waiter.turn.done() or held & waiter.cost.keys():
                continue
            wait_ns = self._limits.wait_ns(waiter.cost, waiter.priority, now_ns)
            if wait_ns:
                held |= waiter.cost.keys()
                waits_ns.append(wait_ns)
                continue
            self._limits.charge(waiter.cost, now_ns)
            self._waiting.remove(waiter)
            waiter.turn.set_result(Charge(waiter.cost, now_ns))
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        wait_s = min(waits_ns, default=0) / 1e9
        self._timer = loop.call_later(min(wait_s, LOOK_S_MAX), self._serve) if waits_ns else None

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue; what was granted in the same moment was not sent."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled():
            charge = waiter.turn.result()
            self._limits.settle(charge.cost)
            self._limits.refund(charge.cost, charge.at_ns)
        self._serve()

    def _refusal(self, waiter: _Waiter, wait_ns: int) -> Unsent:
        pause = self.paused(waiter.cost)
        why = (
            f"the venue asked for a pause: {pause.reason}"
            if pause
            else "the rate budget is used up"
        )
        return Unsent(why, reason="rate_budget", retry_after_s=max(wait_ns, 0) / 1e9)


_BUDGETS: WeakValueDictionary[str, Budget] = WeakValueDictionary()


def shared_budget(venue: str, clock: Clock) -> Budget:
    """
    Return the one budget of a venue: all executors reach it from the same address.

    It lives as long as somebody holds it. `venue` is its base URL: a test net has limits of its own.
    """
    budget = _BUDGETS.get(venue)
    if budget is None:
        budget = _BUDGETS[venue] = Budget(clock)
    return budget


def key_mark(api_key: Secret) -> str:
    """Return a short mark that tells keys apart and nothing about them."""
    return hashlib.sha256(api_key.reveal().encode()).hexdigest()[:8]
