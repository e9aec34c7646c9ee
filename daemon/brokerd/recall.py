"""
Orders that left memory: found again in history, and brought back before anything is decided.

An order that is settled may leave the blotter, and yet a venue may have a late word about it. It
comes back with the executions it has counted, so that none counts twice.
"""

from collections.abc import Iterable

from brokerd.blotter import Blotter
from brokerd.commands import unknown_order
from brokerd.errors import Busy, JournalError
from brokerd.executor import Execution
from brokerd.messages import Reported, Viewed
from brokerd.orders import Order
from brokerd.storage import History


class Recall:
    """One engine's way back from history; who asks waits until all that is durable is in there."""

    def __init__(self, blotter: Blotter, history: History) -> None:
        self._blotter = blotter
        self._history = history

    async def find(self, cl_ord_id: str) -> Order:
        """
        Return an order from wherever it is, and leave it there.

        Raises UnknownOrder if there never was one, and Busy while history is behind.
        """
        order = self._blotter.get(cl_ord_id) or await self._history.find(cl_ord_id=cl_ord_id)
        if order is None:
            raise unknown_order(cl_ord_id)
        return order

    async def order(self, cl_ord_id: str) -> None:
        """
        Bring a settled order back into memory, so that the rules can decide about it.

        Raises Busy while history is behind, and JournalError if it does not have the order, which
        the journal says it must.
        """
        if self._blotter.get(cl_ord_id) is not None:
            return
        order = await self._history.find(cl_ord_id=cl_ord_id)
        if order is None:
            raise JournalError(f"{cl_ord_id} is in the journal but not in history")
        await self._remember(order)

    async def known(
        self,
        *,
        cl_ord_id: str | None = None,
        executor: str | None = None,
        venue_cl_ord_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> Order | None:
        """
        Return the order that any of its ids names, brought into memory if it had left it.

        Raises Busy while history is behind.
        """
        order = self._blotter.get(cl_ord_id or "") or self._blotter.find(
            executor or "", venue_cl_ord_id, venue_order_id
        )
        if order is not None:
            return order
        order = await self._history.find(
            cl_ord_id=cl_ord_id,
            executor=executor,
            venue_cl_ord_id=venue_cl_ord_id,
            venue_order_id=venue_order_id,
        )
        if order is None and venue_cl_ord_id is not None:
            # Two executors may share an account; our own id is one order's whoever names it.
            order = await self._history.find(venue_cl_ord_id=venue_cl_ord_id)
        if order is not None:
            await self._remember(order)
        return order

    async def unheard(self, evidence: Iterable[Reported | Viewed]) -> list[Reported | Viewed]:
        """Leave out the executions that are counted already: each poll repeats those of the last."""
        news: list[Reported | Viewed] = []
        elsewhere: list[tuple[Reported, Execution]] = []
        for message in evidence:
            execution = message.report.execution if isinstance(message, Reported) else None
            if not isinstance(message, Reported) or execution is None:
                news.append(message)
                continue
            report = message.report
            order = self._blotter.find(
                message.executor, report.venue_cl_ord_id, report.venue_order_id
            )
            if order is None:
                elsewhere.append((message, execution))
            elif not self._blotter.has_execution(order.cl_ord_id, execution.exec_id):
                news.append(message)
        if elsewhere:
            named = [
                (each.report.venue_cl_ord_id, each.report.venue_order_id, execution.exec_id)
                for each, execution in elsewhere
            ]
            try:
                counted = await self._history.counted(elsewhere[0][0].executor, named)
            except Busy:
                counted = set[str]()
            news.extend(each for each, execution in elsewhere if execution.exec_id not in counted)
        return news

    async def _remember(self, order: Order) -> None:
        exec_ids = await self._history.exec_ids(order.cl_ord_id)
        if self._blotter.get(order.cl_ord_id) is None:
            self._blotter.remember(order, exec_ids)
