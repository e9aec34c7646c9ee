"""Markets: the synthetic one repeats by its seed, a recording plays as it was, bad rows are named."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from tests.fixtures.paper.orders import order
from tests.fixtures.recording import QUOTES, TRADES

from brokerd.errors import ConfigError
from brokerd.executor import Report
from brokerd.money import is_multiple
from brokerd_adapters.paper import LISTINGS, Paced, PaperVenue, ReplayMarket, SyntheticMarket
from brokerd_adapters.paper.markets import QuoteTick, Tick, TradeTick

FIXTURES = Path(__file__).parent / "fixtures" / "paper"
BTC = LISTINGS["BTCUSDT"].instrument
S_NS = 1_000_000_000


def ticks_of(symbol: str, ticks: Iterable, count: int) -> list[Tick]:
    return [tick for tick in islice(ticks, count) if tick.symbol == symbol]


def replay(
    trades: Path = FIXTURES / "trades.csv",
    quotes: Path = FIXTURES / "quotes.csv",
    *,
    loop: bool = False,
) -> ReplayMarket:
    return ReplayMarket(BTC, trades=trades, quotes=quotes, loop=loop)


class TestSynthetic:
    def test_the_same_seed_gives_the_same_ticks_and_another_seed_others(self) -> None:
        first, again, other = (
            list(islice(SyntheticMarket(LISTINGS, seed=seed).ticks(), 500)) for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_a_symbol_walks_alike_whatever_the_others_are(self) -> None:
        alone = SyntheticMarket({"ETHUSDT": LISTINGS["ETHUSDT"]}, seed=1).ticks()
        among = ticks_of("ETHUSDT", SyntheticMarket(LISTINGS, seed=1).ticks(), 500)
        assert list(islice(alone, len(among))) == among

    def test_every_symbol_is_quoted_at_once_and_several_times_a_second(self) -> None:
        ticks = list(islice(SyntheticMarket(LISTINGS, seed=1).ticks(), 1_000))
        assert {t.symbol for t in ticks if t.at_ns == 0 and isinstance(t, QuoteTick)} == {
            "BTCUSDT",
            "ETHUSDT",
        }
        seconds = ticks[-1].at_ns / S_NS
        for kind in (QuoteTick, TradeTick):
            rate = sum(isinstance(t, kind) for t in ticks) / 2 / seconds
            assert 3 < rate < 20

    def test_ticks_are_in_order_on_the_grid_and_near_where_they_began(self) -> None:
        ticks = list(islice(SyntheticMarket(LISTINGS, seed=7).ticks(), 5_000))
        assert [t.at_ns for t in ticks] == sorted(t.at_ns for t in ticks)
        for tick in ticks:
            listing = LISTINGS[tick.symbol]
            px = tick.bid_px if isinstance(tick, QuoteTick) else tick.px
            assert is_multiple(px, listing.instrument.tick)
            assert abs(px - listing.start_px) < listing.start_px / 10
            if isinstance(tick, QuoteTick):
                assert 0 < tick.bid_px < tick.ask_px
                assert is_multiple(tick.ask_qty, listing.instrument.lot)


class TestReplay:
    def test_trades_and_quotes_are_merged_by_time_from_the_first_quote(self) -> None:
        ticks = list(replay().ticks())
        assert [(t.at_ns // 1_000_000, type(t).__name__) for t in ticks] == [
            (0, "QuoteTick"),
            (0, "TradeTick"),
            (40, "TradeTick"),
            (90, "QuoteTick"),
            (140, "TradeTick"),
            (190, "QuoteTick"),
            (240, "TradeTick"),
        ]
        assert [t.buyer_is_maker for t in ticks if isinstance(t, TradeTick)] == [
            True,
            False,
            True,
            False,
        ]

    def test_a_loop_begins_again_a_second_after_the_end(self) -> None:
        once = list(replay().ticks())
        twice = list(islice(replay(loop=True).ticks(), 14))
        assert twice[:7] == once
        lap_ns = once[-1].at_ns + S_NS
        assert [t.at_ns - lap_ns for t in twice[7:]] == [t.at_ns for t in once]

    @pytest.mark.parametrize(
        ("file", "text", "words"),
        [
            ("trades", "1000,1,abc,0.5,true", ["trades.csv, line 3", "px 'abc'", "number"]),
            ("trades", "1000,1,100,0,true", ["line 3", "qty '0' is not above 0"]),
            ("trades", "1000,1,100,NaN,true", ["line 3", "qty 'NaN'"]),
            ("trades", "1000,1,100,1,yes", ["line 3", "buyer_is_maker 'yes' is neither"]),
            ("trades", "1000,x,100,1,true", ["line 3", "trade_id 'x' is not a whole number"]),
            ("trades", "1000,1,100,1", ["line 3", "5 columns are needed"]),
            ("trades", "999,1,100,1,true", ["line 3", "ts_ms '999' is before the row above"]),
            ("trades", "1000,1,100,1,true" + "0" * 600, ["line 3", "buyer_is_maker"]),
            ("quotes", "1010,101,1,100,1", ["quotes.csv, line 3", "bid_px '101' is above ask_px"]),
            ("quotes", "1010,100,-1,101,1", ["line 3", "bid_qty '-1' is below 0"]),
        ],
    )
    def test_a_bad_row_is_named_by_file_line_and_column(
        self, tmp_path: Path, file: str, text: str, words: list[str]
    ) -> None:
        rows = {name: (FIXTURES / f"{name}.csv").read_text().splitlines() for name in
                ("trades", "quotes")}  # fmt: skip
        rows[file].insert(2, text)
        for name, lines in rows.items():
            (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
        with pytest.raises(ConfigError) as told:
            list(replay(tmp_path / "trades.csv", tmp_path / "quotes.csv").ticks())
        assert all(word in str(told.value) for word in words), str(told.value)

    def test_a_wrong_header_a_missing_and_an_empty_file_are_named(self, tmp_path: Path) -> None:
        swapped = replay(FIXTURES / "quotes.csv", FIXTURES / "trades.csv")
        with pytest.raises(ConfigError, match=r"trades\.csv, line 1: the header is not ts_ms,bid"):
            list(swapped.ticks())
        with pytest.raises(ConfigError, match=r"gone\.csv cannot be read"):
            list(replay(quotes=tmp_path / "gone.csv").ticks())
        empty = tmp_path / "empty.csv"
        empty.write_text("ts_ms,bid_px,bid_qty,ask_px,ask_qty\n")
        with pytest.raises(ConfigError, match="has no row"):
            list(replay(quotes=empty).ticks())

    def test_rows_are_read_as_they_are_needed(self, tmp_path: Path) -> None:
        trades = tmp_path / "trades.csv"
        good = "".join(f"{1100 + i},{i},100,1,true\n" for i in range(50))
        trades.write_text("ts_ms,trade_id,px,qty,buyer_is_maker\n" + good + "broken\n")
        ticks = replay(trades).ticks()
        assert len(list(islice(ticks, 40))) == 40
        with pytest.raises(ConfigError, match="line 52"):
            list(ticks)

    def test_the_real_recording_plays_whole_and_in_order(self) -> None:
        rows = sum(len(path.read_text().splitlines()) - 1 for path in (TRADES, QUOTES))
        ticks = list(replay(TRADES, QUOTES).ticks())
        assert len(ticks) == rows
        assert [t.at_ns for t in ticks] == sorted(t.at_ns for t in ticks)
        assert isinstance(ticks[0], QuoteTick)


class TestVenueOnAMarket:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_the_same_seed_and_commands_give_the_same_reports_to_the_last_byte(
        self, seed: int
    ) -> None:
        first, again = played(seed), played(seed)
        assert first == again
        assert any(report.execution is not None for report in first)

    def test_another_seed_gives_other_executions(self) -> None:
        assert played(1) != played(2)


def played(seed: int) -> list[Report]:
    listings = {"BTCUSDT": LISTINGS["BTCUSDT"]}
    venue = PaperVenue({"BTCUSDT": BTC}, {"USDT": Decimal(10_000_000), "BTC": Decimal(100)})
    told: list[Report] = []
    for number, tick in enumerate(islice(SyntheticMarket(listings, seed=seed).ticks(), 400)):
        if isinstance(tick, QuoteTick):
            quote = (tick.bid_px, tick.bid_qty, tick.ask_px, tick.ask_qty)
            told += venue.on_quote(tick.symbol, *quote, tick.at_ns)
            request = order("buy", "0.5", str(tick.bid_px), id=f"id-{number}")
            answer = venue.place(request, tick.at_ns)
            assert isinstance(answer, tuple)
            told += answer
        else:
            trade = (tick.trade_id, tick.px, tick.qty, tick.buyer_is_maker)
            told += venue.on_trade(tick.symbol, *trade, tick.at_ns)
    return told


class TestPaced:
    async def test_ticks_come_when_they_are_due_at_the_speed_asked_for(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        due_s = [
            (tick.at_ns / S_NS / 10, loop.time() - began_s)
            async for tick in Paced(replay(), speed=10).ticks()
        ]
        assert due_s[-1][0] == 0.024
        assert all(came_s >= at_s - 0.002 for at_s, came_s in due_s)

    async def test_a_market_that_is_late_lets_others_run(self) -> None:
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            counting = group.create_task(count_turns())
            seen = 0
            async for _ in Paced(SyntheticMarket(LISTINGS, seed=1), speed=1e6).ticks():
                seen += 1
                if seen == 1_000:
                    break
            counting.cancel()
        assert turns >= 9
