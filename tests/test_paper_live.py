"""Live paper: our orders, at a venue in memory, against the market that a real venue shows."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.scripted import CLOCK, until

from brokerd.errors import VenueUnavailable
from brokerd.executor import Accepted, OrderRef, PlaceOrder
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side, Terms
from brokerd_adapters.paper import PaperConfig, PaperExecutor
from brokerd_adapters.paper.markets import QuoteTick, TradeTick
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults

D = Decimal


@pytest.fixture
async def venue() -> AsyncIterator[VenueServer]:
    async with VenueServer(VenueConfig(dialect="binance", market="none")) as venue:
        quote(venue)
        yield venue


def quote(venue: VenueServer, bid: str = "39990", ask: str = "40010", size: str = "1") -> None:
    venue.on_tick(QuoteTick(0, "BTCUSDT", D(bid), D(size), D(ask), D(size)))


@asynccontextmanager
async def paper(venue: VenueServer, home: Path, **changes: Any) -> AsyncGenerator[PaperExecutor]:
    settings = {
        "market": "live",
        "symbols": ("BTCUSDT",),
        "rest_url": venue.urls["rest"],
        "stream_url": venue.urls["streams"],
    }
    config = PaperConfig(**(settings | changes))
    executor = PaperExecutor("live", config, clock=CLOCK, state_dir=home, base_dir=home)
    try:
        yield executor
    finally:
        await executor.aclose()


def order(cl_ord_id: str, **changes: Any) -> PlaceOrder:
    known: dict[str, Any] = {
        "executor": "live",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty": D("0.01"),
        "px": D(39_000),
    }
    return PlaceOrder(venue_cl_ord_id=cl_ord_id, terms=Terms(**(known | changes)))


def bid(executor: PaperExecutor) -> Decimal | None:
    shown = executor.quote("BTCUSDT")
    return shown.bid_px if shown else None


async def test_the_market_and_its_rules_are_the_venues_and_the_orders_stay_here(
    venue: VenueServer, tmp_path: Path
) -> None:
    async with paper(venue, tmp_path) as executor:
        await executor.connect()
        instrument = executor.instruments()["BTCUSDT"]
        assert (instrument.tick, instrument.base) == (D("0.01"), "BTC")
        assert bid(executor) == D(39_990), "a quiet market is asked"
        outcome = await executor.place(order("takes", ord_type=OrdType.MARKET, px=None))
        assert isinstance(outcome, Accepted)
        (fill,) = [each.execution for each in outcome.reports if each.execution]
        assert fill.last_px == D(40_010)
        quote(venue, bid="39980", ask="40000")
        await until(lambda: bid(executor) == D(39_980), "the stream tells")
    assert venue.exchange.orders() is not None
    assert list(venue.exchange.orders()) == [], "nothing was ever sent to the venue"


async def test_a_trade_of_the_market_fills_what_rests(venue: VenueServer, tmp_path: Path) -> None:
    async with paper(venue, tmp_path) as executor:
        await executor.connect()
        async with executor.stream() as reports:
            await executor.place(order("rests"))
            venue.on_tick(TradeTick(0, "BTCUSDT", 1, D(38_999), D(1), buyer_is_maker=True))
            async for report in reports:
                if report.exec_type is ExecType.TRADE:
                    break
        view = await executor.query(OrderRef(symbol="BTCUSDT", venue_cl_ord_id="rests"))
        assert view is not None
        assert view.ord_status is OrdStatus.FILLED


async def test_a_market_out_of_sight_has_no_quote_and_breaks_the_link_until_it_is_back(
    venue: VenueServer, tmp_path: Path
) -> None:
    async with paper(venue, tmp_path) as executor:
        await executor.connect()
        await executor.place(order("rests"))
        async with executor.stream() as reports:
            venue.switchboard.cut_all()
            with pytest.raises(VenueUnavailable):
                await anext(reports)
        assert executor.quote("BTCUSDT") is None
        quote(venue, bid="39970", ask="39990")
        await executor.connect()
        assert bid(executor) == D(39_970)
        assert len((await executor.snapshot(0)).orders) == 1, "what rested still rests"


@pytest.mark.parametrize(
    "frame",
    [
        b"<html>",
        b'{"stream":"btcusdt@bookTicker","data":{"s":"BTCUSDT","b":"NaN","B":"1","a":"1","A":"1"}}',
        b'{"stream":"btcusdt@trade","data":{}}',
        b'{"event":{"e":"serverShutdown","E":1}}',
    ],
)
async def test_what_cannot_be_trusted_breaks_the_link(
    venue: VenueServer, tmp_path: Path, frame: bytes
) -> None:
    async with paper(venue, tmp_path) as executor:
        await executor.connect()
        async with executor.stream() as reports:
            for connection in venue.switchboard._connections:
                connection.send(frame)
            with pytest.raises(VenueUnavailable):
                await anext(reports)
        await executor.connect()


async def test_other_streams_and_symbols_pass_by(venue: VenueServer, tmp_path: Path) -> None:
    told = {"s": "ETHUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
    async with paper(venue, tmp_path) as executor:
        await executor.connect()
        for connection in venue.switchboard._connections:
            connection.send(b'{"stream":"btcusdt@kline_1m","data":{}}')
            frame = {"stream": "ethusdt@bookTicker", "data": told}
            connection.send(msgspec.json.encode(frame))
        quote(venue, bid="39980")
        await until(lambda: bid(executor) == D(39_980), "it goes on")
        assert executor.quote("ETHUSDT") is None


async def test_a_venue_without_an_answer_is_a_link_that_is_down(
    venue: VenueServer, tmp_path: Path
) -> None:
    async with paper(venue, tmp_path, symbols=("NOSUCH",)) as executor:
        with pytest.raises(VenueUnavailable):
            await executor.connect()
    venue.gate.misbehave(WireFaults(script=(Step(fault=WireFault.UNAVAILABLE, on="any"),)))
    async with paper(venue, tmp_path) as executor:
        with pytest.raises(VenueUnavailable):
            await executor.connect()
        await executor.connect()


def test_only_a_live_market_trades_symbols_that_are_not_listed_here() -> None:
    assert PaperConfig(market="live", symbols=("SOLUSDT",)).symbols == ("SOLUSDT",)
    with pytest.raises(ValueError, match="SOLUSDT is not one of"):
        PaperConfig(symbols=("SOLUSDT",))
