"""
What is at one executor's venue and was not sent by it: told apart from what is ours.

An order of other origin that is open is followed, and never touched. What else happens to such
orders may be much, and is counted, nothing more. An order with an id of our kind that no journal
row knows is another matter: somebody else trades in our name, or the journal has lost rows.
"""

from collections.abc import Callable, Iterable

from brokerd.engine import Engine
from brokerd.errors import Busy
from brokerd.events import Road
from brokerd.executor import Clock, OrderView, Report
from brokerd.ids import Ids, order_id
from brokerd.messages import Reported, Seen, Viewed
from brokerd.strangers import not_in_the_journal

Evidence = Reported | Viewed

FILLS_MAX = 10_000
"""Executions that are remembered, so that each counts once."""


class Others:
    """
    The orders of other origin at one executor. `reports` counts what was said of those that are
    not followed. `freeze` is called, with the reason, for an order of our kind that no journal row
    knows.
    """

    def __init__(
        self, executor: str, engine: Engine, clock: Clock, freeze: Callable[[str], None]
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._clock = clock
        self._freeze = freeze
        self._fills: dict[str, None] = {}
        self.reports = 0

    @property
    def fills(self) -> int:
        """How many executions of orders that are not followed were seen of late, each counted once."""
        return len(self._fills)

    def leaves_out(self, report: Report) -> bool:
        """
        Say whether a report is of an order of other origin that is not followed; count it if so.

        Such orders may be many, and what the next snapshot shows of them is enough.
        """
        client_id = report.venue_cl_ord_id
        if client_id is None or Ids.are_like(client_id):
            return False
        blotter = self._engine.blotter
        is_other = blotter.find(self._executor, client_id, report.venue_order_id) is None
        self.reports += is_other
        return is_other

    async def sort_out(self, evidence: Iterable[Evidence]) -> list[Evidence]:
        """
        Return the evidence that is about orders of ours or orders that are followed.

        An execution that a poll shows for the first time is looked up in history, in case its order
        left memory and the venue has renamed it since.
        """
        return [
            message
            for message in evidence
            if isinstance(message, Viewed)
            or not self.leaves_out(message.report)
            or await self._was_known(message.report)
        ]

    async def _was_known(self, report: Report) -> bool:
        execution = report.execution
        if execution is None or execution.exec_id in self._fills:
            return False
        try:
            order = await self._engine.recall.known(
                executor=self._executor, venue_order_id=report.venue_order_id
            )
        except Busy:
            return True  # the engine keeps it until history has caught up
        if order is None:
            self._fills[execution.exec_id] = None
            if len(self._fills) > FILLS_MAX:
                del self._fills[next(iter(self._fills))]
        return order is not None

    async def make_out(self, view: OrderView, began_ns: int) -> None:
        """
        Make out an open order that is not in memory.

        One from long ago is brought back; one of other origin is followed from now on; one with an
        id of our kind that is in no journal row stops the executor.
        """
        name, client_id, now_ns = self._executor, view.venue_cl_ord_id, self._clock.now_ns()
        is_ours = Ids.are_like(client_id or "")
        try:
            order = await self._engine.recall.known(
                executor=name,
                venue_cl_ord_id=order_id(client_id) if is_ours else None,
                venue_order_id=view.venue_order_id,
            )
        except Busy:
            return  # history is behind: the next look will tell
        if order is not None:
            viewed = Viewed(order.cl_ord_id, view, Road.POLL, began_ns, now_ns, None)
            await self._engine.tell(viewed)
        elif is_ours:
            self._freeze(not_in_the_journal(client_id))
        elif client_id is not None or not self._may_be_ours(view):
            await self._engine.tell(Seen(name, view, Road.POLL, began_ns, now_ns))

    def _may_be_ours(self, view: OrderView) -> bool:
        """Whether an order that the venue shows without a client id may be one that we wait for."""
        return any(
            order.acked_at_ns is None and order.terms.symbol == view.symbol
            for order in self._engine.blotter.unsettled(self._executor)
        )
