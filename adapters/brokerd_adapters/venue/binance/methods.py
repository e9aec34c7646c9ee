"""
The table of methods: each with its name on both roads, its weight, and who may call it.

    name        the WebSocket API's method
    verb, path  the REST endpoint; "" where there is none
    operation   the word in the wire log
    weight      what a request costs
    is_free     costs nothing if it succeeds: commands but for amendments, since 2026-04-02
    is_signed   needs key, timestamp and signature

A name of None is on REST only.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from brokerd_adapters.venue.binance.account import AccountDesk
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.publicdata import PublicData
from brokerd_adapters.venue.binance.trading import Trading
from brokerd_adapters.venue.wirelog import Call

Weight = int | Callable[[Params], int]


class Method(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str | None
    verb: str
    path: str
    operation: str
    run: Callable[[Params], Any]
    weight: Weight
    is_signed: bool = False
    is_command: bool = False
    is_free: bool = False

    def cost(self, params: Params) -> int:
        """Return the weight of one request."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)

    def call(self, params: Params) -> Call:
        """Return the request as the wire log has it."""
        texts = params.texts
        new_name = texts.get("newClientOrderId", "") if self.operation in _ENTERS else ""
        return Call(
            self.operation,
            self.is_command,
            texts.get("origClientOrderId") or texts.get("cancelOrigClientOrderId") or "",
            "" if _has_name(texts) else texts.get("orderId") or texts.get("cancelOrderId") or "",
            new_name,
        )


_ENTERS = frozenset({"place", "cancel_replace"})


def _has_name(texts: Any) -> bool:
    """Say whether a request names its order by name: then its number is not counted again."""
    return "origClientOrderId" in texts or "cancelOrigClientOrderId" in texts


def _by_symbol(one: int, every: int) -> Weight:
    def weight(params: Params) -> int:
        return one if params.text("symbol") else every

    return weight


def _test_weight(params: Params) -> int:
    return 20 if params.text("computeCommissionRates") == "true" else 1


def _trades_weight(params: Params) -> int:
    return 5 if params.text("orderId") else 20


def methods_of(desk: Desk) -> list[Method]:
    """Return every method, bound to this desk."""
    return [*_commands(Trading(desk)), *_questions(AccountDesk(desk)), *_public(PublicData(desk))]


def _commands(trading: Trading) -> list[Method]:
    def row(name: str, route: str, operation: str, run: Any, weight: Weight = 1) -> Method:
        verb, path = route.split(" ")
        return Method(
            name=name,
            verb=verb,
            path=path,
            operation=operation,
            run=run,
            weight=weight,
            is_signed=True,
            is_command=operation != "test",
            is_free=operation not in {"test", "amend"},
        )

    place, cancel, replace = trading.place, trading.cancel, trading.cancel_replace
    rows = [
        row("order.place", "POST order", "place", place),
        row("order.test", "POST order/test", "test", trading.test, _test_weight),
        row("order.cancel", "DELETE order", "cancel", cancel),
        row("openOrders.cancelAll", "DELETE openOrders", "cancel_all", trading.cancel_all),
        row("order.cancelReplace", "POST order/cancelReplace", "cancel_replace", replace),
        row("order.amend.keepPriority", "PUT order/amend/keepPriority", "amend", trading.amend, 4),
    ]
    rows += [
        row(f"orderList.place.{kind}", f"POST orderList/{kind}", "list", trading.no_order_list)
        for kind in ("oco", "oto", "otoco", "opo", "opoco")
    ]
    return rows


def _questions(account: AccountDesk) -> list[Method]:
    def row(name: str, path: str, operation: str, run: Any, weight: Weight) -> Method:
        return Method(
            name=name,
            verb="GET",
            path=path,
            operation=operation,
            run=run,
            weight=weight,
            is_signed=True,
        )

    return [
        row("order.status", "order", "query", account.order, 4),
        row(
            "openOrders.status", "openOrders", "open_orders", account.open_orders, _by_symbol(6, 80)
        ),
        row("allOrders", "allOrders", "orders", account.all_orders, 20),
        row("myTrades", "myTrades", "fills", account.trades, _trades_weight),
        row("account.status", "account", "account", account.account, 20),
        row("account.rateLimits.orders", "rateLimit/order", "limits", account.order_counts, 40),
        row("account.commission", "account/commission", "commission", account.commission, 20),
        row("order.amendments", "order/amendments", "amendments", account.amendments, 4),
        row("openOrderLists.status", "openOrderList", "lists", account.no_lists, 6),
        row("allOrderLists", "allOrderList", "lists", account.no_lists, 20),
    ]


def _public(data: PublicData) -> list[Method]:
    def row(name: str | None, path: str, run: Any, weight: Weight) -> Method:
        return Method(name=name, verb="GET", path=path, operation=path, run=run, weight=weight)

    return [
        row("ping", "ping", data.ping, 1),
        row("time", "time", data.time, 1),
        row("exchangeInfo", "exchangeInfo", data.exchange_info, 20),
        row("depth", "depth", data.depth, 5),
        row("ticker.book", "ticker/bookTicker", data.book_ticker, _by_symbol(2, 4)),
        row("ticker.price", "ticker/price", data.price, _by_symbol(2, 4)),
        row("ticker.24hr", "ticker/24hr", data.ticker, _by_symbol(2, 80)),
        row("avgPrice", "avgPrice", data.average_price, 2),
        row("trades.recent", "trades", data.trades, 25),
        row("trades.historical", "historicalTrades", data.trades, 25),
        row("trades.aggregate", "aggTrades", data.agg_trades, 4),
    ]
