"""
The venue: its orders, its executions, and its own log of what it did. It is the oracle.

It keeps its promises to the letter and uses every freedom they leave: a request may arrive at the
last moment of its window, sit for the whole processing bound, and hide from queries for the whole
lag. It shares no code with the paper engine nor with the rules.
"""

import random
from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec.structs import replace
from tests.simulation.loop import Time
from tests.simulation.promises import Manners
from tests.simulation.story import Story
from tests.simulation.venue_log import (
    BY_US,
    FINAL,
    LEFT,
    AnyRequest,
    VenueOrder,
    Wire,
    ours_of,
    true_ns,
)

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Accepted,
    CancelOrder,
    Capabilities,
    Execution,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
    Snapshot,
)
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side, Terms, TimeInForce


class Venue:
    """
    One venue. `on_report` is told of everything that happens to an order, in order.

    `subscribed_s` and `looked_s` are when the present run of the daemon did last subscribe, and ask
    for all that is open.
    """

    def __init__(
        self,
        name: str,
        *,
        time: Time,
        rng: random.Random,
        capabilities: Capabilities,
        manners: Manners,
        story: Story,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.manners = manners
        self.orders: dict[str, list[VenueOrder]] = {}
        self.executions: list[tuple[float, VenueOrder, Execution]] = []
        self.wires: list[Wire] = []
        self.on_report: Callable[[Report], None] = lambda report: None
        self.refuses = 0.0
        self.is_down = False
        self.subscribed_s: float | None = None
        self.looked_s: float | None = None
        self.on_create: Callable[[VenueOrder], None] = lambda order: None
        self.on_cancel: Callable[[VenueOrder], None] = lambda order: None
        self._runs = 0
        self._wakes_at_s = 0.0
        self._refused: set[str] = set()
        self._by_id: dict[str, VenueOrder] = {}
        self._time = time
        self._rng = rng
        self._story = story

    # What the log says, for the oracle.

    def orders_of(self, ours: str) -> list[VenueOrder]:
        """Return every order that came to be under an id of ours."""
        return self.orders.get(ours, [])

    def all_orders(self) -> Iterable[VenueOrder]:
        """Return every order that ever came to be."""
        return (order for orders in self.orders.values() for order in orders)

    def may_arrive(self, ours: str) -> bool:
        """Whether a request for a new order is under way that may still come to be one."""
        window_s = self.capabilities.validity_window_s
        margin_s = self.capabilities.clock_error_s + self.capabilities.processing_bound_s
        return any(
            window_s is None or wire.signed_s + window_s + margin_s > self._time.now_s
            for wire in self.wires
            if wire.kind == "new" and wire.ours == ours
        )

    @property
    def is_away(self) -> bool:
        """Whether it works on no request: it is down, or has yet to find its orders."""
        return self.is_down or self._time.now_s < self._wakes_at_s

    # What arrives over the wire.

    def receive(
        self, request: AnyRequest, signed_s: float, reply: Callable[[Outcome], None]
    ) -> None:
        """
        Take a request that says it was signed at `signed_s`; reply once it is worked on.

        A venue that is away, or goes down meanwhile, never replies.
        """
        window_s = self.capabilities.validity_window_s
        if self.is_away:
            return
        if window_s is not None and self._time.now_s > signed_s + window_s:
            self._tell(ours_of(request), "refuses a request for its age")
            reply(Refused(reason="request_too_old", code="-1021", evidence="outside the window"))
            return
        is_taken_at_once = (
            self.manners.cancel == "silent"
            if isinstance(request, CancelOrder)
            else self.manners.replace == "silent" and isinstance(request, ReplaceOrder)
        )
        delay_s = 0.0 if is_taken_at_once else self._step_s(request)
        self._time.after(delay_s, self._work, request, reply, self._runs)

    def _work(self, request: AnyRequest, reply: Callable[[Outcome], None], run: int) -> None:
        if run != self._runs:
            return
        match request:
            case PlaceOrder():
                reply(self._place(request))
            case CancelOrder():
                reply(self._cancel(request))
            case ReplaceOrder() if self.capabilities.amend == "cancel_replace":
                self._cancel_to_place(request, reply)
            case ReplaceOrder():
                reply(self._replace_on_request(request))

    def _place(self, request: PlaceOrder) -> Outcome:
        ours, kind = request.venue_cl_ord_id, self.capabilities.repeat_id
        known = [order for order in self.orders_of(ours) if not order.is_forgotten]
        is_repeat = known and (
            kind in {"returns_original", "refused_forever"}
            or (kind == "refused_while_open" and known[-1].is_open)
        )
        if is_repeat and kind == "returns_original":
            return self._accepted(known[-1])
        if is_repeat:
            return Refused(reason="duplicate_order", evidence="duplicate", is_about_order=True)
        is_refused = self._rng.random() < self.refuses and not self.manners.rejects_late
        if is_refused or ours in self._refused:
            self._refused.add(ours)
            self._tell(ours, "refuses the order: insufficient funds")
            return Refused(reason="insufficient_funds", code="-2010", evidence="no funds")
        return self._accepted(self._create(ours, request.terms))

    def _cancel(self, request: CancelOrder) -> Outcome:
        order = self._open(request.ref)
        if order is None:
            return _UNKNOWN
        if self.manners.cancel == "silent":
            # Taken now, done in a moment, unless a fill comes first.
            self._begin_work(order)
            self._time.after(self._processing_s(), self._end_by_cancel, order)
            return Accepted(evidence="cancel taken")
        self._end(order, OrdStatus.CANCELED, BY_US)
        return Accepted(reports=(self._report(order, ExecType.CANCELED),))

    def _replace_on_request(self, request: ReplaceOrder) -> Outcome:
        order = self._open(request.ref)
        if order is None:
            return _UNKNOWN
        if request.qty <= order.cum_qty:
            return Refused(reason="qty_too_small", evidence="qty below filled")
        if self.manners.replace == "silent":
            self._begin_work(order)
            self._time.after(self._processing_s(), self._replace_later, order, request)
            return Accepted(evidence="replace taken")
        self._replace(order, request)
        return Accepted(reports=(self._report(order, ExecType.REPLACED, request.replace_no),))

    def _cancel_to_place(self, request: ReplaceOrder, reply: Callable[[Outcome], None]) -> None:
        """Take an order off the book to put another in its place: two steps, unless it has fills."""
        order = self._open(request.ref)
        if order is None:
            reply(_UNKNOWN)
        elif order.executions:
            reply(Refused(reason="has_fills", evidence="it has fills"))
        else:
            order.has_left = True
            order.replaced_nos.add(request.replace_no)
            self._tell(order.ours, "cancels the order to place another ({})", request.replace_no)
            self._changed(order)
            delay_s = self._step_s(request)
            self._time.after(delay_s, self._place_instead, order, request, reply, self._runs)

    def _place_instead(
        self, order: VenueOrder, request: ReplaceOrder, reply: Callable[[Outcome], None], run: int
    ) -> None:
        """Do the second step, which may be refused: then there is no order any more."""
        if run != self._runs or order.is_forgotten:
            return
        order.has_left = False
        if self._rng.random() < self.refuses:
            self._end(order, OrdStatus.CANCELED, "its replacement was refused")
            reply(Accepted(reports=(self._report(order, ExecType.CANCELED),)))
            return
        self._replace(order, request)
        reply(Accepted(reports=(self._report(order, ExecType.REPLACED, request.replace_no),)))

    def subscribe(self) -> bool:
        """Begin to tell what happens, if all that was before is known."""
        if self.is_away:
            raise VenueUnavailable("not awake yet")
        return True

    def query(self, ours: str, venue_order_id: str | None) -> OrderView | None:
        """
        Answer about one order, as it was a lag ago.

        Raises OutcomeUnknown between the two steps of a replace, as adapters do.
        """
        if self.is_away:
            return None
        order = self._find(ours, venue_order_id)
        view = order.seen_at(self._seen_s()) if order is not None else None
        if view is not None and view.reason == LEFT:
            raise OutcomeUnknown("it left for another, which does not show yet")
        if view is None or (view.ord_status in FINAL and not self.capabilities.query_closed):
            return None
        return view

    def snapshot(self, began_ns: int, since_ns: int, since_true_ns: int) -> Snapshot:
        """Show all that was open a lag ago, and the executions up to then, from `since_true_ns`."""
        if self.is_away:
            raise VenueUnavailable("not awake yet")
        seen_s = self._seen_s()
        views: list[OrderView] = []
        for order in self.all_orders():
            view = None if order.is_forgotten else order.seen_at(seen_s)
            if view is not None and view.ord_status not in FINAL:
                views.append(
                    view if self.manners.shows_executions else replace(view, executions=())
                )
        back_s = self.capabilities.executions_back_s
        earliest_s = 0.0 if back_s is None else self._time.now_s - back_s
        executions = tuple(
            self._report(order, ExecType.TRADE, execution=execution)
            for at_s, order, execution in self.executions
            if since_true_ns <= true_ns(at_s)
            and earliest_s <= at_s <= seen_s
            and not order.is_forgotten
        )
        return Snapshot(
            began_ns=began_ns, since_ns=since_ns, orders=tuple(views), executions=executions
        )

    def place_for(self, stem: str) -> None:
        """Take an order of somebody else, whose client ids begin so."""
        number, rng = len(self._by_id) + 1, self._rng
        side = rng.choice(list(Side))
        qty, px = Decimal(rng.randint(1, 20)), Decimal(100)
        terms = Terms(self.name, "BTCUSDT", side, OrdType.LIMIT, qty, px)
        self._create(f"{stem}{self.name}-{number}", terms, is_others=True)

    def go_down(self) -> None:
        """Stop: what is being worked on is never finished."""
        self.is_down = True
        self._runs += 1
        for order in self.all_orders():
            if order.has_left:
                order.has_left = False
                self._end(order, OrdStatus.CANCELED, "its replacement was never placed")

    def come_back(self) -> None:
        """Work again, once all that was before has been found."""
        if not self.is_down:
            return
        self.is_down = False
        self._wakes_at_s = self._time.now_s + self.manners.wakes_s

    def forget_everything(self) -> None:
        """Come back with an empty book and no memory."""
        for order in self.all_orders():
            if not order.is_forgotten:
                order.is_forgotten = True
                self._tell(order.ours, "forgets the order, which was {}", order.status)

    # What happens at the venue.

    def _processing_s(self) -> float:
        """Draw how long a request sits inside, up to the whole bound."""
        return self._rng.choice((0.01, 0.1, 1.0)) * self.capabilities.processing_bound_s

    def _step_s(self, request: AnyRequest) -> float:
        """Draw how long one step of a request takes, so that all of them are within the bound."""
        is_one_of_two = self.capabilities.amend == "cancel_replace"
        share = 0.5 if is_one_of_two and isinstance(request, ReplaceOrder) else 1.0
        return share * self._processing_s()

    def _seen_s(self) -> float:
        lag_s = self.capabilities.query_lag_s
        return self._time.now_s - self._rng.choice((0.0, 0.5, 1.0)) * lag_s

    def _find(self, ours: str, venue_order_id: str | None) -> VenueOrder | None:
        known = [order for order in self.orders_of(ours) if not order.is_forgotten]
        if known:
            return known[-1]
        order = self._by_id.get(venue_order_id or "")
        return None if order is None or order.is_forgotten else order

    def _open(self, ref: OrderRef) -> VenueOrder | None:
        """Return the open order that a request names: where replaces place another, by its own id."""
        order = self._find(ref.venue_cl_ord_id, ref.venue_order_id)
        if order is None or not order.is_open:
            return None
        named = ref.venue_order_id or order.ids[0]
        has_left = self.capabilities.amend == "cancel_replace" and named != order.ids[-1]
        return None if has_left else order

    def _create(self, ours: str, terms: Terms, *, is_others: bool = False) -> VenueOrder:
        number = len(self._by_id) + 1
        order = VenueOrder(number, ours, f"{self.name}-{number}", terms)
        order.is_others = is_others
        self.orders.setdefault(ours, []).append(order)
        self._by_id[order.ids[0]] = order
        self._tell(ours, "has the order as {}: {} {}", order.ids[0], terms.side, terms.qty)
        self._changed(order)
        self.on_create(order)
        self.on_report(self._report(order, ExecType.NEW))
        self._fate(order)
        return order

    def _fate(self, order: VenueOrder) -> None:
        """Decide what the market will do with the order."""
        rng, terms = self._rng, order.terms
        if self.manners.rejects_late and rng.random() < self.refuses:
            self._end(order, OrdStatus.REJECTED, "insufficient funds")
            return
        is_taker = terms.ord_type is OrdType.MARKET or terms.time_in_force is TimeInForce.IOC
        if is_taker or rng.random() < 0.2:
            for _ in range(rng.randint(0 if is_taker else 1, 3)):
                self._fill(order)
            if is_taker and order.is_open:
                self._end(order, OrdStatus.EXPIRED, "nothing left to trade with")
            return
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            self._time.after(rng.expovariate(0.5), self._fill, order)
        if self.manners.shrinks and rng.random() < 0.5:
            self._time.after(rng.expovariate(0.5), self._shrink, order)
        if rng.random() < 0.1:
            status = rng.choice((OrdStatus.CANCELED, OrdStatus.EXPIRED))
            self._time.after(rng.expovariate(0.2), self._end, order, status, "by the venue")

    def _fill(self, order: VenueOrder) -> None:
        if not order.is_open or order.is_forgotten:
            return
        leaves = order.qty - order.cum_qty
        qty = leaves if self._rng.random() < 0.4 else Decimal(self._rng.randint(1, int(leaves)))
        execution = Execution(
            exec_id=f"{self.name}-e{len(self.executions) + 1}",
            last_qty=qty,
            last_px=order.px or Decimal(100),
        )
        order.executions.append(execution)
        self.executions.append((self._time.now_s, order, execution))
        is_filled = order.cum_qty >= order.qty
        order.status = OrdStatus.FILLED if is_filled else OrdStatus.PARTIALLY_FILLED
        self._tell(order.ours, "fills {} of {} ({})", order.cum_qty, order.qty, execution.exec_id)
        self._changed(order)
        self.on_report(self._report(order, ExecType.TRADE, execution=execution))

    def _shrink(self, order: VenueOrder) -> None:
        """Take some of what is left from an order: it would have traded with another of ours."""
        leaves = int(order.qty - order.cum_qty)
        if order.is_open and not order.is_forgotten and leaves > 1:
            self._set_terms(order, order.qty - self._rng.randint(1, leaves - 1), order.px)
            order.covered_nos |= order.replaced_nos
            self._tell(order.ours, "takes some: {} are left of it", order.qty)
            self.on_report(self._report(order, ExecType.REPLACED))

    def _begin_work(self, order: VenueOrder) -> None:
        """Note that something was taken that will be done in a moment."""
        if self.manners.shows_pending:
            order.works_on += 1
            self._changed(order)

    def _end_work(self, order: VenueOrder) -> None:
        if self.manners.shows_pending:
            order.works_on -= 1
            self._changed(order)

    def _end_by_cancel(self, order: VenueOrder) -> None:
        self._end_work(order)
        self._end(order, OrdStatus.CANCELED, BY_US)

    def _end(self, order: VenueOrder, status: OrdStatus, reason: str) -> None:
        if not order.is_open or order.is_forgotten:
            return
        order.status, order.reason = status, reason
        self._tell(order.ours, "ends the order: {}, {}", status, reason)
        if reason == BY_US:
            self.on_cancel(order)
        self._changed(order)
        self.on_report(self._report(order, _LAST_WORD[status]))

    def _replace_later(self, order: VenueOrder, request: ReplaceOrder) -> None:
        self._end_work(order)
        if order.is_open and not order.is_forgotten and request.qty > order.cum_qty:
            self._replace(order, request)

    def _replace(self, order: VenueOrder, request: ReplaceOrder) -> None:
        # An older request that the wire repeats undoes what came after it: who asks can never tell.
        order.replaced_nos -= {each for each in order.replaced_nos if each > request.replace_no}
        order.replaced_nos.add(request.replace_no)
        if self.capabilities.amend in {"new_id", "cancel_replace"}:
            order.ids.append(f"{self.name}-{len(self._by_id) + 1}")
            self._by_id[order.ids[-1]] = order
        self._set_terms(order, request.qty, request.px)
        self._tell(order.ours, "replaces ({}): {} at {}", request.replace_no, order.qty, order.px)
        self.on_report(self._report(order, ExecType.REPLACED, request.replace_no))

    def _set_terms(self, order: VenueOrder, qty: Decimal, px: Decimal | None) -> None:
        order.qty, order.px = qty, px
        order.all_terms.append((qty, px))
        self._changed(order)

    def _changed(self, order: VenueOrder) -> None:
        order.views.append((self._time.now_s, order.view()))

    def _accepted(self, order: VenueOrder) -> Outcome:
        if self.manners.place == "silent":
            return Accepted(evidence="taken")
        reports = [self._report(order, ExecType.NEW)]
        if self.manners.place == "full":
            reports += [
                self._report(order, ExecType.TRADE, execution=each) for each in order.executions
            ]
            if order.status in _LAST_WORD:
                reports.append(self._report(order, _LAST_WORD[order.status]))
        return Accepted(reports=tuple(reports), evidence="taken")

    def _report(
        self,
        order: VenueOrder,
        exec_type: ExecType,
        replace_no: int | None = None,
        execution: Execution | None = None,
    ) -> Report:
        is_replaced = exec_type is ExecType.REPLACED
        return Report(
            exec_type=exec_type,
            symbol=order.terms.symbol,
            venue_cl_ord_id=order.ours,
            venue_order_id=order.ids[-1],
            execution=execution,
            qty=order.qty if is_replaced else None,
            px=order.px if is_replaced else None,
            replace_no=replace_no if self.manners.says_replace_no else None,
            cum_qty=order.cum_qty if self.manners.says_cum_qty else None,
            reason=order.reason,
        )

    def _tell(self, ours: str, what: str, *args: object) -> None:
        self._story.tell(self._time.now_s, self.name, what, *args, about=ours)


_UNKNOWN = Refused(reason="unknown_order", evidence="unknown order", is_about_order=True)

_LAST_WORD = {
    OrdStatus.CANCELED: ExecType.CANCELED,
    OrdStatus.EXPIRED: ExecType.EXPIRED,
    OrdStatus.REJECTED: ExecType.REJECTED,
}
