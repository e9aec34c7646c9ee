"""
What bots want: a submit, a cancel, a replace becomes an event, an action and an answer.

A repeated command is answered, not repeated: the same submit finds its order, a second cancel
finds the first under way.
"""

from brokerd.blotter import Stage
from brokerd.errors import BrokerdError, DuplicateClOrdId, InvalidOrder, NotCancelable, UnknownOrder
from brokerd.events import (
    CancelRequested,
    OrderSubmitted,
    ReplaceRequested,
    RequestKind,
    Road,
)
from brokerd.messages import Cancel, Decision, Replace, Send, Submit
from brokerd.orders import Order


def unknown_order(order_id: str, field: str = "cl_ord_id") -> UnknownOrder:
    """Build the error for an id that names no order."""
    return UnknownOrder(f"no order has the id {order_id}", field=field)


def submit(stage: Stage, message: Submit) -> Decision:
    """Take a new order, or find the one that this submit made before."""
    known = stage.get(message.cl_ord_id)
    if known is None:
        event = OrderSubmitted(
            at_ns=message.at_ns,
            cl_ord_id=message.cl_ord_id,
            road=Road.BOT,
            venue_cl_ord_id=message.venue_cl_ord_id,
            terms=message.terms,
            arrival=message.arrival,
            quote_asset=message.quote_asset,
            is_paper=message.is_paper,
            base_asset=message.base_asset,
        )
        return Decision((Send(stage.record_order(event)),), message.cl_ord_id)
    if known.terms == message.terms:
        return Decision(reply=known.cl_ord_id)
    return Decision(
        reply=DuplicateClOrdId(
            f"cl_ord_id {message.cl_ord_id} is taken by an order with other terms",
            field="cl_ord_id",
            hint="a cl_ord_id is for ever: use a new one for a new order",
        )
    )


def cancel(stage: Stage, message: Cancel) -> Decision:
    """Ask for a cancel, at once or behind the request that is under way."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision(reply=unknown_order(message.cl_ord_id))
    if order.is_over:
        return Decision(reply=_already_done(order, "canceled"))
    if order.is_external:
        return Decision(reply=_not_ours(order))
    kind = order.request.kind if order.request else None
    if order.cancel_wanted or kind is RequestKind.CANCEL:
        return Decision(reply=order.cl_ord_id)
    # A replace in doubt may last; the cancel does not wait for it, and leaves it in doubt.
    queued = kind is RequestKind.NEW or (kind is RequestKind.REPLACE and not order.in_doubt)
    return request_cancel(stage, order, message.at_ns, road=Road.BOT, queued=queued)


def request_cancel(stage: Stage, order: Order, at_ns: int, *, road: Road, queued: bool) -> Decision:
    """Put a cancel on record, to be sent now or (`queued`) once another request has its outcome."""
    event = CancelRequested(at_ns=at_ns, cl_ord_id=order.cl_ord_id, road=road, queued=queued)
    order = stage.record_order(event)
    return Decision(() if queued else (Send(order),), order.cl_ord_id)


def replace(stage: Stage, message: Replace) -> Decision:
    """Ask for another quantity or price; one replace at a time, as FIX D.2.d has it."""
    order = stage.get(message.cl_ord_id)
    if order is None:
        return Decision(reply=unknown_order(message.cl_ord_id))
    refusal = _why_not_replace(order, message)
    if refusal is not None:
        return Decision(reply=refusal)
    qty = order.qty if message.qty is None else message.qty
    px = order.px if message.px is None else message.px
    if (qty, px) == (order.qty, order.px):
        return Decision(reply=order.cl_ord_id)
    event = ReplaceRequested(
        at_ns=message.at_ns,
        cl_ord_id=order.cl_ord_id,
        road=Road.BOT,
        qty=qty,
        px=px,
        replace_no=order.replace_no + 1,
    )
    return Decision((Send(stage.record_order(event)),), order.cl_ord_id)


def _why_not_replace(order: Order, message: Replace) -> BrokerdError | None:
    if order.is_over:
        return _already_done(order, "replaced")
    if order.is_external:
        return _not_ours(order)
    if order.request is not None or order.cancel_wanted:
        waiting_for = order.request.kind if order.request else RequestKind.CANCEL
        return NotCancelable(
            f"order {order.cl_ord_id} waits for the outcome of its {waiting_for} request",
            reason="request_outstanding",
            hint="wait for its outcome, then replace",
        )
    if message.px is not None and order.px is None:
        return InvalidOrder(
            f"a {order.terms.ord_type} order has no px to replace",
            reason="px_not_allowed",
            field="px",
        )
    if message.qty is not None and message.qty <= order.cum_qty:
        return InvalidOrder(
            f"qty {message.qty} is not above the {order.cum_qty} already filled",
            reason="qty_not_above_filled",
            field="qty",
            hint="qty is the total, filled part included; to stop here, cancel",
        )
    return None


def _not_ours(order: Order) -> NotCancelable:
    return NotCancelable(
        f"order {order.cl_ord_id} was not sent by this daemon",
        reason="external_order",
        hint="orders of other origin are followed and never touched: cancel it where it was placed",
    )


def _already_done(order: Order, verb: str) -> NotCancelable:
    return NotCancelable(
        f"order {order.cl_ord_id} is {order.ord_status} and cannot be {verb}",
        reason=f"already_{order.ord_status}",
    )
