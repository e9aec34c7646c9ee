"""The latest best bid and ask of every symbol in use, and nothing from before a gap."""

import asyncio

from brokerd.executor import Clock
from brokerd.terms import Quote
from brokerd_adapters.binance.feed import Ask, QuoteFeed
from brokerd_adapters.binance.shapes import BookTicker, exact


class Quotes:
    """Quotes by symbol, stamped with the time they arrived: a bookTicker has none of its own."""

    def __init__(self, name: str, url: str, ask: Ask, clock: Clock) -> None:
        self._clock = clock
        self._quotes: dict[str, Quote] = {}
        self._came = asyncio.Event()
        self._feed = QuoteFeed(
            f"{name}-market",
            url,
            ask=ask,
            on_quote=self._on_quote,
            on_gap=self._on_gap,
        )

    def get(self, symbol: str) -> Quote | None:
        """Return the latest quote; a symbol that is asked about is in use from then on."""
        self._feed.use(symbol)
        return self._quotes.get(symbol)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._feed.run()

    async def first(self, symbols: tuple[str, ...], patience_s: float) -> None:
        """Wait until there is a quote of each symbol, or until patience has run out."""
        for symbol in symbols:
            self._feed.use(symbol)
        try:
            async with asyncio.timeout(patience_s):
                while not all(symbol in self._quotes for symbol in symbols):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return

    def _on_quote(self, told: BookTicker) -> None:
        """Keep a quote; a book without bids or asks, whose best is told as 0, has none."""
        quote = Quote(exact(told.bid_px), exact(told.ask_px), self._clock.now_ns())
        if quote.bid_px > 0 and quote.ask_px > 0:
            self._quotes[told.symbol] = quote
        else:
            self._quotes.pop(told.symbol, None)
        self._came.set()

    def _on_gap(self, _why: str) -> None:
        self._quotes.clear()
