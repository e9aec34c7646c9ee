"""
The port between the broker and a venue: what an executor must do, may answer, and promises.

A venue call ends in one of three ways, and an executor says which by the value it returns:

    Accepted            it happened, and these reports say what
    Refused             it certainly did not, and never will: the venue said no
    NotSent             it certainly did not: it may be tried again
    InDoubt             we do not know

Calls that change something at a venue never raise for the outside's sake; questions raise
`VenueUnavailable` or `OutcomeUnknown` when there was no complete answer, and `VenueRefused` when the
venue will not tell (a key without the right). An executor holds no
order state of its own: what it learns it hands over as reports, in any order, as often as it likes.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol

from msgspec import Struct

from brokerd.money import ZERO
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import Instrument, OrdType, Quote, Side, Terms, TimeInForce


class Clock(Protocol):
    """Where time comes from. Waiting is asyncio's business; this only reads."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 by the wall clock: for stamps."""
        ...

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back: for durations."""
        ...


class Capabilities(Struct, frozen=True, kw_only=True):
    """
    What the venue behind an executor promises. Doubt is resolved by these and by nothing else.

    `repeat_id`: what the venue does with a client id it has seen: `returns_original`,
    `refused_forever`, `refused_while_open`, or `nothing` (takes it as another order).
    `validity_window_s`: a request signed this long ago is refused; None means it may still arrive
    at any time, so that "not found" is never final.
    `processing_bound_s`, `query_lag_s`: the longest a request may sit inside the venue, and a
    query may trail behind it.
    `clock_error_s`: how far our clock and the venue's may be apart.
    `query_closed`: whether a closed order can be asked for by our id.
    `amend`: whether a replace keeps the order (`in_place`), gives it a new id (`new_id`), cancels
    and places (`cancel_replace`), or does not exist (`none`).
    `post_only`: whether an order may be told never to take.
    `exec_id_scope`: within what the venue's own execution ids are unique; where that is not the
    account, the adapter prefixes them.
    `executions_back_s`: how far back the venue tells executions when asked; None for ever.
    `stream_shows_gaps`: whether a single report lost on the stream shows, by a sequence number.
    """

    repeat_id: Literal["returns_original", "refused_forever", "refused_while_open", "nothing"]
    validity_window_s: float | None
    processing_bound_s: float
    query_lag_s: float
    clock_error_s: float = 0.0
    query_closed: bool
    amend: Literal["in_place", "new_id", "cancel_replace", "none"]
    ord_types: frozenset[OrdType] = frozenset(OrdType)
    times_in_force: frozenset[TimeInForce] = frozenset(TimeInForce)
    post_only: bool = True
    exec_id_scope: Literal["account", "symbol", "order"] = "account"
    executions_back_s: float | None = None
    stream_shows_gaps: bool = False
    is_paper: bool = False

    @property
    def shown_after_ns(self) -> int:
        """How long a request may take at the venue until a query shows what it did."""
        return int((self.processing_bound_s + self.query_lag_s) * 1e9)

    @property
    def final_after_s(self) -> float | None:
        """Seconds after signing when a request can no longer arrive nor hide from a query."""
        if self.validity_window_s is None:
            return None
        late_s = self.processing_bound_s + self.query_lag_s + self.clock_error_s
        return self.validity_window_s + late_s

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What this venue does not promise, a sentence each, and what that costs the trader."""
        lacks = {
            "requests do not expire here: an unanswered one may arrive at any time, so that"
            ' "not found" never ends a doubt; only a sign of the order does': (
                self.validity_window_s is None
            ),
            'closed orders cannot be asked for by client id: "not found" proves nothing, and a'
            " doubt about an order that came and went ends only when its executions show": (
                not self.query_closed
            ),
            "a client id counts only while its order is open: sent again later it would be a"
            " second order, so nothing in doubt may ever be sent again by anyone": (
                self.repeat_id == "refused_while_open"
            ),
            "a repeated client id is another order: nothing in doubt may ever be sent again by"
            " anyone": self.repeat_id == "nothing",
            "a replace cancels first and places then: it may end with no order at all": (
                self.amend == "cancel_replace"
            ),
            "executions are told back for a limited time only: after a longer outage the fills of"
            " orders that closed meanwhile are found by asking for each order": (
                self.executions_back_s is not None
            ),
        }
        return tuple(sentence for sentence, is_so in lacks.items() if is_so)


class Standing(Struct, frozen=True, kw_only=True):
    """
    How an executor stands with its venue at the moment.

    `clock_offset_s` is the venue's clock minus ours, as measured, within `clock_error_s`.
    `budget_left` is what may still be sent, by window ("weight_1m": 5400). Until `paused_until_ns`
    (wall clock) nothing is sent, for `pause_reason`: a ban, a Retry-After. `weaknesses` are
    sentences about what this venue cannot promise, beyond those of its `Capabilities`.
    """

    clock_offset_s: float | None = None
    clock_error_s: float | None = None
    budget_left: dict[str, int] = {}
    paused_until_ns: int | None = None
    pause_reason: str = ""
    weaknesses: tuple[str, ...] = ()


class PlaceOrder(Struct, frozen=True, kw_only=True):
    """A new order, under the client id the venue shall know it by."""

    venue_cl_ord_id: str
    terms: Terms


class OrderRef(Struct, frozen=True, kw_only=True):
    """
    How to name an order to its venue: always by our id, by the venue's too once it gave one.

    `replace_no` is the number of a replace that has no outcome yet. An order of other origin
    has an empty `venue_cl_ord_id`, and is only ever asked about.
    """

    symbol: str
    venue_cl_ord_id: str
    venue_order_id: str | None = None
    replace_no: int | None = None


class CancelOrder(Struct, frozen=True, kw_only=True):
    """Take the rest of an order off the book."""

    ref: OrderRef


class ReplaceOrder(Struct, frozen=True, kw_only=True):
    """
    Change an order's total quantity (filled part included) and its limit price.

    `request_id` is a client id of its own, for venues where a replaced order is a new one.
    `order_qty` and `order_px` are what the order has so far, as we know it: some venues have a way
    of their own for a smaller quantity alone.
    """

    ref: OrderRef
    terms: Terms
    qty: Decimal
    px: Decimal | None
    replace_no: int
    request_id: str
    order_qty: Decimal | None = None
    order_px: Decimal | None = None

    @property
    def only_shrinks(self) -> bool:
        """Whether nothing but the quantity changes, downwards."""
        is_smaller = self.order_qty is not None and self.qty < self.order_qty
        return is_smaller and self.px == self.order_px


class Execution(Struct, gc=False, frozen=True, kw_only=True):
    """One fill. `exec_id` is unique within the executor: adapters prefix where the venue's is not."""

    exec_id: str
    last_qty: Decimal
    last_px: Decimal
    fee: Decimal = ZERO
    fee_asset: str = ""
    liquidity: str = ""
    venue_at_ns: int | None = None


class Report(Struct, gc=False, frozen=True, kw_only=True):
    """
    One thing a venue says of one order: FIX's ExecutionReport.

    At least one of the two ids names the order; `venue_order_id` is unique within the executor, and
    adapters prefix where the venue's is not. `execution` goes with TRADE. `qty` and `px` go
    with REPLACED, with `replace_no` where the venue tells which replace it means. `cum_qty`, where
    the venue says it, is its own filled quantity: it exposes executions that were missed.
    """

    exec_type: ExecType
    symbol: str
    venue_cl_ord_id: str | None = None
    venue_order_id: str | None = None
    execution: Execution | None = None
    qty: Decimal | None = None
    px: Decimal | None = None
    replace_no: int | None = None
    cum_qty: Decimal | None = None
    reason: str = ""
    code: str = ""
    venue_at_ns: int | None = None


class OrderView(Struct, gc=False, frozen=True, kw_only=True):
    """
    An order as the venue shows it when asked.

    `executions` is every execution of the order where the venue was asked for this one order
    (`query`), and may be empty in a `Snapshot`, where only `cum_qty` counts. `is_pending` says that
    the venue is at work on a cancel or replace of it, `replace_refused` that it turned down the one
    the question named: for venues that take a request first and decide later. `venue_ord_type` is
    the venue's word for a type of order that ours have no word for.
    """

    venue_cl_ord_id: str | None
    venue_order_id: str
    symbol: str
    side: Side
    ord_type: OrdType
    ord_status: OrdStatus
    qty: Decimal
    px: Decimal | None
    cum_qty: Decimal
    executions: tuple[Execution, ...] = ()
    reason: str = ""
    venue_at_ns: int | None = None
    is_pending: bool = False
    replace_refused: bool = False
    venue_ord_type: str = ""


class Snapshot(Struct, frozen=True, kw_only=True):
    """
    Everything open at the venue, and every execution since `since_ns`.

    It covers what the venue had processed at `began_ns`; what happened later may be missing. Where a
    venue tells executions only symbol by symbol, an adapter may spread them over several snapshots,
    each symbol's from where it was told last: `orders` is complete, and shows by `cum_qty` what is
    missing.
    """

    began_ns: int
    since_ns: int
    orders: tuple[OrderView, ...]
    executions: tuple[Report, ...]


class Balance(Struct, frozen=True):
    """One asset at the venue: free to use, and locked in open orders."""

    asset: str
    free: Decimal
    locked: Decimal


class Accepted(Struct, frozen=True, kw_only=True):
    """
    It happened. `reports` is what the reply itself said, perhaps nothing yet.

    A venue that takes a cancel or replace now and may refuse it later (Alpaca's 204) has not done
    it yet: without a report, the order is asked about until the request's outcome shows.
    """

    reports: tuple[Report, ...] = ()
    sent_at_ns: int | None = None
    evidence: str = ""


class Refused(Struct, frozen=True, kw_only=True):
    """
    The venue said no: nothing happened and nothing will.

    `is_about_order` means the venue does not know the order, or says it is done ("unknown
    order" to a cancel): the request is over, but the order must be asked about.
    """

    reason: str
    code: str = ""
    evidence: str = ""
    is_about_order: bool = False


class NotSent(Struct, frozen=True, kw_only=True):
    """It certainly did not happen; it may be sent again after `retry_after_s`."""

    reason: str
    evidence: str = ""
    retry_after_s: float | None = None


class InDoubt(Struct, frozen=True, kw_only=True):
    """It may have happened. `signed_at_ns` starts the clock of the venue's validity window."""

    evidence: str
    signed_at_ns: int | None = None


Outcome = Accepted | Refused | NotSent | InDoubt


class LinkState(StrEnum):
    """An executor's link to its venue, as bots see it."""

    STARTING = "starting"
    SYNCING = "syncing"
    UP = "up"
    DOWN = "down"
    FROZEN = "frozen"


class Executor(Protocol):
    """
    One configured way to a venue. All methods run on the daemon's loop and obey its deadlines.

    `connect` loads instruments and whatever else is needed before the first order; it may be
    called again after a failure. `stream` is entered once per connection: it is subscribed when
    the block starts, and the iterator ends or raises as soon as a report might have been missed.
    """

    name: str
    capabilities: Capabilities

    def standing(self) -> Standing:
        """Return how things stand with the venue, without waiting."""
        ...

    def resume(self, paused_until_ns: int, reason: str) -> None:
        """Keep a pause that an earlier run was told of. Called before the first `connect`."""
        ...

    async def connect(self) -> None:
        """
        Make ready; raise VenueUnavailable if the venue cannot be reached.

        ConfigError is for what somebody must mend. Neither ends the daemon: the link is down, says
        why, and tries again.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything. Called once, also after a failed `connect`."""
        ...

    def instruments(self) -> Mapping[str, Instrument]:
        """Return the rules of every symbol, empty until connected."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest best bid and ask, without waiting."""
        ...

    async def place(self, request: PlaceOrder) -> Outcome:
        """Send a new order."""
        ...

    async def cancel(self, request: CancelOrder) -> Outcome:
        """Ask for a cancel."""
        ...

    async def replace(self, request: ReplaceOrder) -> Outcome:
        """Ask for a replace."""
        ...

    async def query(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions; None if the venue says it has none such."""
        ...

    async def snapshot(self, since_ns: int) -> Snapshot:
        """Ask for all open orders, and all executions since a time."""
        ...

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for the account's balances."""
        ...

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Report]]:
        """Subscribe to the venue's reports for this account."""
        ...
