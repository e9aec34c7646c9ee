"""
What Alpaca says, as records: the fields that matter here, and no judgement yet.

Rule 1: fields this file does not name pass by unread, words it does not know stay as they came: a
        venue may add both at any time.
Rule 2: a number is exact, whether it came as a JSON string or a JSON number, and goes through
        `money.parse_decimal` like any other.
Rule 3: what cannot be read raises `Unreadable`; half a body is no body.

Source: docs.alpaca.markets, "Orders", "Websocket Streaming", "Account Activities", "Assets".
"""

from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import fields, force_setattr

from brokerd.money import ZERO, parse_decimal
from brokerd.terms import Quote
from brokerd.times import parse_rfc3339
from brokerd_adapters.kit.decoders import decoder

BODY_BYTES_MAX = 32 * 1024 * 1024
"""All active US equities are about 6 MB."""


class Unreadable(ValueError):
    """A body that is not what Alpaca documents."""


class _Body(Struct, frozen=True):
    """What Alpaca sends: every number in it is finite, bounded and plain."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Decimal):
                force_setattr(self, each.name, _plain(each.name, value))


class OrderBody(_Body, frozen=True, kw_only=True):
    """
    An order entity. `qty` is None for an order by amount, `symbol` for one with several legs.

    A replaced order is a new entity: `replaces` and `replaced_by` are ids, and `filled_qty` counts
    this entity's executions only.
    """

    id: str
    client_order_id: str
    status: str
    symbol: str | None = None
    side: str | None = None
    type: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    qty: Decimal | None = None
    filled_qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    submitted_at: str | None = None
    updated_at: str | None = None

    @property
    def filled(self) -> Decimal:
        """How much of this entity is filled."""
        return ZERO if self.filled_qty is None else self.filled_qty


class TradeUpdate(_Body, frozen=True, kw_only=True):
    """One message of `trade_updates`: what happened to `order`; `price` and `qty` of this fill."""

    event: str
    order: OrderBody
    execution_id: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    timestamp: str | None = None


class Activity(_Body, frozen=True, kw_only=True):
    """One fill of `/v2/account/activities/FILL`; `cum_qty` is the order's after it."""

    id: str
    order_id: str
    symbol: str
    price: Decimal
    qty: Decimal
    cum_qty: Decimal
    transaction_time: str | None = None
    activity_type: str = "FILL"


class Account(_Body, frozen=True, kw_only=True):
    """The account: what is in cash, and what of it is not tied up by open orders."""

    id: str
    cash: Decimal
    status: str = ""
    currency: str = "USD"
    non_marginable_buying_power: Decimal | None = None
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False


class Position(_Body, frozen=True, kw_only=True):
    """What the account holds of one asset; below 0 is short."""

    symbol: str
    qty: Decimal
    asset_class: str = ""
    qty_available: Decimal | None = None


class Asset(_Body, frozen=True, kw_only=True):
    """What may be traded, and in which steps; steps are told for crypto only."""

    symbol: str
    asset_class: str = field(name="class", default="us_equity")
    status: str = "active"
    tradable: bool = True
    fractionable: bool = False
    min_order_size: Decimal | None = None
    min_trade_increment: Decimal | None = None
    price_increment: Decimal | None = None


class Fault(_Body, frozen=True, kw_only=True):
    """The body of a refusal; gateways and 401 leave out the code."""

    code: int | str | None = None
    message: str | None = None


class Frame(Struct, frozen=True):
    """One frame of the stream, text or binary: the stream's name, and what it carries."""

    stream: str
    data: Raw = Raw(b"{}")


class StreamState(_Body, frozen=True, kw_only=True):
    """The answer to `authenticate` or `listen`."""

    status: str = ""
    action: str = ""
    streams: tuple[str, ...] = ()


class DataMessage(_Body, frozen=True, kw_only=True):
    """One message of a stream of quotes: `T` is q for a quote, success, subscription or error."""

    T: str
    S: str | None = None
    bp: Decimal | None = None
    ap: Decimal | None = None
    t: str | None = None
    msg: str | None = None


class DataQuote(_Body, frozen=True, kw_only=True):
    """A latest quote: best bid and ask, and when."""

    bp: Decimal
    ap: Decimal
    t: str | None = None


class LatestQuotes(Struct, frozen=True):
    """The latest quotes by symbol."""

    quotes: dict[str, DataQuote]


T = TypeVar("T")


def decode(body: bytes | Raw, kind: type[T]) -> T:
    """Read a body; raises Unreadable, without quoting what came."""
    try:
        return decoder(kind).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"no {kind.__name__}: {error}") from None


def decode_rows(body: bytes, kind: type[T]) -> tuple[list[T], int]:
    """
    Read a list row by row; return the rows, and how many could not be read.

    Orders of other origin may have shapes that ours never have. Raises Unreadable if the body is
    no list.
    """
    rows: list[T] = []
    unread = 0
    for row in decode(body, list[Raw]):
        try:
            rows.append(decode(row, kind))
        except Unreadable:
            unread += 1
    return rows, unread


def decode_fault(body: bytes) -> tuple[str | None, str]:
    """Return a refusal's code and message; None and nothing where the body is not Alpaca's."""
    try:
        fault = decode(body, Fault)
    except Unreadable:
        return None, ""
    return None if fault.code is None else str(fault.code), fault.message or ""


def quote_of(bid_px: Decimal | None, ask_px: Decimal | None, at: str | None) -> Quote | None:
    """Return a quote; None for one that has only one side, as a stock has at night."""
    at_ns = time_ns(at)
    if not bid_px or not ask_px or at_ns is None:
        return None
    return Quote(bid_px, ask_px, at_ns)


def time_ns(text: str | None) -> int | None:
    """Return a time as nanoseconds since 1970; None where there is none, or none that is one."""
    try:
        return parse_rfc3339(text) if text else None
    except ValueError:
        return None


def _plain(name: str, value: Decimal) -> Decimal:
    try:
        return parse_decimal(str(value))
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
