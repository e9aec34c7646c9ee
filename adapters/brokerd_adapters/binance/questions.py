"""
What the venue is asked: one order, everything open, executions, balances, rules, the time.

An answer is complete, or it is an error: half a one would look like "no such order".
"""

import asyncio
from collections.abc import AsyncGenerator, Collection

from msgspec import Raw

from brokerd.errors import OutcomeUnknown
from brokerd.executor import Balance, Clock, Execution, OrderRef, OrderView, Report, Snapshot
from brokerd_adapters.binance import names, orders, requests
from brokerd_adapters.binance.promises import TRADES_BACK_S
from brokerd_adapters.binance.requests import TRADES_PAGE, Call
from brokerd_adapters.binance.roads import Roads
from brokerd_adapters.binance.shapes import (
    MS_NS,
    AccountReply,
    BookTicker,
    ExchangeInfo,
    OrderShape,
    TimeReply,
    TradeShape,
    book_tickers,
    exact,
    read,
    read_list,
)
from brokerd_adapters.kit.clock_offset import ClockOffset
from brokerd_adapters.kit.faults import understood
from brokerd_adapters.kit.links import link, link_id

LOOK_SYMBOLS_MAX = 50
"""Symbols whose executions one look asks for: each costs 20 of a minute's 6,000 weight."""

LOOK_NS_MAX = 4_000_000_000
"""After so long a look asks for no further symbol: it has a deadline, and openOrders is what matters."""

BEYOND_MS = 2_000
_DAY_MS = 86_400_000
_REPLACES_MAX = 64


class Questions:
    """Asks over `roads`. `settle_s` is how long what was done may stay unseen by a question."""

    def __init__(self, roads: Roads, offset: ClockOffset, clock: Clock, *, settle_s: float) -> None:
        self._roads = roads
        self._offset = offset
        self._clock = clock
        self._settle_ms = int(settle_s * 1_000)
        self._owed: dict[str, int] = {}

    async def order(self, ref: OrderRef) -> OrderView | None:
        """
        Return an order with all its executions; None if the venue has none such.

        An order that left for its replacement is shown as the replacement.
        """
        number = names.venue_number(ref.venue_order_id)
        if number is None:
            shape = await self._order(ref.symbol, cl_ord_id=ref.venue_cl_ord_id)
        else:
            shape = await self._order(ref.symbol, number=number)
        if shape is None:
            return None
        shape = await self._latest(shape)
        trades = await self._order_trades(shape) if shape.executed_qty else ()
        with understood("order.status"):
            return orders.view(shape, trades)

    async def snapshot(self, since_ns: int, symbols: Collection[str]) -> Snapshot:
        """
        Return all open orders, and the executions of these symbols and theirs since then.

        Executions are asked for symbol by symbol. Where there are many it takes several looks: those
        that were not reached are first in the next one, from where they were told last.
        """
        began_ns = self._clock.now_ns()
        since_ns = max(since_ns, began_ns - int(TRADES_BACK_S * 1e9))
        body = await self._asked(requests.open_orders())
        with understood("openOrders.status"):
            shapes = read_list(OrderShape, body)
            views = tuple(orders.view(each, (), is_open=True) for each in shapes)
        for symbol in {*symbols, *(each.symbol for each in shapes)}:
            self._owed[symbol] = min(self._owed.get(symbol, since_ns), since_ns)
        executions = await self._executions_owed(began_ns)
        return Snapshot(
            began_ns=began_ns, since_ns=since_ns, orders=views, executions=tuple(executions)
        )

    async def _executions_owed(self, began_ns: int) -> list[Report]:
        """Return executions of the symbols that wait the longest, as many as one look has room for."""
        executions: list[Report] = []
        told: list[str] = []
        oldest_ns = began_ns - int(TRADES_BACK_S * 1e9)
        until_ns = self._clock.monotonic_ns() + LOOK_NS_MAX
        waiting = sorted((since_ns, symbol) for symbol, since_ns in self._owed.items())
        for since_ns, symbol in waiting[:LOOK_SYMBOLS_MAX]:
            since_ms = self._venue_ms(max(since_ns, oldest_ns))
            async for trades in self._trades_since(symbol, since_ms):
                with understood("myTrades"):
                    executions += [orders.traded(each) for each in trades]
            told.append(symbol)
            if self._clock.monotonic_ns() > until_ns:
                break
        # A look that breaks off has told nothing: then all of it is owed still.
        for symbol in told:
            self._owed.pop(symbol, None)
        return executions

    async def balances(self) -> tuple[Balance, ...]:
        """Return what the account holds."""
        body = await self._asked(requests.account())
        with understood("account.status"):
            held = read(AccountReply, body).balances
            return tuple(Balance(each.asset, exact(each.free), exact(each.locked)) for each in held)

    async def venue_ns(self) -> int:
        """Return the venue's time."""
        body = await self._asked(requests.server_time())
        with understood("time"):
            return read(TimeReply, body).server_time * MS_NS

    async def rules(self, symbols: tuple[str, ...]) -> ExchangeInfo:
        """Return the rules of these symbols, or of all: megabytes, read beside the loop."""
        body = await self._asked(requests.exchange_info(symbols))
        with understood("exchangeInfo"):
            return await asyncio.to_thread(read, ExchangeInfo, body)

    async def book_tickers(self, symbols: tuple[str, ...]) -> list[BookTicker]:
        """Return the best bids and asks of these symbols."""
        body = await self._asked(requests.book_tickers(symbols))
        with understood("ticker.book"):
            return book_tickers(body)

    async def _latest(self, shape: OrderShape) -> OrderShape:
        """Follow an order that left for a replacement, to the last one that is there."""
        for _ in range(_REPLACES_MAX):
            told = link(shape.client_order_id)
            if not told.has_left:
                break
            next_id = link_id(told.root, told.replace_no)
            replacement = await self._order(shape.symbol, cl_ord_id=next_id)
            if replacement is None:
                self._check_settled(shape)
                break
            shape = replacement
        return shape

    def _check_settled(self, left: OrderShape) -> None:
        """Raise unless a replacement that is not seen by now will never be."""
        if self._offset.venue_ns() // MS_NS < left.update_time + self._settle_ms:
            raise OutcomeUnknown(
                "the order was canceled for a replacement that does not show yet",
                reason="replacement_not_seen",
            )

    async def _order(
        self, symbol: str, *, number: int | None = None, cl_ord_id: str | None = None
    ) -> OrderShape | None:
        call = requests.order_status(symbol, number=number, cl_ord_id=cl_ord_id)
        body = await self._roads.ask(call)
        if body is None:
            return None
        with understood(call.method):
            shape = read(OrderShape, body)
            if shape.symbol != symbol or (number is not None and shape.order_id != number):
                raise ValueError("it is about another order")
            if cl_ord_id is not None and shape.client_order_id not in {"", cl_ord_id}:
                raise ValueError("it is about another order")
            return shape

    async def _order_trades(self, shape: OrderShape) -> tuple[Execution, ...]:
        """
        Return an order's executions.

        Without `fromId` the venue gives the latest: where they fill a page, it is all from the first.
        """
        symbol, number = shape.symbol, shape.order_id
        trades = await self._trades(requests.order_trades(symbol, number))
        if len(trades) >= TRADES_PAGE:
            trades = page = await self._trades(requests.order_trades(symbol, number, 0))
            while len(page) >= TRADES_PAGE:
                next_id = max(each.id for each in page) + 1
                page = await self._trades(requests.order_trades(symbol, number, next_id))
                trades = [*trades, *page]
        with understood("myTrades"):
            # A venue that passes over `orderId` must not give one order another's fills.
            return tuple(orders.execution(each) for each in trades if each.order_id == number)

    async def _trades_since(
        self, symbol: str, since_ms: int
    ) -> AsyncGenerator[list[TradeShape], None]:
        """
        Yield a symbol's executions: mostly the latest page has them all, else by windows of a day.

        Which of them a full page leaves out is not documented: then the window is halved. What more
        than a page holds in one millisecond is found with its orders.
        """
        latest = await self._trades(requests.latest_trades(symbol))
        if len(latest) < TRADES_PAGE or min(each.time for each in latest) < since_ms:
            yield [each for each in latest if each.time >= since_ms]
            return
        # Up to now and a little beyond: the clocks may be apart.
        until_ms = self._venue_ms(self._clock.now_ns()) + BEYOND_MS
        windows = [
            (start_ms, min(start_ms + _DAY_MS, until_ms) - 1)
            for start_ms in range(since_ms, until_ms, _DAY_MS)
        ]
        while windows:
            start_ms, end_ms = windows.pop()
            page = await self._trades(requests.trades_between(symbol, start_ms, end_ms))
            if len(page) >= TRADES_PAGE and start_ms < end_ms:
                middle_ms = (start_ms + end_ms) // 2
                windows += [(start_ms, middle_ms), (middle_ms + 1, end_ms)]
            else:
                yield page

    async def _trades(self, call: Call) -> list[TradeShape]:
        body = await self._asked(call)
        with understood(call.method):
            trades = read_list(TradeShape, body)
            if any(each.symbol != call.params["symbol"] for each in trades):
                raise ValueError("it is about another symbol")
            return trades

    async def _asked(self, call: Call) -> Raw:
        body = await self._roads.ask(call)
        if body is None:
            raise OutcomeUnknown(f"{call.method}: no such order", reason="answer_unreadable")
        return body

    def _venue_ms(self, our_ns: int) -> int:
        """Return a time of ours by the venue's clock."""
        return (our_ns + int((self._offset.offset_s or 0.0) * 1e9)) // MS_NS
