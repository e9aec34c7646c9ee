"""
The order state machine: an order and an event make the next order, live and in replay.

Rule 1: nothing in this file waits, reads a clock, logs or touches a socket.
Rule 2: an event the table of `states` has no row for raises, and the order is unchanged.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from brokerd.errors import BrokerdError
from brokerd.events import (
    CancelRequested,
    FillsMissed,
    OrderAcknowledged,
    OrderAdopted,
    OrderCanceled,
    OrderDone,
    OrderEvent,
    OrderExpired,
    OrderNotFound,
    OrderRejected,
    OrderReplaced,
    OrderSubmitted,
    OrderTraded,
    ReplaceRequested,
    ReportDisputed,
    RequestDoubted,
    RequestKind,
    RequestRefused,
    RequestResolved,
    RequestRetried,
)
from brokerd.money import ZERO, add, multiply
from brokerd.orders import Order, Request
from brokerd.states import (
    ENDS_REQUEST,
    FINAL,
    RECORDED_AS,
    RESOLVED,
    TRANSITIONS,
    ExecType,
    OrdStatus,
)


class IllegalTransition(BrokerdError):
    """The table has no row for it: a contradiction, not a race."""

    name = "illegal_transition"


def submitted(event: OrderSubmitted, seq: int) -> Order:
    """Return the order that a submit or an adoption brings into being."""
    order = _pending(event, seq)
    if not isinstance(event, OrderAdopted):
        return order
    return replace(
        order,
        request=None,
        ord_status=OrdStatus.NEW,
        venue_order_id=event.venue_order_id,
        acked_at_ns=event.at_ns,
        is_external=True,
    )


def _pending(event: OrderSubmitted, seq: int) -> Order:
    """Return a pending order, its new-request outstanding."""
    terms = event.terms
    return Order(
        cl_ord_id=event.cl_ord_id,
        venue_cl_ord_id=event.venue_cl_ord_id,
        terms=terms,
        arrival=event.arrival,
        qty=terms.qty,
        px=terms.px,
        seq=seq,
        created_at_ns=event.at_ns,
        updated_at_ns=event.at_ns,
        heard_at_ns=event.at_ns,
        request=Request(RequestKind.NEW, event.at_ns, event.at_ns),
        quote_asset=event.quote_asset,
        is_paper=event.is_paper,
        base_asset=event.base_asset,
    )


def apply(order: Order, event: OrderEvent, seq: int) -> Order:
    """
    Return the order after one more event; the same function live and in replay.

    Raises IllegalTransition, naming order and event, where the table has no row.
    """
    changes = _APPLY[type(event)](order, event)
    after = replace(order, seq=seq, updated_at_ns=event.at_ns, **changes)
    if order.in_doubt:
        after = replace(after, doubts_ns=order.doubts_ns + _doubt_ended(order, after))
    if after.is_over != order.is_over:
        closed_at_ns = event.at_ns if after.is_over else None
        after = replace(after, closed_at_ns=closed_at_ns, cancel_wanted=False)
    return after


def _doubt_ended(before: Order, after: Order) -> tuple[tuple[int, int], ...]:
    """Return the doubt that this ended, if any; of two that overlap, up to where the other goes on."""
    began_ns, goes_on_ns = before.doubted_since_ns, after.doubted_since_ns
    assert began_ns is not None  # noqa: S101 - it was in doubt
    ended_ns = after.updated_at_ns if goes_on_ns is None else goes_on_ns
    return ((began_ns, ended_ns),) if ended_ns > began_ns else ()


def is_legal(order: Order, exec_type: ExecType) -> bool:
    """Whether the table has a row for it."""
    return exec_type in TRANSITIONS[order.ord_status]


def _move(order: Order, exec_type: ExecType, event: OrderEvent) -> dict[str, Any]:
    """Take one row of the table: the new status, and the request that this report answers."""
    after = TRANSITIONS[order.ord_status].get(exec_type)
    if after is None:
        raise IllegalTransition(
            f"order {order.cl_ord_id} is {order.ord_status}: {exec_type} contradicts that",
            cl_ord_id=order.cl_ord_id,
            event=type(event).__name__,
        )
    if order.stopped_by is not None and after not in FINAL:
        after = order.stopped_by
    changes: dict[str, Any] = {
        "ord_status": after,
        "not_found_at_ns": None,
        "heard_at_ns": event.at_ns,
    }
    if order.request is not None:
        changes |= _unanswered(order, exec_type)
    return changes


def _unanswered(order: Order, exec_type: ExecType) -> dict[str, Any]:
    """Return the changes that leave outstanding what such a report does not answer."""
    return _outstanding(each for each in order.requests if exec_type not in ENDS_REQUEST[each.kind])


def _outstanding(requests: Iterable[Request]) -> dict[str, Any]:
    """Return the changes after which these are outstanding, the last asked first."""
    request, overtaken, *_ = (*requests, None, None)
    return {"request": request, "overtaken": overtaken}


def _acknowledged(order: Order, event: OrderAcknowledged) -> dict[str, Any]:
    return {
        **_move(order, ExecType.NEW, event),
        "venue_order_id": order.venue_order_id or event.venue_order_id or None,
        "sent_at_ns": order.sent_at_ns or event.sent_at_ns,
        "sent_quote": order.sent_quote or event.sent_quote,
        "acked_at_ns": order.acked_at_ns or event.at_ns,
    }


def _traded(order: Order, event: OrderTraded) -> dict[str, Any]:
    cum_qty = add(order.cum_qty, event.last_qty)
    exec_type = ExecType.FILL if cum_qty >= order.qty else ExecType.PARTIAL_FILL
    changes = _move(order, exec_type, event)
    changes |= {
        "cum_qty": cum_qty,
        "cum_quote": add(order.cum_quote, multiply(event.last_qty, event.last_px)),
        "fill_count": order.fill_count + 1,
        "venue_order_id": order.venue_order_id or event.venue_order_id,
        "sent_at_ns": order.sent_at_ns or event.sent_at_ns,
        "sent_quote": order.sent_quote or event.sent_quote,
        "acked_at_ns": order.acked_at_ns or event.at_ns,
        "first_fill_at_ns": order.first_fill_at_ns or event.at_ns,
        "last_fill_at_ns": event.at_ns,
    }
    if event.fee:
        fee = add(order.fees.get(event.fee_asset, ZERO), event.fee)
        changes["fees"] = {**order.fees, event.fee_asset: fee}
    return changes


def _replaced(order: Order, event: OrderReplaced) -> dict[str, Any]:
    exec_type = ExecType.FILL if order.cum_qty >= event.qty else ExecType.REPLACED
    changes = _move(order, exec_type, event) | _not_replaced_by(order, event)
    changes |= {
        "qty": event.qty,
        "px": order.px if event.px is None else event.px,
        "venue_order_id": event.venue_order_id or order.venue_order_id,
        "acked_at_ns": order.acked_at_ns or event.at_ns,
        "replaced_no": max(order.replaced_no, event.replace_no or 0),
    }
    return changes


def _not_replaced_by(order: Order, event: OrderReplaced) -> dict[str, Any]:
    """
    Return the changes that leave outstanding what new terms do not answer.

    Terms that do not come from the last replace are the venue's own, or an older one's told late.
    """
    if event.replace_no == order.replace_no:
        return _unanswered(order, ExecType.REPLACED)
    return _outstanding(each for each in order.requests if each.kind is not RequestKind.NEW)


_EXEC_TYPES: dict[type[OrderDone], ExecType] = {
    event: exec_type for exec_type, event in RECORDED_AS.items()
}


def _done(order: Order, event: OrderDone) -> dict[str, Any]:
    exec_type = _EXEC_TYPES[type(event)]
    changes = _move(order, exec_type, event)
    changes |= {
        "stopped_by": order.stopped_by or TRANSITIONS[OrdStatus.NEW][exec_type],
        "reason": order.reason or event.reason,
        "code": order.code or event.code,
        "end_quote": order.end_quote or event.quote,
        "venue_order_id": order.venue_order_id or event.venue_order_id,
        "venue_cum_qty": max(order.venue_cum_qty, event.cum_qty or ZERO),
    }
    return changes


def _cancel_requested(order: Order, event: CancelRequested) -> dict[str, Any]:
    """Ask for a cancel; a replace in doubt, for which it does not wait, stays in doubt."""
    if event.queued:
        return {"cancel_wanted": True}
    return {
        "cancel_wanted": False,
        "request": Request(RequestKind.CANCEL, event.at_ns, event.at_ns),
        "overtaken": order.replacing,
    }


def _replace_requested(_order: Order, event: ReplaceRequested) -> dict[str, Any]:
    request = Request(RequestKind.REPLACE, event.at_ns, event.at_ns, qty=event.qty, px=event.px)
    return {"request": request, "replace_no": event.replace_no}


def _request_retried(order: Order, event: RequestRetried) -> dict[str, Any]:
    """Take up a request again: what went before certainly did not happen."""
    before = order.request
    if before is None or before.kind is not event.request:
        raise IllegalTransition(
            f"order {order.cl_ord_id} has no {event.request} request to retry",
            cl_ord_id=order.cl_ord_id,
        )
    request = replace(
        before,
        asked_at_ns=event.at_ns,
        attempt=event.attempt,
        in_doubt=False,
        final_at_ns=None,
        is_taken=False,
        doubted_at_ns=None,
        was_doubted=before.was_doubted or before.in_doubt,
    )
    return {"request": request, "retries": order.retries + 1}


def _request_refused(order: Order, event: RequestRefused) -> dict[str, Any]:
    """A refused cancel or replace leaves the order as it was, and the other as it is."""
    return _outstanding(each for each in order.requests if each.kind is not event.request)


def _request_doubted(order: Order, event: RequestDoubted) -> dict[str, Any]:
    if order.request is None or order.request.kind is not event.request:
        raise IllegalTransition(
            f"order {order.cl_ord_id} has no {event.request} request to doubt",
            cl_ord_id=order.cl_ord_id,
        )
    request = replace(
        order.request,
        in_doubt=True,
        final_at_ns=event.final_at_ns,
        is_taken=event.is_taken,
        doubted_at_ns=event.at_ns
        if order.request.doubted_at_ns is None
        else order.request.doubted_at_ns,
    )
    return {"request": request, "doubts": order.doubts + 1, "not_found_at_ns": None}


RESOLVED_BY_OPERATOR = "resolved_by_operator"
"""The reason of an order that ended by a person's word."""


def _request_resolved(order: Order, event: RequestResolved) -> dict[str, Any]:
    """Take a person's word as the event it stands for; the venue itself has not been heard."""
    request = next((each for each in order.requests if each.kind is event.request), None)
    if request is None:
        raise IllegalTransition(
            f"order {order.cl_ord_id} has no {event.request} request to resolve",
            cl_ord_id=order.cl_ord_id,
        )
    implied = _implied(order, request, event)
    return {
        **_APPLY[type(implied)](order, implied),
        "heard_at_ns": order.heard_at_ns,
        "venue_order_id": event.venue_order_id or order.venue_order_id,
    }


def _implied(order: Order, request: Request, event: RequestResolved) -> OrderEvent:
    """Return what would have been on record, had the venue told it."""
    at_ns, cl_ord_id = event.at_ns, event.cl_ord_id
    match RESOLVED[event.outcome][request.kind]:
        case None:
            return RequestRefused(
                at_ns=at_ns, cl_ord_id=cl_ord_id, request=request.kind, reason=event.reason
            )
        case ExecType.NEW:
            return OrderAcknowledged(at_ns=at_ns, cl_ord_id=cl_ord_id, venue_order_id="")
        case ExecType.REPLACED:
            assert request.qty is not None  # noqa: S101 - every replace has one
            return OrderReplaced(
                at_ns=at_ns,
                cl_ord_id=cl_ord_id,
                qty=request.qty,
                px=request.px,
                replace_no=order.replace_no,
            )
        case ExecType.REJECTED:
            return OrderRejected(at_ns=at_ns, cl_ord_id=cl_ord_id, reason=RESOLVED_BY_OPERATOR)
        case _:
            return OrderCanceled(at_ns=at_ns, cl_ord_id=cl_ord_id, reason=RESOLVED_BY_OPERATOR)


def _not_found(order: Order, event: OrderNotFound) -> dict[str, Any]:
    return {"not_found_at_ns": order.not_found_at_ns or event.at_ns}


def _fills_missed(order: Order, event: FillsMissed) -> dict[str, Any]:
    return {"venue_cum_qty": max(order.venue_cum_qty, event.cum_qty)}


def _disputed(order: Order, event: ReportDisputed) -> dict[str, Any]:
    told = f"the venue told of an order that is {order.ord_status}: {event.exec_type}"
    return {
        "dispute": order.dispute or event.evidence or told,
        "is_overfilled": order.is_overfilled or event.exec_type == ExecType.FILL,
        "not_found_at_ns": None,
    }


_APPLY: dict[type[OrderEvent], Callable[[Order, Any], dict[str, Any]]] = {
    OrderAcknowledged: _acknowledged,
    OrderTraded: _traded,
    OrderReplaced: _replaced,
    OrderCanceled: _done,
    OrderExpired: _done,
    OrderRejected: _done,
    CancelRequested: _cancel_requested,
    ReplaceRequested: _replace_requested,
    RequestRetried: _request_retried,
    RequestRefused: _request_refused,
    RequestDoubted: _request_doubted,
    RequestResolved: _request_resolved,
    OrderNotFound: _not_found,
    FillsMissed: _fills_missed,
    ReportDisputed: _disputed,
}
