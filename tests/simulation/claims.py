"""What the journal's rows claim of the world, held against the venues' own logs as they are written."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from tests.simulation.venue import Venue
from tests.simulation.venue_log import VenueOrder

from brokerd import limits
from brokerd.events import (
    OrderAcknowledged,
    OrderCanceled,
    OrderDone,
    OrderEvent,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderTraded,
    RequestKind,
    RequestRefused,
    Road,
)
from brokerd.limits import Limits
from brokerd.orders import Order
from brokerd.states import OrdStatus

EVIDENCE = "doubt ends with evidence"
FILLS = "the venue's fills are the truth"
WORST = "limits count the worst"

LOOKED_UP = {Road.QUERY, Road.POLL}
"""The roads that show an order whole."""

Violated = Callable[[str, str, str], NoReturn]
"""Called with the promise that is broken, the order's id at the venue, and how it is broken."""


class Claims:
    """Checks rows. What is called dead or refused is remembered: it must never happen later."""

    def __init__(
        self,
        venues: Mapping[str, Venue],
        limits: Mapping[str, Limits],
        sent: Counter[tuple[str, str]],
        violated: Violated,
    ) -> None:
        self._venues = venues
        self._limits = limits
        self._sent = sent
        self._violated = violated
        self._absent: set[str] = set()
        self._refused_replaces: set[tuple[str, int]] = set()
        self._refused_cancels: dict[str, int] = {}
        for venue in venues.values():
            venue.on_create = self._on_create
            venue.on_cancel = self._on_cancel
        self._checks: dict[type[OrderEvent], Callable[[Any, Order, list[VenueOrder]], None]] = {
            OrderAcknowledged: self._acknowledged,
            OrderTraded: self._traded,
            OrderReplaced: self._replaced,
            OrderRejected: self._rejected,
            OrderCanceled: self._done,
            OrderExpired: self._done,
            RequestRefused: self._request_refused,
        }

    def check(self, event: OrderEvent, order: Order) -> None:
        """See that what a row claims is so. Of what a venue forgot there is no telling."""
        known = self._venues[order.terms.executor].orders_of(order.venue_cl_ord_id)
        if any(each.is_forgotten for each in known):
            return
        check = self._checks.get(type(event))
        if check is not None:
            check(event, order, known)
        if not order.is_external:
            self._counted(order, known)

    def check_refused_replaces(self, known: Iterable[VenueOrder]) -> None:
        """
        See that no replace that is called refused was done.

        One whose terms the venue has changed since, by itself, nobody can tell: they show nowhere.
        """
        for each in known:
            for number in each.replaced_nos - each.covered_nos:
                if (each.ours, number) in self._refused_replaces:
                    what = f"replace {number} is called refused, and was done"
                    self._violated(EVIDENCE, each.ours, what)

    def _counted(self, order: Order, known: list[VenueOrder]) -> None:
        """See that what counts in the limits is no less than what is open at the venue."""
        counted = limits.exposure_of(order)
        for each in known:
            if not each.is_open or self._is_undone(order, each):
                continue
            left = each.qty - each.cum_qty
            if not counted.orders or counted.notional < left * (each.px or 0):
                what = f"{order.cl_ord_id}: {counted} counts, {left} at {each.px} is open"
                self._violated(WORST, order.venue_cl_ord_id, what)

    @staticmethod
    def _is_undone(order: Order, real: VenueOrder) -> bool:
        """
        Whether the venue's last replace was known, and is not what stands here or there any more.

        The wire repeated an older request, or told an older report late without its number. The next
        look finds it, and nothing does before.
        """
        is_known = max(real.replaced_nos, default=0) <= order.replaced_no
        return is_known and (order.qty, order.px) != (real.qty, real.px)

    def _acknowledged(
        self, event: OrderAcknowledged, order: Order, known: list[VenueOrder]
    ) -> None:
        if not any(event.venue_order_id in each.ids for each in known):
            self._fail(order, "the venue never had it")

    def _traded(self, event: OrderTraded, order: Order, known: list[VenueOrder]) -> None:
        told = (event.exec_id, event.last_qty, event.last_px)
        real = {(e.exec_id, e.last_qty, e.last_px) for each in known for e in each.executions}
        if told not in real:
            self._violated(FILLS, order.venue_cl_ord_id, f"{told} is no fill of the venue")

    def _replaced(self, event: OrderReplaced, order: Order, known: list[VenueOrder]) -> None:
        if not any((event.qty, order.px) in each.all_terms for each in known):
            self._fail(order, "it was never replaced so")

    def _rejected(self, event: OrderRejected, order: Order, known: list[VenueOrder]) -> None:
        if any(each.status is OrdStatus.REJECTED for each in known):
            return
        self._never_lived(order, known)
        venue = self._venues[order.terms.executor]
        if event.reason == "not_found_at_venue" and venue.may_arrive(order.venue_cl_ord_id):
            self._fail(order, "called absent while it may still arrive")

    def _done(self, event: OrderDone, order: Order, known: list[VenueOrder]) -> None:
        if event.reason == "canceled_before_sent":
            self._never_lived(order, known)
            return
        wanted = OrdStatus.CANCELED if isinstance(event, OrderCanceled) else OrdStatus.EXPIRED
        ended = next((each for each in known if each.status is wanted), None)
        if ended is None:
            self._fail(order, f"called {wanted}, is {[str(each.status) for each in known]}")
        elif event.road in LOOKED_UP and (order.qty, order.px) != (ended.qty, ended.px):
            self._fail(order, f"shown with {ended.qty} at {ended.px}, which it does not have")

    def _request_refused(
        self, event: RequestRefused, order: Order, known: list[VenueOrder]
    ) -> None:
        ours = order.venue_cl_ord_id
        if event.request is RequestKind.REPLACE:
            self._refused_replaces.add((ours, order.replace_no))
            self.check_refused_replaces(known)
        # Where requests do not expire, a cancel is given up at last so that a bot can send another.
        elif self._venues[order.terms.executor].capabilities.validity_window_s is not None:
            self._refused_cancels[ours] = self._sent[ours, "cancel"]

    def _never_lived(self, order: Order, known: list[VenueOrder]) -> None:
        """See that an order that is called dead before it lived never lived, nor ever will."""
        if known:
            self._fail(order, f"it is at the venue: {[str(each.status) for each in known]}")
        self._absent.add(order.venue_cl_ord_id)

    def _on_create(self, made: VenueOrder) -> None:
        orders = [
            order
            for venue in self._venues.values()
            for order in venue.orders_of(made.ours)
            if not order.is_forgotten
        ]
        if len(orders) > 1:
            self._violated("never twice", made.ours, f"{len(orders)} orders for one submit")
        if made.ours in self._absent:
            self._violated(EVIDENCE, made.ours, "it came after it was called dead")
        self._check_limits(made)

    def _check_limits(self, made: VenueOrder) -> None:
        """See that no more is open at a venue than its executor may have open."""
        name = made.terms.executor
        is_open = [each for each in self._venues[name].all_orders() if each.is_ours_and_open]
        most = self._limits[name].open_orders_max
        if most is not None and len(is_open) > most:
            self._violated("limits count the worst", made.ours, f"{len(is_open)} are open")

    def _on_cancel(self, canceled: VenueOrder) -> None:
        ours = canceled.ours
        if self._refused_cancels.get(ours) == self._sent[ours, "cancel"]:
            self._violated(EVIDENCE, ours, "canceled by a cancel that is called refused")

    def _fail(self, order: Order, what: str) -> NoReturn:
        self._violated(EVIDENCE, order.venue_cl_ord_id, f"{order.cl_ord_id}: {what}")
