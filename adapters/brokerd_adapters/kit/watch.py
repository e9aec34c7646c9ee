"""
The stream of a venue that has none: asked round by round what changed since the last.

A poll is proof, so nothing is lost this way; it only comes later, and costs requests.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from decimal import Decimal
from typing import Protocol

from msgspec.structs import replace

from brokerd.executor import OrderRef, OrderView, Report
from brokerd.orders import FINAL, ExecType, OrdStatus

EXPECTED_MAX = 10_000

_ENDS = {
    OrdStatus.CANCELED: ExecType.CANCELED,
    OrdStatus.EXPIRED: ExecType.EXPIRED,
    OrdStatus.REJECTED: ExecType.REJECTED,
}


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
        self._news = asyncio.Event()

    def look(self) -> None:
        """Begin the next round now."""
        self._news.set()

    def expect(self, ref: OrderRef) -> None:
        """Ask about an order until it is done; the oldest are left to the daemon's own polls."""
        if ref.venue_order_id is not None:
            if len(self._expected) >= EXPECTED_MAX:
                del self._expected[next(iter(self._expected))]
            self._expected[ref.venue_order_id] = ref

    async def reports(self) -> AsyncGenerator[Report, None]:
        """Yield what is new, for ever; raises what a question raises."""
        while True:
            self._news.clear()
            for report in await self._round():
                yield report
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
        """Ask for one order; what is done is not asked for again."""
        shown = await self._questions.order(ref)
        if shown is None:
            return ()
        self._note(shown)
        return reports_of(shown)

    def _note(self, shown: OrderView) -> None:
        self._filled[shown.venue_order_id] = shown.cum_qty
        executed = sum((each.last_qty for each in shown.executions), Decimal(0))
        if shown.ord_status in FINAL and executed == shown.cum_qty:
            del self._filled[shown.venue_order_id]
            self._expected.pop(shown.venue_order_id, None)


def reports_of(shown: OrderView) -> tuple[Report, ...]:
    """Return what must have been reported for an order to look so."""
    named = Report(
        exec_type=_ENDS.get(shown.ord_status, ExecType.NEW),
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
    return (*fills, named) if shown.ord_status in _ENDS else (named, *fills)


def _ref(shown: OrderView) -> OrderRef:
    return OrderRef(
        symbol=shown.symbol,
        venue_cl_ord_id=shown.venue_cl_ord_id or "",
        venue_order_id=shown.venue_order_id,
    )
