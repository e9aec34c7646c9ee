"""
The stream of a venue that has none: asked round by round what changed since the last.

A poll is proof, so nothing is lost this way; it only comes later, and costs requests.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from brokerd.executor import OrderRef, OrderView, Report
from brokerd.states import FINAL, LAST_WORDS, ExecType
from brokerd_adapters.kit.faults import Unsent

EXPECTED_MAX = 10_000
ASKED_MAX = 20
"""How often in a row an order is asked for in vain; the daemon's own polls go on about it."""

ROUNDS_A_POLL = 4
"""How many rounds news may bring about in the time of one: each costs requests."""

BUDGET_WAIT_S_MAX = 30.0


class Questions(Protocol):
    """What a venue can be asked; without a complete answer both raise, and the stream ends."""

    async def open_orders(self) -> tuple[OrderView, ...]:
        """Ask for all open orders."""
        ...

    async def order(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        ...


class Watch:
    """
    Knows which orders were open and how far they were filled, and asks for each one that changed.

    It forgets nothing at a reconnect: what closed while nobody asked is asked about then.
    """

    def __init__(self, questions: Questions, poll_s: float) -> None:
        self._questions = questions
        self._poll_s = poll_s
        self._expected: dict[str, OrderRef] = {}
        self._filled: dict[str, Decimal] = {}
        self._in_vain: Counter[str] = Counter()
        self._news = asyncio.Event()

    def look(self) -> None:
        """Begin the next round now."""
        self._news.set()

    def expect(self, ref: OrderRef) -> None:
        """Ask about an order until it is done; the oldest are left to the daemon's own polls."""
        if ref.venue_order_id is not None:
            if len(self._expected) >= EXPECTED_MAX:
                self._forget(next(iter(self._expected)))
            self._expected[ref.venue_order_id] = ref

    async def reports(self) -> AsyncGenerator[Report, None]:
        """
        Yield what is new, for ever; raises what a question raises.

        A budget that is used up is waited for: the next round sees what this one would have.
        """
        while True:
            self._news.clear()
            try:
                told = await self._round()
            except Unsent as error:
                if error.reason != "rate_budget":
                    raise
                told = []
                wait_s = error.extra.get("retry_after_s") or self._poll_s
                await asyncio.sleep(min(wait_s, BUDGET_WAIT_S_MAX))
            for report in told:
                yield report
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._poll_s / ROUNDS_A_POLL)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._news.wait()

    async def _round(self) -> list[Report]:
        open_now = {each.venue_order_id: each for each in await self._questions.open_orders()}
        told: list[Report] = []
        for venue_order_id, shown in open_now.items():
            before = self._filled.get(venue_order_id)
            if before is None and not shown.cum_qty:
                told += reports_of(shown)
                self._note(shown)
            elif before != shown.cum_qty:
                told += await self._asked(_ref(shown))
            if venue_order_id not in self._expected:
                self.expect(_ref(shown))
        for venue_order_id, ref in tuple(self._expected.items()):
            if venue_order_id not in open_now:
                told += await self._asked(ref)
        return told

    async def _asked(self, ref: OrderRef) -> tuple[Report, ...]:
        """Ask for one order; what is done, or not there time and again, is not asked for again."""
        shown = await self._questions.order(ref)
        venue_order_id = ref.venue_order_id or ""
        self._in_vain[venue_order_id] += 1
        if shown is not None:
            self._note(shown)
        if self._in_vain[venue_order_id] >= ASKED_MAX:
            self._forget(venue_order_id)
        return () if shown is None else reports_of(shown)

    def _note(self, shown: OrderView) -> None:
        if self._filled.get(shown.venue_order_id) != shown.cum_qty:
            self._in_vain.pop(shown.venue_order_id, None)
        self._filled[shown.venue_order_id] = shown.cum_qty
        executed = sum((each.last_qty for each in shown.executions), Decimal(0))
        if shown.ord_status in FINAL and executed == shown.cum_qty:
            self._forget(shown.venue_order_id)

    def _forget(self, venue_order_id: str) -> None:
        self._expected.pop(venue_order_id, None)
        self._filled.pop(venue_order_id, None)
        self._in_vain.pop(venue_order_id, None)


def reports_of(shown: OrderView) -> tuple[Report, ...]:
    """Return what must have been reported for an order to look so."""
    named = Report(
        exec_type=LAST_WORDS.get(shown.ord_status, ExecType.NEW),
        symbol=shown.symbol,
        venue_cl_ord_id=shown.venue_cl_ord_id,
        venue_order_id=shown.venue_order_id,
        cum_qty=shown.cum_qty,
        venue_at_ns=shown.venue_at_ns,
    )
    fills = tuple(
        replace(
            named,
            exec_type=ExecType.TRADE,
            execution=each,
            cum_qty=None,
            venue_at_ns=each.venue_at_ns,
        )
        for each in shown.executions
    )
    return (*fills, named) if shown.ord_status in LAST_WORDS else (named, *fills)


def _ref(shown: OrderView) -> OrderRef:
    return OrderRef(
        symbol=shown.symbol,
        venue_cl_ord_id=shown.venue_cl_ord_id or "",
        venue_order_id=shown.venue_order_id,
    )
