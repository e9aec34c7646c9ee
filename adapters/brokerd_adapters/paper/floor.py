"""
The trading floor: the books of all symbols, and who trades with whom.

Rule 1: price first, then time. At one price the market's quote goes before our own orders, for it
        was there first. Our own orders on opposite sides trade with each other like anybody's,
        unless the taker's self-trade mode says who expires instead.
Rule 2: size the quote showed is there once; what was consumed comes back with the next quote.
Rule 3: a maker trades at its own limit, a taker at the price it meets. Only the market's trades
        move the last price and so elect stops: our own never move the market.
Rule 4: what happens is a record folded by the ledger, and only that; this file decides which.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from brokerd.executor import Execution, Report
from brokerd.money import ZERO, add, floor_to, multiply, plain, subtract
from brokerd.states import OrdStatus
from brokerd.terms import Instrument, Quote, Side, TimeInForce
from brokerd_adapters.paper.book import Book, Shown, opposite, reaches
from brokerd_adapters.paper.ledger import Fees, Ledger
from brokerd_adapters.paper.records import Ended, Record, SelfTrade, Traded, Triggered, VenueOrder

_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_EXPIRIES_SPARE = 64

SELF_TRADE = "self_trade_prevented"
"""Why an order ended that would have traded with another of ours."""


class Match(NamedTuple):
    """
    A trade about to happen: with one of our own resting orders, or with the market (None).

    A `qty` of 0 is a trade with ourselves that the taker's self-trade mode prevents.
    """

    px: Decimal
    qty: Decimal
    maker: VenueOrder | None


class Floor:
    """Books and matching over one ledger. `now_ns` is set by `advance` and never steps back."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        ledger: Ledger,
        fees: Fees,
        keep: Callable[[Record], None] | None,
    ) -> None:
        self.now_ns = 0
        self.books = {symbol: Book() for symbol in instruments}
        self._instruments = instruments
        self._ledger = ledger
        self._fees = fees
        self._keep = keep
        self._expiries: list[tuple[int, str]] = []
        self._reports: list[Report] = []

    def advance(self, now_ns: int) -> None:
        """Let it be `now_ns`, or as late as it was."""
        self.now_ns = max(self.now_ns, now_ns)

    def told(self) -> tuple[Report, ...]:
        """Return the reports since the last call."""
        told = tuple(self._reports)
        self._reports.clear()
        return told

    def apply(self, record: Record) -> None:
        """Keep the record, then fold it."""
        if self._keep is not None:
            self._keep(record)
        report = self._ledger.apply(record)
        if report is not None:
            self._reports.append(report)

    def begin(self, order: VenueOrder) -> None:
        """Start an accepted order: asleep, elected at once, or at work; its time starts to run."""
        book = self.books[order.symbol]
        if not order.is_asleep:
            self.work(order)
        elif book.elects(order):
            self._trigger(order)
        else:
            book.add(order)
        self._file_expiry(order)

    def work(self, order: VenueOrder) -> None:
        """Trade what can be traded now; let the rest rest, sleep on, or expire."""
        book = self.books[order.symbol]
        if order.is_asleep:
            book.add(order)
            return
        plan = self.plan(order, order.leaves_qty, order.px)
        if order.time_in_force is TimeInForce.FOK and _total(plan) < order.leaves_qty:
            self.end(order, OrdStatus.EXPIRED, "fok_not_fillable")
            return
        for match in plan:
            if match.maker is not None and not match.qty:
                self._prevent(book, order, match.maker)
                continue
            self._trade(order, match.qty, match.px, "taker")
            self._trade_other_side(book, opposite(order.side), match)
        if not order.is_open:
            return
        if order.px is None or order.time_in_force in _AT_ONCE:
            self.end(order, OrdStatus.EXPIRED, "nothing_left_to_trade_with")
        else:
            book.add(order)

    def end(self, order: VenueOrder, ord_status: OrdStatus, reason: str, against: str = "") -> None:
        """Close an order that is not on a book."""
        self.apply(Ended(order.venue_order_id, ord_status, reason, self.now_ns, against))

    def plan(self, order: VenueOrder, qty: Decimal, limit_px: Decimal | None) -> list[Match]:
        """List the trades that `qty` would make at once, changing nothing."""
        plan: list[Match] = []
        # A limit order has locked its worst price. A market buy pays from what is free as it goes.
        funds = (
            self._ledger.free_for(order) if limit_px is None and order.side is Side.BUY else None
        )
        for px, offered, maker in self.books[order.symbol].offers(order.side):
            if not qty or not reaches(order.side, limit_px, px):
                break
            if maker is not None and order.self_trade is not SelfTrade.TRADE:
                plan.append(Match(px, ZERO, maker))
                if order.self_trade.ends_taker:
                    break
                continue
            match = Match(px, min(qty, offered), maker)
            if funds is not None:
                funds = subtract(funds, self._ledger.lock_for(order, match.qty, px))
                if funds < ZERO:
                    break
            plan.append(match)
            qty = subtract(qty, match.qty)
        return plan

    def touch(self, order: VenueOrder) -> Decimal | None:
        """Return the market's price that the order would take, None before the first quote."""
        shown = self.books[order.symbol].shown(opposite(order.side))
        return shown.px if shown else None

    def on_quote(  # noqa: PLR0917  a quote has five parts, in the order every feed gives them
        self,
        symbol: str,
        bid_px: Decimal,
        bid_qty: Decimal,
        ask_px: Decimal,
        ask_qty: Decimal,
        now_ns: int,
    ) -> tuple[Report, ...]:
        """Show a new quote: it trades with the resting orders that it meets or crosses."""
        self.advance(now_ns)
        book, lot = self.books[symbol], self._instruments[symbol].lot
        quote = Quote(bid_px, ask_px, self.now_ns)
        book.show(quote, floor_to(bid_qty, lot), floor_to(ask_qty, lot))
        for side in Side:
            shown = book.shown(opposite(side))
            if shown is not None:
                self._fill_makers(book, side, shown, through=False)
        return self.told()

    def on_trade(  # noqa: PLR0917  a print has five parts, in the order every feed gives them
        self,
        symbol: str,
        trade_id: int,  # noqa: ARG002  the market's number for it; no order of ours depends on it
        px: Decimal,
        qty: Decimal,
        buyer_is_maker: bool,  # noqa: FBT001  the market's own word for it
        now_ns: int,
    ) -> tuple[Report, ...]:
        """
        Print a trade of the market's: resting orders it would have met share it in price-time order.

        Those on the passive side trade at the print's price or better, the others only where the
        print went through them. Then the last price elects stops.
        """
        self.advance(now_ns)
        book = self.books[symbol]
        printed = Shown(px, floor_to(qty, self._instruments[symbol].lot))
        passive = Side.BUY if buyer_is_maker else Side.SELL
        self._fill_makers(book, passive, printed, through=False)
        self._fill_makers(book, opposite(passive), printed, through=True)
        book.last_px = px
        while (order := book.elected()) is not None:
            book.remove(order)
            self._trigger(order)
        return self.told()

    def on_time(self, now_ns: int) -> tuple[Report, ...]:
        """Let the time pass: day and gtd orders expire."""
        self.advance(now_ns)
        while self._expiries and self._expiries[0][0] <= self.now_ns:
            order = self._ledger.open.get(heappop(self._expiries)[1])
            if order is not None:
                self.books[order.symbol].remove(order)
                self.end(order, OrdStatus.EXPIRED, "time_in_force_ended")
        return self.told()

    def file_again(self) -> None:
        """Make the books and the expiries from the ledger's open orders; the quotes stay."""
        for book in self.books.values():
            book.clear()
        self._expiries = []
        for order in sorted(self._ledger.open.values(), key=lambda order: order.priority):
            if not order.is_asleep and (order.px is None or order.time_in_force in _AT_ONCE):
                # The log ended between this order's first word and its last.
                self.end(order, OrdStatus.EXPIRED, "interrupted")
                continue
            self.books[order.symbol].add(order)
            self._file_expiry(order)

    def _trigger(self, order: VenueOrder) -> None:
        self.apply(Triggered(order.venue_order_id, self._ledger.take_id(), self.now_ns))
        self.work(order)

    def _prevent(self, book: Book, taker: VenueOrder, maker: VenueOrder) -> None:
        """Let one of two orders of ours expire, or both, in place of their trade."""
        if taker.self_trade.ends_maker:
            book.remove(maker)
            self.end(maker, OrdStatus.EXPIRED, SELF_TRADE, taker.venue_order_id)
        if taker.self_trade.ends_taker:
            self.end(taker, OrdStatus.EXPIRED, SELF_TRADE, maker.venue_order_id)

    def _trade_other_side(self, book: Book, side: Side, match: Match) -> None:
        shown = book.shown(side)
        if match.maker is not None:
            self._trade_maker(book, match.maker, match.qty)
        elif shown is not None:
            shown.consume(match.qty)

    def _fill_makers(self, book: Book, side: Side, source: Shown, *, through: bool) -> None:
        """Let resting orders on `side` trade with `source`; `through` leaves out its own price."""
        while source.qty and (maker := book.best(side)) is not None:
            if not reaches(side, maker.px, source.px) or (through and maker.px == source.px):
                return
            qty = min(source.qty, maker.leaves_qty)
            source.consume(qty)
            self._trade_maker(book, maker, qty)

    def _trade_maker(self, book: Book, maker: VenueOrder, qty: Decimal) -> None:
        if maker.px is None:
            raise ValueError(f"order {maker.venue_order_id} rests without a price")
        if qty == maker.leaves_qty:
            book.remove(maker)
        self._trade(maker, qty, maker.px, "maker")

    def _trade(self, order: VenueOrder, qty: Decimal, px: Decimal, liquidity: str) -> None:
        instrument = self._instruments[order.symbol]
        fee_asset = self._fees.asset(instrument, order.side)
        paid = qty if fee_asset == instrument.base else multiply(qty, px)
        fee = self._fees.of(paid, liquidity)
        execution = Execution(
            exec_id=str(self._ledger.take_id()),
            last_qty=plain(qty),
            last_px=px,
            fee=fee,
            fee_asset=fee_asset,
            liquidity=liquidity,
            venue_at_ns=self.now_ns,
        )
        self.apply(Traded(order.venue_order_id, execution, self.now_ns))

    def _file_expiry(self, order: VenueOrder) -> None:
        """Note when an open order expires; the notes of closed ones go when they are the majority."""
        if order.expire_at_ns is None or not order.is_open:
            return
        heappush(self._expiries, (order.expire_at_ns, order.venue_order_id))
        if len(self._expiries) > 2 * len(self._ledger.open) + _EXPIRIES_SPARE:
            self._expiries = [note for note in self._expiries if note[1] in self._ledger.open]
            heapify(self._expiries)


def _total(plan: list[Match]) -> Decimal:
    total = ZERO
    for match in plan:
        total = add(total, match.qty)
    return total
