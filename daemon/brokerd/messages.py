"""
What the engine is told, what it is to do about it, and what it answers: the words of its inbox.

Everything the rules need to decide is in the message, times included: rules read no clock.
"""

from decimal import Decimal
from typing import ClassVar

from msgspec import Struct

from brokerd.errors import BrokerdError
from brokerd.events import AnyEvent, RequestKind, Resolution, Road
from brokerd.executor import OrderView, Outcome, Report
from brokerd.orders import Order, Request
from brokerd.terms import Quote, Terms


class Submit(Struct, frozen=True):
    """A bot's new order, checked, with both its ids; what it trades for what, and if it is for real."""

    cl_ord_id: str
    venue_cl_ord_id: str
    terms: Terms
    arrival: Quote | None
    at_ns: int
    quote_asset: str = ""
    is_paper: bool = False
    base_asset: str = ""


class Cancel(Struct, frozen=True):
    """A bot wants the rest of an order off the book."""

    cl_ord_id: str
    at_ns: int


class Replace(Struct, frozen=True):
    """A bot wants another total quantity or limit price; None keeps what is."""

    cl_ord_id: str
    qty: Decimal | None
    px: Decimal | None
    at_ns: int


class Resolve(Struct, frozen=True, kw_only=True):
    """
    A person says what became of an order's request in doubt, and why they know.

    `is_answered` says that the venue was asked just now and answered, `shows_closed` that it shows
    closed orders; `under_way_ns` is how long a request may take there where it promises no end.
    `waits_anew` as in `Viewed`.
    """

    road: ClassVar[Road] = Road.OPERATOR

    cl_ord_id: str
    outcome: Resolution
    by: str
    reason: str
    at_ns: int
    venue_order_id: str | None = None
    is_answered: bool = False
    shows_closed: bool = False
    under_way_ns: int = 0
    waits_anew: tuple[Request, ...] = ()


class Note(Struct, frozen=True):
    """Something for the record that is about no order: a run, a link."""

    event: AnyEvent


class Barrier(Struct, frozen=True):
    """Records nothing: once it is settled, so is everything that was handed over before it."""


class Answered(Struct, frozen=True):
    """
    A request of ours came to an outcome.

    `final_at_ns` is when the request can no longer arrive, by the venue's promises. `sent_quote` and
    `quote` are the market just before it was sent, and now.
    """

    road: ClassVar[Road] = Road.REPLY

    cl_ord_id: str
    request: RequestKind
    attempt: int
    outcome: Outcome
    at_ns: int
    final_at_ns: int | None = None
    sent_quote: Quote | None = None
    quote: Quote | None = None


class RetryDue(Struct, frozen=True):
    """A request that certainly did not happen has waited long enough to be sent again."""

    road: ClassVar[Road] = Road.DAEMON

    cl_ord_id: str
    request: RequestKind
    attempt: int
    evidence: str
    at_ns: int


class Reported(Struct, frozen=True):
    """
    A venue said something of an order, on any road, perhaps not for the first time.

    `quote` is the market when it did, `sent_quote` when the order was sent.
    """

    executor: str
    report: Report
    road: Road
    at_ns: int
    sent_at_ns: int | None = None
    evidence: str = ""
    sent_quote: Quote | None = None
    quote: Quote | None = None


class Viewed(Struct, frozen=True):
    """
    The venue was asked for one order: this is its complete answer, None for "no such order".

    `asked_at_ns` is when the question left: the view may be older than anything later.
    `absence_after_ns` is how far apart two answers of "no such order" must lie to count; None
    where this one proves nothing: the venue forgets closed orders, or its stream is not in sync.
    `forgets_closed` says that the venue shows no closed orders, now or ever.
    `waits_anew` is what an earlier run left in doubt, with `final_at_ns` by this run's clock.
    """

    cl_ord_id: str
    view: OrderView | None
    road: Road
    asked_at_ns: int
    at_ns: int
    absence_after_ns: int | None
    quote: Quote | None = None
    waits_anew: tuple[Request, ...] = ()
    forgets_closed: bool = False


class Seen(Struct, frozen=True):
    """
    The venue shows an open order that neither memory nor history knows, and that is not of our id.

    `asked_at_ns` as in `Viewed`.
    """

    executor: str
    view: OrderView
    road: Road
    asked_at_ns: int
    at_ns: int


class Send(Struct, frozen=True):
    """Do what the order's outstanding request says, at its executor."""

    order: Order


class Ask(Struct, frozen=True):
    """Ask the venue about an order soon: something is in doubt or missing."""

    order: Order


class Stranger(Struct, frozen=True):
    """Evidence is about an order that is not in memory: history may know it."""

    message: Reported | Answered | Viewed


class Freeze(Struct, frozen=True):
    """Take no new orders for an executor until somebody has looked, and say why."""

    executor: str
    reason: str


Message = (
    Submit
    | Cancel
    | Replace
    | Resolve
    | Note
    | Barrier
    | Answered
    | RetryDue
    | Reported
    | Viewed
    | Seen
)
Action = Send | Ask | Stranger


class Decision(Struct, frozen=True):
    """What is to be done, and what to answer: the cl_ord_id of the order to show, or an error."""

    actions: tuple[Action, ...] = ()
    reply: str | BrokerdError | None = None


NOTHING = Decision()
