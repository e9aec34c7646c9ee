"""
The public market streams: best bids and asks, and trades, of the symbols that are in use.

No key is needed. A feed reconnects by itself for as long as it runs and says when it has lost sight
of the market: a quote from before a gap is not a quote.

Source: web-socket-streams.md of binance-spot-api-docs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import NoReturn

import msgspec
import structlog

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.retries import delay_s
from brokerd_adapters.binance.shapes import BookTicker, MarketTrade, StreamFrame, read
from brokerd_adapters.kit.ws import JsonSocket

SYMBOLS_MAX = 500
"""The venue takes 1,024 streams on a connection, of which a symbol needs up to two."""

SYMBOLS_PER_REQUEST = 50
REQUEST_PAUSE_S = 0.25
"""The venue takes 5 messages a second."""

REPLY_S = 10.0
HEALTHY_AFTER_S = 60.0

Told = BookTicker | MarketTrade

Ask = Callable[[tuple[str, ...]], Awaitable[list[BookTicker]]]
"""Asks for the best bids and asks of some symbols; raises VenueUnavailable or OutcomeUnknown."""

log = structlog.get_logger(__name__)


class MarketFeed:
    """
    Tells `on_told` what the streams say of each symbol in use, and `on_gap` when they end.

    A stream speaks when something changes. So that a quiet symbol has a quote as well, `ask` is
    asked once it is subscribed to.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        with_trades: bool,
        ask: Ask,
        on_told: Callable[[Told], None],
        on_gap: Callable[[str], None],
    ) -> None:
        self._name = name
        self._url = f"{url.rstrip('/')}/stream"
        self._kinds = ("bookTicker", "trade") if with_trades else ("bookTicker",)
        self._ask = ask
        self._on_told = on_told
        self._on_gap = on_gap
        self._symbols: dict[str, None] = {}
        self._subscribed: set[str] = set()
        self._quoted: set[str] = set()
        self._socket: JsonSocket[StreamFrame] | None = None
        self._news = asyncio.Event()
        self._numbers = count(1)

    def use(self, symbol: str) -> None:
        """Subscribe to a symbol soon; beyond SYMBOLS_MAX there are no more."""
        if symbol not in self._symbols and len(self._symbols) < SYMBOLS_MAX:
            self._symbols[symbol] = None
            self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_subscribed(), name=f"{self._name}-subscriptions")
            await self._keep_connected()

    async def _keep_connected(self) -> NoReturn:
        attempt = 0
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            why = await self._connection()
            self._on_gap(why)
            log.warning("market_feed_lost", executor=self._name, why=why)
            attempt = 0 if loop.time() - began_s >= HEALTHY_AFTER_S else attempt + 1
            await asyncio.sleep(delay_s(attempt))

    async def _connection(self) -> str:
        """Live through one connection; return why it ended."""
        socket: JsonSocket[StreamFrame] = JsonSocket(
            self._name, self._url, decode=_decode, reply_to=_reply_to
        )
        try:
            async with socket:
                self._socket = socket
                self._subscribed.clear()
                self._quoted.clear()
                self._news.set()
                async for frame in socket.events:
                    self._tell(frame)
        except (VenueUnavailable, OutcomeUnknown) as error:
            return str(error)
        except ValueError as error:
            return f"an event cannot be read: {error}"
        finally:
            self._socket = None
        return "the stream ended"

    async def _keep_subscribed(self) -> NoReturn:
        """Subscribe to what came into use; a request that fails is seen as the connection's end."""
        while True:
            await self._news.wait()
            self._news.clear()
            new = [each for each in self._symbols if each not in self._subscribed]
            for start in range(0, len(new), SYMBOLS_PER_REQUEST):
                await self._subscribe(new[start : start + SYMBOLS_PER_REQUEST])
                await asyncio.sleep(REQUEST_PAUSE_S)

    async def _subscribe(self, symbols: list[str]) -> None:
        socket = self._socket
        if socket is None:
            return
        streams = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in self._kinds]
        number = str(next(self._numbers))
        frame = {"method": "SUBSCRIBE", "params": streams, "id": int(number)}
        self._subscribed.update(symbols)
        try:
            reply = await socket.request(number, msgspec.json.encode(frame), deadline_s=REPLY_S)
        except (VenueUnavailable, OutcomeUnknown) as error:
            socket.events.cut(f"no answer to a subscription: {error}")
            return
        if reply.error is not None:
            socket.events.cut(f"a subscription was refused: {reply.error.code}")
            return
        await self._look(tuple(symbols))

    async def _look(self, symbols: tuple[str, ...]) -> None:
        """Ask for the quotes that the streams have not told yet."""
        try:
            tickers = await self._ask(symbols)
            for ticker in tickers:
                if ticker.symbol in symbols and ticker.symbol not in self._quoted:
                    self._on_told(ticker)
        except (VenueUnavailable, OutcomeUnknown, ValueError) as error:
            # The streams will tell, with the next change.
            log.info("quotes_not_asked", executor=self._name, why=str(error)[:200])

    def _tell(self, frame: StreamFrame) -> None:
        _, _, kind = frame.stream.partition("@")
        if kind == "bookTicker":
            ticker = read(BookTicker, frame.data)
            self._quoted.add(ticker.symbol)
            self._on_told(ticker)
        elif kind == "trade":
            self._on_told(read(MarketTrade, frame.data))
        elif frame.is_about_connection:
            # The connection itself speaks: it is about to be cut.
            raise VenueUnavailable("the venue is about to shut this server down")


def _decode(frame: bytes) -> StreamFrame:
    return read(StreamFrame, frame)


def _reply_to(frame: StreamFrame) -> str | None:
    return None if frame.id is None else str(frame.id)
