"""
What Binance Spot sends: the shapes of its replies, events and errors, and how they are read.

Rule 1: a field nobody needs may be missing, a field nobody knows is passed over, an enumeration is
        text until `orders` looks at it: the venue adds to all three without a new version.
Rule 2: a number may come as JSON text or as a JSON number, and is exact either way.
Rule 3: without what names an order (symbol, orderId) a message is unreadable, and says so: that is
        ValueError or msgspec's DecodeError, and means doubt.

Sources: rest-api.md, web-socket-api.md, user-data-stream.md, errors.md of binance-spot-api-docs.
"""

from decimal import Decimal
from typing import TypeVar

from msgspec import Raw, Struct, field

from brokerd.money import ZERO, parse_decimal
from brokerd_adapters.kit.decoders import decoder

T = TypeVar("T")

MS_NS = 1_000_000
NO_RAW = Raw()


def exact(value: Decimal) -> Decimal:
    """Hold a number to the house's rules: finite, in bounds, no trailing zeros; else ValueError."""
    return parse_decimal(str(value))


class FillShape(Struct, frozen=True, rename="camel"):
    """One element of `fills` in a FULL order reply."""

    price: Decimal
    qty: Decimal
    trade_id: int
    commission: Decimal = ZERO
    commission_asset: str | None = None


class OrderShape(Struct, frozen=True, rename="camel"):
    """
    An order in any reply: placed (ACK, RESULT, FULL), canceled, queried or listed.

    `orig_client_order_id` is the id it had before a cancel or amend gave it another.
    """

    symbol: str
    order_id: int
    client_order_id: str = ""
    orig_client_order_id: str = ""
    price: Decimal = ZERO
    orig_qty: Decimal = ZERO
    executed_qty: Decimal = ZERO
    prevented_quantity: Decimal = ZERO
    status: str = ""
    type: str = ""
    side: str = ""
    time: int = 0
    update_time: int = 0
    transact_time: int = 0
    expiry_reason: str = ""
    fills: tuple[FillShape, ...] = ()


class AmendedOrderShape(Struct, frozen=True, rename="camel"):
    """`amendedOrder` in the reply to order.amend.keepPriority; its field names are its own."""

    symbol: str
    order_id: int
    qty: Decimal
    client_order_id: str = ""
    orig_client_order_id: str = ""
    price: Decimal = ZERO
    executed_qty: Decimal = ZERO
    prevented_qty: Decimal = ZERO
    status: str = ""


class AmendReply(Struct, frozen=True, rename="camel"):
    """The reply to order.amend.keepPriority."""

    amended_order: AmendedOrderShape
    transact_time: int = 0


class CancelReplaceReply(Struct, frozen=True, rename="camel"):
    """
    The two halves of order.cancelReplace, also under `data` of the errors -2021 and -2022.

    A result is SUCCESS, FAILURE or NOT_ATTEMPTED; a response is an order, an error or null.
    """

    cancel_result: str
    new_order_result: str
    cancel_response: Raw = Raw(b"null")
    new_order_response: Raw = Raw(b"null")


class TradeShape(Struct, frozen=True, rename="camel"):
    """One element of myTrades. It names its order by the venue's id alone."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    time: int
    commission: Decimal = ZERO
    commission_asset: str | None = None
    is_maker: bool = False


class BalanceShape(Struct, frozen=True):
    """One element of `balances` of the account."""

    asset: str
    free: Decimal = ZERO
    locked: Decimal = ZERO


class AccountReply(Struct, frozen=True):
    """The account: of all it says, the balances."""

    balances: tuple[BalanceShape, ...] = ()


class TimeReply(Struct, frozen=True, rename="camel"):
    """The venue's clock, in ms."""

    server_time: int


class RateLimit(Struct, frozen=True, rename="camel"):
    """One of `rateLimits`; `count` is there in replies, not in exchangeInfo."""

    rate_limit_type: str = ""
    interval: str = ""
    interval_num: int = 1
    limit: int = 0
    count: int | None = None


class FilterShape(Struct, frozen=True, rename="camel"):
    """A symbol's filter; which fields are there depends on `filter_type` (filters.md)."""

    filter_type: str = ""
    min_price: Decimal = ZERO
    max_price: Decimal = ZERO
    tick_size: Decimal = ZERO
    min_qty: Decimal = ZERO
    max_qty: Decimal = ZERO
    step_size: Decimal = ZERO
    min_notional: Decimal = ZERO
    max_notional: Decimal = ZERO
    apply_to_market: bool = False
    apply_min_to_market: bool = False
    apply_max_to_market: bool = False
    multiplier_up: Decimal = ZERO
    multiplier_down: Decimal = ZERO
    bid_multiplier_up: Decimal = ZERO
    bid_multiplier_down: Decimal = ZERO
    ask_multiplier_up: Decimal = ZERO
    ask_multiplier_down: Decimal = ZERO


class SymbolShape(Struct, frozen=True, rename="camel"):
    """One element of `symbols` of exchangeInfo."""

    symbol: str
    base_asset: str = ""
    quote_asset: str = ""
    status: str = ""
    order_types: tuple[str, ...] = ()
    cancel_replace_allowed: bool = True
    amend_allowed: bool = False
    filters: tuple[FilterShape, ...] = ()


class ExchangeInfo(Struct, frozen=True, rename="camel"):
    """exchangeInfo: the rules of the symbols, and the limits of requests."""

    symbols: tuple[SymbolShape, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()


class ErrorShape(Struct, frozen=True):
    """An error: the body of a REST reply, or `error` of a WebSocket one."""

    code: int
    msg: str = ""
    data: Raw = Raw(b"null")


class Envelope(Struct, frozen=True, rename="camel"):
    """
    One frame of the WebSocket API: a reply, or an event.

    A reply has an id, but for what concerns the connection as a whole, where it is null.
    """

    id: int | str | None = None
    status: int | None = None
    result: Raw = Raw(b"null")
    error: ErrorShape | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    event: Raw = NO_RAW

    @property
    def is_event(self) -> bool:
        """Whether it is about the account or the connection, and not a reply."""
        return bool(bytes(self.event))


class RetryShape(Struct, frozen=True, rename="camel"):
    """`data` of the WebSocket errors 429 and 418: both in ms since 1970."""

    retry_after: int = 0
    server_time: int = 0


class ExecutionReport(Struct, frozen=True):
    """The event `executionReport` (user-data-stream.md); its one-letter names are the venue's."""

    symbol: str = field(name="s")
    order_id: int = field(name="i")
    client_order_id: str = field(name="c", default="")
    orig_client_order_id: str | None = field(name="C", default=None)
    exec_type: str = field(name="x", default="")
    ord_status: str = field(name="X", default="")
    qty: Decimal = field(name="q", default=ZERO)
    px: Decimal = field(name="p", default=ZERO)
    last_qty: Decimal = field(name="l", default=ZERO)
    last_px: Decimal = field(name="L", default=ZERO)
    cum_qty: Decimal = field(name="z", default=ZERO)
    fee: Decimal = field(name="n", default=ZERO)
    fee_asset: str | None = field(name="N", default=None)
    trade_id: int = field(name="t", default=-1)
    is_maker: bool = field(name="m", default=False)
    transacted_ms: int = field(name="T", default=0)
    reject_reason: str = field(name="r", default="")
    expiry_reason: str = field(name="eR", default="")
    prevented_qty: Decimal = field(name="A", default=ZERO)


class EventKind(Struct, frozen=True):
    """What an event is called."""

    e: str = ""


class BookTicker(Struct, frozen=True):
    """The stream `<symbol>@bookTicker`: the best bid and ask whenever they change."""

    symbol: str = field(name="s")
    bid_px: Decimal = field(name="b")
    bid_qty: Decimal = field(name="B")
    ask_px: Decimal = field(name="a")
    ask_qty: Decimal = field(name="A")


class TickerShape(Struct, frozen=True, rename="camel"):
    """One element of ticker/bookTicker: the same, when asked for."""

    symbol: str
    bid_price: Decimal
    bid_qty: Decimal
    ask_price: Decimal
    ask_qty: Decimal


class MarketTrade(Struct, frozen=True):
    """The stream `<symbol>@trade`."""

    symbol: str = field(name="s")
    trade_id: int = field(name="t")
    px: Decimal = field(name="p")
    qty: Decimal = field(name="q")
    buyer_is_maker: bool = field(name="m", default=False)


class StreamFrame(Struct, frozen=True):
    """
    A frame of the market streams: combined ({"stream", "data"}), or the answer to a SUBSCRIBE.

    An event of the connection itself (serverShutdown) has no stream.
    """

    stream: str = ""
    data: Raw = Raw(b"null")
    id: int | str | None = None
    error: ErrorShape | None = None
    event: Raw = NO_RAW
    e: str = ""

    @property
    def is_about_connection(self) -> bool:
        """Whether it is the connection that speaks."""
        return bool(bytes(self.event) or self.e)


def read(kind: type[T], body: bytes | Raw) -> T:
    """Read a body as `kind`; raises ValueError, of which msgspec's errors are kinds."""
    try:
        return decoder(kind, strict=False).decode(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_list(kind: type[T], body: bytes | Raw) -> list[T]:
    """Read a body as a list of `kind`; raises ValueError."""
    return read(list[kind], body)  # type: ignore[valid-type]


def book_tickers(body: bytes | Raw) -> list[BookTicker]:
    """Read a list of best bids and asks; raises ValueError."""
    return [
        BookTicker(each.symbol, each.bid_price, each.bid_qty, each.ask_price, each.ask_qty)
        for each in read_list(TickerShape, body)
    ]
