"""
From Binance's words about orders to the port's: replies, events, views, executions.

Rule 1: an unknown word of an enumeration is no reason to drop what else a message says: the order
        is then asked about, because its filled quantity shows.
Rule 2: what may still fill is orig - executed - prevented (faqs/stp_faq.md), so an order's quantity
        here is always the original one less what self-trade prevention took from it.
Rule 3: a message about another order than the one that was asked about is unreadable.
"""

from decimal import Decimal

from msgspec.structs import replace

from brokerd.executor import Execution, OrderView, Report
from brokerd.money import ZERO, subtract
from brokerd.states import LAST_WORDS, ExecType, OrdStatus
from brokerd.terms import OrdType, Side
from brokerd_adapters.binance import names
from brokerd_adapters.binance.shapes import (
    MS_NS,
    AmendReply,
    ExecutionReport,
    FillShape,
    OrderShape,
    TradeShape,
    exact,
)
from brokerd_adapters.kit.links import link

ORD_STATUSES: dict[str, OrdStatus] = {
    "NEW": OrdStatus.NEW,
    # The pending leg of an order list: at the venue, not on the book yet.
    "PENDING_NEW": OrdStatus.NEW,
    "PARTIALLY_FILLED": OrdStatus.PARTIALLY_FILLED,
    "FILLED": OrdStatus.FILLED,
    "CANCELED": OrdStatus.CANCELED,
    # Documented as unused.
    "PENDING_CANCEL": OrdStatus.NEW,
    "REJECTED": OrdStatus.REJECTED,
    "EXPIRED": OrdStatus.EXPIRED,
    # Self-trade prevention.
    "EXPIRED_IN_MATCH": OrdStatus.EXPIRED,
}

_ORD_TYPES: dict[str, OrdType] = {
    "MARKET": OrdType.MARKET,
    "LIMIT": OrdType.LIMIT,
    "LIMIT_MAKER": OrdType.LIMIT,
    "STOP_LOSS": OrdType.STOP,
    "STOP_LOSS_LIMIT": OrdType.STOP_LIMIT,
    # What they become once the market is good enough: a stop waits for the opposite.
    "TAKE_PROFIT": OrdType.MARKET,
    "TAKE_PROFIT_LIMIT": OrdType.LIMIT,
}

_SENT = {"MARKET", "LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT"}
"""The types that orders of ours have: any other is shown by its own word, too."""

SELF_TRADE_PREVENTION = "self_trade_prevention"


def placed(order: OrderShape, cl_ord_id: str, replace_no: int | None = None) -> tuple[Report, ...]:
    """
    Read the reply to an order that was placed: the acknowledgement, its fills, its last word.

    With `replace_no` the order took the place of another, and the acknowledgement is a REPLACED.
    """
    ack = ExecType.NEW if replace_no is None else ExecType.REPLACED
    venue_at_ns = _at_ns(order.transact_time)
    reports = [_of_shape(order, ack, cl_ord_id, venue_at_ns, replace_no=replace_no)]
    for fill in order.fills:
        execution = _execution_of_fill(order.symbol, fill, venue_at_ns)
        reports.append(
            _of_shape(order, ExecType.TRADE, cl_ord_id, venue_at_ns, execution=execution)
        )
    last_word = LAST_WORDS.get(ORD_STATUSES.get(order.status, OrdStatus.NEW))
    if last_word is not None:
        reports.append(_of_shape(order, last_word, cl_ord_id, venue_at_ns))
    # The filled quantity goes with the last: with an earlier one, fills that follow seem missed.
    *before, last = reports
    return (*before, _with_cum_qty(last, order.executed_qty))


def canceled(order: OrderShape, cl_ord_id: str, reason: str = "") -> tuple[Report, ...]:
    """Read the reply to a cancel; raises ValueError unless it says that the order is canceled."""
    if ORD_STATUSES.get(order.status) is not OrdStatus.CANCELED:
        raise ValueError(f"a canceled order of status {order.status[:32]!r}")
    report = _of_shape(order, ExecType.CANCELED, cl_ord_id, _at_ns(order.transact_time), reason)
    return (_with_cum_qty(report, order.executed_qty),)


def amended(reply: AmendReply, cl_ord_id: str, replace_no: int) -> tuple[Report, ...]:
    """Read the reply to an amend. Amended to what is filled already, the order has expired."""
    order = reply.amended_order
    venue_at_ns = _at_ns(reply.transact_time)

    def report(exec_type: ExecType) -> Report:
        return Report(
            exec_type=exec_type,
            symbol=order.symbol,
            venue_cl_ord_id=cl_ord_id,
            venue_order_id=names.scoped(order.symbol, order.order_id),
            qty=_new_qty(order.qty, order.prevented_qty),
            px=exact(order.price) or None,
            replace_no=replace_no if exec_type is ExecType.REPLACED else None,
            cum_qty=exact(order.executed_qty),
            venue_at_ns=venue_at_ns,
        )

    last_word = LAST_WORDS.get(ORD_STATUSES.get(order.status, OrdStatus.NEW))
    replaced = report(ExecType.REPLACED)
    return (replaced,) if last_word is None else (replaced, report(last_word))


def is_about(symbol: str, cl_ord_id: str, order: OrderShape | AmendReply) -> bool:
    """Whether a reply is about the order that was asked about, under any name it had."""
    shape = order.amended_order if isinstance(order, AmendReply) else order
    told = {link(each).root for each in (shape.client_order_id, shape.orig_client_order_id)}
    return shape.symbol == symbol and (cl_ord_id in told or told == {""})


def view(order: OrderShape, trades: tuple[Execution, ...], *, is_open: bool = False) -> OrderView:
    """
    Read an order as the venue shows it when asked.

    Raises ValueError for a status, side or type that is not known. Of the open ones, which may be
    anybody's, a status or type of tomorrow says no more than that they are open.
    """
    ord_status = ORD_STATUSES.get(order.status, OrdStatus.NEW if is_open else None)
    if ord_status is None:
        raise ValueError(f"unknown order status {order.status[:32]!r}")
    ord_type = _ORD_TYPES.get(order.type, OrdType.LIMIT if is_open else None)
    if ord_type is None:
        raise ValueError(f"unknown order type {order.type[:32]!r}")
    return OrderView(
        venue_cl_ord_id=link(order.client_order_id).root or None,
        venue_order_id=names.scoped(order.symbol, order.order_id),
        symbol=order.symbol,
        side=Side(order.side.lower()),
        ord_type=ord_type,
        venue_ord_type="" if order.type in _SENT else order.type,
        ord_status=ord_status,
        qty=_qty(order.orig_qty, order.prevented_quantity),
        px=exact(order.price) or None,
        cum_qty=exact(order.executed_qty),
        executions=trades,
        reason=_reason(order),
        venue_at_ns=_at_ns(order.update_time or order.time),
    )


def execution(trade: TradeShape) -> Execution:
    """Read one of myTrades; raises ValueError for one that trades nothing."""
    return Execution(
        exec_id=names.scoped(trade.symbol, trade.id),
        last_qty=_traded(trade.qty),
        last_px=exact(trade.price),
        fee=exact(trade.commission),
        fee_asset=trade.commission_asset or "",
        liquidity="maker" if trade.is_maker else "taker",
        venue_at_ns=_at_ns(trade.time),
    )


def traded(trade: TradeShape) -> Report:
    """Read one of myTrades as a report; it names its order by the venue's number alone."""
    return Report(
        exec_type=ExecType.TRADE,
        symbol=trade.symbol,
        venue_order_id=names.scoped(trade.symbol, trade.order_id),
        execution=execution(trade),
        venue_at_ns=_at_ns(trade.time),
    )


def reported(event: ExecutionReport) -> tuple[Report, ...]:
    """Read one executionReport; none for the first half of a cancelReplace, told by its second."""
    named = link(event.client_order_id)
    match event.exec_type:
        case "NEW":
            number = None if named.has_left else named.replace_no or None
            exec_type = ExecType.NEW if number is None else ExecType.REPLACED
            return (_of_event(event, exec_type, replace_no=number),)
        case "TRADE":
            trade = _of_event(event, ExecType.TRADE, execution=_execution_of_event(event))
            # Filled with less than was ordered: the rest was prevented.
            return (*_prevented(event), trade) if event.ord_status == "FILLED" else (trade,)
        case "REPLACED":
            return (_of_event(event, ExecType.REPLACED),)
        case "CANCELED" if named.has_left:
            return ()
        case "REJECTED" if named.replace_no:
            # The second half of a cancelReplace failed: the order that was there is gone.
            return (_of_event(event, ExecType.CANCELED, reason=_reason_of_event(event)),)
        case _:
            return (*_prevented(event), *_by_status(event))


def _by_status(event: ExecutionReport) -> tuple[Report, ...]:
    """Read what the order's status says: a last word, or that the order is there."""
    ord_status = ORD_STATUSES.get(event.ord_status, OrdStatus.NEW)
    exec_type = LAST_WORDS.get(ord_status, ExecType.NEW)
    return (_of_event(event, exec_type, reason=_reason_of_event(event)),)


def _prevented(event: ExecutionReport) -> tuple[Report, ...]:
    """Tell the quantity that is left of an order after self-trade prevention took from it."""
    is_last_word = ORD_STATUSES.get(event.ord_status) in LAST_WORDS
    if not event.prevented_qty or is_last_word:
        return ()
    # No filled quantity: a trade that this event may tell as well would seem missed.
    return (_of_event(event, ExecType.REPLACED, with_cum_qty=False),)


def _of_event(
    event: ExecutionReport,
    exec_type: ExecType,
    *,
    execution: Execution | None = None,
    reason: str = "",
    replace_no: int | None = None,
    with_cum_qty: bool = True,
) -> Report:
    # A cancel or amend by somebody else gives an order another id: C is the one before.
    cl_ord_id = link(event.orig_client_order_id or event.client_order_id).root
    has_terms = exec_type is ExecType.REPLACED
    return Report(
        exec_type=exec_type,
        symbol=event.symbol,
        venue_cl_ord_id=cl_ord_id or None,
        venue_order_id=None if event.order_id < 0 else names.scoped(event.symbol, event.order_id),
        execution=execution,
        qty=_new_qty(event.qty, event.prevented_qty) if has_terms else None,
        px=exact(event.px) or None if has_terms else None,
        replace_no=replace_no,
        cum_qty=exact(event.cum_qty) if with_cum_qty else None,
        reason=reason,
        venue_at_ns=_at_ns(event.transacted_ms),
    )


def _of_shape(
    order: OrderShape,
    exec_type: ExecType,
    cl_ord_id: str,
    venue_at_ns: int | None,
    reason: str = "",
    *,
    execution: Execution | None = None,
    replace_no: int | None = None,
) -> Report:
    has_terms = exec_type is ExecType.REPLACED
    is_trade = execution is not None
    return Report(
        exec_type=exec_type,
        symbol=order.symbol,
        venue_cl_ord_id=cl_ord_id,
        venue_order_id=names.scoped(order.symbol, order.order_id),
        execution=execution,
        qty=_new_qty(order.orig_qty, order.prevented_quantity) if has_terms else None,
        px=exact(order.price) or None if has_terms else None,
        replace_no=replace_no,
        reason="" if is_trade else reason or _reason(order),
        venue_at_ns=venue_at_ns,
    )


def _with_cum_qty(report: Report, cum_qty: Decimal) -> Report:
    return replace(report, cum_qty=exact(cum_qty))


def _execution_of_fill(symbol: str, fill: FillShape, venue_at_ns: int | None) -> Execution:
    """Read a fill of a reply: what trades before the reply took from the book."""
    return Execution(
        exec_id=names.scoped(symbol, fill.trade_id),
        last_qty=_traded(fill.qty),
        last_px=exact(fill.price),
        fee=exact(fill.commission),
        fee_asset=fill.commission_asset or "",
        liquidity="taker",
        venue_at_ns=venue_at_ns,
    )


def _execution_of_event(event: ExecutionReport) -> Execution:
    return Execution(
        exec_id=names.scoped(event.symbol, event.trade_id),
        last_qty=_traded(event.last_qty),
        last_px=exact(event.last_px),
        fee=exact(event.fee),
        fee_asset=event.fee_asset or "",
        liquidity="maker" if event.is_maker else "taker",
        venue_at_ns=_at_ns(event.transacted_ms),
    )


def _traded(qty: Decimal) -> Decimal:
    traded_qty = exact(qty)
    if traded_qty <= ZERO:
        raise ValueError(f"a trade of {traded_qty:f}")
    return traded_qty


def _qty(orig: Decimal, prevented: Decimal) -> Decimal:
    return subtract(exact(orig), exact(prevented))


def _new_qty(orig: Decimal, prevented: Decimal) -> Decimal:
    qty = _qty(orig, prevented)
    if qty <= ZERO:
        raise ValueError(f"an order of {qty:f}")
    return qty


def _reason(order: OrderShape) -> str:
    if order.status == "EXPIRED_IN_MATCH":
        return SELF_TRADE_PREVENTION
    return _word(order.expiry_reason)


def _reason_of_event(event: ExecutionReport) -> str:
    if event.ord_status == "EXPIRED_IN_MATCH":
        return SELF_TRADE_PREVENTION
    return _word(event.expiry_reason) or _word(event.reject_reason)


def _word(text: str) -> str:
    """Return an enumeration's word in our spelling; NONE is none."""
    return "" if text == "NONE" else text[:64].lower()


def _at_ns(ms: int) -> int | None:
    return ms * MS_NS if ms > 0 else None
