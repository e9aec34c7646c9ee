"""
One symbol's book: our resting orders and sleeping stops in price-time order, and the market's quote.

A ladder is a heap of prices over a queue per price: placing and canceling cost O(log levels) at
most, whatever rests. A level that runs empty stays in the heap until it comes to the top or the
empty ones are the majority, so a heap is never more than twice as long as it must be.
"""

from collections.abc import Iterator
from decimal import Decimal
from heapq import heapify, heappop, heappush

from brokerd.money import ZERO, subtract
from brokerd.terms import Quote, Side
from brokerd_adapters.paper.records import VenueOrder

_EMPTY_LEVELS_MIN = 64


class Ladder:
    """
    Orders by price, then by time of arrival; `highest_first` says which price is the best.

    Prices are kept negated where the highest is best, so that one kind of heap serves both.
    """

    def __init__(self, *, highest_first: bool) -> None:
        self._highest_first = highest_first
        self._keys: list[Decimal] = []
        self._levels: dict[Decimal, dict[str, VenueOrder]] = {}
        self._empty_levels = 0

    def push(self, px: Decimal, order: VenueOrder) -> None:
        """Put the order last in the queue at `px`."""
        key = self._key(px)
        level = self._levels.get(key)
        if level is None:
            heappush(self._keys, key)
            level = self._levels[key] = {}
        elif not level:
            self._empty_levels -= 1
        level[order.venue_order_id] = order

    def remove(self, px: Decimal, order: VenueOrder) -> None:
        """Take the order off; raises KeyError if it is not there."""
        level = self._levels[self._key(px)]
        del level[order.venue_order_id]
        if level:
            return
        self._empty_levels += 1
        if self._empty_levels > _EMPTY_LEVELS_MIN and 2 * self._empty_levels > len(self._keys):
            self._levels = {key: level for key, level in self._levels.items() if level}
            self._keys = list(self._levels)
            heapify(self._keys)
            self._empty_levels = 0

    def best(self) -> VenueOrder | None:
        """Return the first order at the best price."""
        while self._keys:
            level = self._levels[self._keys[0]]
            if level:
                return next(iter(level.values()))
            del self._levels[heappop(self._keys)]
            self._empty_levels -= 1
        return None

    def orders(self) -> Iterator[VenueOrder]:
        """
        Yield orders in price-time order, without changing anything meanwhile.

        Walks the heap by its shape: k levels cost O(k log k), and levels not asked for cost nothing.
        """
        ahead = [(self._keys[0], 0)] if self._keys else []
        while ahead:
            key, at = heappop(ahead)
            yield from self._levels[key].values()
            for child in (2 * at + 1, 2 * at + 2):
                if child < len(self._keys):
                    heappush(ahead, (self._keys[child], child))

    def _key(self, px: Decimal) -> Decimal:
        # copy_negate is exact; the minus sign would round to the thread's context.
        return px.copy_negate() if self._highest_first else px


class Shown:
    """One side of the market's quote, and how much of it is still there for us."""

    def __init__(self, px: Decimal, qty: Decimal) -> None:
        self.px = px
        self.qty = qty

    def consume(self, qty: Decimal) -> None:
        """Take `qty` away until the next quote."""
        self.qty = subtract(self.qty, qty)


class Book:
    """One symbol: both sides of our own resting orders, our sleeping stops, the market's quote."""

    def __init__(self) -> None:
        self.quote: Quote | None = None
        self.last_px: Decimal | None = None
        self._shown: dict[Side, Shown] = {}
        self.clear()

    def clear(self) -> None:
        """Take every order of ours off; the market stays."""
        self._resting = {
            Side.BUY: Ladder(highest_first=True),
            Side.SELL: Ladder(highest_first=False),
        }
        # Of stops elected by a rise the lowest trigger goes first.
        self._asleep = {True: Ladder(highest_first=False), False: Ladder(highest_first=True)}

    def show(self, quote: Quote, bid_qty: Decimal, ask_qty: Decimal) -> None:
        """Replace the market's quote, with its full size."""
        self.quote = quote
        self._shown = {
            Side.BUY: Shown(quote.bid_px, bid_qty),
            Side.SELL: Shown(quote.ask_px, ask_qty),
        }

    def shown(self, side: Side) -> Shown | None:
        """Return the market's bid (buy) or ask (sell), None before the first quote."""
        return self._shown.get(side)

    def add(self, order: VenueOrder) -> None:
        """Let the order rest, or sleep if it is a stop that was not elected."""
        self._ladder(order).push(_rung(order), order)

    def remove(self, order: VenueOrder) -> None:
        """Take a resting or sleeping order off the book; call it before its price changes."""
        self._ladder(order).remove(_rung(order), order)

    def best(self, side: Side) -> VenueOrder | None:
        """Return our own resting order that trades first on `side`."""
        return self._resting[side].best()

    def elected(self) -> VenueOrder | None:
        """Return a stop that the last price triggers, None when all may sleep on."""
        for ladder in self._asleep.values():
            order = ladder.best()
            if order is not None and self.elects(order):
                return order
        return None

    def elects(self, order: VenueOrder) -> bool:
        """Whether the last price is at the stop's trigger or beyond."""
        if self.last_px is None or order.stop_px is None:
            return False
        return order.stop_px <= self.last_px if order.rises else order.stop_px >= self.last_px

    def offers(self, side: Side) -> Iterator[tuple[Decimal, Decimal, VenueOrder | None]]:
        """
        Yield (px, qty, maker) that a taker on `side` could trade with, best price first.

        A maker of None is the market, which goes before our own orders at the same price.
        """
        against = opposite(side)
        market = self._shown.get(against)
        waiting = market is not None and market.qty > ZERO
        for maker in self._resting[against].orders():
            px = _rung(maker)
            if waiting and market is not None and reaches(side, px, market.px):
                yield market.px, market.qty, None
                waiting = False
            yield px, maker.leaves_qty, maker
        if waiting and market is not None:
            yield market.px, market.qty, None

    def _ladder(self, order: VenueOrder) -> Ladder:
        return self._asleep[order.rises] if order.is_asleep else self._resting[order.side]


def opposite(side: Side) -> Side:
    """Return the side that trades with `side`."""
    return Side.SELL if side is Side.BUY else Side.BUY


def reaches(side: Side, limit_px: Decimal | None, px: Decimal) -> bool:
    """Whether an order on `side` with this limit trades at `px`; None takes any price."""
    if limit_px is None:
        return True
    return px <= limit_px if side is Side.BUY else px >= limit_px


def _rung(order: VenueOrder) -> Decimal:
    """Return the price an order is filed under: its trigger while it sleeps, else its limit."""
    px = order.stop_px if order.is_asleep else order.px
    if px is None:
        raise ValueError(f"order {order.venue_order_id} has no price to rest at")
    return px
