"""
The exchange behind a dialect: names and records of orders on this side, matching on the other.

`PaperVenue` matches under numbers of ours; the names that clients give are kept here, because what
a name is worth differs between venues: unique for ever or only while open, changed by a cancel or
an amendment. Every record of the matching is folded into the order it is about and then told to
`listener`, so a dialect sees each order exactly as it was at that moment.

All of it is synchronous, one account, and in memory only: this process is the oracle of what the
venue did. `forget` loses what the venue knows, never what the oracle does.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import count
from typing import Protocol

from brokerd.executor import (
    Balance,
    CancelOrder,
    Clock,
    OrderRef,
    PlaceOrder,
    Refused,
    ReplaceOrder,
)
from brokerd.terms import Instrument, OrdType, Quote, Side, Terms
from brokerd_adapters.paper import PaperVenue
from brokerd_adapters.paper.markets import QuoteTick, Tick
from brokerd_adapters.paper.matching import RepeatId
from brokerd_adapters.paper.records import (
    Ended,
    Placed,
    Record,
    Replaced,
    Traded,
    Triggered,
)
from brokerd_adapters.paper.rules import DUPLICATE_ID
from brokerd_adapters.venue.charter import Charter
from brokerd_adapters.venue.orders import NewOrder, Order

MATCHING_CLOSED_MAX = 1_000
"""Closed orders that the matching remembers; all are remembered here."""


class Listener(Protocol):
    """What is told of everything that happens, while it happens."""

    def on_record(self, order: Order, record: Record) -> None:
        """Hear of one thing that happened to `order`, which is as it then was."""
        ...

    def on_settled(self) -> None:
        """Hear that the command or tick that made the last records is done; balances are settled."""
        ...


class Exchange:
    """
    Orders by every id. Commands answer with the order as it then is, or with the refusal.

    Numbers of orders and executions start at the microseconds since 1970, so that a venue that
    was started again never gives one twice.
    """

    def __init__(
        self,
        charter: Charter,
        instruments: Mapping[str, Instrument],
        clock: Clock,
        listener: Listener,
    ) -> None:
        self.instruments = dict(instruments)
        self.clock = clock
        self.ever: list[Order] = []
        self._listener = listener
        self._repeat_id: RepeatId = charter.repeat_id
        self._orders: dict[str, Order] = {}
        self._by_client: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._numbers = count(1)
        self._entering: NewOrder | None = None
        self._next_name: str | None = None
        self._has_records = False
        self._matching = PaperVenue(
            self.instruments,
            charter.balances,
            fees=charter.fees,
            first_id=clock.now_ns() // 1_000,
            closed_max=MATCHING_CLOSED_MAX,
            keep=self._fold,
        )

    def place(self, new: NewOrder) -> Order | Refused:
        """Take a new order, and trade it as far as it goes."""
        if self.is_taken(new.client_order_id):
            return DUPLICATE_ID
        self._entering = new
        request = PlaceOrder(venue_cl_ord_id=str(next(self._numbers)), terms=new.terms)
        answer = self._matching.place(request, self.clock.now_ns(), new.special)
        self._settle()
        return answer if isinstance(answer, Refused) else self.ever[-1]

    def cancel(self, order: Order, renamed: str | None = None) -> Order | Refused:
        """Take the rest of an order off the book; it bears the name `renamed` from then on."""
        self._next_name = renamed
        answer = self._matching.cancel(CancelOrder(ref=_ref(order)), self.clock.now_ns())
        self._settle()
        return answer if isinstance(answer, Refused) else order

    def replace(
        self, order: Order, qty: Decimal, px: Decimal | None, renamed: str | None = None
    ) -> Order | Refused:
        """
        Change total quantity and limit price; only less at the same price keeps its queue place.

        It bears the name `renamed`, which must be free, from then on.
        """
        request = ReplaceOrder(
            ref=_ref(order), terms=_NO_TERMS, qty=qty, px=px, replace_no=0, request_id=""
        )
        self._next_name = renamed
        answer = self._matching.replace(request, self.clock.now_ns())
        self._settle()
        return answer if isinstance(answer, Refused) else order

    def is_taken(self, client_order_id: str) -> bool:
        """Say whether a new order may not have that name."""
        seen = self._by_client.get(client_order_id)
        return seen is not None and (self._repeat_id == "refused_forever" or seen.is_open)

    def order(self, order_id: str) -> Order | None:
        """Return the order with that number, as far as the venue remembers it."""
        return self._orders.get(order_id)

    def named(self, client_order_id: str) -> Order | None:
        """Return the latest order of that name, as far as the venue remembers it."""
        return self._by_client.get(client_order_id)

    def orders(self) -> Iterable[Order]:
        """Return all orders that the venue remembers, oldest first."""
        return self._orders.values()

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return what is open, oldest first."""
        return [o for o in self._open.values() if symbol is None or o.terms.symbol == symbol]

    def balances(self) -> tuple[Balance, ...]:
        """Return what is free and locked of every asset."""
        return self._matching.balances()

    def held(self, asset: str) -> Balance:
        """Return what is free and locked of one asset."""
        return self._matching.held(asset)

    def quote(self, symbol: str) -> Quote | None:
        """Return the market's latest quote, None before the first."""
        return self._matching.quote(symbol)

    def on_tick(self, tick: Tick) -> None:
        """Let the market move."""
        now_ns = self.clock.now_ns()
        if isinstance(tick, QuoteTick):
            self._matching.on_quote(
                tick.symbol, tick.bid_px, tick.bid_qty, tick.ask_px, tick.ask_qty, now_ns
            )
        else:
            self._matching.on_trade(
                tick.symbol, tick.trade_id, tick.px, tick.qty, tick.buyer_is_maker, now_ns
            )
        self._settle()

    def on_time(self) -> None:
        """Let the time pass: orders expire."""
        self._matching.on_time(self.clock.now_ns())
        self._settle()

    def forget(self) -> None:
        """Lose every order and name, and start again with the first balances."""
        for memory in (self._orders, self._by_client, self._open):
            memory.clear()
        self._matching.forget()

    def _settle(self) -> None:
        self._entering = self._next_name = None
        if self._has_records:
            self._has_records = False
            self._listener.on_settled()

    def _fold(self, record: Record) -> None:
        """Bring the order of record to what the matching says, and tell."""
        if isinstance(record, Placed):
            order = self._opened(record.order.venue_order_id, record.order.updated_at_ns)
        elif isinstance(record, Traded | Triggered | Replaced | Ended):
            order = self._changed(record)
        else:
            return
        self._has_records = True
        self._listener.on_record(order, record)

    def _opened(self, order_id: str, now_ns: int) -> Order:
        new = self._entering
        if new is None:
            raise RuntimeError("the matching took an order that nobody placed")
        order = Order.of(new, order_id, now_ns)
        self.ever.append(order)
        self._orders[order_id] = self._open[order_id] = order
        self._by_client[new.client_order_id] = order
        return order

    def _changed(self, record: Traded | Triggered | Replaced | Ended) -> Order:
        order = self._open[record.venue_order_id]
        order.updated_at_ns = record.at_ns
        if isinstance(record, Traded):
            order.add_execution(record.execution)
        elif isinstance(record, Triggered):
            order.triggered_at_ns = record.at_ns
        else:
            if isinstance(record, Replaced):
                order.qty, order.px = record.qty, record.px
            else:
                order.ord_status, order.reason = record.ord_status, record.reason
            self._rename(order)
        if not order.is_open:
            del self._open[order.order_id]
        return order

    def _rename(self, order: Order) -> None:
        """Give an order its next name, if there is one for it; the old one is free."""
        name, self._next_name = self._next_name, None
        if name is None or name == order.client_order_id:
            return
        if self._by_client.get(order.client_order_id) is order:
            del self._by_client[order.client_order_id]
        order.client_order_ids.append(name)
        holder = self._by_client.get(name)
        # A closed order must not stand before an open one of the same name.
        if holder is None or not holder.is_open:
            self._by_client[name] = order


# The matching reads the terms of a new order only.
_NO_TERMS = Terms("", "", Side.BUY, OrdType.MARKET, Decimal(1))


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, venue_cl_ord_id="", venue_order_id=order.order_id)
