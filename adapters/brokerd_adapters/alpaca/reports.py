"""
What Alpaca's words mean to the broker: bodies and events in, reports and views out.

Rule 1: a last word is only what Alpaca lists as one; a status or event that is not known says that
        the venue has the order, and no more.
Rule 2: an execution is named by its order and what that had filled after it. Stream and activities
        tell both, and no document says that the ids they give to one execution are the same.
Rule 3: a link that was turned down says nothing of the order it was to replace.

Source: docs.alpaca.markets "Orders at Alpaca" (order lifecycle), "Websocket Streaming".
"""

from collections.abc import Iterable
from decimal import Decimal

from brokerd.executor import Execution, OrderView, Report
from brokerd.money import add, digits
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side
from brokerd_adapters.alpaca.chains import Chain, Chains
from brokerd_adapters.alpaca.wire import Activity, OrderBody, TradeUpdate, Unreadable, time_ns
from brokerd_adapters.kit.links import link

LAST_WORDS: dict[str, OrdStatus] = {
    "filled": OrdStatus.FILLED,
    "canceled": OrdStatus.CANCELED,
    "expired": OrdStatus.EXPIRED,
    "rejected": OrdStatus.REJECTED,
}
"""Everything else may still trade: `done_for_day` goes on tomorrow, `suspended` when it is lifted,
`stopped` has a trade to come, `calculated` waits for its settlement."""

_FILLS = frozenset({"fill", "partial_fill"})
_ENDS: dict[str, ExecType] = {
    "canceled": ExecType.CANCELED,
    "expired": ExecType.EXPIRED,
    "rejected": ExecType.REJECTED,
}


def exec_id(order_id: str, cum_qty: Decimal) -> str:
    """Return the name of the execution after which that order had filled `cum_qty`."""
    return f"{order_id}/{digits(cum_qty)}"


def accepted(body: OrderBody, chains: Chains) -> tuple[Report, ...]:
    """Read the reply to a new order: the venue has it, or has turned it down at once."""
    if body.status == "rejected":
        return (_report(ExecType.REJECTED, body, chains, reason="rejected_by_venue"),)
    return (_report(ExecType.NEW, body, chains),)


def updated(update: TradeUpdate, chains: Chains) -> tuple[Report, ...]:
    """Read one event of the stream. `chains` has seen its order."""
    body, event = update.order, update.event
    at_ns = time_ns(update.timestamp)
    is_replacing = body.replaces is not None or link(body.client_order_id).replace_no > 0
    if event in _FILLS:
        return (_filled(update, chains, at_ns),)
    if event == "replaced" or (is_replacing and event not in _ENDS):
        return _took_place(update, chains, at_ns)
    if event == "rejected" and is_replacing:
        return ()
    if event in _ENDS and body.replaced_by is None:
        reason = "rejected_by_venue" if event == "rejected" else f"{event}_at_venue"
        return (_report(_ENDS[event], body, chains, at_ns=at_ns, reason=reason),)
    return (_report(ExecType.NEW, body, chains, at_ns=at_ns),)


def activity_report(activity: Activity, chains: Chains) -> Report:
    """Read one fill of the activities as the report of an execution; raises Unreadable."""
    body = chains.get(activity.order_id)
    return Report(
        exec_type=ExecType.TRADE,
        symbol=body.symbol or activity.symbol if body else activity.symbol,
        venue_cl_ord_id=chains.root(body) if body else None,
        venue_order_id=activity.order_id,
        execution=execution(activity),
        venue_at_ns=time_ns(activity.transaction_time),
    )


def execution(activity: Activity) -> Execution:
    """
    Read one fill of the activities. Alpaca tells fees apart from fills, and no liquidity.

    Raises Unreadable for one that trades nothing.
    """
    if activity.qty <= 0:
        raise Unreadable(f"a trade of {activity.qty:f}")
    return Execution(
        exec_id=exec_id(activity.order_id, activity.cum_qty),
        last_qty=activity.qty,
        last_px=activity.price,
        venue_at_ns=time_ns(activity.transaction_time),
    )


def viewed(order: Chain, activities: Iterable[Activity] = ()) -> OrderView:
    """
    Show an order as its chain stands, with the fills of all its links.

    Raises Unreadable for a kind of order that none of ours is: by amount, trailing, several legs.
    """
    head = order.head
    qty, symbol = order.qty, head.symbol
    if qty is None or symbol is None:
        raise Unreadable("an order by amount, or of several legs")
    try:
        side, ord_type = Side(head.side or ""), OrdType(head.type or head.order_type or "")
    except ValueError as error:
        raise Unreadable(str(error)) from None
    filled = order.filled
    open_status = OrdStatus.PARTIALLY_FILLED if filled else OrdStatus.NEW
    ord_status = LAST_WORDS.get(head.status, open_status)
    return OrderView(
        venue_cl_ord_id=order.root,
        venue_order_id=head.id,
        symbol=symbol,
        side=side,
        ord_type=ord_type,
        ord_status=ord_status,
        qty=qty,
        px=head.limit_price,
        cum_qty=filled,
        executions=tuple(execution(each) for each in activities),
        reason="" if ord_status is open_status else f"{head.status}_at_venue",
        venue_at_ns=time_ns(head.updated_at),
        is_pending=order.is_pending,
        replace_refused=order.is_refused,
    )


def _filled(update: TradeUpdate, chains: Chains, at_ns: int | None) -> Report:
    """Read a fill. One that does not say how much was new is a claim: it will be asked about."""
    body = update.order
    cum_qty = body.filled
    if update.price is None or update.qty is None or not 0 < update.qty <= cum_qty:
        return _report(ExecType.NEW, body, chains, at_ns=at_ns)
    told = Execution(
        exec_id=exec_id(body.id, cum_qty),
        last_qty=update.qty,
        last_px=update.price,
        venue_at_ns=at_ns,
    )
    return _report(ExecType.TRADE, body, chains, at_ns=at_ns, execution=told)


def _took_place(update: TradeUpdate, chains: Chains, at_ns: int | None) -> tuple[Report, ...]:
    """Read what is told of a replace: by the old link once it is over, by the new one as it begins."""
    body = update.order
    if update.event == "replaced":
        successor = chains.get(body.replaced_by or "")
        return _replaced(successor, chains, at_ns) if successor else ()
    return _replaced(body, chains, at_ns) if update.event == "new" else ()


def _replaced(body: OrderBody, chains: Chains, at_ns: int | None) -> tuple[Report, ...]:
    """Tell that a link took its place, if all before it are known: the total needs their fills."""
    before = chains.filled_before(body)
    if before is None or body.qty is None:
        return ()
    return (
        _report(
            ExecType.REPLACED,
            body,
            chains,
            at_ns=at_ns,
            qty=add(before, body.qty),
            px=body.limit_price,
            replace_no=link(body.client_order_id).replace_no or None,
        ),
    )


def _report(
    exec_type: ExecType,
    body: OrderBody,
    chains: Chains,
    *,
    at_ns: int | None = None,
    execution: Execution | None = None,
    qty: Decimal | None = None,
    px: Decimal | None = None,
    replace_no: int | None = None,
    reason: str = "",
) -> Report:
    before = chains.filled_before(body)
    return Report(
        exec_type=exec_type,
        symbol=body.symbol or "",
        venue_cl_ord_id=chains.root(body),
        venue_order_id=body.id,
        execution=execution,
        qty=qty,
        px=px,
        replace_no=replace_no,
        cum_qty=None if before is None else add(before, body.filled),
        reason=reason,
        venue_at_ns=at_ns or time_ns(body.updated_at),
    )
