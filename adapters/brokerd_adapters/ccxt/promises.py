"""
What an exchange promises, from what ccxt says of it: its `has`, its `features`, and its code.

ccxt does not say what an exchange does with a client id it has seen, nor whether requests expire.
So nothing is promised there, except where the exchange's own documents were read.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from brokerd.executor import Capabilities
from brokerd.terms import OrdType, TimeInForce
from brokerd_adapters.ccxt.words import part

DAY_S = 86_400.0
EXECUTIONS_BACK_DAYS = 7


class Exchange(Struct, frozen=True, kw_only=True):
    """
    What ccxt says of an exchange. `open_orders` and the like are parts of its `features`;
    `recv_window_s` is how long ccxt lets a request be good for, where it does. `takes_client_id` and
    `asks_client_id` say whether its `create_order` and `fetch_order` know of client ids: ccxt has no
    flag for it.
    """

    exchange_id: str
    has: Mapping[str, Any]
    create: Mapping[str, Any]
    trades: Mapping[str, Any]
    open_orders: Mapping[str, Any] = {}
    recv_window_s: float | None = None
    takes_client_id: bool
    asks_client_id: bool


PROCESSING_BOUND_S = 10.0
QUERY_LAG_S = 5.0

DOCUMENTED = {"binance", "binanceus"}
"""
Where requests expire after `recvWindow`, are in the engine for 10 s at most, and client ids are
unique among open orders (Binance, rest-api.md).
"""


RENAMES_CANCELED = {"binance", "binanceus"}
"""Where a canceled order takes the id of its cancel, so that the cancel is sent under the order's."""


def promises(exchange: Exchange, *, is_sandbox: bool) -> Capabilities:
    """Return what may be relied on."""
    is_known = exchange.exchange_id in DOCUMENTED
    return Capabilities(
        repeat_id="refused_while_open" if is_known and exchange.takes_client_id else "nothing",
        validity_window_s=exchange.recv_window_s if is_known and exchange.asks_client_id else None,
        processing_bound_s=PROCESSING_BOUND_S,
        query_lag_s=QUERY_LAG_S,
        clock_error_s=1.0,
        query_closed=exchange.asks_client_id,
        # ccxt's editOrder is an amendment, a new order or a cancel and a new one, and does not say.
        amend="none",
        ord_types=_ord_types(exchange),
        times_in_force=_times_in_force(exchange),
        post_only=takes_post_only(exchange),
        exec_id_scope="symbol",
        executions_back_s=executions_back_s(exchange),
        is_paper=is_sandbox,
    )


def executions_back_s(exchange: Exchange) -> float:
    """Return how far back executions are asked for."""
    days = exchange.trades.get("daysBack") or EXECUTIONS_BACK_DAYS
    return min(int(days), EXECUTIONS_BACK_DAYS) * DAY_S


def takes_post_only(exchange: Exchange) -> bool:
    """Say whether an order may be told never to take."""
    return bool(_times(exchange).get("PO"))


def lacks(exchange: Exchange) -> str | None:
    """Return why the exchange cannot be used at all, None if it can."""
    has = exchange.has
    if not has.get("createOrder") or not has.get("cancelOrder"):
        return "orders cannot be placed and canceled there"
    if not has.get("fetchOpenOrders") or not has.get("fetchBalance"):
        return "it does not tell open orders and balances"
    if not has.get("fetchMyTrades"):
        return "it does not tell executions, so that fills could not be proved"
    return None


def weaknesses(exchange: Exchange) -> tuple[str, ...]:
    """Say what the exchange cannot do, a sentence each, beyond what `Capabilities` tell."""
    has = exchange.has
    told: list[str] = []
    if not exchange.takes_client_id:
        told.append(
            "orders carry no id of ours here: one that was sent and not answered can be found by"
            " nobody but you"
        )
    elif not exchange.asks_client_id:
        told.append("an order is found by its client id only among open and recent ones")
    if not has.get("fetchOrder"):
        told.append("a single order cannot be asked for, only lists")
    if not has.get("watchOrders"):
        told.append("there is no order stream: fills are seen when they are asked for")
    told.append("a replace is refused: cancel, and submit anew")
    return tuple(told)


def _ord_types(exchange: Exchange) -> frozenset[OrdType]:
    has_market = exchange.has.get("createMarketOrder") is not False
    return frozenset({OrdType.LIMIT, OrdType.MARKET} if has_market else {OrdType.LIMIT})


def market_takes_cost(exchange: Exchange) -> bool:
    """Say whether a market buy is given as money to spend, which is not what a bot asks for."""
    return bool(exchange.create.get("marketBuyRequiresPrice"))


def _times(exchange: Exchange) -> Mapping[str, Any]:
    return part(exchange.create, "timeInForce")


def _times_in_force(exchange: Exchange) -> frozenset[TimeInForce]:
    told = {
        each for each in (TimeInForce.IOC, TimeInForce.FOK) if _times(exchange).get(each.upper())
    }
    return frozenset({TimeInForce.GTC, *told})
