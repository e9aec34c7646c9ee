"""What can be asked of an exchange through ccxt, by the best road it has."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from brokerd.errors import OutcomeUnknown
from brokerd.executor import Balance, Clock, OrderRef, OrderView, Report
from brokerd_adapters.ccxt import words
from brokerd_adapters.ccxt.library import Library, Spoken
from brokerd_adapters.kit.faults import understood

Dict = Mapping[str, Any]

DAY_MS = 86_400_000
PAGE = 500
PAGES_MAX = 200
LISTED = 100
SYMBOLS_ONE_BY_ONE = 8
"""Above this, open orders of all symbols are asked for at once: Binance asks 6 for one, 80 for all."""

_NOT_FOUND = {"OrderNotFound", "OrderNotCached"}
_LISTS = ("fetchClosedOrders", "fetchCanceledAndClosedOrders", "fetchOrders")
_METHODS = {
    "fetchClosedOrders": "fetch_closed_orders",
    "fetchCanceledAndClosedOrders": "fetch_canceled_and_closed_orders",
    "fetchOrders": "fetch_orders",
}


class Questions:
    """All raise Unsent, Unanswered or Spoken without a complete answer: errors are no answers."""

    def __init__(self, library: Library, symbols: tuple[str, ...], clock: Clock) -> None:
        self._library = library
        self._symbols = symbols
        self._clock = clock

    @property
    def _has(self) -> Mapping[str, Any]:
        return self._library.about.has

    def naming(self, ref: OrderRef) -> tuple[str | None, dict[str, Any]]:
        """Return the exchange's id if it is known, else what names the order by ours, if that can."""
        if ref.venue_order_id is not None:
            return words.own_id(ref.symbol, ref.venue_order_id), {}
        if self._library.about.asks_client_id:
            return None, {"clientOrderId": ref.venue_cl_ord_id}
        return None, {}

    async def order(self, ref: OrderRef) -> OrderView | None:
        """Ask for one order with all its executions."""
        found = await self._found(ref)
        if found is None:
            return None
        with understood("an order", words.UNREADABLE):
            shown = words.view(found)
        if shown.cum_qty:
            trades = await self._trades(found)
            with understood("an order with its trades", words.UNREADABLE):
                shown = words.view(found, trades)
        # A canceled order may bear its cancel's id by now; orders of others may have none.
        return replace(shown, venue_cl_ord_id=ref.venue_cl_ord_id or shown.venue_cl_ord_id)

    async def open_orders(self) -> tuple[OrderView, ...]:
        """Ask for all open orders of the configured symbols."""
        found: list[Dict] = []
        is_dear = len(self._symbols) > SYMBOLS_ONE_BY_ONE
        if is_dear and self._library.about.open_orders.get("symbolRequired") is False:
            found += await self._library.ask("fetch_open_orders")
        else:
            for symbol in self._symbols:
                found += await self._library.ask("fetch_open_orders", symbol)
        with understood("an open order", words.UNREADABLE):
            return tuple(words.view(each) for each in found if each["symbol"] in self._symbols)

    async def executions(self, since_ns: int) -> tuple[Report, ...]:
        """Ask for all executions since a time, of the configured symbols."""
        found: dict[str, Report] = {}
        for symbol in self._symbols:
            for trade in await self._trades_since(symbol, since_ns // 1_000_000):
                with understood("a trade", words.UNREADABLE):
                    report = words.trade_report(trade)
                if report.execution is not None:
                    found[report.execution.exec_id] = report
        return tuple(found.values())

    async def balances(self) -> tuple[Balance, ...]:
        """Ask for what the account holds."""
        told = await self._library.ask("fetch_balance")
        with understood("a balance", words.UNREADABLE):
            return words.balances(told)

    async def quotes(self, quotes: dict[str, Any]) -> None:
        """Ask for the best prices of all symbols, into `quotes`."""
        if self._has.get("fetchBidsAsks"):
            told: Mapping[str, Dict] = await self._library.ask(
                "fetch_bids_asks", list(self._symbols)
            )
        else:
            told = {each: await self._library.ask("fetch_ticker", each) for each in self._symbols}
        at_ns = self._clock.now_ns()
        for symbol in self._symbols:
            with understood("a quote", words.UNREADABLE):
                quote = words.quote(told.get(symbol) or {}, at_ns)
            if quote is not None:
                quotes[symbol] = quote

    async def _found(self, ref: OrderRef) -> Dict | None:
        own_id, params = self.naming(ref)
        if self._has.get("fetchOrder") and (own_id is not None or params):
            try:
                order: Dict = await self._library.ask("fetch_order", own_id, ref.symbol, params)
            except Spoken as error:
                if error.kind in _NOT_FOUND:
                    return None
                raise
            _check_is(order, ref.symbol, own_id)
            return order
        return await self._listed(ref, own_id)

    async def _listed(self, ref: OrderRef, own_id: str | None) -> Dict | None:
        """Look for an order in the lists of open and of recent ones."""
        orders: list[Dict] = list(await self._library.ask("fetch_open_orders", ref.symbol))
        for name in _LISTS:
            if self._has.get(name) is True:
                orders += await self._library.ask(_METHODS[name], ref.symbol, None, LISTED)
                break
        for order in orders:
            if own_id is not None and order.get("id") == own_id:
                return order
            if own_id is None and order.get("clientOrderId") == ref.venue_cl_ord_id:
                return order
        return None

    async def _trades(self, order: Dict) -> list[Dict]:
        """Ask for all fills of one order."""
        if self._has.get("fetchOrderTrades") is True:
            found: list[Dict] = await self._library.ask(
                "fetch_order_trades", order["id"], order["symbol"]
            )
            if len(found) < PAGE:
                return found
        since_ms = int(order.get("timestamp") or self._clock.now_ns() // 1_000_000 - DAY_MS)
        trades = await self._trades_since(order["symbol"], since_ms)
        return [each for each in trades if each.get("order") == order["id"]]

    async def _trades_since(self, symbol: str, since_ms: int) -> list[Dict]:
        """Ask for the account's trades, window by window and page by page."""
        days = self._library.about.trades.get("untilDays")
        window_ms = int(days or 36_500) * DAY_MS
        limit = min(int(self._library.about.trades.get("limit") or PAGE), PAGE)
        found: dict[Any, Dict] = {}
        for _ in range(PAGES_MAX):
            page: list[Dict] = await self._library.ask("fetch_my_trades", symbol, since_ms, limit)
            found.update({each.get("id"): each for each in page})
            if len(page) >= limit:
                with understood("a trade", words.UNREADABLE):
                    newest_ms = max(int(each["timestamp"]) for each in page)
                # What more than a page holds in one millisecond is found with its orders.
                since_ms = max(newest_ms, since_ms + 1)
            elif since_ms + window_ms < self._clock.now_ns() // 1_000_000:
                since_ms += window_ms
            else:
                return list(found.values())
        raise OutcomeUnknown(f"more than {PAGES_MAX} pages of trades", reason="too_much")


def _check_is(order: Dict, symbol: str, own_id: str | None) -> None:
    """Raise OutcomeUnknown unless an answer is about the order that was asked about."""
    is_other = own_id is not None and str(order.get("id")) != own_id
    if is_other or order.get("symbol") != symbol:
        raise OutcomeUnknown("the answer is about another order", reason="answer_unreadable")
