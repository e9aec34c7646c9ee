"""
Where the paper venue's market comes from: sources of quotes and trades.

A `Market` yields each tick when it is due. Sources in virtual time (`SyntheticMarket` here,
`ReplayMarket` in `replay`) are plain lazy iterators that know no clock; `Paced` plays one of them
to the event loop's time. `live` is a `Market` of its own and needs no pacing.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from heapq import merge
from typing import Protocol

from msgspec import Struct

from brokerd.money import divide, multiply, plain
from brokerd.terms import Instrument
from brokerd.times import NS_PER_S

_MS_NS = 1_000_000
_BURST_MAX = 100


class QuoteTick(Struct, frozen=True):
    """The market's best bid and ask; `at_ns` counts from the start of the source."""

    at_ns: int
    symbol: str
    bid_px: Decimal
    bid_qty: Decimal
    ask_px: Decimal
    ask_qty: Decimal


class TradeTick(Struct, frozen=True):
    """One trade of the market's; `buyer_is_maker` means that a seller took."""

    at_ns: int
    symbol: str
    trade_id: int
    px: Decimal
    qty: Decimal
    buyer_is_maker: bool


Tick = QuoteTick | TradeTick


class Market(Protocol):
    """A source of ticks in real time."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The rules of every symbol it shows."""
        ...

    def ticks(self) -> AsyncGenerator[Tick, None]:
        """Yield each tick when it is due; the first of every symbol's quotes as soon as it can."""
        ...


class VirtualMarket(Protocol):
    """A source of ticks in virtual time: the same ticks whoever asks, however fast."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The rules of every symbol it shows."""
        ...

    def ticks(self) -> Generator[Tick, None, None]:
        """Yield ticks lazily, in order of `at_ns`."""
        ...


class Paced:
    """A virtual market played in real time, `speed` times as fast."""

    def __init__(self, market: VirtualMarket, *, speed: float = 1.0) -> None:
        self.instruments = market.instruments
        self._market = market
        self._speed = speed

    async def ticks(self) -> AsyncGenerator[Tick, None]:
        """Yield each tick when it is due; when late, catch up without starving the loop."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        burst = 0
        with closing(self._market.ticks()) as ticks:
            for tick in ticks:
                delay_s = began_s + tick.at_ns / NS_PER_S / self._speed - loop.time()
                burst = 0 if delay_s > 0 else burst + 1
                if delay_s > 0 or burst % _BURST_MAX == 0:
                    await asyncio.sleep(max(delay_s, 0))
                yield tick


class Listing(Struct, frozen=True):
    """
    A symbol the paper venue knows: its rules, and where the synthetic market starts.

    The market's sizes are thousands of `size`, or of the lot: where fractions may be ordered the
    lot is far smaller than what anybody trades.
    """

    instrument: Instrument
    start_px: Decimal
    size: Decimal | None = None


LISTINGS: dict[str, Listing] = {
    "BTCUSDT": Listing(
        Instrument(
            "BTCUSDT",
            "BTC",
            "USDT",
            tick=Decimal("0.01"),
            lot=Decimal("0.00001"),
            qty_min=Decimal("0.00001"),
            notional_min=Decimal(5),
        ),
        Decimal(40_000),
    ),
    "ETHUSDT": Listing(
        Instrument(
            "ETHUSDT",
            "ETH",
            "USDT",
            tick=Decimal("0.01"),
            lot=Decimal("0.0001"),
            qty_min=Decimal("0.0001"),
            notional_min=Decimal(5),
        ),
        Decimal(2_000),
    ),
}


class SyntheticMarket:
    """
    A random walk for each symbol: about ten quotes and six trades a second, one basis point a second.

    The same seed gives the same ticks, each symbol's whatever the others are.
    """

    def __init__(self, listings: Mapping[str, Listing], *, seed: int) -> None:
        self.instruments = {symbol: listing.instrument for symbol, listing in listings.items()}
        self._listings = listings
        self._seed = seed

    def ticks(self) -> Generator[Tick, None, None]:
        """Yield ticks without end, beginning with a quote of each symbol at 0."""
        walks = (self._walk(listing) for listing in self._listings.values())
        yield from merge(*walks, key=lambda tick: tick.at_ns)

    def _walk(self, listing: Listing) -> Iterator[Tick]:
        instrument = listing.instrument
        chance = random.Random(f"{self._seed}/{instrument.symbol}")  # noqa: S311  a market, no key
        start = int(divide(listing.start_px, instrument.tick))
        step, mid, at_ns, trade_id = max(1, start // 20_000), start, 0, 0
        while True:
            quote = _quote(chance, listing, at_ns, mid, max(1, step // 20))
            yield quote
            if chance.random() < 0.6:
                trade_id += 1
                yield _trade(chance, listing, quote, trade_id)
            at_ns += chance.randint(50, 150) * _MS_NS
            # A pull of 1 in 2,000 keeps a walk of days near where it began.
            mid = max(10, mid + chance.randint(-step, step) + round((start - mid) / 2_000))


def _quote(chance: random.Random, listing: Listing, at_ns: int, mid: int, spread: int) -> QuoteTick:
    instrument, size = listing.instrument, listing.size or listing.instrument.lot
    half = chance.randint(1, 1 + spread)
    return QuoteTick(
        at_ns,
        instrument.symbol,
        _on_grid(mid - half, instrument.tick),
        _on_grid(chance.randint(5_000, 300_000), size),
        _on_grid(mid + half, instrument.tick),
        _on_grid(chance.randint(5_000, 300_000), size),
    )


def _trade(chance: random.Random, listing: Listing, quote: QuoteTick, trade_id: int) -> TradeTick:
    instrument, size = listing.instrument, listing.size or listing.instrument.lot
    buyer_is_maker = chance.random() < 0.5
    px = quote.bid_px if buyer_is_maker else quote.ask_px
    qty = _on_grid(chance.randint(10, 50_000), size)
    return TradeTick(quote.at_ns, instrument.symbol, trade_id, px, qty, buyer_is_maker)


def _on_grid(steps: int, step: Decimal) -> Decimal:
    return plain(multiply(Decimal(steps), step))
