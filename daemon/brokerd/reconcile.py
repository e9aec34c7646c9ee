"""
The venue's picture against ours: what a snapshot proves, and what must be asked.

Pure. A snapshot shows what the venue had processed when it was asked for; an order that changed
after that is judged by the next one. An order missing from "open orders" is not done: it is asked
about, and only the answer counts.
"""

from collections.abc import Iterable

from msgspec import Struct

from brokerd.events import RequestKind, Road
from brokerd.executor import OrderView, Snapshot
from brokerd.messages import Reported, Viewed
from brokerd.orders import Order

SILENCE_NS_MAX = 120_000_000_000
"""A new order of which nothing was heard for so long is asked about, wherever its answer is."""


class Reconciled(Struct, frozen=True):
    """
    What a snapshot comes to.

    `evidence` goes to the engine as it is; `to_ask` names orders whose state only a question can
    tell; `strangers` are open orders at the venue that none of `orders` is.
    """

    evidence: tuple[Reported | Viewed, ...]
    to_ask: tuple[Order, ...]
    strangers: tuple[OrderView, ...]


def reconcile(
    executor: str, orders: Iterable[Order], snapshot: Snapshot, now_ns: int
) -> Reconciled:
    """
    Compare an executor's unsettled orders with a snapshot of its venue.

    Executions come first: with them counted, less has to be asked.
    """
    by_ids = _index(orders)
    evidence: list[Reported | Viewed] = [
        Reported(executor, report, Road.POLL, now_ns) for report in snapshot.executions
    ]
    strangers: list[OrderView] = []
    to_ask: list[Order] = []
    seen: set[str] = set()
    for view in snapshot.orders:
        order = by_ids.get(view.venue_cl_ord_id or "") or by_ids.get(view.venue_order_id)
        if order is None:
            strangers.append(view)
            continue
        seen.add(order.cl_ord_id)
        if _tells_news(order, view):
            evidence.append(
                Viewed(order.cl_ord_id, view, Road.POLL, snapshot.began_ns, now_ns, None)
            )
    for order in by_ids.values():
        if order.cl_ord_id not in seen and _should_be_open(order, snapshot.began_ns):
            seen.add(order.cl_ord_id)
            to_ask.append(order)
    return Reconciled(tuple(evidence), tuple(to_ask), tuple(strangers))


def _index(orders: Iterable[Order]) -> dict[str, Order]:
    """Return the orders by our id at the venue and by the venue's own."""
    index: dict[str, Order] = {}
    for order in orders:
        index[order.venue_cl_ord_id] = order
        if order.venue_order_id is not None:
            index[order.venue_order_id] = order
    return index


def _tells_news(order: Order, view: OrderView) -> bool:
    """Whether the view says anything that we do not hold already."""
    return (
        order.acked_at_ns is None
        or order.in_doubt
        or order.is_final
        or order.not_found_at_ns is not None
        or view.cum_qty > order.cum_qty
        or view.qty != order.qty
        or (view.px is not None and view.px != order.px)
    )


def _should_be_open(order: Order, began_ns: int) -> bool:
    """Whether the snapshot would have shown the order if it were open at the venue."""
    if order.updated_at_ns >= began_ns:
        return False
    is_on_its_way = order.request is not None and order.request.kind is RequestKind.NEW
    is_silent = order.updated_at_ns < began_ns - SILENCE_NS_MAX
    return not is_on_its_way or order.in_doubt or is_silent
