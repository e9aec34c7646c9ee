"""
The venue's picture against ours: what a snapshot proves, and what must be asked.

Pure. A snapshot shows what the venue had processed when it was asked for; an order that changed
after that is judged by the next one. An order missing from "open orders" is not done: it is asked
about, and only the answer counts.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import Struct

from brokerd.blotter import Blotter
from brokerd.events import RequestKind, Road
from brokerd.executor import OrderView, Snapshot
from brokerd.messages import Reported, Viewed
from brokerd.orders import Order
from brokerd.times import NS_PER_S

SILENCE_NS_MAX = 120 * NS_PER_S
"""A new order of which nothing was heard for so long is asked about, wherever its answer is."""

SLICE = 200
"""Orders that are compared in one go: others get a turn in between."""

T = TypeVar("T")


class Reconciled(Struct, frozen=True):
    """
    What a slice of a snapshot comes to.

    `evidence` goes to the engine as it is; `to_ask` names orders whose state only a question can
    tell; `strangers` are open orders at the venue that are not in memory.
    """

    evidence: tuple[Reported | Viewed, ...] = ()
    to_ask: tuple[Order, ...] = ()
    strangers: tuple[OrderView, ...] = ()


def reconcile(
    executor: str, blotter: Blotter, snapshot: Snapshot, now_ns: int
) -> Iterator[Reconciled]:
    """
    Compare an executor's orders with a snapshot of its venue, a slice at a time.

    The books may change between two slices: each is compared with them as they then are.
    Executions come first: with them counted, less has to be asked.
    """
    for executions in _slices(snapshot.executions):
        yield Reconciled(
            tuple(Reported(executor, report, Road.POLL, now_ns) for report in executions)
        )
    seen: set[str] = set()
    for views in _slices(snapshot.orders):
        found = [
            (view, blotter.find(executor, view.venue_cl_ord_id, view.venue_order_id))
            for view in views
        ]
        seen.update(order.cl_ord_id for _, order in found if order is not None)
        yield Reconciled(
            evidence=tuple(
                Viewed(order.cl_ord_id, view, Road.POLL, snapshot.began_ns, now_ns, None)
                for view, order in found
                if order is not None and _tells_news(order, view)
            ),
            strangers=tuple(view for view, order in found if order is None),
        )
    for cl_ord_ids in _slices(blotter.unsettled_ids(executor)):
        missing = (blotter.get(cl_ord_id) for cl_ord_id in cl_ord_ids if cl_ord_id not in seen)
        yield Reconciled(
            to_ask=tuple(
                order
                for order in missing
                if order is not None and _should_be_open(order, snapshot.began_ns)
            )
        )


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]


def _tells_news(order: Order, view: OrderView) -> bool:
    """Whether the view says anything that we do not hold already."""
    return (
        order.acked_at_ns is None
        or order.in_doubt
        or (order.is_final and not order.disputed)
        or order.not_found_at_ns is not None
        or view.cum_qty > order.cum_qty
        or view.qty != order.qty
        or (view.px is not None and view.px != order.px)
    )


def _should_be_open(order: Order, began_ns: int) -> bool:
    """Whether the snapshot would have shown the order if it were open at the venue."""
    if order.heard_at_ns >= began_ns or order.is_settled:
        return False
    is_on_its_way = order.request is not None and order.request.kind is RequestKind.NEW
    is_silent = order.updated_at_ns < began_ns - SILENCE_NS_MAX
    return not is_on_its_way or order.in_doubt or is_silent
