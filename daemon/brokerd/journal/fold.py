"""
Orders folded from journal rows, in memory that is bounded by unsettled orders.

A settled order is dropped after the rows that settled it. Where a late row speaks of one (a fill
after a cancel), `missing` names it and the caller brings it back with `put`.
"""

from collections.abc import Iterable, Sequence

from brokerd.events import OrderEvent, OrderSubmitted
from brokerd.fold import IllegalTransition, apply, submitted
from brokerd.journal.schema import untrusted
from brokerd.orders import Order
from brokerd.storage import Row


class Fold:
    """The orders that the rows so far have left unsettled, by cl_ord_id."""

    def __init__(self, unsettled: Iterable[Order] = ()) -> None:
        self.orders = {order.cl_ord_id: order for order in unsettled}

    def put(self, order: Order) -> None:
        """Bring a settled order back."""
        self.orders[order.cl_ord_id] = order

    def missing(self, rows: Sequence[Row]) -> set[str]:
        """Return the cl_ord_ids that `rows` speak of without submitting them, and that are not here."""
        known, absent = self.orders, set[str]()
        made = set[str]()
        for row in rows:
            event = row.entry.event
            if isinstance(event, OrderSubmitted):
                made.add(event.cl_ord_id)
            elif isinstance(event, OrderEvent) and event.cl_ord_id not in known:
                absent.add(event.cl_ord_id)
        return absent - made

    def step(self, row: Row) -> Order | None:
        """
        Return the order after a row, None for a row about no order.

        Raises JournalError if the row cannot follow from those before it.
        """
        event = row.entry.event
        if not isinstance(event, OrderEvent):
            return None
        before = self.orders.get(event.cl_ord_id)
        if isinstance(event, OrderSubmitted):
            if before is not None:
                raise untrusted(row.seq, f"order {event.cl_ord_id} was submitted before")
            order = submitted(event, row.seq)
        elif before is None:
            raise untrusted(row.seq, f"order {event.cl_ord_id} was never submitted")
        else:
            try:
                order = apply(before, event, row.seq)
            except IllegalTransition as error:
                raise untrusted(row.seq, str(error)) from error
        self.orders[event.cl_ord_id] = order
        return order

    def forget_settled(self) -> None:
        """Drop the settled orders, and with them what was brought back."""
        self.orders = {key: order for key, order in self.orders.items() if not order.is_settled}
