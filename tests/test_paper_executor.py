"""PaperExecutor on a real loop: outcomes, streams, each fault, latency, and restarts from the log."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.fixtures.paper.orders import cancel, order, ref, replace, told

from brokerd.errors import ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Accepted,
    Clock,
    Executor,
    InDoubt,
    NotSent,
    PlaceOrder,
    Refused,
    Report,
)
from brokerd.states import OrdStatus
from brokerd_adapters.paper import Fault, Faults, PaperConfig, PaperExecutor

FIXTURES = Path(__file__).parent / "fixtures" / "paper"
DAY_NS = 86_400 * 1_000_000_000


class TestClock:
    """A wall clock that only moves when told."""

    __test__ = False

    def __init__(self) -> None:
        self.at_ns = 1_800_000_000 * 1_000_000_000

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def made(
    state_dir: Path | None = None, *, clock: Clock | None = None, **keys: Any
) -> PaperExecutor:
    # Nearly standing still: the market shows its first quotes, and then leaves tests alone.
    keys.setdefault("speed", 1e-6)
    config = msgspec.convert(keys, PaperConfig)
    return PaperExecutor(
        "paper", config, clock=clock or TestClock(), state_dir=state_dir, base_dir=FIXTURES
    )


@asynccontextmanager
async def connected(state_dir: Path | None = None, **keys: Any) -> AsyncIterator[PaperExecutor]:
    executor = made(state_dir, **keys)
    try:
        await executor.connect()
        yield executor
    finally:
        await executor.aclose()


def limit(side: str = "buy", qty: str = "0.01", px: str = "30000", **more: Any) -> PlaceOrder:
    return order(side, qty, px, **more)


async def next_of(reports: AsyncIterator[Report]) -> Report:
    async with asyncio.timeout(30):
        return await anext(reports)


class TestOutcomes:
    async def test_it_is_an_executor(self) -> None:
        executor: Executor = made()
        assert executor.capabilities.is_paper
        assert executor.capabilities.final_after_s == 1.0
        assert executor.instruments() == {}
        assert executor.quote("BTCUSDT") is None
        await executor.aclose()

    async def test_the_defaults_need_no_key_and_quote_at_once(self) -> None:
        async with connected(speed=1.0) as executor:
            assert set(executor.instruments()) == {"BTCUSDT", "ETHUSDT"}
            quote = executor.quote("BTCUSDT")
            assert abs(quote.bid_px - 40_000) < 100
            balances = {b.asset: b.free for b in await executor.balances()}
            assert balances == {
                "USDT": Decimal(10_000_000),
                "BTC": Decimal(1_000),
                "ETH": Decimal(10_000),
            }

    async def test_replies_and_the_stream_carry_the_same_reports(self) -> None:
        async with connected() as executor, executor.stream() as reports:
            request = limit(qty="0.01", px="50000")
            outcome = await executor.place(request)
            assert isinstance(outcome, Accepted)
            assert [w.split()[0] for w in told(outcome.reports)] == ["new", "trade"]
            assert [await next_of(reports) for _ in outcome.reports] == list(outcome.reports)

    async def test_a_reply_speaks_of_its_own_order_only_and_the_stream_of_all(self) -> None:
        async with connected() as executor, executor.stream() as reports:
            await executor.place(limit("sell", "0.01", "39999"))
            resting = limit("sell", "0.5", "41000")
            await executor.place(resting)
            taking = limit("buy", "100", "41000", tif="ioc")
            outcome = await executor.place(taking)
            assert {r.venue_cl_ord_id for r in outcome.reports} == {taking.venue_cl_ord_id}
            heard = set()
            while len(heard) < 3:
                heard.add((await next_of(reports)).venue_cl_ord_id)
            assert resting.venue_cl_ord_id in heard

    async def test_place_replace_cancel_and_query(self) -> None:
        async with connected() as executor:
            request = limit()
            assert isinstance(await executor.place(request), Accepted)
            replaced = await executor.replace(replace(request, "0.02", "31000"))
            assert told(replaced.reports) == ["replaced"]
            assert (await executor.query(ref(request))).px == Decimal(31_000)
            assert told((await executor.cancel(cancel(request))).reports) == ["canceled"]
            assert (await executor.query(ref(request))).ord_status is OrdStatus.CANCELED
            again = await executor.cancel(cancel(request))
            assert isinstance(again, Refused)
            assert (again.reason, again.code) == ("the order is done", "order_done")
            assert again.is_about_order
            assert "cancel, replace, code unknown_order, order_done: about_order" in again.evidence
            assert await executor.query(ref(limit())) is None

    async def test_a_snapshot_has_all_open_orders_and_late_executions(self) -> None:
        clock = TestClock()
        async with connected(clock=clock) as executor:
            resting = [limit() for _ in range(1_100)]
            for request in resting:
                await executor.place(request)
            await executor.place(order("buy", "0.01"))
            clock.at_ns += 10
            since_ns = clock.at_ns
            await executor.place(order("buy", "0.02"))
            snapshot = await executor.snapshot(since_ns)
            assert [view.venue_cl_ord_id for view in snapshot.orders] == [
                request.venue_cl_ord_id for request in resting
            ]
            assert [r.execution.last_qty for r in snapshot.executions] == [Decimal("0.02")]
            assert (snapshot.began_ns, snapshot.since_ns) == (clock.at_ns, since_ns)

    async def test_before_connect_nothing_is_sent(self) -> None:
        executor = made()
        outcome = await executor.place(limit())
        assert isinstance(outcome, NotSent)
        assert (outcome.reason, "not connected" in outcome.evidence) == ("venue_unavailable", True)
        with pytest.raises(VenueUnavailable):
            await executor.query(ref(limit()))
        with pytest.raises(VenueUnavailable):
            async with executor.stream():
                pass
        await executor.aclose()

    async def test_placing_takes_no_turn_of_the_loop(self) -> None:
        async with connected() as executor:
            placing = executor.place(limit())
            with pytest.raises(StopIteration) as done:
                placing.send(None)
            assert isinstance(done.value.value, Accepted)

    async def test_latency_is_taken_and_declared(self) -> None:
        async with connected(latency_ms=20) as executor:
            assert executor.capabilities.processing_bound_s == 0.02
            began_s = asyncio.get_running_loop().time()
            assert isinstance(await executor.place(limit()), Accepted)
            assert asyncio.get_running_loop().time() - began_s >= 0.019


class TestStream:
    async def test_streams_may_be_opened_one_after_the_other(self) -> None:
        async with connected() as executor:
            for _ in range(3):
                async with executor.stream() as reports:
                    request = limit()
                    await executor.place(request)
                    assert (await next_of(reports)).venue_cl_ord_id == request.venue_cl_ord_id

    async def test_a_second_stream_cuts_the_first(self) -> None:
        async with connected() as executor, executor.stream() as first, executor.stream():
            with pytest.raises(VenueUnavailable, match="another stream"):
                await next_of(first)
            with pytest.raises(VenueUnavailable):
                await next_of(first)

    async def test_a_reader_too_slow_gets_what_fits_and_then_the_gap(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("brokerd_adapters.paper.host.STREAM_MAX", 3)
        async with connected() as executor, executor.stream() as reports:
            for _ in range(5):
                await executor.place(limit())
            heard = [await next_of(reports) for _ in range(3)]
            assert len({report.venue_order_id for report in heard}) == 3
            with pytest.raises(VenueUnavailable, match="too slow"):
                await next_of(reports)

    async def test_closing_the_executor_ends_a_waiting_reader(self) -> None:
        executor = made()
        await executor.connect()
        async with executor.stream() as reports, asyncio.TaskGroup() as group:
            waiting = group.create_task(_gap(reports))
            await asyncio.sleep(0)
            await executor.aclose()
        assert "closed" in waiting.result()

    async def test_the_market_fills_resting_orders_by_itself(self) -> None:
        replay = {"market": "replay", "trades": "trades.csv", "quotes": "quotes.csv"}
        async with connected(**replay, speed=1.0) as executor, executor.stream() as reports:
            await executor.place(order("buy", "0.1", "100.1"))
            assert str((await next_of(reports)).exec_type) == "new"
            fill = await next_of(reports)
            assert (fill.execution.last_px, fill.execution.liquidity) == (Decimal("100.1"), "maker")

    async def test_orders_expire_by_themselves(self) -> None:
        clock = TestClock()
        async with connected(clock=clock) as executor, executor.stream() as reports:
            await executor.place(limit(tif="day"))
            clock.at_ns += DAY_NS
            assert str((await next_of(reports)).exec_type) == "new"
            assert str((await next_of(reports)).exec_type) == "expired"


async def _gap(reports: AsyncIterator[Report]) -> str:
    try:
        async for _ in reports:
            pass
    except VenueUnavailable as error:
        return str(error)
    return "ended"


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "kind", "happened"),
        [
            (Fault.NONE, Accepted, True),
            (Fault.LOSE_REQUEST, InDoubt, False),
            (Fault.LOSE_REPLY, InDoubt, True),
            (Fault.UNAVAILABLE, NotSent, False),
            (Fault.LATE, Accepted, True),
        ],
    )
    async def test_a_scripted_fault_befalls_the_command(
        self, fault: Fault, kind: type, happened: bool
    ) -> None:
        faults = {"script": [fault], "delay_s": 0.01}
        async with connected(faults=faults) as executor:
            request = limit()
            outcome = await executor.place(request)
            assert isinstance(outcome, kind)
            assert (await executor.query(ref(request)) is not None) == happened
            if isinstance(outcome, InDoubt):
                assert outcome.signed_at_ns == TestClock().at_ns

    async def test_a_late_answer_is_declared_and_late_though_it_happened_in_time(self) -> None:
        async with connected(faults={"late": 1, "delay_s": 0.05}) as executor:
            assert executor.capabilities.processing_bound_s == 0.05
            request = limit()
            async with asyncio.TaskGroup() as group:
                placing = group.create_task(executor.place(request))
                await asyncio.sleep(0)
                assert await executor.query(ref(request)) is not None
                assert not placing.done()

    async def test_a_venue_that_forgets_knows_only_what_came_after(self) -> None:
        async with connected(faults={"script": ["none", "forget"]}) as executor:
            before, after = limit(), limit()
            await executor.place(before)
            await executor.place(after)
            assert await executor.query(ref(before)) is None
            assert await executor.query(ref(after)) is not None

    async def test_questions_may_go_unanswered(self) -> None:
        async with connected(faults={"lose_answer": 1}) as executor:
            for question in (executor.query(ref(limit())), executor.snapshot(0)):
                with pytest.raises(OutcomeUnknown):
                    await question

    async def test_a_stream_may_lose_repeat_or_swap_reports_and_break(self) -> None:
        async with connected(faults={"repeat_report": 1}) as executor, executor.stream() as reports:
            await executor.place(limit())
            assert await next_of(reports) == await next_of(reports)
            executor.misbehave(Faults(drop_stream=1))
            await executor.place(limit())
            with pytest.raises(VenueUnavailable, match="drop_stream"):
                await next_of(reports)
            executor.misbehave(None)
            async with executor.stream() as again:
                await executor.place(limit())
                await next_of(again)


class TestRestart:
    async def test_orders_fills_balances_and_ids_survive_a_kill(self, tmp_path: Path) -> None:
        resting, filled, gone = limit(), order("buy", "0.02"), limit()
        async with connected(tmp_path) as first:
            for request in (resting, filled, gone):
                await first.place(request)
            await first.cancel(cancel(gone))
            before = [await first.query(ref(r)) for r in (resting, filled, gone)]
            balances, executions = await first.balances(), (await first.snapshot(0)).executions
            # Killed here: the second life reads the file while the first still holds it.
            async with connected(tmp_path) as second:
                assert [await second.query(ref(r)) for r in (resting, filled, gone)] == before
                assert await second.balances() == balances
                assert (await second.snapshot(0)).executions == executions
                assert (await second.place(resting)).code == "duplicate_client_id"
                assert told((await second.cancel(cancel(resting))).reports) == ["canceled"]

    async def test_the_line_is_in_the_file_before_the_reply(self, tmp_path: Path) -> None:
        async with connected(tmp_path) as executor:
            request = limit()
            await executor.place(request)
            log = (tmp_path / "paper-paper.log").read_text()
            assert request.venue_cl_ord_id in log.splitlines()[-1]

    async def test_a_torn_last_line_is_as_if_it_had_never_been(self, tmp_path: Path) -> None:
        kept, torn = limit(), limit()
        async with connected(tmp_path) as executor:
            await executor.place(kept)
            await executor.place(torn)
        path = tmp_path / "paper-paper.log"
        whole = path.read_bytes()
        for lost in (1, 30):
            path.write_bytes(whole[:-lost])
            async with connected(tmp_path) as executor:
                assert await executor.query(ref(kept)) is not None
                assert await executor.query(ref(torn)) is None
                await executor.place(limit())

    async def test_a_broken_line_in_the_middle_is_named(self, tmp_path: Path) -> None:
        async with connected(tmp_path) as executor:
            await executor.place(limit())
        path = tmp_path / "paper-paper.log"
        path.write_bytes(path.read_bytes() + b"{broken\n{}\n")
        executor = made(tmp_path)
        with pytest.raises(ConfigError, match=r"paper-paper\.log, line 3"):
            await executor.connect()
        await executor.aclose()

    async def test_an_order_cut_off_between_its_records_expires(self, tmp_path: Path) -> None:
        request = order("buy", "0.02")
        async with connected(tmp_path) as executor:
            await executor.place(request)
        path = tmp_path / "paper-paper.log"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))
        for _ in range(2):
            async with connected(tmp_path) as executor:
                view = await executor.query(ref(request))
                assert (view.ord_status, view.reason) == (OrdStatus.EXPIRED, "interrupted")

    async def test_the_log_is_compacted_to_open_orders_and_the_latest_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("brokerd_adapters.paper.host.LOGGED_CLOSED_MAX", 2)
        resting, closed = limit(), [limit() for _ in range(20)]
        async with connected(tmp_path) as executor:
            await executor.place(resting)
            for request in closed:
                await executor.place(request)
                await executor.cancel(cancel(request))
            balances = await executor.balances()
        # The second life still has read the long log; it leaves a short one to the third.
        async with connected(tmp_path) as executor:
            assert await executor.query(ref(closed[0])) is not None
        async with connected(tmp_path) as executor:
            assert len((tmp_path / "paper-paper.log").read_text().splitlines()) == 4
            assert await executor.query(ref(resting)) is not None
            assert [await executor.query(ref(r)) is not None for r in closed[-3:]] == [
                False,
                True,
                True,
            ]
            assert await executor.balances() == balances

    async def test_a_lost_log_never_leads_to_a_number_twice(self, tmp_path: Path) -> None:
        clock = TestClock()
        async with connected(tmp_path, clock=clock) as executor:
            first = (await executor.place(limit())).reports[0].venue_order_id
        (tmp_path / "paper-paper.log").unlink()
        clock.at_ns += 1_000_000
        async with connected(tmp_path, clock=clock) as executor:
            assert int((await executor.place(limit())).reports[0].venue_order_id) > int(first)

    async def test_a_log_that_fails_puts_the_command_in_doubt_and_the_venue_down(
        self, tmp_path: Path
    ) -> None:
        kept, doubted = limit(), limit()
        async with connected(tmp_path) as executor:
            await executor.place(kept)
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, executor._host._log._fd)
            os.close(full)
            async with executor.stream() as reports:
                assert isinstance(await executor.place(doubted), InDoubt)
                with pytest.raises(VenueUnavailable, match="cannot be written"):
                    await next_of(reports)
            assert isinstance(await executor.place(limit()), NotSent)
            await executor.connect()
            assert await executor.query(ref(kept)) is not None
            assert await executor.query(ref(doubted)) is None
            assert isinstance(await executor.place(doubted), Accepted)

    async def test_orders_of_a_symbol_no_longer_configured_are_named(self, tmp_path: Path) -> None:
        async with connected(tmp_path) as executor:
            await executor.place(limit())
        executor = made(tmp_path, symbols=["ETHUSDT"])
        with pytest.raises(ConfigError, match="BTCUSDT"):
            await executor.connect()
        await executor.aclose()

    async def test_a_log_that_cannot_be_opened_is_an_outage_with_its_reason(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        executor = made(tmp_path / "file")
        with pytest.raises(VenueUnavailable, match=r"paper-paper\.log: Not a directory"):
            await executor.connect()
        await executor.aclose()

    async def test_a_market_without_a_quote_is_an_outage_and_the_next_connect_waits_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("brokerd_adapters.paper.executor._FIRST_QUOTE_S", 0)
        executor = made()
        with pytest.raises(VenueUnavailable, match="no quote"):
            await executor.connect()
        monkeypatch.undo()
        await executor.connect()
        assert executor.quote("ETHUSDT") is not None
        await executor.aclose()

    async def test_a_reconnect_keeps_the_venue(self) -> None:
        async with connected() as executor:
            request = limit()
            await executor.place(request)
            await executor.connect()
            assert await executor.query(ref(request)) is not None


class TestConfig:
    @pytest.mark.parametrize(
        ("keys", "words"),
        [
            ({"market": "replay"}, "needs both trades and quotes"),
            ({"market": "moon"}, "market"),
            ({"sped": 1}, "sped"),
            ({"speed": 0}, "speed"),
            ({"symbols": ["DOGEUSDT"]}, "DOGEUSDT is not one of BTCUSDT, ETHUSDT"),
            ({"balances": {"USDT": "-1"}}, "balances.USDT must be 0 or more"),
            ({"balances": {"USDT": "NaN"}}, "balances.USDT is not a plain"),
            ({"maker_fee_bps": "0.00001"}, "maker_fee_bps"),
            ({"taker_fee_bps": "1001"}, "taker_fee_bps"),
            ({"faults": {"late": 2}}, "faults.late"),
            (
                {"market": "replay", "trades": "t", "quotes": "q", "symbols": ["BTCUSDT"] * 2},
                "one symbol",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_key(self, keys: dict[str, Any], words: str) -> None:
        with pytest.raises(msgspec.ValidationError, match=words):
            msgspec.convert(keys, PaperConfig)

    async def test_a_missing_recording_is_named(self) -> None:
        executor = made(market="replay", trades="trades.csv", quotes="gone.csv")
        with pytest.raises(ConfigError, match=r"gone\.csv is not there"):
            await executor.connect()
        await executor.aclose()

    async def test_a_bad_recording_fails_connect_and_later_the_stream(self, tmp_path: Path) -> None:
        quotes = (FIXTURES / "quotes.csv").read_text()
        path = tmp_path / "quotes.csv"
        path.write_text(quotes + "1300,oops,1,2,3\n")
        replay = {"market": "replay", "trades": "trades.csv", "quotes": str(path)}
        async with connected(**replay, speed=1.0) as executor, executor.stream() as reports:
            assert "line 5: bid_px 'oops'" in await _gap(reports)
        path.write_text(quotes.replace("1010,100.00", "1010,oops"))
        executor = made(**replay)
        with pytest.raises(ConfigError, match="line 2: bid_px 'oops'"):
            await executor.connect()
        await executor.aclose()
