"""
The states of an order: a table, status by report, in FIX's names.

Rule 1: every change of status is a row of TRANSITIONS, taken by `fold`; besides, `fold` alone says
        where an order begins, and that a last word stands when late fills follow it.
Rule 2: a report without a row is a contradiction, not a race, and changes nothing.

Checked against the FIX 4.4 order state change matrices (volume 4, appendix D); the places where
this machine deviates on purpose are listed in docs/order-states.md.
"""

from enum import StrEnum

from brokerd.events import (
    OrderCanceled,
    OrderDone,
    OrderExpired,
    OrderRejected,
    RequestKind,
    Resolution,
)


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

LAST_WORDS: dict[OrdStatus, ExecType] = {
    S.CANCELED: E.CANCELED,
    S.EXPIRED: E.EXPIRED,
    S.REJECTED: E.REJECTED,
}
"""What must have been reported of an order that a venue shows so. Filled it is by its executions."""

RECORDED_AS: dict[ExecType, type[OrderDone]] = {
    E.CANCELED: OrderCanceled,
    E.EXPIRED: OrderExpired,
    E.REJECTED: OrderRejected,
}
"""The event that a last word is on record as."""

ENDS_REQUEST: dict[RequestKind, frozenset[ExecType]] = {
    # Any word of the venue about the order proves that it arrived.
    RequestKind.NEW: frozenset(E),
    # A fill does not answer a cancel or a replace: its own answer is still to come.
    RequestKind.CANCEL: frozenset({E.CANCELED, E.EXPIRED, E.REJECTED}),
    RequestKind.REPLACE: frozenset({E.REPLACED, E.CANCELED, E.EXPIRED, E.REJECTED}),
}

RESOLVED: dict[Resolution, dict[RequestKind, ExecType | None]] = {
    # A person's word about a request in doubt; None leaves the order as it was.
    Resolution.EXECUTED: {
        RequestKind.NEW: E.NEW,
        RequestKind.CANCEL: E.CANCELED,
        RequestKind.REPLACE: E.REPLACED,
    },
    Resolution.NOT_EXECUTED: {
        RequestKind.NEW: E.REJECTED,
        RequestKind.CANCEL: None,
        RequestKind.REPLACE: None,
    },
    Resolution.DONE: {
        RequestKind.NEW: E.CANCELED,
        RequestKind.CANCEL: E.CANCELED,
        RequestKind.REPLACE: E.CANCELED,
    },
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
