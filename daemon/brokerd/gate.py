"""
The gate: why a bot's command is turned away before the rules about its order are asked.

Rule 1: an order that is known already is never turned away: who repeats a submit is answered.
Rule 2: what lessens risk passes: a cancel always, a replace unless it asks for more.

It decides upon what it is told; waiting, disks and clocks are the engine's.
"""

from brokerd.blotter import Stage
from brokerd.errors import BrokerdError, Busy, JournalFull, Stopping
from brokerd.limits import Limits, new_order_refused, replace_refused
from brokerd.messages import Message, Replace, Submit
from brokerd.stats.marks import is_fresh


class Gate:
    """
    Holds commands against the limits of their executor and the state of the daemon.

    `is_stopping` and `out_of_reach` (the cl_ord_ids that are taken, by orders that cannot be had
    from history yet) are the engine's to set.
    """

    def __init__(self) -> None:
        self.limits: dict[str, Limits] = {}
        self.is_stopping = False
        self.out_of_reach: set[str] = set()

    def refusal(
        self, message: Message, stage: Stage, *, accepts_orders: bool
    ) -> BrokerdError | None:
        """Say why a message must not be decided about, None if it may be."""
        if type(message) is Submit:
            return self._of_submit(message, stage, accepts_orders=accepts_orders)
        if type(message) is Replace:
            return self._of_replace(message, stage)
        return None

    def _of_submit(
        self, message: Submit, stage: Stage, *, accepts_orders: bool
    ) -> BrokerdError | None:
        if stage.get(message.cl_ord_id) is not None:
            return None
        if message.cl_ord_id in self.out_of_reach:
            return Busy("an order has that cl_ord_id, and history is behind", hint="ask again soon")
        if self.is_stopping:
            return Stopping("the daemon is stopping", hint="submit again when it is back")
        if not accepts_orders:
            return JournalFull(
                "the journal's disk is nearly full: no new orders, cancels still work",
                hint="free space on the journal's disk; orders are taken again by themselves",
            )
        terms = message.terms
        limits = self.limits.get(terms.executor)
        if limits is None:
            return None
        # What a symbol cost once says nothing of what an order for it costs now.
        seen = message.arrival
        arrival = seen if seen is not None and is_fresh(seen, message.at_ns) else None
        return new_order_refused(limits, stage.exposure(terms.executor), terms, arrival)

    def _of_replace(self, message: Replace, stage: Stage) -> BrokerdError | None:
        order = stage.get(message.cl_ord_id)
        limits = self.limits.get(order.terms.executor) if order else None
        if order is None or limits is None or order.is_final:
            return None
        now = stage.exposure(order.terms.executor)
        return replace_refused(limits, now, order, message.qty, message.px)
