"""The questions about one account: orders, trades, balances, counts."""

from collections.abc import Iterable
from typing import Any

from brokerd.times import NS_PER_S
from brokerd_adapters.venue.binance import shapes
from brokerd_adapters.venue.binance.desk import Desk
from brokerd_adapters.venue.binance.errors import NO_SUCH_ORDER, bad_request
from brokerd_adapters.venue.binance.params import Params
from brokerd_adapters.venue.binance.words import number
from brokerd_adapters.venue.orders import Order

LIST_DEFAULT = 500
LIST_MAX = 1_000
_DAY_NS = 86_400 * NS_PER_S
COMMISSION = {
    "maker": "0.00100000",
    "taker": "0.00100000",
    "buyer": "0.00000000",
    "seller": "0.00000000",
}


class AccountDesk:
    """The questions that need a signature."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def order(self, params: Params) -> Any:
        """Show one order, open or closed."""
        return self._view(self._found(params), params)

    def open_orders(self, params: Params) -> Any:
        """Show the open orders of one symbol, or of all."""
        symbol = None if params.text("symbol") is None else self._desk.instrument(params).symbol
        return [self._view(order, params) for order in self._desk.exchange.open_orders(symbol)]

    def all_orders(self, params: Params) -> Any:
        """Show orders of every status, from a number on or in a window of time."""
        symbol = self._desk.instrument(params).symbol
        orders = [order for order in self._desk.exchange.orders() if order.terms.symbol == symbol]
        first = params.integer("orderId")
        if first is not None:
            chosen = [order for order in orders if int(order.order_id) >= first]
            return [self._view(order, params) for order in chosen[: _limit(params)]]
        timed = _within(params, ((order.created_at_ns, order) for order in orders))
        return [self._view(order, params) for order in timed]

    def trades(self, params: Params) -> Any:
        """Show the account's trades on a symbol: by order, from a number on, or by time."""
        orders: Iterable[Order]
        if params.text("orderId") is not None:
            order = self._desk.find(params)
            orders = () if order is None else (order,)
        else:
            symbol = self._desk.instrument(params).symbol
            orders = (o for o in self._desk.exchange.orders() if o.terms.symbol == symbol)
        pairs = [(order, execution) for order in orders for execution in order.executions]
        pairs.sort(key=lambda pair: int(pair[1].exec_id))
        first = params.integer("fromId")
        if first is not None:
            chosen = [pair for pair in pairs if int(pair[1].exec_id) >= first][: _limit(params)]
        else:
            chosen = _within(params, ((pair[1].venue_at_ns or 0, pair) for pair in pairs))
        return [shapes.trade(order, execution, params) for order, execution in chosen]

    def account(self, params: Params) -> Any:
        """Show the balances and what the account may do."""
        hides_zero = params.text("omitZeroBalances") == "true"
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": COMMISSION,
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": params.stamp(self._desk.exchange.clock.now_ns()),
            "accountType": "SPOT",
            "balances": [
                {"asset": b.asset, "free": number(b.free), "locked": number(b.locked)}
                for b in self._desk.exchange.balances()
                if not hides_zero or b.free or b.locked
            ],
            "permissions": ["SPOT"],
            "uid": 1,
        }

    def order_counts(self, params: Params) -> Any:  # noqa: ARG002  every method is asked alike
        """Show how many unfilled orders count against the limits."""
        return [window.told() for window in self._desk.limits.orders]

    def amendments(self, params: Params) -> Any:
        """Show what was amended about one order."""
        order = self._found(params)
        return self._desk.facts[order.order_id].amendments[: _limit(params)]

    def commission(self, params: Params) -> Any:
        """Show the fee rates of a symbol."""
        none = dict.fromkeys(COMMISSION, "0.00000000")
        return {
            "symbol": self._desk.instrument(params).symbol,
            "standardCommission": COMMISSION,
            "specialCommission": none,
            "taxCommission": none,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": "0.75000000",
            },
        }

    def no_lists(self, params: Params) -> Any:  # noqa: ARG002  every method is asked alike
        """Show the order lists: there are none."""
        return []

    def _found(self, params: Params) -> Order:
        order = self._desk.find(params)
        if order is None:
            raise bad_request(*NO_SUCH_ORDER)
        return order

    def _view(self, order: Order, params: Params) -> dict[str, Any]:
        return shapes.view(order, self._desk.facts[order.order_id], params)


def _limit(params: Params) -> int:
    return min(params.integer("limit") or LIST_DEFAULT, LIST_MAX)


def _within(params: Params, timed: Iterable[tuple[int, Any]]) -> list[Any]:
    """Choose what falls between startTime and endTime; without a start, the latest."""
    start, end = params.integer("startTime"), params.integer("endTime")
    unit_ns = params.unit_ns
    if start is not None and end is not None and (end - start) * unit_ns > _DAY_NS:
        raise bad_request(-1127, "More than 24 hours between startTime and endTime.")
    if start is not None and end is None:
        end = start + _DAY_NS // unit_ns
    chosen = [
        item
        for at_ns, item in timed
        if (start is None or at_ns // unit_ns >= start) and (end is None or at_ns // unit_ns <= end)
    ]
    return chosen[: _limit(params)] if start is not None else chosen[-_limit(params) :]
