"""Quotes from the public streams: what is told, what is asked for, and what a gap takes away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
from tests.scripted import CLOCK, until

from brokerd.errors import VenueUnavailable
from brokerd_adapters.binance import feed
from brokerd_adapters.binance.quotes import Quotes
from brokerd_adapters.binance.shapes import BookTicker, StreamFrame, read
from brokerd_adapters.paper.markets import QuoteTick, TradeTick
from brokerd_adapters.venue import VenueConfig, VenueServer

D = Decimal


class Market:
    """What a question about the best prices is answered with; None is no answer."""

    def __init__(self) -> None:
        self.bid_px: Decimal | None = D(100)
        self.asked = 0

    async def ask(self, symbols: tuple[str, ...]) -> list[BookTicker]:
        self.asked += 1
        if self.bid_px is None:
            raise VenueUnavailable("no answer")
        return [BookTicker(each, self.bid_px, D(1), D(101), D(1)) for each in (*symbols, "OTHER")]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "delay_s", lambda _attempt: 0.01)
    monkeypatch.setattr(feed, "REQUEST_PAUSE_S", 0.0)


@asynccontextmanager
async def quotes(venue: VenueServer, market: Market) -> AsyncGenerator[Quotes]:
    made = Quotes("q", venue.urls["streams"], market.ask, CLOCK)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        yield made
        task.cancel()


@asynccontextmanager
async def still_market() -> AsyncGenerator[VenueServer]:
    async with VenueServer(VenueConfig(dialect="binance", market="none")) as venue:
        yield venue


def bid(made: Quotes, symbol: str = "BTCUSDT") -> Decimal | None:
    shown = made.get(symbol)
    return shown.bid_px if shown else None


async def test_a_quiet_symbol_is_asked_for_and_a_lively_one_is_told() -> None:
    async with still_market() as venue, quotes(venue, Market()) as made:
        await made.first(("BTCUSDT",), 10)
        assert bid(made) == D(100)
        assert made._quotes.keys() == {"BTCUSDT"}, "of what was not asked for nothing is kept"
        venue.on_tick(TradeTick(0, "BTCUSDT", 1, D(99), D(1), buyer_is_maker=True))
        venue.on_tick(QuoteTick(0, "BTCUSDT", D(90), D(1), D(91), D(1)))
        await until(lambda: bid(made) == D(90), "told")


async def test_a_book_with_one_side_has_no_quote() -> None:
    """Binance tells the best of an empty side as 0, which is no price to measure by."""
    market = Market()
    market.bid_px = D(0)
    async with still_market() as venue, quotes(venue, market) as made:
        made.get("BTCUSDT")
        await until(lambda: bool(market.asked), "asked")
        assert bid(made) is None
        await until(lambda: bool(made._feed._subscribed), "subscribed")
        made._on_quote(BookTicker("BTCUSDT", D(90), D(1), D(91), D(1)))
        assert bid(made) == D(90)
        made._on_quote(BookTicker("BTCUSDT", D(90), D(1), D(0), D(0)))
        assert bid(made) is None


async def test_a_symbol_that_nobody_asked_for_is_not_kept() -> None:
    async with still_market() as venue, quotes(venue, Market()) as made:
        await made.first(("BTCUSDT",), 10)
        for symbol in ("OTHER", "BTCUSDT"):
            ticker = {"s": symbol, "b": "90", "B": "1", "a": "91", "A": "1"}
            frame = {"stream": f"{symbol.lower()}@bookTicker", "data": ticker}
            made._feed._tell(read(StreamFrame, msgspec.json.encode(frame)))
        assert bid(made) == D(90)
        assert made._quotes.keys() == {"BTCUSDT"}


async def test_no_answer_leaves_it_to_the_streams() -> None:
    market = Market()
    market.bid_px = None
    async with still_market() as venue, quotes(venue, market) as made:
        await made.first(("BTCUSDT",), 0.0)
        await until(lambda: market.asked == 1, "it was asked")
        assert bid(made) is None
        venue.on_tick(QuoteTick(0, "BTCUSDT", D(90), D(1), D(91), D(1)))
        await until(lambda: bid(made) == D(90), "told")


async def test_a_price_that_makes_no_sense_ends_the_connection_and_a_new_one_goes_on() -> None:
    market = Market()
    async with still_market() as venue, quotes(venue, market) as made:
        await made.first(("BTCUSDT",), 10)
        market.bid_px = None
        for connection in venue.switchboard._connections:
            connection.send(b'{"stream":"btcusdt@bookTicker","data":{"s":"BTCUSDT"}}')
        await until(lambda: bid(made) is None, "gone")
        market.bid_px = D(80)
        await until(lambda: market.asked > 1, "subscribed again")
        venue.on_tick(QuoteTick(0, "BTCUSDT", D(90), D(1), D(91), D(1)))
        await until(lambda: bid(made) in {D(90), D(80)}, "back")


async def test_a_refused_subscription_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue's refusal names no request: whatever it was, something is not heard."""
    market = Market()
    async with still_market() as venue, quotes(venue, market) as made:
        await made.first(("BTCUSDT",), 10)
        with monkeypatch.context() as patch:
            patch.setattr("brokerd_adapters.venue.binance.streams.STREAMS_MAX", 0)
            made.get("ETHUSDT")
            await until(lambda: bid(made) is None, "gone")
        await until(lambda: bid(made, "ETHUSDT") == bid(made) == D(100), "subscribed again")


async def test_more_symbols_than_a_connection_takes_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "SYMBOLS_MAX", 1)
    async with still_market() as venue, quotes(venue, Market()) as made:
        await made.first(("BTCUSDT",), 10)
        assert bid(made, "ETHUSDT") is None
        assert made._feed._symbols.keys() == {"BTCUSDT"}
