"""
Puts the market on record when a fill's markout is due: once for all fills that are due together.

Dues live in memory: what a restart loses is missing in the statistics, never 0. Nothing waits for
this, and nothing here waits for a venue: a quote is what the executor saw last.
"""

import asyncio
import heapq
from collections.abc import Iterable

from brokerd.blotter import Change
from brokerd.engine import Engine
from brokerd.events import OrderTraded, QuoteSampled
from brokerd.executor import Clock
from brokerd.links import Links
from brokerd.messages import Note
from brokerd.stats.marks import dues_ns, is_fresh

DUES_MAX = 20_000
"""Moments that may be waited for; beyond, a new one is let go. Grids keep a symbol below 250."""

Due = tuple[int, str, str]
"""When, the executor, the symbol."""


class Sampler:
    """Watches fills; `run` samples until it is cancelled."""

    def __init__(self, engine: Engine, links: Links, clock: Clock) -> None:
        self._engine = engine
        self._links = links
        self._clock = clock
        self._dues: list[Due] = []
        self._known: set[Due] = set()
        self._arrived = asyncio.Event()

    def watch(self, changes: Iterable[Change]) -> None:
        """Note when the fills among these changes are due; never waits."""
        for change in changes:
            event, order = change.entry.event, change.order
            if type(event) is OrderTraded and order is not None:
                for at_ns in dues_ns(event.at_ns):
                    self._note((at_ns, order.terms.executor, order.terms.symbol))

    async def run(self) -> None:
        """Sample what is due, until cancelled."""
        while True:
            await self._until_due()
            now_ns = self._clock.now_ns()
            while self._dues and self._dues[0][0] <= now_ns:
                due = heapq.heappop(self._dues)
                self._known.discard(due)
                await self._sample(due)

    async def _until_due(self) -> None:
        """Wait for the first due; one that is sooner starts the wait anew."""
        self._arrived.clear()
        wait_s = None
        if self._dues:
            wait_s = max(self._dues[0][0] - self._clock.now_ns(), 0) / 1e9
        try:
            async with asyncio.timeout(wait_s):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _note(self, due: Due) -> None:
        if due in self._known or len(self._dues) >= DUES_MAX:
            return
        if not self._dues or due < self._dues[0]:
            self._arrived.set()
        self._known.add(due)
        heapq.heappush(self._dues, due)

    async def _sample(self, due: Due) -> None:
        _, name, symbol = due
        link = self._links.by_name.get(name)
        quote = link.executor.quote(symbol) if link is not None else None
        now_ns = self._clock.now_ns()
        if quote is not None and is_fresh(quote, now_ns):
            sampled = QuoteSampled(at_ns=now_ns, executor=name, symbol=symbol, quote=quote)
            await self._engine.tell(Note(sampled))
