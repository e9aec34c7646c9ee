"""
ccxt's unified dicts in the port's words. Pure.

With `number = Decimal` ccxt reads every number from its text; a float that slips through is read
from its shortest text. Venue ids get their symbol in front: many exchanges count for each symbol.
What cannot be read raises one of UNREADABLE.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, cast

from brokerd.executor import Balance, Execution, OrderView, Report
from brokerd.money import ZERO, add, parse_decimal
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import Instrument, OrdType, Quote, Side

Dict = Mapping[str, Any]

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised over a dict of another shape than ccxt documents, here and in ccxt itself."""

DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE = 2, 3, 4
"""ccxt's precision modes (ccxt/base/decimal_to_precision.py)."""

_STATUSES = {
    "open": OrdStatus.NEW,
    "closed": OrdStatus.FILLED,
    "canceled": OrdStatus.CANCELED,
    "canceling": OrdStatus.NEW,
    "expired": OrdStatus.EXPIRED,
    "rejected": OrdStatus.REJECTED,
}


def number(value: Any) -> Decimal | None:
    """Read a number exactly; None for one that is not told. Raises ValueError."""
    return None if value is None else parse_decimal(str(value))


def needed(record: Dict, key: str) -> Decimal:
    """Read a number that must be told; raises ValueError."""
    value = number(record.get(key))
    if value is None:
        raise ValueError(f"there is no {key}")
    return value


def part(record: Dict, key: str) -> Dict:
    """Return the dict inside a dict, empty if it is not told."""
    return cast("Dict", record.get(key) or {})


def venue_id(symbol: str, own: Any) -> str:
    """Return the id that is unique within the executor; raises ValueError if there is none."""
    if own is None or own == "":
        raise ValueError("there is no id")
    return f"{symbol}:{own}"


def own_id(symbol: str, venue_order_id: str) -> str:
    """Return the exchange's own id; that may hold a colon, too."""
    return venue_order_id.removeprefix(f"{symbol}:")


def instrument(market: Dict, precision_mode: int) -> Instrument:
    """Read one market's rules."""
    precision, limits = part(market, "precision"), part(market, "limits")
    amount, cost = part(limits, "amount"), part(limits, "cost")
    return Instrument(
        market["symbol"],
        market["base"],
        market["quote"],
        tick=_step(precision.get("price"), precision_mode),
        lot=_step(precision.get("amount"), precision_mode),
        qty_min=number(amount.get("min")) or ZERO,
        qty_max=number(amount.get("max")) or ZERO,
        notional_min=number(cost.get("min")) or ZERO,
    )


def _step(precision: Any, mode: int) -> Decimal:
    """Return the step a precision stands for; significant digits are no grid, and none is 0."""
    value = number(precision)
    if value is None or mode == SIGNIFICANT_DIGITS:
        return ZERO
    return parse_decimal(str(Decimal(1).scaleb(-int(value)))) if mode == DECIMAL_PLACES else value


def quote(ticker: Dict, at_ns: int) -> Quote | None:
    """Read a ticker's best prices; None if it has not both."""
    bid_px, ask_px = number(ticker.get("bid")), number(ticker.get("ask"))
    return Quote(bid_px, ask_px, at_ns) if bid_px and ask_px else None


def balances(told: Dict) -> tuple[Balance, ...]:
    """Read all balances that are not nothing."""
    free, used = part(told, "free"), part(told, "used")
    return tuple(
        Balance(asset, number(free.get(asset)) or ZERO, number(used.get(asset)) or ZERO)
        for asset in sorted({*free, *used})
        if number(free.get(asset)) or number(used.get(asset))
    )


def execution(trade: Dict) -> Execution:
    """Read one fill; one that trades nothing is none."""
    fee = part(trade, "fee")
    last_qty = needed(trade, "amount")
    if last_qty <= ZERO:
        raise ValueError(f"a trade of {last_qty:f}")
    return Execution(
        exec_id=venue_id(trade["symbol"], trade.get("id")),
        last_qty=last_qty,
        last_px=needed(trade, "price"),
        fee=number(fee.get("cost")) or ZERO,
        fee_asset=str(fee.get("currency") or ""),
        liquidity=str(trade.get("takerOrMaker") or ""),
        venue_at_ns=_ns(trade.get("timestamp")),
    )


def trade_report(trade: Dict, venue_cl_ord_id: str | None = None) -> Report:
    """Read one fill as a report; trades name their order by the exchange's id."""
    return Report(
        exec_type=ExecType.TRADE,
        symbol=trade["symbol"],
        venue_cl_ord_id=venue_cl_ord_id,
        venue_order_id=venue_id(trade["symbol"], trade.get("order")),
        execution=execution(trade),
        venue_at_ns=_ns(trade.get("timestamp")),
    )


def view(order: Dict, trades: Iterable[Dict] = ()) -> OrderView:
    """
    Read an order.

    ccxt has one word, "closed", for what is done; filled in part and closed was canceled.
    """
    qty, filled = needed(order, "amount"), number(order.get("filled"))
    executions = tuple(execution(each) for each in trades)
    if filled is None:
        filled = ZERO
        for each in executions:
            filled = add(filled, each.last_qty)
    told = order.get("status")
    status = _STATUSES.get(str(told))
    if status is None:
        raise ValueError(f"the status {told!r} is none of ccxt's")
    if status is OrdStatus.FILLED and filled < qty:
        status = OrdStatus.CANCELED
    if status is OrdStatus.NEW and filled:
        status = OrdStatus.PARTIALLY_FILLED if filled < qty else OrdStatus.FILLED
    ord_type = OrdType.MARKET if order.get("type") == "market" else OrdType.LIMIT
    return OrderView(
        venue_cl_ord_id=order.get("clientOrderId") or None,
        venue_order_id=venue_id(order["symbol"], order.get("id")),
        symbol=order["symbol"],
        side=Side(order["side"]),
        ord_type=ord_type,
        ord_status=status,
        qty=qty,
        px=number(order.get("price")) if ord_type is OrdType.LIMIT else None,
        cum_qty=filled,
        executions=executions,
        venue_at_ns=_ns(order.get("lastUpdateTimestamp") or order.get("timestamp")),
    )


def _ns(timestamp_ms: Any) -> int | None:
    return None if timestamp_ms is None else int(timestamp_ms) * 1_000_000
