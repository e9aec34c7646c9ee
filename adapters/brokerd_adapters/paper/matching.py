"""
PaperVenue: an exchange in memory. Pure, synchronous and deterministic: no clock, no I/O, no chance.

Every call is given the time. A command answers with the reports of all it brought about, in order
and for every order it touched, or with the refusal that says why nothing happened. The matching
itself is in `floor`, what is refused at the door in `rules`, all state in `ledger`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from brokerd.executor import (
    Balance,
    CancelOrder,
    OrderRef,
    OrderView,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
)
from brokerd.money import ZERO, add, subtract
from brokerd.states import OrdStatus
from brokerd.terms import CL_ORD_ID_MAX, Instrument, Quote
from brokerd_adapters.paper import rules
from brokerd_adapters.paper.floor import Floor
from brokerd_adapters.paper.ledger import Fees, Ledger
from brokerd_adapters.paper.records import (
    Opened,
    Placed,
    Record,
    Replaced,
    SelfTrade,
    VenueOrder,
)

RepeatId = Literal["refused_forever", "refused_while_open"]
Answer = tuple[Report, ...] | Refused
"""What happened, to this order and to others, in order; or why nothing did."""

CLOSED_MAX = 100_000
"""Closed orders, and executions, remembered in memory unless told otherwise."""
NO_FEES = Fees()


class Special(Struct, frozen=True):
    """
    What some venues let an order say beyond its terms.

    A stop that `takes_profit` is elected by the price's moving the other way.
    """

    takes_profit: bool = False
    self_trade: SelfTrade = SelfTrade.TRADE


ORDINARY = Special()


class PaperVenue:
    """
    Instruments, one account, orders and executions.

    `repeat_id` says what a client id seen before is worth; "for ever" ends where memory does, at
    `closed_max` closed orders. `first_id` starts the one sequence that numbers orders and
    executions: a venue that has lost its memory must start above every number it ever gave.
    `keep` is called with each record, before the command that made it returns; it must not hold on
    to the record.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        balances: Mapping[str, Decimal],
        *,
        fees: Fees = NO_FEES,
        repeat_id: RepeatId = "refused_forever",
        first_id: int = 1,
        closed_max: int | None = CLOSED_MAX,
        keep: Callable[[Record], None] | None = None,
    ) -> None:
        self.instruments = dict(instruments)
        self._balances = dict(balances)
        self._repeat_id = repeat_id
        self._ledger = Ledger(
            self.instruments, balances, fees=fees, next_id=first_id, closed_max=closed_max
        )
        self._floor = Floor(self.instruments, self._ledger, fees, keep)
        self.on_quote = self._floor.on_quote
        self.on_trade = self._floor.on_trade
        self.on_time = self._floor.on_time

    def place(self, request: PlaceOrder, now_ns: int, more: Special = ORDINARY) -> Answer:
        """Take a new order, and trade it as far as it goes."""
        floor = self._floor
        floor.advance(now_ns)
        terms = request.terms
        instrument = self.instruments.get(terms.symbol)
        if instrument is None:
            return rules.UNKNOWN_SYMBOL
        refused = self._id_refused(request.venue_cl_ord_id) or rules.terms_refused(
            terms, instrument, floor.now_ns
        )
        if refused is not None:
            return refused
        order = self._order(request, more)
        refused = self._entry_refused(order, instrument)
        if refused is not None:
            return refused
        floor.apply(Placed(order))
        floor.begin(order)
        return floor.told()

    def cancel(self, request: CancelOrder, now_ns: int) -> Answer:
        """Take the rest of an order off the book."""
        floor = self._floor
        floor.advance(now_ns)
        order = self._find(request.ref)
        if order is None or not order.is_open:
            return rules.UNKNOWN_ORDER if order is None else rules.ORDER_DONE
        floor.books[order.symbol].remove(order)
        floor.end(order, OrdStatus.CANCELED, "canceled_on_request")
        return floor.told()

    def replace(self, request: ReplaceOrder, now_ns: int) -> Answer:
        """
        Change total quantity and limit price; a price of None stays as it is.

        Only a smaller quantity at the same price keeps its place in the queue.
        """
        floor = self._floor
        floor.advance(now_ns)
        order = self._find(request.ref)
        if order is None or not order.is_open:
            return rules.UNKNOWN_ORDER if order is None else rules.ORDER_DONE
        px = order.px if request.px is None else request.px
        refused = self._replace_refused(order, request.qty, px)
        if refused is not None:
            return refused
        stays = px == order.px and request.qty <= order.qty
        priority = order.priority if stays else self._ledger.take_id()
        book = floor.books[order.symbol]
        if not stays:
            book.remove(order)
        floor.apply(
            Replaced(
                order.venue_order_id, request.qty, px, priority, request.replace_no, floor.now_ns
            )
        )
        if not stays:
            floor.work(order)
        return floor.told()

    def forget(self) -> None:
        """Lose every order, execution and client id, and start again with the first balances."""
        opening = tuple(Balance(asset, free, ZERO) for asset, free in self._balances.items())
        self._floor.apply(Opened(opening, self._ledger.next_id))
        self._floor.file_again()

    def quote(self, symbol: str) -> Quote | None:
        """Return the market's latest quote, None before the first or for an unknown symbol."""
        book = self._floor.books.get(symbol)
        return book.quote if book else None

    def order(self, ref: OrderRef) -> OrderView | None:
        """Return one order with all its executions, None if the venue knows none such."""
        order = self._find(ref)
        return order.view() if order else None

    def open_orders(self) -> Iterator[OrderView]:
        """
        Yield what was open when the iteration began, oldest first, each as it is when yielded.

        So a caller may pause in between and still miss nothing.
        """
        for order in tuple(self._ledger.open.values()):
            yield order.view()

    def executions_since(self, since_ns: int) -> tuple[Report, ...]:
        """Return every execution remembered at or after that time, oldest first."""
        return self._ledger.fills_since(since_ns)

    def balances(self) -> tuple[Balance, ...]:
        """Return what is free and locked of every asset."""
        return self._ledger.account.balances()

    def held(self, asset: str) -> Balance:
        """Return what is free and locked of one asset, more cheaply than `balances`."""
        return self._ledger.account.held(asset)

    def restore(self, records: Iterable[Record]) -> None:
        """Fold the records of an earlier life; nothing is matched again, and nothing is kept again."""
        self._ledger.restore(records)
        self._floor.file_again()

    def remembered(self, closed_max: int) -> Iterator[Record]:
        """Yield the records from which `restore` makes this venue again."""
        return self._ledger.remembered(closed_max)

    def _order(self, request: PlaceOrder, more: Special) -> VenueOrder:
        terms, now_ns = request.terms, self._floor.now_ns
        # Taken once the order is on record: a refused one leaves no trace, not even a number.
        number = self._ledger.next_id
        return VenueOrder(
            venue_order_id=str(number),
            venue_cl_ord_id=request.venue_cl_ord_id,
            symbol=terms.symbol,
            side=terms.side,
            ord_type=terms.ord_type,
            time_in_force=terms.time_in_force,
            qty=terms.qty,
            priority=number,
            updated_at_ns=now_ns,
            px=terms.px,
            stop_px=terms.stop_px,
            expire_at_ns=rules.expires_at(terms, now_ns),
            post_only=terms.post_only,
            takes_profit=more.takes_profit,
            self_trade=more.self_trade,
        )

    def _find(self, ref: OrderRef) -> VenueOrder | None:
        if ref.venue_order_id is not None:
            return self._ledger.by_venue_id(ref.venue_order_id)
        return self._ledger.by_client_id(ref.venue_cl_ord_id)

    def _id_refused(self, venue_cl_ord_id: str) -> Refused | None:
        if not 0 < len(venue_cl_ord_id) <= CL_ORD_ID_MAX:
            return rules.BAD_CLIENT_ID
        seen = self._ledger.by_client_id(venue_cl_ord_id)
        if seen is None or (self._repeat_id == "refused_while_open" and not seen.is_open):
            return None
        return rules.DUPLICATE_ID

    def _entry_refused(self, order: VenueOrder, instrument: Instrument) -> Refused | None:
        """Check what depends on the market and the account."""
        start_px = order.px or order.stop_px
        if start_px is None:
            start_px = self._floor.touch(order)
        if start_px is not None and order.px is None:
            refused = rules.notional_refused(instrument, order.qty, start_px)
            if refused is not None:
                return refused
        if self._ledger.lock_for(order, order.qty, start_px) > self._ledger.free_for(order):
            return rules.INSUFFICIENT
        if order.post_only and self._floor.plan(order, order.qty, order.px):
            return rules.WOULD_TRADE
        return None

    def _replace_refused(
        self, order: VenueOrder, qty: Decimal, px: Decimal | None
    ) -> Refused | None:
        if order.px is None and px is not None:
            return rules.NO_LIMIT_PX
        refused = rules.size_refused(self.instruments[order.symbol], order, qty, px)
        if refused is not None:
            return refused
        leaves = subtract(qty, order.cum_qty)
        if self._ledger.lock_for(order, leaves, px) > add(
            self._ledger.free_for(order), order.locked
        ):
            return rules.INSUFFICIENT
        if order.post_only and self._floor.plan(order, leaves, px):
            return rules.WOULD_TRADE
        return None
