"""A trade as a bot holds it, and what the daemon's events say of it."""

import os
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec
from msgspec import Struct

from brokerd.errors import InvalidParams
from brokerd.money import ZERO, digits, parse_decimal

TERMS = (
    "cl_ord_id",
    "executor",
    "symbol",
    "side",
    "ord_type",
    "qty",
    "px",
    "stop_px",
    "decision_px",
    "time_in_force",
    "expire_at",
    "post_only",
    "group",
)
"""What a submit says of a trade."""

Number = Decimal | str | int
"""A decimal as a bot may give it."""


class Quote(Struct, frozen=True):
    """The best bid and ask when the daemon received the order."""

    bid_px: Decimal
    ask_px: Decimal
    at: str


class Order(Struct, kw_only=True, frozen=True):
    """An order as the daemon shows it; what a newer daemon says besides is passed over."""

    cl_ord_id: str
    executor: str
    executor_id: str | None
    venue_order_id: str | None
    symbol: str
    side: str
    ord_type: str
    qty: Decimal
    px: Decimal | None
    stop_px: Decimal | None
    time_in_force: str
    expire_at: str | None = None
    post_only: bool
    group: dict[str, str]
    decision_px: Decimal | None = None
    status: str
    ord_status: str
    origin: str = "bot"
    in_doubt: bool
    disputed: bool = False
    dispute: str | None = None
    request: str | None = None
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal | None
    fees: dict[str, Decimal]
    reason: str | None
    created_at: str
    sent_at: str | None = None
    acked_at: str | None = None
    first_fill_at: str | None = None
    closed_at: str | None = None
    updated_at: str | None = None
    arrival: Quote | None = None
    seq: int


class Fill(Struct, kw_only=True, frozen=True):
    """One execution, as `fill.list` shows it; `seq` is its journal row. A fee below 0 is a rebate."""

    seq: int
    at: str
    cl_ord_id: str
    executor: str
    symbol: str
    side: str
    exec_id: str
    last_qty: Decimal
    last_px: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: str
    venue_at: str | None


class Trade:
    """
    One order, before and after it is submitted: its terms, then what became of it.

    Submitting, loading and checking fill in the rest; attributes are named and mean what they do
    in `order.get`. Times are RFC 3339 text. Numbers are Decimals, and may be given as text; a float
    is refused, because it is another number than it looks.
    """

    def __init__(
        self,
        *,
        symbol: str,
        side: str,
        ord_type: str,
        qty: Number,
        px: Number | None = None,
        stop_px: Number | None = None,
        time_in_force: str | None = None,
        expire_at: str | None = None,
        post_only: bool = False,
        group: dict[str, str] | None = None,
        decision_px: Number | None = None,
        cl_ord_id: str | None = None,
        executor: str | None = None,
    ) -> None:
        self.symbol = symbol
        self.side = side
        self.ord_type = ord_type
        self.qty = exact("qty", qty)
        self.px = exact("px", px) if px is not None else None
        self.stop_px = exact("stop_px", stop_px) if stop_px is not None else None
        self.decision_px = exact("decision_px", decision_px) if decision_px is not None else None
        self.time_in_force = time_in_force
        self.expire_at = expire_at
        self.post_only = post_only
        self.group = group_of("group", group or {})
        self.cl_ord_id = cl_ord_id
        self.executor = executor
        self.executor_id: str | None = None
        self.venue_order_id: str | None = None
        self.status: str | None = None
        self.ord_status: str | None = None
        self.origin = "bot"
        self.in_doubt = False
        self.disputed = False
        self.dispute: str | None = None
        self.request: str | None = None
        self.cum_qty = ZERO
        self.leaves_qty: Decimal | None = None
        self.avg_px: Decimal | None = None
        self.fees: dict[str, Decimal] = {}
        self.reason: str | None = None
        self.created_at: str | None = None
        self.sent_at: str | None = None
        self.acked_at: str | None = None
        self.first_fill_at: str | None = None
        self.closed_at: str | None = None
        self.updated_at: str | None = None
        self.arrival: Quote | None = None
        self.seq: int | None = None
        self._is_stamped = False

    def __repr__(self) -> str:
        px = f" @ {digits(self.px)}" if self.px is not None else ""
        terms = f"{self.side} {digits(self.qty)} {self.symbol}{px}"
        return f"<Trade {self.cl_ord_id or '-'} {terms}: {self.status or 'not submitted'}>"

    @property
    def is_trade(self) -> bool:
        """Whether the venue has it: without an `executor_id` there is nothing to check there."""
        return self.executor_id is not None

    def update(self, order: Order) -> None:
        """Take over all that the daemon says of this trade."""
        for name in Order.__struct_fields__:
            setattr(self, name, getattr(order, name))

    def stamp(self, group: dict[str, str], executor: str | None) -> None:
        """
        Take what a trade must have before it may be sent: an id of its own, group and executor.

        Done once: a trade that is submitted again is the same order, and says the same.
        """
        if not self._is_stamped:
            self._is_stamped = True
            self.cl_ord_id = self.cl_ord_id or f"py-{os.urandom(12).hex()}"
            self.group = {**group, **self.group}
            self.executor = self.executor or executor


def loaded(order: Order) -> Trade:
    """Return an order that the daemon has as a trade."""
    trade = Trade(symbol=order.symbol, side=order.side, ord_type=order.ord_type, qty=order.qty)
    trade.update(order)
    trade.stamp({}, None)
    return trade


def terms(trade: Trade) -> dict[str, Any]:
    """Return what a submit says of a trade; what is not set is left out."""
    told = {name: getattr(trade, name) for name in TERMS}
    return {name: _text(value) for name, value in told.items() if _is_set(value)}


class Event(Struct, frozen=True, kw_only=True):
    """
    One row of the journal as bots are told it; `seq` is where to go on after a restart.

    `data` has all its members, with numbers as text: docs/events.md lists them.
    """

    seq: int
    event: str
    at: str
    cl_ord_id: str | None = None
    data: dict[str, Any] = {}


def event_of(params: dict[str, Any]) -> Event:
    """Return a notification's params as an event."""
    return Event(
        seq=params["seq"],
        event=params["event"],
        at=params["at"],
        cl_ord_id=params.get("cl_ord_id"),
        data=params,
    )


def exact(name: str, value: object) -> Decimal:
    """Read a number as a bot gives it."""
    if isinstance(value, Decimal | str | int) and not isinstance(value, bool):
        try:
            return parse_decimal(str(value))
        except ValueError as error:
            raise InvalidParams(f"{name} {error}", reason="not_a_decimal", field=name) from None
    raise InvalidParams(
        f"{name} is a {type(value).__name__}",
        reason="not_a_decimal",
        field=name,
        hint=f'write it as text: {name}="{value}"',
    )


def group_of(field: str, group: object) -> dict[str, str]:
    """Read a group as a bot gives it: keys and values are text."""
    if not isinstance(group, Mapping):
        raise InvalidParams(
            f"{field} is a {type(group).__name__}", field=field, hint='as in {"strategy": "mm"}'
        )
    pairs = cast("Mapping[object, object]", group)
    for key, value in pairs.items():
        if not isinstance(value, str):
            raise InvalidParams(
                f"{field} key {key} is a {type(value).__name__}", field=f"{field}.{key}",
                hint="group values are text",
            )  # fmt: skip
    return {str(key): str(value) for key, value in pairs.items()}


def _is_set(value: Any) -> bool:
    """Say whether a term was given; a 0 was, and it is for the daemon to refuse it."""
    return value is not None and value is not False and value != {}


def _text(value: Any) -> Any:
    return digits(value) if isinstance(value, Decimal) else value


decode_order = msgspec.json.Decoder(Order).decode
