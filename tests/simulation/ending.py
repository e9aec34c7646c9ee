"""When an order counts as settled, by what its venue knows of it and what the venue promises."""

from tests.simulation.venue_log import VenueOrder

from brokerd.executor import Capabilities
from brokerd.orders import Order
from brokerd.states import OrdStatus


def unsettled(order: Order, known: list[VenueOrder], promised: Capabilities) -> str | None:
    """
    Say what is not as it should be long after everything has healed; None if all is well.

    `known` are the venue's orders under our id: none or one. Where a venue promises too little, a
    doubt must last, and that is as it should be.
    """
    if not known:
        return _unsettled_absent(order, promised)
    (real,) = known
    if not real.is_open:
        return _unsettled_closed(order, real, promised)
    return _unsettled_open(order, real, promised)


def _unsettled_absent(order: Order, promised: Capabilities) -> str | None:
    """Look at an order that never existed: dead, or in doubt for ever where nothing is promised."""
    may_last = promised.validity_window_s is None or not promised.query_closed
    if order.is_final or (may_last and order.in_doubt):
        return None
    return f"is {order.shown_status}, and never existed"


def _unsettled_closed(order: Order, real: VenueOrder, promised: Capabilities) -> str | None:
    # A venue that shows no closed orders tells of them only what their executions tell: with the
    # quantity of a replace that was never seen they do not tell the end.
    has_terms = order.qty == real.qty and not _replaces(order)
    is_told = real.status is OrdStatus.FILLED and has_terms
    if not promised.query_closed and not is_told:
        return None
    if order.ord_status is not real.status:
        return f"is {order.ord_status}, at the venue {real.status}"
    return None if order.is_settled else f"{order.request} is outstanding"


def _unsettled_open(order: Order, real: VenueOrder, promised: Capabilities) -> str | None:
    if (order.ord_status, order.qty, order.px) != (real.status, real.qty, real.px):
        return f"is {order.ord_status} {order.qty} {order.px}, at the venue {real.view()}"
    if order.cancel_wanted and order.request is None:
        return "waits with a cancel that is never sent"
    may_last = promised.validity_window_s is None and _replaces(order)
    return f"{order.request} is in doubt" if order.must_be_asked and not may_last else None


def _replaces(order: Order) -> bool:
    return order.replacing is not None
