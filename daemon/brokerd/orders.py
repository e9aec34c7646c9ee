"""
What an order is: its terms, what the venue has told of it, and what follows from that.

Rule 1: `Order.ord_status` is what the venue has told us; `Order.requests` is what we asked and have
        no answer to. What a bot sees is derived from the two in `Order.shown_status`.
Rule 2: an order is never changed: `fold` makes the next one of it and an event.
"""

from decimal import Decimal

from msgspec import Struct

from brokerd.events import After, RequestKind
from brokerd.money import ZERO, divide, subtract
from brokerd.states import COARSE, FINAL, OrdStatus, Status
from brokerd.terms import Quote, Terms


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

    `request` is what we asked last, and `overtaken` the replace in doubt that this cancel was sent
    over: whatever becomes of the cancel, the replace may have happened.
    `stopped_by` keeps the venue's last word through late fills; `venue_cum_qty` is the most the
    venue ever claimed to have filled, so that a final order with less is not settled yet;
    `cum_quote` is the sum of qty x px over the fills; `not_found_at_ns` is when the first of the
    two proofs that the venue has no such order came in; `replace_no` counts the replaces that were
    asked for, `replaced_no` is the number of the last one known to be done; `dispute` is the first
    contradiction, in words; `is_overfilled` says that one of them is of more filled than was asked for,
    which no replace explains; `is_external` says that it was not sent by
    us: it is followed and never touched; `seq` is the order's last journal row;
    `heard_at_ns` is when the venue last told of it (at first, when it was submitted), whatever we
    asked since; `doubts_ns` is from when until when its requests were in doubt, of doubts that are
    over; `sent_quote` and `end_quote` are the market when it was sent and at the venue's last word.
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
    overtaken: Request | None = None
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
    doubts_ns: tuple[tuple[int, int], ...] = ()
    not_found_at_ns: int | None = None
    dispute: str = ""
    is_overfilled: bool = False
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
    base_asset: str = ""

    @property
    def is_final(self) -> bool:
        """The venue's last word is spoken; only late fills may follow."""
        return self.ord_status in FINAL

    @property
    def is_over(self) -> bool:
        """Final, and no replace without an outcome may have left more of it open."""
        return self.is_final and not self.open_qty_max

    @property
    def disputed(self) -> bool:
        """Whether the venue contradicted itself about the order, or us: `dispute` says how."""
        return bool(self.dispute)

    @property
    def is_settled(self) -> bool:
        """Final, nothing outstanding, its terms known, and every execution the venue claims counted."""
        is_over = self.is_final and self.request is None and not self.has_unseen_terms
        return is_over and self.cum_qty >= self.venue_cum_qty

    @property
    def has_unseen_terms(self) -> bool:
        """
        Whether more was filled than was asked for: that proves a replace we have not seen.

        That a venue fills too much for real (`is_overfilled`) ends the search for other terms.
        """
        return self.cum_qty > self.qty and not self.is_overfilled

    @property
    def may_be_raised(self) -> bool:
        """Whether a replace may have made it larger than we know: filled as far as that, it may be open."""
        return self.has_unseen_terms or self.replacing is not None

    @property
    def requests(self) -> tuple[Request, ...]:
        """What we asked and have no answer to, the last first."""
        if self.request is None:
            return ()
        return (self.request,) if self.overtaken is None else (self.request, self.overtaken)

    @property
    def replacing(self) -> Request | None:
        """The replace without an outcome, whatever was asked since."""
        is_last = self.request is not None and self.request.kind is RequestKind.REPLACE
        return self.request if is_last else self.overtaken

    @property
    def doubted(self) -> Request | None:
        """The request that may or may not have happened; of two the later."""
        for each in self.requests:  # a loop, for speed: asked several times about every event
            if each.in_doubt:
                return each
        return None

    @property
    def in_doubt(self) -> bool:
        """Whether a request of ours may or may not have happened."""
        return self.doubted is not None

    @property
    def doubted_since_ns(self) -> int | None:
        """When the longest doubt began that is not over."""
        began_ns = (each.doubted_at_ns for each in self.requests)
        return min((each for each in began_ns if each is not None), default=None)

    @property
    def must_be_asked(self) -> bool:
        """Whether only a question can tell: a doubt, missing fills or terms, a first "not found"."""
        has_gap = self.cum_qty < self.venue_cum_qty or self.has_unseen_terms
        return self.in_doubt or has_gap or self.not_found_at_ns is not None

    @property
    def status(self) -> Status:
        """The coarse status: what may be open is open."""
        return Status.OPEN if self.is_final and not self.is_over else COARSE[self.ord_status]

    @property
    def shown_status(self) -> OrdStatus:
        """OrdStatus by FIX precedence, except that the end of an order wins over a pending request."""
        if self.is_over:
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
    def open_qty_max(self) -> Decimal:
        """
        What may be open at the venue at the most: this counts, and can be canceled.

        A replace without an outcome counts at the larger quantity, also after the smaller is filled;
        after the venue's last word nothing is open.
        """
        wanted = self.replacing.qty if self.replacing and self.stopped_by is None else None
        if wanted is None:
            return self.leaves_qty
        return max(self.leaves_qty, subtract(wanted, self.cum_qty))

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
