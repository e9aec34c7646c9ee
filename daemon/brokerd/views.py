"""
Orders, fills and events as bots see them: times as RFC 3339 text, enumerations as words.

Pure. The Structs are the shapes of the answers, and the schema that `rpc.discover` publishes.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from brokerd.events import Entry, RequestKind, event_name
from brokerd.history.read import Fill
from brokerd.money import digits
from brokerd.orders import Order
from brokerd.states import OrdStatus, Status
from brokerd.terms import OrdType, Quote, Side, TimeInForce
from brokerd.times import rfc3339

Digits = Annotated[
    str, Meta(description="A decimal in plain digits.", extra_json_schema={"format": "decimal"})
]
"""A decimal as bots get it: a string, never with an exponent."""


class ShownQuote(Struct, frozen=True):
    """The best bid and ask at a moment."""

    bid_px: Digits
    ask_px: Digits
    at: str


class ShownOrder(Struct, frozen=True):
    """
    One order, whole.

    `qty` and `px` are what is in force now, replaces included; `fees` is by asset; `request` is
    what is outstanding at the venue, and `in_doubt` says that nobody knows whether it happened, or
    whether the replace did that a cancel was sent over.
    `origin` is external for an order at the venue that was not sent by the daemon; `disputed` says
    that the venue contradicted itself about the order, or us, and `dispute` how: that it filled more
    than was asked for, that it shows open what it had called canceled, ...
    """

    cl_ord_id: str
    executor: str
    executor_id: str | None
    venue_order_id: str | None
    symbol: str
    side: Side
    ord_type: OrdType
    qty: Digits
    px: Digits | None
    stop_px: Digits | None
    time_in_force: TimeInForce
    expire_at: str | None
    post_only: bool
    group: dict[str, str]
    decision_px: Digits | None
    status: Status
    ord_status: OrdStatus
    origin: Literal["bot", "external"]
    in_doubt: bool
    disputed: bool
    dispute: str | None
    request: RequestKind | None
    cum_qty: Digits
    leaves_qty: Digits
    avg_px: Digits | None
    fees: dict[str, Digits]
    reason: str | None
    created_at: str
    sent_at: str | None
    acked_at: str | None
    first_fill_at: str | None
    closed_at: str | None
    updated_at: str
    arrival: ShownQuote | None
    seq: int


def show_order(order: Order) -> ShownOrder:
    """Return an order as bots see it."""
    terms, request = order.terms, order.request
    return ShownOrder(
        cl_ord_id=order.cl_ord_id,
        executor=terms.executor,
        executor_id=order.executor_id,
        venue_order_id=order.venue_order_id,
        symbol=terms.symbol,
        side=terms.side,
        ord_type=terms.ord_type,
        qty=digits(order.qty),
        px=_digits(order.px),
        stop_px=_digits(terms.stop_px),
        time_in_force=terms.time_in_force,
        expire_at=_time(terms.expire_at_ns),
        post_only=terms.post_only,
        group=terms.group,
        decision_px=_digits(terms.decision_px),
        status=order.status,
        ord_status=order.shown_status,
        origin="external" if order.is_external else "bot",
        in_doubt=order.in_doubt,
        disputed=order.disputed,
        dispute=order.dispute or None,
        request=request.kind if request else None,
        cum_qty=digits(order.cum_qty),
        leaves_qty=digits(order.leaves_qty),
        avg_px=_digits(order.avg_px),
        fees={asset: digits(fee) for asset, fee in order.fees.items()},
        reason=order.reason or None,
        created_at=rfc3339(order.created_at_ns),
        sent_at=_time(order.sent_at_ns),
        acked_at=_time(order.acked_at_ns),
        first_fill_at=_time(order.first_fill_at_ns),
        closed_at=_time(order.closed_at_ns),
        updated_at=rfc3339(order.updated_at_ns),
        arrival=_quote(order.arrival),
        seq=order.seq,
    )


class ShownFill(Struct, frozen=True):
    """One execution; `seq` is its journal row. A fee below 0 is a rebate."""

    seq: int
    at: str
    cl_ord_id: str
    executor: str
    symbol: str
    side: Side
    exec_id: str
    last_qty: Digits
    last_px: Digits
    fee: Digits
    fee_asset: str
    liquidity: str
    venue_at: str | None


def show_fill(fill: Fill) -> ShownFill:
    """Return an execution as bots see it."""
    event = fill.event
    return ShownFill(
        seq=fill.seq,
        at=rfc3339(event.at_ns),
        cl_ord_id=event.cl_ord_id,
        executor=fill.executor,
        symbol=fill.symbol,
        side=fill.side,
        exec_id=event.exec_id,
        last_qty=digits(event.last_qty),
        last_px=digits(event.last_px),
        fee=digits(event.fee),
        fee_asset=event.fee_asset,
        liquidity=event.liquidity,
        venue_at=_time(event.venue_at_ns),
    )


def show_entry(seq: int, entry: Entry) -> dict[str, Any]:
    """
    Return a journalled event as a notification's params.

    `seq`, `event`, `at`, the event's own members (a submit's terms laid flat), and for an order
    what it was afterwards: `ord_status`, `cum_qty`, `leaves_qty`, and `avg_px`, `request`,
    `in_doubt` where they apply. A filled quantity that the venue claims is `venue_cum_qty`.
    """
    shown = {"seq": seq, "event": event_name(entry.event), **_members(entry.event)}
    if "cum_qty" in shown:
        # What a venue claims to have filled must not hide behind what we have counted.
        shown["venue_cum_qty"] = shown.pop("cum_qty")
    if entry.after is not None:
        shown.update(_members(entry.after))
    return shown


def _members(record: Struct) -> dict[str, Any]:
    """Lay a record flat: `x_ns` becomes `x` as text, terms are merged, empty members left out."""
    members: dict[str, Any] = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if value is None or value == "":
            continue
        if name == "terms":
            members.update(_members(value))
        elif name.endswith("_ns"):
            members[name.removesuffix("_ns")] = rfc3339(value)
        elif isinstance(value, Quote):
            members[name] = _quote(value)
        elif isinstance(value, Decimal):
            members[name] = digits(value)
        else:
            members[name] = value
    return members


def _time(at_ns: int | None) -> str | None:
    return rfc3339(at_ns) if at_ns is not None else None


def _digits(value: Decimal | None) -> str | None:
    return digits(value) if value is not None else None


def _quote(quote: Quote | None) -> ShownQuote | None:
    if quote is None:
        return None
    return ShownQuote(digits(quote.bid_px), digits(quote.ask_px), rfc3339(quote.at_ns))
