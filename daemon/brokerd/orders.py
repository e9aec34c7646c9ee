"""
The order state machine.

Rule 1: every change of status is a row of TRANSITIONS; no other module sets one.
Rule 2: nothing in this file waits, reads a clock, logs or touches a socket.
Rule 3: `Order.ord_status` is what the venue has told us; `Order.request` is what we asked and have
        no answer to. What a bot sees is derived from the two in `Order.shown_status`.
Rule 4: an event the table has no row for raises, and the order is unchanged.

Checked against the FIX 4.4 order state change matrices (volume 4, appendix D); the places where
this machine deviates on purpose are listed in docs/order-states.md.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from brokerd.errors import BrokerdError
from brokerd.events import (
    After,
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
    RequestRetried,
)
from brokerd.money import ZERO, add, divide, multiply, subtract
from brokerd.terms import Quote, Terms


class OrdStatus(StrEnum):
    """FIX tag 39. The two pending ones at the end are derived, never stored."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"


class ExecType(StrEnum):
    """
    FIX tag 150: what a report is about.

    A venue reports TRADE; whether that is a PARTIAL_FILL or a FILL (FIX 4.2's words) depends on
    what was filled before, so only `apply` can tell.
    """

    NEW = "new"
    TRADE = "trade"
    PARTIAL_FILL = "partial_fill"
    FILL = "fill"
    REPLACED = "replaced"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Status(StrEnum):
    """The four coarse statuses, as the trader names them."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


S, E = OrdStatus, ExecType

TRANSITIONS: dict[OrdStatus, dict[ExecType, OrdStatus]] = {
    # A fill or a cancel may be reported before the acknowledgement it implies.
    S.PENDING_NEW: {
        E.NEW: S.NEW,
        E.PARTIAL_FILL: S.PARTIALLY_FILLED,
        E.FILL: S.FILLED,
        E.REPLACED: S.NEW,
        E.CANCELED: S.CANCELED,
        E.EXPIRED: S.EXPIRED,
        E.REJECTED: S.REJECTED,
    },
    # An exchange may reject after it acknowledged (FIX A.1.a).
    S.NEW: {
        E.NEW: S.NEW,
        E.PARTIAL_FILL: S.PARTIALLY_FILLED,
        E.FILL: S.FILLED,
        E.REPLACED: S.NEW,
        E.CANCELED: S.CANCELED,
        E.EXPIRED: S.EXPIRED,
        E.REJECTED: S.REJECTED,
    },
    S.PARTIALLY_FILLED: {
        E.NEW: S.PARTIALLY_FILLED,
        E.PARTIAL_FILL: S.PARTIALLY_FILLED,
        E.FILL: S.FILLED,
        E.REPLACED: S.PARTIALLY_FILLED,
        E.CANCELED: S.CANCELED,
        E.EXPIRED: S.EXPIRED,
        E.REJECTED: S.REJECTED,
    },
    # Filled is final but for a replace that raised the quantity and crossed the last fill
    # (FIX C.1.c). A venue that cancels what we hold for filled knows of a replace we have not seen.
    S.FILLED: {
        E.NEW: S.FILLED,
        E.PARTIAL_FILL: S.FILLED,
        E.FILL: S.FILLED,
        E.REPLACED: S.PARTIALLY_FILLED,
        E.CANCELED: S.FILLED,
        E.EXPIRED: S.FILLED,
    },
    # A fill may be reported after the cancel that lost the race against it.
    S.CANCELED: {
        E.NEW: S.CANCELED,
        E.PARTIAL_FILL: S.CANCELED,
        E.FILL: S.FILLED,
        E.REPLACED: S.CANCELED,
        E.CANCELED: S.CANCELED,
    },
    S.EXPIRED: {
        E.NEW: S.EXPIRED,
        E.PARTIAL_FILL: S.EXPIRED,
        E.FILL: S.FILLED,
        E.REPLACED: S.EXPIRED,
        E.EXPIRED: S.EXPIRED,
    },
    # A fill is accepted in every state: the venue's executions are the truth.
    S.REJECTED: {
        E.NEW: S.REJECTED,
        E.PARTIAL_FILL: S.REJECTED,
        E.FILL: S.FILLED,
        E.REPLACED: S.REJECTED,
        E.REJECTED: S.REJECTED,
    },
}

FINAL = frozenset({S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})

ENDS_REQUEST: dict[RequestKind, frozenset[ExecType]] = {
    # Any word of the venue about the order proves that it arrived.
    RequestKind.NEW: frozenset(E),
    # A fill does not answer a cancel or a replace: its own answer is still to come.
    RequestKind.CANCEL: frozenset({E.CANCELED, E.EXPIRED, E.REJECTED}),
    RequestKind.REPLACE: frozenset({E.REPLACED, E.CANCELED, E.EXPIRED, E.REJECTED}),
}

COARSE: dict[OrdStatus, Status] = {
    S.PENDING_NEW: Status.PENDING,
    S.NEW: Status.OPEN,
    S.PARTIALLY_FILLED: Status.OPEN,
    S.FILLED: Status.CLOSED,
    S.REJECTED: Status.CLOSED,
    S.EXPIRED: Status.CLOSED,
    S.CANCELED: Status.CANCELLED,
}


class IllegalTransition(BrokerdError):
    """The table has no row for it: a contradiction, not a race."""

    name = "illegal_transition"


class Request(Struct, gc=False, frozen=True):
    """
    What we asked of the venue and have no answer to.

    `attempt` counts sends, `since_ns` is the first of them, `asked_at_ns` the last; `in_doubt`,
    `final_at_ns` and `is_taken` are told in `RequestDoubted`; `was_doubted` says that an earlier
    send of it was in doubt, and may still arrive; `doubted_at_ns` is when the doubt began.
    """

    kind: RequestKind
    asked_at_ns: int
    since_ns: int
    attempt: int = 1
    in_doubt: bool = False
    final_at_ns: int | None = None
    is_taken: bool = False
    was_doubted: bool = False
    doubted_at_ns: int | None = None
    qty: Decimal | None = None
    px: Decimal | None = None


class Order(Struct, gc=False, frozen=True, kw_only=True):
    """
    One order as we know it: its terms, what the venue told, what we asked, what it filled.

    `stopped_by` keeps the venue's last word through late fills; `venue_cum_qty` is the most the
    venue ever claimed to have filled, so that a final order with less is not settled yet;
    `cum_quote` is the sum of qty x px over the fills; `not_found_at_ns` is when the first of the
    two proofs that the venue has no such order came in; `is_external` says that it was not sent by
    us: it is followed and never touched; `seq` is the order's last journal row;
    `heard_at_ns` is when the venue last told of it (at first, when it was submitted), whatever we
    asked since; `doubted_ns` is how long its requests were in doubt; `sent_quote` and `end_quote` are the market
    when it was sent and at the venue's last word.
    """

    cl_ord_id: str
    venue_cl_ord_id: str
    terms: Terms
    arrival: Quote | None
    qty: Decimal
    px: Decimal | None
    seq: int
    created_at_ns: int
    updated_at_ns: int
    venue_order_id: str | None = None
    ord_status: OrdStatus = OrdStatus.PENDING_NEW
    stopped_by: OrdStatus | None = None
    request: Request | None = None
    cancel_wanted: bool = False
    cum_qty: Decimal = ZERO
    cum_quote: Decimal = ZERO
    venue_cum_qty: Decimal = ZERO
    fees: dict[str, Decimal] = {}
    fill_count: int = 0
    replace_no: int = 0
    replaced_no: int = 0
    retries: int = 0
    doubts: int = 0
    heard_at_ns: int = 0
    doubted_ns: int = 0
    not_found_at_ns: int | None = None
    disputed: bool = False
    is_external: bool = False
    reason: str = ""
    code: str = ""
    sent_at_ns: int | None = None
    acked_at_ns: int | None = None
    first_fill_at_ns: int | None = None
    last_fill_at_ns: int | None = None
    closed_at_ns: int | None = None
    sent_quote: Quote | None = None
    end_quote: Quote | None = None
    quote_asset: str = ""
    is_paper: bool = False

    @property
    def is_final(self) -> bool:
        """The venue's last word is spoken; only late fills may follow."""
        return self.ord_status in FINAL

    @property
    def is_settled(self) -> bool:
        """Final, nothing outstanding, its terms known, and every execution the venue claims counted."""
        is_over = self.is_final and self.request is None and not self.has_unseen_terms
        return is_over and self.cum_qty >= self.venue_cum_qty

    @property
    def has_unseen_terms(self) -> bool:
        """
        Whether more was filled than was asked for: that proves a replace we have not seen.

        A venue that fills too much for real is disputed, which ends the search for other terms.
        """
        return self.cum_qty > self.qty and not self.disputed

    @property
    def in_doubt(self) -> bool:
        """Whether a request of ours may or may not have happened."""
        return self.request is not None and self.request.in_doubt

    @property
    def must_be_asked(self) -> bool:
        """Whether only a question can tell: a doubt, missing fills or terms, a first "not found"."""
        has_gap = self.cum_qty < self.venue_cum_qty or self.has_unseen_terms
        return self.in_doubt or has_gap or self.not_found_at_ns is not None

    @property
    def status(self) -> Status:
        """The coarse status."""
        return COARSE[self.ord_status]

    @property
    def shown_status(self) -> OrdStatus:
        """OrdStatus by FIX precedence, except that a final status wins over a pending request."""
        if self.is_final:
            return self.ord_status
        kind = self.request.kind if self.request else None
        if self.cancel_wanted or kind is RequestKind.CANCEL:
            return OrdStatus.PENDING_CANCEL
        if kind is RequestKind.REPLACE:
            return OrdStatus.PENDING_REPLACE
        return self.ord_status

    @property
    def leaves_qty(self) -> Decimal:
        """What may still be filled: nothing once the order is final."""
        if self.is_final or self.cum_qty >= self.qty:
            return ZERO
        return subtract(self.qty, self.cum_qty)

    @property
    def avg_px(self) -> Decimal | None:
        """Average price of the fills, None before the first."""
        return divide(self.cum_quote, self.cum_qty) if self.cum_qty else None

    @property
    def executor_id(self) -> str | None:
        """The order's name outside: `executor:venue_order_id`, None until the venue gave one."""
        return f"{self.terms.executor}:{self.venue_order_id}" if self.venue_order_id else None

    def after(self) -> After:
        """Return what bots are told with the event that led here."""
        return After(
            ord_status=self.shown_status,
            cum_qty=self.cum_qty,
            leaves_qty=self.leaves_qty,
            avg_px=self.avg_px,
            request=self.request.kind if self.request else None,
            in_doubt=self.in_doubt,
        )


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
    )


def apply(order: Order, event: OrderEvent, seq: int) -> Order:
    """
    Return the order after one more event; the same function live and in replay.

    Raises IllegalTransition, naming order and event, where the table has no row.
    """
    changes = _APPLY[type(event)](order, event)
    if order.in_doubt:
        changes |= _doubt_ended(order, changes, event)
    return replace(order, seq=seq, updated_at_ns=event.at_ns, **changes)


def _doubt_ended(order: Order, changes: dict[str, Any], event: OrderEvent) -> dict[str, Any]:
    """Return how long the order has been in doubt if these changes end that."""
    began, left = order.request, changes.get("request", order.request)
    if began is None or began.doubted_at_ns is None or (left is not None and left.in_doubt):
        return {}
    return {"doubted_ns": order.doubted_ns + max(event.at_ns - began.doubted_at_ns, 0)}


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
    if order.request is not None and exec_type in ENDS_REQUEST[order.request.kind]:
        changes["request"] = None
    if after in FINAL:
        changes["cancel_wanted"] = False
        if not order.is_final:
            changes["closed_at_ns"] = event.at_ns
    elif order.is_final:
        changes["closed_at_ns"] = None
    return changes


def _acknowledged(order: Order, event: OrderAcknowledged) -> dict[str, Any]:
    return {
        **_move(order, ExecType.NEW, event),
        "venue_order_id": order.venue_order_id or event.venue_order_id,
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
    changes = _move(order, exec_type, event)
    if order.request is not None and order.request.kind is RequestKind.REPLACE:
        changes["request"] = None
    changes |= {
        "qty": event.qty,
        "px": order.px if event.px is None else event.px,
        "venue_order_id": event.venue_order_id or order.venue_order_id,
        "acked_at_ns": order.acked_at_ns or event.at_ns,
        "replaced_no": max(order.replaced_no, event.replace_no or 0),
    }
    return changes


_LAST_WORDS: dict[type[OrderEvent], ExecType] = {
    OrderCanceled: ExecType.CANCELED,
    OrderExpired: ExecType.EXPIRED,
    OrderRejected: ExecType.REJECTED,
}


def _done(order: Order, event: OrderDone) -> dict[str, Any]:
    exec_type = _LAST_WORDS[type(event)]
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


def _cancel_requested(_order: Order, event: CancelRequested) -> dict[str, Any]:
    if event.queued:
        return {"cancel_wanted": True}
    return {
        "cancel_wanted": False,
        "request": Request(RequestKind.CANCEL, event.at_ns, event.at_ns),
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


def _request_refused(_order: Order, _event: RequestRefused) -> dict[str, Any]:
    """A refused cancel or replace leaves the order as it was: there is nothing to restore."""
    return {"request": None}


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


def _not_found(order: Order, event: OrderNotFound) -> dict[str, Any]:
    return {"not_found_at_ns": order.not_found_at_ns or event.at_ns}


def _fills_missed(order: Order, event: FillsMissed) -> dict[str, Any]:
    return {"venue_cum_qty": max(order.venue_cum_qty, event.cum_qty)}


def _disputed(_order: Order, _event: ReportDisputed) -> dict[str, Any]:
    return {"disputed": True}


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
    OrderNotFound: _not_found,
    FillsMissed: _fills_missed,
    ReportDisputed: _disputed,
}
