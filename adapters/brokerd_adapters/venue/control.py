"""
The control endpoint: the oracle's answers, and commands that no venue would take from a client.

    GET  /control/orders      {"orders": [..]}: every order ever accepted, forgotten ones too
    GET  /control/requests    {"requests": [..], "by_client_order_id": {..}}: the wire log
    GET  /control/faults      the plan that rules, or null
    POST /control/faults      a `WireFaults` plan; null or an empty body ends all misbehaviour
    POST /control/market      {"quotes": [..], "trades": [..]}: move the market, quotes first
    POST /control/clock       {"skew_s": -2.5}: set the venue's clock that far ahead of ours
    POST /control/forget      lose all orders
    POST /control/down        {"down_s": 2}: break all connections, take none for a while
    POST /control/cut         break all WebSocket connections

Answers are JSON; what cannot be read is 400 with a sentence.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from brokerd.money import ZERO, parse_decimal
from brokerd_adapters.paper.markets import QuoteTick, Tick, TradeTick
from brokerd_adapters.venue.clock import SkewedClock
from brokerd_adapters.venue.exchange import Exchange
from brokerd_adapters.venue.faults import WireFaults
from brokerd_adapters.venue.gate import Gate, Powers
from brokerd_adapters.venue.orders import Order
from brokerd_adapters.venue.wire import Switchboard

_T = TypeVar("_T")

_UNTOLD = {"terms", "executor", "group", "decision_px"}
"""What an order of record has that no venue knows of."""
_encode = msgspec.json.Encoder(decimal_format="string").encode


class Controlled(Powers, Protocol):
    """What the endpoint has power over."""

    exchange: Exchange
    gate: Gate
    switchboard: Switchboard
    clock: SkewedClock

    def on_tick(self, tick: Tick) -> None:
        """Let the market move."""
        ...


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    """One move of the market, in numbers that are above 0 and plain."""

    def __post_init__(self) -> None:
        """Raise ValueError for a number that is none."""
        for name, value in msgspec.structs.asdict(self).items():
            if isinstance(value, Decimal) and parse_decimal(str(value)) <= ZERO:
                raise ValueError(f"{name} is above 0")


class QuoteMove(Move, frozen=True):
    """The market's new best prices and what they are good for."""

    symbol: str
    bid_px: Decimal
    bid_qty: Decimal
    ask_px: Decimal
    ask_qty: Decimal


class TradeMove(Move, frozen=True):
    """A trade of the market's; `buyer_is_maker` means that a seller took."""

    symbol: str
    px: Decimal
    qty: Decimal
    buyer_is_maker: bool


class Moves(Struct, frozen=True, forbid_unknown_fields=True):
    """What the market does next."""

    quotes: tuple[QuoteMove, ...] = ()
    trades: tuple[TradeMove, ...] = ()


class Skew(Struct, frozen=True, forbid_unknown_fields=True):
    """How far the venue's clock is ahead."""

    skew_s: Annotated[float, Meta(ge=-86_400, le=86_400)]


class Down(Struct, frozen=True, forbid_unknown_fields=True):
    """How long the venue is not there."""

    down_s: Annotated[float, Meta(ge=0, le=3_600)] = 1.0


class Control:
    """The routes of the endpoint."""

    def __init__(self, venue: Controlled) -> None:
        self._venue = venue
        self._trade_ids = 0

    def mount(self, app: web.Application) -> None:
        """Add the routes under /control."""
        gets: dict[str, Callable[[], Any]] = {
            "orders": self._orders,
            "requests": self._requests,
            "faults": lambda: self._venue.gate.plan,
        }
        posts: dict[str, Callable[[bytes], None]] = {
            "faults": self._misbehave,
            "market": self._move,
            "clock": self._skew,
            "forget": lambda _: self._venue.forget(),
            "down": lambda body: self._venue.go_down(_read(body, Down).down_s),
            "cut": lambda _: self._venue.switchboard.cut_all(),
        }
        for word, tell in gets.items():
            app.router.add_get(f"/control/{word}", _telling(tell))
        for word, do in posts.items():
            app.router.add_post(f"/control/{word}", _doing(do))

    def _orders(self) -> Any:
        return {"orders": [self._told(order) for order in self._venue.exchange.ever]}

    def _told(self, order: Order) -> dict[str, Any]:
        named = self._venue.gate.log.naming(order)
        # Quantity and price are those of the last replace.
        members = {**msgspec.structs.asdict(order.terms), **msgspec.structs.asdict(order)}
        told = {name: value for name, value in members.items() if name not in _UNTOLD}
        return {
            **told,
            "client_order_id": order.client_order_ids[0],
            "wire_requests": named.total(),
            "wire_requests_by_operation": named,
        }

    def _requests(self) -> Any:
        log = self._venue.gate.log
        return {"requests": list(log.latest()), "by_client_order_id": log.by_client()}

    def _misbehave(self, body: bytes) -> None:
        is_over = body in {b"", b"null"}
        self._venue.gate.misbehave(None if is_over else _read(body, WireFaults))

    def _move(self, body: bytes) -> None:
        moves = _read(body, Moves)
        known = self._venue.exchange.instruments
        for symbol in {move.symbol for move in moves.quotes} | {m.symbol for m in moves.trades}:
            if symbol not in known:
                raise web.HTTPBadRequest(text=f"there is no symbol {symbol}")
        for quote in moves.quotes:
            self._venue.on_tick(QuoteTick(0, **msgspec.structs.asdict(quote)))
        for trade in moves.trades:
            self._trade_ids += 1
            self._venue.on_tick(
                TradeTick(0, trade_id=self._trade_ids, **msgspec.structs.asdict(trade))
            )

    def _skew(self, body: bytes) -> None:
        self._venue.clock.skew_s = _read(body, Skew).skew_s


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _telling(tell: Callable[[], Any]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=_encode(tell()), content_type="application/json")

    return handle


def _doing(do: Callable[[bytes], None]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        do(await request.read())
        return web.Response(body=b"{}", content_type="application/json")

    return handle


def _read(body: bytes, shape: type[_T]) -> _T:
    """Read a command's body; raises HTTPBadRequest that says what is wrong."""
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=str(error)) from None
