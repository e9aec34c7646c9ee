"""
The public market streams: best bids and asks, and trades, of the symbols that are in use.

No key is needed. A feed reconnects by itself for as long as it runs and says when it has lost sight
of the market: a quote from before a gap is not a quote.

Source: web-socket-streams.md of binance-spot-api-docs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import NoReturn

import msgspec
import structlog

from brokerd.errors import OutcomeUnknown, VenueUnavailable
from brokerd.guard import heed_cancellation
from brokerd.retries import delay_s, failures
from brokerd_adapters.binance.shapes import BookTicker, MarketTrade, StreamFrame, read
from brokerd_adapters.kit.ws import JsonSocket

SYMBOLS_MAX = 500
"""The venue takes 1,024 streams on a connection, of which a symbol needs up to two."""

SYMBOLS_PER_REQUEST = 50
REQUEST_PAUSE_S = 0.25
"""The venue takes 5 messages a second."""

REPLY_S = 10.0

Told = BookTicker | MarketTrade

Ask = Callable[[tuple[str, ...]], Awaitable[list[BookTicker]]]
"""Asks for the best bids and asks of some symbols; raises VenueUnavailable or OutcomeUnknown."""

log = structlog.get_logger(__name__)


class QuoteFeed:
    """
    Tells `on_quote` the best bid and ask of each symbol in use, and `on_gap` when they end.

    A stream speaks when something changes. So that a quiet symbol has a quote as well, `ask` is
    asked once it is subscribed to.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        ask: Ask,
        on_quote: Callable[[BookTicker], None],
        on_gap: Callable[[str], None],
    ) -> None:
        self._name = name
        self._url = url
        self._ask = ask
        self._on_quote = on_quote
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
            await heed_cancellation()
            self._on_gap(why)
            log.warning("market_feed_lost", executor=self._name, why=why)
            attempt = failures(attempt, loop.time() - began_s)
            await asyncio.sleep(delay_s(attempt))

    async def _connection(self) -> str:
        """Live through one connection; return why it ended."""
        socket = open_socket(self._name, self._url)
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
        self._subscribed.update(symbols)
        try:
            await subscribe(socket, next(self._numbers), symbols, ("bookTicker",))
        except (VenueUnavailable, OutcomeUnknown) as error:
            socket.events.cut(f"a subscription failed: {error}")
            return
        await self._look(tuple(symbols))

    async def _look(self, symbols: tuple[str, ...]) -> None:
        """Ask for the quotes that the streams have not told yet."""
        try:
            tickers = await self._ask(symbols)
            for ticker in tickers:
                if ticker.symbol in symbols and ticker.symbol not in self._quoted:
                    self._on_quote(ticker)
        except (VenueUnavailable, OutcomeUnknown, ValueError) as error:
            # The streams will tell, with the next change.
            log.info("quotes_not_asked", executor=self._name, why=str(error)[:200])

    def _tell(self, frame: StreamFrame) -> None:
        news = told(frame)
        if isinstance(news, BookTicker) and news.symbol in self._symbols:
            self._quoted.add(news.symbol)
            self._on_quote(news)


def open_socket(name: str, url: str) -> JsonSocket[StreamFrame]:
    """Return a connection to the combined streams, not yet open."""
    address = f"{url.rstrip('/')}/stream"
    return JsonSocket(name, address, decode=_decode, reply_to=_reply_to)


async def subscribe(
    socket: JsonSocket[StreamFrame], number: int, symbols: Sequence[str], kinds: Sequence[str]
) -> None:
    """Subscribe to streams of these kinds; raises VenueUnavailable or OutcomeUnknown."""
    streams = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds]
    frame = msgspec.json.encode({"method": "SUBSCRIBE", "params": streams, "id": number})
    reply = await socket.request(str(number), frame, deadline_s=REPLY_S)
    if reply.error is not None:
        raise VenueUnavailable(f"the subscription was refused: {reply.error.code}")


def told(frame: StreamFrame) -> Told | None:
    """
    Read what a stream tells; None for what is of no interest.

    Raises ValueError, and VenueUnavailable where the connection itself says that it will end, or
    that something we asked of it was refused.
    """
    if frame.error is not None:
        raise VenueUnavailable(f"the venue refused a request: {frame.error.code}")
    _, _, kind = frame.stream.partition("@")
    if kind == "bookTicker":
        return read(BookTicker, frame.data)
    if kind == "trade":
        return read(MarketTrade, frame.data)
    if frame.is_about_connection:
        raise VenueUnavailable("the venue is about to shut this server down")
    return None


def _decode(frame: bytes) -> StreamFrame:
    return read(StreamFrame, frame)


def _reply_to(frame: StreamFrame) -> str | None:
    return None if frame.id is None else str(frame.id)
