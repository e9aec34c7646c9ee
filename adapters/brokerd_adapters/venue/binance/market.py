"""
The market as everybody sees it: quotes, prints, and the streams of both.

Only the market's own quotes and prints are shown: our orders do not move them. One listener a
connection and stream name; frames are made once a tick, however many listen.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from brokerd.executor import Clock
from brokerd.money import add, divide, floor_to
from brokerd.terms import Instrument
from brokerd_adapters.paper.markets import QuoteTick, Tick, TradeTick
from brokerd_adapters.venue.binance.words import number
from brokerd_adapters.venue.wire import Connection

TRADES_MAX = 1_000
_CENT = Decimal("0.00000001")
_encode = msgspec.json.Encoder().encode


class Print(NamedTuple):
    """One trade of the market's, and when it was."""

    at_ns: int
    tick: TradeTick


class Listener(NamedTuple):
    """One connection that hears a stream; `is_combined` wraps its frames in the stream's name."""

    connection: Connection
    is_combined: bool
    unit_ns: int


class Board:
    """What was seen of one symbol."""

    def __init__(self) -> None:
        self.quote: QuoteTick | None = None
        self.prints: deque[Print] = deque(maxlen=TRADES_MAX)
        self.first_px: Decimal | None = None
        self.update_id = 0

    def on_tick(self, tick: Tick, now_ns: int) -> None:
        """Take a quote or a print."""
        self.update_id += 1
        if isinstance(tick, QuoteTick):
            self.quote = tick
            return
        self.prints.append(Print(now_ns, tick))
        if self.first_px is None:
            self.first_px = tick.px


class Market:
    """The boards of all symbols, and who listens."""

    def __init__(self, instruments: dict[str, Instrument], clock: Clock) -> None:
        self.boards = {symbol: Board() for symbol in instruments}
        self._clock = clock
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)

    def last_px(self, symbol: str) -> Decimal | None:
        """Return the price of the last print, None before the first."""
        prints = self.boards[symbol].prints
        return prints[-1].tick.px if prints else None

    def average_px(self, symbol: str) -> Decimal | None:
        """Return the price that distances are measured from: the last print's, or the middle."""
        quote = self.boards[symbol].quote
        last_px = self.last_px(symbol)
        if last_px is not None or quote is None:
            return last_px
        return floor_to(divide(add(quote.bid_px, quote.ask_px), Decimal(2)), _CENT)

    def listen(self, stream: str, listener: Listener) -> None:
        """Let a connection hear a stream; names that no stream has are heard in silence."""
        self._listeners[stream].add(listener)

    def leave(self, stream: str, listener: Listener) -> None:
        """Let it hear no more."""
        self._listeners[stream].discard(listener)
        if not self._listeners[stream]:
            del self._listeners[stream]

    def on_tick(self, tick: Tick) -> None:
        """Show a tick, and tell whoever listens."""
        now_ns = self._clock.now_ns()
        board = self.boards[tick.symbol]
        board.on_tick(tick, now_ns)
        if not self._listeners:
            return
        symbol = tick.symbol.lower()
        if isinstance(tick, QuoteTick):
            self._tell(f"{symbol}@bookTicker", now_ns, partial(_book_ticker, tick, board.update_id))
            return
        self._tell(f"{symbol}@trade", now_ns, partial(_trade, tick))
        self._tell(f"{symbol}@aggTrade", now_ns, partial(_agg_trade, tick))

    def _tell(self, stream: str, now_ns: int, make: Callable[[int], dict[str, Any]]) -> None:
        for listener in tuple(self._listeners.get(stream, ())):
            body = make(now_ns // listener.unit_ns)
            told = {"stream": stream, "data": body} if listener.is_combined else body
            listener.connection.send(_encode(told))


def _book_ticker(tick: QuoteTick, update_id: int, _: int) -> dict[str, Any]:
    return {
        "u": update_id,
        "s": tick.symbol,
        "b": number(tick.bid_px),
        "B": number(tick.bid_qty),
        "a": number(tick.ask_px),
        "A": number(tick.ask_qty),
    }


def _trade(tick: TradeTick, at: int) -> dict[str, Any]:
    return {
        "e": "trade",
        "E": at,
        "s": tick.symbol,
        "t": tick.trade_id,
        "p": number(tick.px),
        "q": number(tick.qty),
        "T": at,
        "m": tick.buyer_is_maker,
        "M": True,
    }


def _agg_trade(tick: TradeTick, at: int) -> dict[str, Any]:
    return {
        "e": "aggTrade",
        "E": at,
        "s": tick.symbol,
        "a": tick.trade_id,
        "p": number(tick.px),
        "q": number(tick.qty),
        "f": tick.trade_id,
        "l": tick.trade_id,
        "T": at,
        "m": tick.buyer_is_maker,
        "M": True,
    }
