"""
LiveMarket: Binance Spot's public quotes and trades as a market for the paper venue. No key is needed.

A connection that breaks breaks the executor's link: orders are refused until the market is in sight
again, for no price from before a gap may fill one.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Self

from brokerd.errors import VenueUnavailable
from brokerd.executor import Clock
from brokerd.terms import Instrument
from brokerd_adapters.binance.feed import Told, open_socket, subscribe, told
from brokerd_adapters.binance.limits import Meters
from brokerd_adapters.binance.questions import Questions
from brokerd_adapters.binance.rest import RestRoad
from brokerd_adapters.binance.roads import Roads
from brokerd_adapters.binance.shapes import BookTicker, exact
from brokerd_adapters.binance.symbols import symbols
from brokerd_adapters.kit import ClockOffset, Http, shared_budget
from brokerd_adapters.paper.config import PaperConfig
from brokerd_adapters.paper.markets import LISTINGS, QuoteTick, Tick, TradeTick

_STREAMS = ("bookTicker", "trade")
_CLOCK_ERROR_S = 1.0


class LiveMarket:
    """One market, as an async context manager. `load` comes before everything else."""

    def __init__(self, name: str, config: PaperConfig, clock: Clock) -> None:
        self.instruments: Mapping[str, Instrument] = {}
        self._name = name
        self._symbols = config.symbols or tuple(LISTINGS)
        self._stream_url = config.stream_url
        self._http = Http(config.rest_url)
        self._budget = shared_budget(config.rest_url, clock)
        self._meters = Meters("public")
        offset = ClockOffset(clock, error_s_max=_CLOCK_ERROR_S)
        rest = RestRoad(self._http, None, self._meters)
        roads = Roads(rest, self._budget, self._meters, offset, clock)
        self._questions = Questions(roads, offset, clock, settle_s=0.0)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__()

    async def load(self) -> None:
        """Ask for the rules of the symbols; raises VenueUnavailable or OutcomeUnknown."""
        info = await self._questions.rules(self._symbols)
        known, _ = symbols(info)
        missing = [symbol for symbol in self._symbols if symbol not in known]
        if missing:
            told_of = ", ".join(missing)
            raise VenueUnavailable(f"the market has no rules for {told_of}", reason="no_rules")
        self._budget.configure(self._meters.windows(info.rate_limits))
        self.instruments = {symbol: known[symbol].instrument for symbol in self._symbols}

    async def ticks(self) -> AsyncGenerator[Tick, None]:
        """
        Yield each quote and trade as it comes, of every symbol first what it is quoted at now.

        Raises VenueUnavailable or OutcomeUnknown as soon as one might have been missed.
        """
        try:
            async with open_socket(f"{self._name}-market", self._stream_url) as socket:
                await subscribe(socket, 1, self._symbols, _STREAMS)
                for ticker in await self._questions.book_tickers(self._symbols):
                    if ticker.symbol in self.instruments:
                        yield _tick(ticker)
                async for frame in socket.events:
                    news = told(frame)
                    if news is not None and news.symbol in self.instruments:
                        yield _tick(news)
        except ValueError as error:
            raise VenueUnavailable(f"an event cannot be read: {error}") from None


def _tick(news: Told) -> Tick:
    """Read what the market tells. Live ticks are due when they come: their time is not used."""
    if isinstance(news, BookTicker):
        return QuoteTick(
            0,
            news.symbol,
            exact(news.bid_px),
            exact(news.bid_qty),
            exact(news.ask_px),
            exact(news.ask_qty),
        )
    return TradeTick(
        0, news.symbol, news.trade_id, exact(news.px), exact(news.qty), news.buyer_is_maker
    )
