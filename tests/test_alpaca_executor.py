"""AlpacaExecutor against the local venue: chains, doubts, what is counted on the wire, bad answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from tests.conformance.subject_alpaca import executor_at
from tests.fixtures.alpaca.bodies import body, changed
from tests.rawhttp import raw_server, reply
from tests.scripted import CLOCK, until

from brokerd.errors import ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Accepted,
    CancelOrder,
    InDoubt,
    NotSent,
    OrderRef,
    OrderView,
    Outcome,
    PlaceOrder,
    Refused,
    ReplaceOrder,
    Report,
)
from brokerd.secrets import Secret
from brokerd.states import ExecType, OrdStatus
from brokerd.terms import OrdType, Side, Terms, TimeInForce
from brokerd_adapters.alpaca import AlpacaConfig, AlpacaExecutor, questions, requests, rules
from brokerd_adapters.alpaca import executor as alpaca_executor
from brokerd_adapters.alpaca.stream import read_frame
from brokerd_adapters.alpaca.wire import TradeUpdate, Unreadable
from brokerd_adapters.kit import Budget, Charge, Credential
from brokerd_adapters.paper.markets import QuoteTick
from brokerd_adapters.venue import Step, VenueConfig, VenueServer, WireFault, WireFaults
from brokerd_adapters.venue.alpaca import AlpacaDialect
from brokerd_adapters.venue.alpaca.desk import Desk

D = Decimal
E, S = ExecType, OrdStatus
ROOT = "bkd-0123456789-1"
KEY = Credential(api_key=Secret("key"), secret=Secret("s3cret-canary"))
# Not of the day: it would end by itself at midnight.
LIMIT = Terms(
    "alpaca", "AAPL", Side.BUY, OrdType.LIMIT, D(10), D(149), time_in_force=TimeInForce.GTC
)


class Trading:
    """An executor at its local venue, and what its stream told."""

    def __init__(self, venue: VenueServer, executor: AlpacaExecutor) -> None:
        self.venue, self.executor = venue, executor
        self.reports: list[Report] = []

    @property
    def desk(self) -> Desk:
        assert isinstance(self.venue.dialect, AlpacaDialect)
        return self.venue.dialect.desk

    def ref(self, venue_order_id: str | None = None, replace_no: int | None = None) -> OrderRef:
        return OrderRef(
            symbol="AAPL",
            venue_cl_ord_id=ROOT,
            venue_order_id=venue_order_id,
            replace_no=replace_no,
        )

    def quote(self, bid: str, ask: str, size: str = "100") -> None:
        self.venue.on_tick(QuoteTick(0, "AAPL", D(bid), D(size), D(ask), D(size)))

    async def place(self, terms: Terms = LIMIT) -> Outcome:
        return await self.executor.place(PlaceOrder(venue_cl_ord_id=ROOT, terms=terms))

    async def replace(self, qty: int, px: str, no: int = 1, **ref: Any) -> Outcome:
        request = ReplaceOrder(
            ref=self.ref(**ref), terms=LIMIT, qty=D(qty), px=D(px), replace_no=no, request_id="r"
        )
        return await self.executor.replace(request)

    async def view(self, **ref: Any) -> OrderView:
        view = await self.executor.query(self.ref(**ref))
        assert view is not None
        return view

    async def told(self, exec_type: ExecType, count: int = 1) -> list[Report]:
        def found() -> list[Report]:
            return [each for each in self.reports if each.exec_type is exec_type]

        await until(lambda: len(found()) >= count, f"{count} x {exec_type}: {self.reports}")
        return found()


@asynccontextmanager
async def trading(
    limits: Literal["open", "documented"] = "open", **keys: Any
) -> AsyncIterator[Trading]:
    config = VenueConfig(dialect="alpaca", market="none", limits=limits)
    async with VenueServer(config) as venue:
        executor = executor_at(venue, **keys)
        at = Trading(venue, executor)
        at.quote("149.90", "150.10")
        try:
            await executor.connect()
            async with executor.stream() as reports, asyncio.TaskGroup() as group:
                listening = group.create_task(_listen(at, reports))
                yield at
                listening.cancel()
        finally:
            await executor.aclose()


async def _listen(at: Trading, reports: AsyncIterator[Report]) -> None:
    async for report in reports:
        at.reports.append(report)


def executions(reports: list[Report]) -> dict[str, Decimal]:
    return {
        each.execution.exec_id: each.execution.last_qty
        for each in reports
        if each.execution is not None
    }


class TestPlace:
    @pytest.mark.parametrize(
        "changes",
        [
            {"ord_type": OrdType.STOP, "px": None, "stop_px": D("151.5")},
            {"ord_type": OrdType.STOP_LIMIT, "px": D("152.25"), "stop_px": D("151.5")},
            {"qty": D("0.123456789"), "time_in_force": TimeInForce.DAY},
            {"side": Side.SELL, "px": D("160.01"), "time_in_force": TimeInForce.GTC},
            {"symbol": "BTC/USD", "px": D("30000.01"), "time_in_force": TimeInForce.GTC},
        ],
        ids=["stop", "stop_limit", "fraction", "sell", "crypto"],
    )
    async def test_every_kind_of_order_comes_back_as_it_was_sent(
        self, changes: dict[str, Any]
    ) -> None:
        terms = msgspec.structs.replace(LIMIT, **changes)
        async with trading() as at:
            outcome = await at.place(terms)
            assert isinstance(outcome, Accepted), outcome
            (entity,) = at.desk.entities()
            view = await at.view()
        assert (view.side, view.ord_type, view.qty, view.px, view.symbol) == (
            terms.side,
            terms.ord_type,
            terms.qty,
            terms.px,
            terms.symbol,
        )
        assert (entity.order.terms.stop_px, entity.order.terms.time_in_force) == (
            terms.stop_px,
            terms.time_in_force,
        )

    async def test_an_order_that_trades_at_once_is_told_by_its_fills(self) -> None:
        market = msgspec.structs.replace(LIMIT, ord_type=OrdType.MARKET, px=None)
        async with trading() as at:
            outcome = await at.place(market)
            assert isinstance(outcome, Accepted)
            assert [each.exec_type for each in outcome.reports] == [E.NEW]
            (fill,) = await at.told(E.TRADE)
            assert fill.execution is not None
            assert (fill.execution.last_qty, fill.execution.last_px) == (D(10), D("150.10"))
            assert (await at.view()).ord_status is S.FILLED

    async def test_only_day_limit_orders_for_stocks_are_for_extended_hours(self) -> None:
        crypto = {"symbol": "BTC/USD", "px": D(30000), "time_in_force": TimeInForce.GTC}
        for changes, is_extended in (
            ({"time_in_force": TimeInForce.DAY}, True),
            ({"time_in_force": TimeInForce.GTC}, False),
            (crypto, False),
        ):
            async with trading(extended_hours=True) as at:
                await at.place(msgspec.structs.replace(LIMIT, **changes))
                (entity,) = at.desk.entities()
                assert entity.extended_hours is is_extended

    async def test_positions_are_named_by_their_assets(self) -> None:
        """Alpaca writes a pair without its slash there."""
        async with trading() as at:
            held = {each.asset: each for each in await at.executor.balances()}
            assert {"USD", "AAPL", "BTC"} <= held.keys()
            await at.place(msgspec.structs.replace(LIMIT, side=Side.SELL, px=D(160)))
            after = {each.asset: each for each in await at.executor.balances()}
            assert after["AAPL"].locked == D(10)
            assert held["AAPL"].free - after["AAPL"].free == D(10)


class TestReplace:
    async def test_an_order_keeps_its_name_and_its_fills_through_a_chain(self) -> None:
        async with trading() as at:
            await at.place()
            at.quote("148.00", "149.00", size="4")
            await at.told(E.TRADE)
            assert isinstance(await at.replace(12, "148.5", no=1), Accepted)
            replaced = (await at.told(E.REPLACED))[0]
            assert (replaced.venue_cl_ord_id, replaced.replace_no) == (ROOT, 1)
            assert (replaced.qty, replaced.px, replaced.cum_qty) == (D(12), D("148.5"), D(4))
            at.quote("148.00", "148.50", size="1")
            await at.told(E.TRADE, 2)
            assert isinstance(await at.replace(20, "148", no=2), Accepted)
            await until(lambda: at.reports[-1].qty == D(20), "the second replace")
            for ref in ({}, {"venue_order_id": replaced.venue_order_id}):
                view = await at.view(**ref)
                assert (view.venue_cl_ord_id, view.qty, view.px) == (ROOT, D(20), D(148))
                assert (view.cum_qty, view.ord_status) == (D(5), S.PARTIALLY_FILLED)
                asked = {each.exec_id: each.last_qty for each in view.executions}
                assert asked == executions(at.reports)
            snapshot = await at.executor.snapshot(0)
            assert [each.qty for each in snapshot.orders] == [D(20)]
            assert executions(list(snapshot.executions)) == executions(at.reports)
            assert {each.venue_cl_ord_id for each in snapshot.executions} == {ROOT}
            await at.executor.cancel(CancelOrder(ref=at.ref(replaced.venue_order_id)))
            (canceled,) = await at.told(E.CANCELED)
            assert (canceled.venue_cl_ord_id, canceled.cum_qty) == (ROOT, D(5))
            assert len(at.venue.exchange.ever) == 1

    async def test_a_chain_is_told_again_by_an_executor_that_remembers_nothing(self) -> None:
        async with trading() as at:
            await at.place()
            at.quote("148.00", "149.00", size="4")
            await at.replace(12, "148.5")
            await at.told(E.REPLACED)
            fresh = executor_at(at.venue)
            try:
                await fresh.connect()
                view = await fresh.query(at.ref())
                snapshot = await fresh.snapshot(0)
            finally:
                await fresh.aclose()
            assert view is not None
            assert (view.qty, view.cum_qty) == (D(12), D(4))
            assert [(each.qty, each.cum_qty) for each in snapshot.orders] == [(D(12), D(4))]
            assert executions(list(snapshot.executions)) == executions(at.reports)

    async def test_a_replace_on_its_way_is_shown_as_that(self) -> None:
        async with trading() as at:
            await at.place()
            at.desk.hold()
            assert isinstance(await at.replace(20, "148"), Accepted)
            view = await at.view(replace_no=1)
            assert (view.qty, view.px, view.is_pending) == (D(10), D(149), True)
            (listed,) = (await at.executor.snapshot(0)).orders
            assert (listed.qty, listed.is_pending) == (D(10), True)
            at.desk.work()
            view = await at.view(replace_no=1)
            assert (view.qty, view.px, view.is_pending) == (D(20), D(148), False)

    async def test_a_replace_turned_down_after_a_200_is_shown_as_that(self) -> None:
        """It asks for more than the account can pay: the venue finds out when it gets to it."""
        async with trading() as at:
            await at.place()
            assert isinstance(await at.replace(90_000, "149"), Accepted)
            view = await at.view(replace_no=1)
            assert (view.qty, view.ord_status, view.replace_refused) == (D(10), S.NEW, True)
            assert not view.is_pending
            assert not [each for each in at.reports if each.exec_type is E.REJECTED]
            assert not (await at.view()).replace_refused, "nobody asked about it"

    async def test_a_fill_that_crosses_a_replace_is_shown_in_the_total(self) -> None:
        async with trading() as at:
            await at.place()
            at.desk.hold()
            await at.replace(10, "148.5")
            at.quote("148.00", "149.00", size="3")
            at.desk.work()
            replaced = (await at.told(E.REPLACED))[0]
            assert (replaced.qty, replaced.cum_qty) == (D(13), D(3))
            view = await at.view(replace_no=1)
            assert (view.qty, view.cum_qty) == (D(13), D(3))

    async def test_what_cannot_be_replaced_is_not_sent(self) -> None:
        async with trading() as at:
            await at.place()
            at.quote("148.00", "149.00", size="4")
            for qty, px, reason in (
                (4, "148", "qty_already_filled"),
                (12, "148.005", "not_on_tick"),
            ):
                outcome = await at.replace(qty, px)
                assert isinstance(outcome, Refused)
                assert outcome.reason == reason
            assert not any("replace" in each for each in at.venue.gate.log.by_client().values())

    async def test_a_chain_as_long_as_can_be_asked_for_takes_no_further_link(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rules, "CHAIN_MAX", 3)
        async with trading() as at:
            await at.place()
            for no in (1, 2):
                assert isinstance(await at.replace(10 + no, "148", no=no), Accepted)
                await at.told(E.REPLACED, no)
            outcome = await at.replace(13, "148", no=3)
            assert isinstance(outcome, Refused)
            assert outcome.reason == "replaced_too_often"
            assert "cancel it and submit a new one" in outcome.evidence
            assert _commands(at.venue) == ["place", "replace", "replace"]
            assert isinstance(await at.executor.cancel(CancelOrder(ref=at.ref())), Accepted)

    async def test_a_long_chain_is_asked_for_once_and_the_fills_of_many_links_in_one_list(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One link after the other, time and again, no minute's budget would be enough."""
        monkeypatch.setattr(questions, "LINKS_ASKED_ALONE", 2)
        async with trading() as at:
            await at.place()
            for no in range(1, 9):
                at.quote("148.00", "149.00", size="1")
                at.quote("149.90", "150.10")
                assert isinstance(await at.replace(20 + no, "149", no=no), Accepted)
                await at.told(E.REPLACED, no)
            fresh = executor_at(at.venue)
            asked: list[list[str | None]] = []
            try:
                await fresh.connect()
                for _ in range(2):
                    before = len(list(at.venue.gate.log.latest()))
                    view = await fresh.query(at.ref())
                    log = list(at.venue.gate.log.latest())[before:]
                    asked.append([each.call.operation for each in log])
            finally:
                await fresh.aclose()
            assert view is not None
            assert (view.qty, view.cum_qty) == (D(28), D(8))
            assert {e.exec_id: e.last_qty for e in view.executions} == executions(at.reports)
            # Nine links and one list; then the first by its name, the last, and the list.
            assert [len(each) for each in asked] == [10, 3]

    async def test_a_replace_of_what_is_unknown_or_done_asks_about_the_order(self) -> None:
        async with trading() as at:
            unknown = await at.replace(12, "148")
            await at.place()
            await at.executor.cancel(CancelOrder(ref=at.ref()))
            await at.told(E.CANCELED)
            done = await at.replace(12, "148")
            for outcome in (unknown, done):
                assert isinstance(outcome, Refused)
                assert outcome.is_about_order


class TestDoubt:
    async def test_a_cancel_on_its_way_is_shown_as_that(self) -> None:
        async with trading() as at:
            await at.place()
            at.desk.hold()
            outcome = await at.executor.cancel(CancelOrder(ref=at.ref()))
            assert isinstance(outcome, Accepted)
            assert outcome.reports == ()
            view = await at.view()
            assert (view.ord_status, view.is_pending) == (S.NEW, True)
            at.desk.work()
            assert (await at.view()).ord_status is S.CANCELED

    async def test_a_cancel_that_meets_a_replace_under_way_is_sent_again_to_the_new_link(
        self,
    ) -> None:
        async with trading() as at:
            await at.place()
            order_id = (await at.view()).venue_order_id
            at.desk.hold()
            await at.replace(12, "148.5", venue_order_id=order_id)
            cancel = CancelOrder(ref=at.ref(order_id))
            early = await at.executor.cancel(cancel)
            assert isinstance(early, NotSent)
            assert (early.reason, early.retry_after_s) == ("replace_under_way", 0.2)
            at.desk.work()
            await at.told(E.REPLACED)
            assert isinstance(await at.executor.cancel(cancel), Accepted)
            await at.told(E.CANCELED)

    async def test_a_replace_costs_two_requests(self) -> None:
        async with trading() as at:
            await at.place()
            order_id = (await at.view()).venue_order_id
            before = len(list(at.venue.gate.log.latest()))
            await at.replace(12, "148.5", venue_order_id=order_id, replace_no=1)
            asked = [each.call.operation for each in at.venue.gate.log.latest()][before:]
            assert asked == ["query", "replace"]

    @pytest.mark.parametrize("fault", [WireFault.LOSE_REPLY, WireFault.LOSE_REQUEST])
    async def test_each_command_is_one_request_though_its_connection_is_cut(
        self, fault: WireFault
    ) -> None:
        """aiohttp alone would send a DELETE again."""
        async with trading() as at:
            await at.place()
            order_id = (await at.view()).venue_order_id
            for operation in ("place", "replace", "cancel"):
                at.venue.gate.misbehave(WireFaults(script=(fault,)))
                before = _commands(at.venue)
                if operation == "place":
                    other = PlaceOrder(venue_cl_ord_id="bkd-0123456789-2", terms=LIMIT)
                    outcome = await at.executor.place(other)
                elif operation == "replace":
                    outcome = await at.replace(11, "148.5", venue_order_id=order_id)
                else:
                    outcome = await at.executor.cancel(CancelOrder(ref=at.ref(order_id)))
                assert isinstance(outcome, InDoubt), operation
                assert [*before, operation] == _commands(at.venue)

    async def test_a_repeated_order_says_that_the_first_arrived(self) -> None:
        async with trading() as at:
            at.venue.gate.misbehave(WireFaults(script=(WireFault.LOSE_REPLY,)))
            assert isinstance(await at.place(), InDoubt)
            again = await at.place()
            assert isinstance(again, Refused)
            assert (again.reason, again.is_about_order) == ("duplicate_client_id", True)
            assert (await at.view()).ord_status is S.NEW
            assert len(at.venue.exchange.ever) == 1

    async def test_a_fill_the_stream_dropped_is_found_by_asking(self) -> None:
        async with trading() as at:
            await at.place()
            at.venue.gate.misbehave(WireFaults(drop_report=1.0))
            at.quote("148.00", "149.00", size="4")
            view = await at.view()
            snapshot = await at.executor.snapshot(0)
            assert [each.last_qty for each in view.executions] == [D(4)]
            assert set(executions(list(snapshot.executions))) == {
                each.exec_id for each in view.executions
            }
            assert not executions(at.reports)

    async def test_no_time_ends_a_doubt_unless_it_is_configured(self) -> None:
        async with VenueServer(VenueConfig(dialect="alpaca", market="none")) as venue:
            assert executor_at(venue).capabilities.final_after_s is None
            own_risk = executor_at(venue, dead_after_s=60.0)
            assert own_risk.capabilities.final_after_s == 71.0
            assert any("not documented" in each for each in own_risk.standing().weaknesses)


def _commands(venue: VenueServer) -> list[str]:
    return [each.call.operation for each in venue.gate.log.latest() if each.call.is_command]


class TestPages:
    async def test_more_open_orders_than_a_page_holds_are_all_told(self) -> None:
        async with trading() as at:
            for number in range(requests.ORDERS_MAX + 3):
                other = PlaceOrder(venue_cl_ord_id=f"bkd-0123456789-{number}", terms=LIMIT)
                assert isinstance(await at.executor.place(other), Accepted)
            snapshot = await at.executor.snapshot(0)
        assert len({each.venue_cl_ord_id for each in snapshot.orders}) == requests.ORDERS_MAX + 3

    async def test_more_fills_than_a_page_holds_are_all_told_under_the_orders_name(self) -> None:
        """Also by an executor that has never seen the order, which is closed by then."""
        count = requests.FILLS_MAX + 20
        async with trading() as at:
            await at.place(msgspec.structs.replace(LIMIT, qty=D(count)))
            for _ in range(count):
                at.quote("148.00", "149.00", size="1")
            view = await at.view()
            fresh = executor_at(at.venue)
            try:
                await fresh.connect()
                snapshot = await fresh.snapshot(0)
            finally:
                await fresh.aclose()
        assert (view.ord_status, len(view.executions)) == (S.FILLED, count)
        assert {each.venue_cl_ord_id for each in snapshot.executions} == {ROOT}
        assert executions(list(snapshot.executions)) == {
            each.exec_id: each.last_qty for each in view.executions
        }

    async def test_a_list_without_an_end_is_no_answer(self) -> None:
        """A venue that gives the same full page again and again has not told all."""
        rows = [changed("order", id=f"o{number}") for number in range(requests.ORDERS_MAX)]
        page = reply(200, msgspec.json.encode(rows))
        async with served(page, page) as executor:
            with pytest.raises(OutcomeUnknown, match="no end"):
                await executor.snapshot(0)
        fill = msgspec.json.decode(body("activities"))[0]
        fills = [fill | {"id": f"a::{number}"} for number in range(requests.FILLS_MAX)]
        page = reply(200, msgspec.json.encode(fills))
        async with served(reply(200, b"[]"), page, page) as executor:
            with pytest.raises(VenueUnavailable, match="no end"):
                await executor.snapshot(0)

    async def test_a_venue_that_cannot_tell_fills_by_order_yet_gives_those_of_all(self) -> None:
        """The parameter is of July 2026."""
        mine = changed("order", status="filled", filled_qty="10")
        fills = msgspec.json.decode(body("activities"))
        others = [each | {"order_id": "another", "id": f"b::{each['id']}"} for each in fills]
        told = msgspec.json.encode(fills + others)
        async with served(reply(200, msgspec.json.encode(mine)), reply(200, told)) as executor:
            view = await executor.query(OrderRef(symbol="AAPL", venue_cl_ord_id=ROOT))
        assert view is not None
        assert [each.last_qty for each in view.executions] == [D(4), D(6)]


class TestBudget:
    async def test_a_429_pauses_everything_until_the_minute_is_over(self) -> None:
        async with trading(requests_per_minute=200) as at:
            step = Step(fault=WireFault.UNAVAILABLE, status=429)
            at.venue.gate.misbehave(WireFaults(script=(step,)))
            outcome = await at.place()
            assert isinstance(outcome, NotSent)
            assert outcome.retry_after_s is not None
            assert 1 <= outcome.retry_after_s <= 120
            standing = at.executor.standing()
            assert standing.paused_until_ns is not None
            assert standing.paused_until_ns > CLOCK.now_ns()
            assert "429" in standing.pause_reason
            paused = await at.place()
            assert isinstance(paused, NotSent)
            assert _commands(at.venue) == ["place"]

    async def test_a_pause_of_one_key_is_not_the_other_keys(self) -> None:
        async with trading() as at:
            config = AlpacaConfig(base_url=at.venue.urls["rest"])
            other_key = Credential(api_key=Secret("another key"), secret=Secret("its secret"))
            other = AlpacaExecutor("other", config, other_key, clock=CLOCK)
            other.resume(CLOCK.now_ns() + 60 * 10**9, "429 too many requests")
            assert other.standing().pause_reason == "429 too many requests"
            assert at.executor.standing().paused_until_ns is None
            assert isinstance(await at.place(), Accepted)

    async def test_what_the_venue_counted_is_believed(self) -> None:
        headers = (
            "X-Ratelimit-Limit: 1000",
            "X-Ratelimit-Remaining: 17",
            "X-Ratelimit-Reset: 1",
        )
        async with raw_server(reply(200, body("account"), *headers), hang=True) as server:
            executor = executor_for(server.url)

            async def connect() -> None:
                with suppress(VenueUnavailable, OutcomeUnknown):
                    await _connected(executor)

            async with asyncio.TaskGroup() as group:
                connecting = group.create_task(connect())
                # Looked at while it connects: at the turn of a minute the count begins anew.
                await until(lambda: executor.standing().budget_left["requests_1m"] <= 17)
                connecting.cancel()

    @pytest.mark.parametrize(
        ("operation", "reply"),
        [
            ("place", "whole"),
            ("place", "unreadable"),
            ("place", "lost"),
            ("replace", "unreadable"),
            ("replace", "lost"),
        ],
    )
    async def test_an_order_was_sent_when_its_turn_had_come_and_not_when_it_began_to_wait(
        self, operation: str, reply: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A doubt counts from there, and so does the time to the acknowledgement."""
        turns_ns: list[int] = []
        spend = Budget.spend

        @asynccontextmanager
        async def noted(budget: Budget, *args: Any, **keys: Any) -> AsyncIterator[Charge]:
            async with spend(budget, *args, **keys) as charge:
                turns_ns.append(CLOCK.now_ns())
                yield charge

        monkeypatch.setattr(Budget, "spend", noted)
        async with trading() as at:
            if operation == "replace":
                await at.place()
            if reply == "lost":
                at.venue.gate.misbehave(WireFaults(script=(WireFault.LOSE_REPLY,)))
            if reply == "unreadable":
                monkeypatch.setattr(alpaca_executor, "decode", _unreadable)
            outcome = await (at.place() if operation == "place" else at.replace(12, "148.5"))
            answered_ns = CLOCK.now_ns()
        assert isinstance(outcome, Accepted | InDoubt)
        assert isinstance(outcome, Accepted) == (reply == "whole")
        sent_at_ns = outcome.sent_at_ns if isinstance(outcome, Accepted) else outcome.signed_at_ns
        assert sent_at_ns is not None
        assert turns_ns[-1] <= sent_at_ns <= answered_ns

    async def test_cancels_pass_when_orders_must_wait(self) -> None:
        async with trading(limits="documented") as at:
            await at.place()
            order_id = (await at.view()).venue_order_id
            outcome: Outcome | None = None
            # More than twice a minute's 200, for one may turn meanwhile.
            for number in range(450):
                other = PlaceOrder(venue_cl_ord_id=f"bkd-0123456789-1{number}", terms=LIMIT)
                outcome = await at.executor.place(other)
                if isinstance(outcome, NotSent):
                    break
            assert isinstance(outcome, NotSent)
            assert isinstance(await at.executor.cancel(CancelOrder(ref=at.ref(order_id))), Accepted)


def _unreadable(_body: bytes, _kind: type[object]) -> object:
    raise Unreadable("for once")


def executor_for(url: str, **keys: Any) -> AlpacaExecutor:
    config = AlpacaConfig(base_url=url, symbols=("AAPL",), **keys)
    return AlpacaExecutor("alpaca", config, KEY, clock=CLOCK)


async def _connected(executor: AlpacaExecutor) -> None:
    """Connect, and let go of it whatever comes."""
    try:
        async with asyncio.timeout(30):
            await executor.connect()
    except TimeoutError:
        raise VenueUnavailable("it took too long") from None
    finally:
        await executor.aclose()


class TestConnecting:
    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_refused_key_is_for_the_operator(self, status: int) -> None:
        async with raw_server(reply(status, b'{"message":"unauthorized"}')) as server:
            with pytest.raises(ConfigError) as caught:
                await _connected(executor_for(server.url))
            assert "s3cret" not in str(caught.value)

    async def test_a_key_that_the_venue_quotes_is_not_told_on(self) -> None:
        said = b'{"code":50010000,"message":"no s3cret-canary today"}'
        async with raw_server(reply(500, said)) as server:
            with pytest.raises(OutcomeUnknown, match=r"no .redacted. today"):
                await _connected(executor_for(server.url))

    async def test_a_stream_that_refuses_the_key_is_for_the_operator_too(self) -> None:
        async with VenueServer(VenueConfig(dialect="alpaca", market="none")) as venue:
            config = AlpacaConfig(base_url=venue.urls["rest"])
            executor = AlpacaExecutor("alpaca", config, KEY, clock=CLOCK)
            with pytest.raises(ConfigError, match="refuses the key"):
                async with executor.stream():
                    pass

    async def test_a_symbol_that_is_not_traded_is_for_the_operator(self) -> None:
        async with VenueServer(VenueConfig(dialect="alpaca", market="none")) as venue:
            with pytest.raises(ConfigError, match="NOPE"):
                await _connected(executor_at(venue, symbols=("AAPL", "NOPE")))

    async def test_without_symbols_everything_is_traded_and_nothing_quoted(self) -> None:
        async with VenueServer(VenueConfig(dialect="alpaca", market="none")) as venue:
            executor = executor_at(venue, symbols=(), data_url="", data_stream_url="")
            try:
                await executor.connect()
                assert {"AAPL", "BRK.A", "BTC/USD"} <= executor.instruments().keys()
                assert executor.quote("AAPL") is None
            finally:
                await executor.aclose()

    async def test_a_blocked_account_is_waited_for(self) -> None:
        blocked = msgspec.json.encode(changed("account", trading_blocked=True))
        async with raw_server(reply(200, blocked)) as server:
            with pytest.raises(VenueUnavailable, match="blocked"):
                await _connected(executor_for(server.url))

    def test_a_key_never_goes_over_the_network_in_the_clear(self) -> None:
        for key in ("base_url", "data_url", "data_stream_url"):
            for url in ("http://api.alpaca.markets", "ws://example.com", "ftp://127.0.0.1:1"):
                with pytest.raises(ValueError, match=key):
                    AlpacaConfig(**{key: url, "symbols": ("AAPL",)})

    def test_paper_and_live_have_addresses_of_their_own(self) -> None:
        assert AlpacaConfig().stream_url == "wss://paper-api.alpaca.markets/stream"
        assert AlpacaConfig(paper=False).trading_url == "https://api.alpaca.markets"
        assert AlpacaConfig(base_url="http://127.0.0.1:1/").stream_url == "ws://127.0.0.1:1/stream"

    def test_a_private_key_is_no_credential_here(self) -> None:
        pem = Credential(api_key=Secret("k"), private_key=Secret("p"))
        with pytest.raises(ConfigError, match="secret"):
            AlpacaExecutor("alpaca", AlpacaConfig(), pem, clock=CLOCK)

    async def test_quotes_follow_the_market(self) -> None:
        async with trading() as at:
            at.quote("149.80", "150.00")
            await until(lambda: _ask(at) == D("150.00"), "the latest quote by REST, then a stream")
            # It listens by now, or will ask again: the market moves until it shows.
            async with asyncio.timeout(30):
                while _ask(at) != D("151.25"):
                    at.quote("151.00", "151.25")
                    await asyncio.sleep(0.01)

    async def test_a_symbol_that_nobody_asked_for_is_not_kept(self) -> None:
        told = {"bp": 149.9, "ap": 150.1, "t": "2026-01-31T12:00:00Z"}
        quotes = msgspec.json.encode({"quotes": {"AAPL": told, "MSFT": told}})
        config = VenueConfig(dialect="alpaca", market="none")
        async with VenueServer(config) as venue, raw_server(reply(200, quotes)) as other:
            executor = executor_at(venue, data_url=other.url, data_stream_url="")
            try:
                await executor.connect()
                assert executor.quote("AAPL") is not None
                assert executor.quote("MSFT") is None
            finally:
                await executor.aclose()

    async def test_a_feed_that_refuses_the_key_does_not_stop_the_trading(self) -> None:
        config = VenueConfig(dialect="alpaca", market="none")
        async with VenueServer(config) as venue, raw_server(reply(403)) as other:
            stream_url = other.url.replace("http", "ws")
            executor = executor_at(venue, data_url=other.url, data_stream_url=stream_url)
            try:
                await executor.connect()
                assert executor.quote("AAPL") is None
                placed = PlaceOrder(venue_cl_ord_id=ROOT, terms=LIMIT)
                assert isinstance(await executor.place(placed), Accepted)
            finally:
                await executor.aclose()


def _ask(at: Trading) -> Decimal | None:
    quote = at.executor.quote("AAPL")
    return quote.ask_px if quote else None


BAD_BODIES = {
    "truncated": body("order")[:300],
    "html": b"<html><body>502</body></html>",
    "empty": b"",
    "array": b"[]",
    "no id": msgspec.json.encode({"status": "new"}),
    "a number that is none": msgspec.json.encode(changed("order", qty="NaN")),
    "not UTF-8": b'{"id":"\xff"}',
    "deep": b"[" * 100_000,
}


class TestBadAnswers:
    @pytest.mark.parametrize("bad", BAD_BODIES.values(), ids=BAD_BODIES.keys())
    async def test_a_reply_that_cannot_be_read_is_doubt(self, bad: bytes) -> None:
        async with served(reply(200, bad)) as executor:
            outcome = await executor.place(PlaceOrder(venue_cl_ord_id=ROOT, terms=LIMIT))
            assert isinstance(outcome, InDoubt)
            assert "unreadable_reply" in outcome.evidence

    async def test_a_body_beyond_all_measure_is_doubt(self) -> None:
        huge = reply(200, b"{", f"Content-Length: {1 << 40}")
        async with served(huge) as executor:
            outcome = await executor.place(PlaceOrder(venue_cl_ord_id=ROOT, terms=LIMIT))
            assert isinstance(outcome, InDoubt)

    @pytest.mark.parametrize("bad", BAD_BODIES.values(), ids=BAD_BODIES.keys())
    async def test_a_question_that_cannot_be_read_has_no_answer(self, bad: bytes) -> None:
        async with served(reply(200, bad)) as executor:
            with pytest.raises(OutcomeUnknown):
                await executor.query(OrderRef(symbol="AAPL", venue_cl_ord_id=ROOT))

    @pytest.mark.parametrize("told", [b"<html></html>", b'{"message":"page not found"}'])
    @pytest.mark.parametrize("status", [301, 400, 404, 500, 502])
    async def test_a_gateways_status_is_no_such_order_to_nobody(
        self, status: int, told: bytes
    ) -> None:
        """A 404 of a proxy is about a path: only Alpaca's own says that there is no order."""
        async with served(reply(status, told)) as executor:
            with pytest.raises((OutcomeUnknown, VenueUnavailable)):
                await executor.query(OrderRef(symbol="AAPL", venue_cl_ord_id=ROOT))

    async def test_alpacas_own_404_is(self) -> None:
        async with served(reply(404, b'{"code":40410000,"message":"order not found"}')) as executor:
            assert await executor.query(OrderRef(symbol="AAPL", venue_cl_ord_id=ROOT)) is None

    async def test_numbers_as_json_numbers_are_exact(self) -> None:
        exact = body("order").replace(b'"150.25"', b"150.250000001")
        async with served(reply(200, exact)) as executor:
            view = await executor.query(OrderRef(symbol="AAPL", venue_cl_ord_id=ROOT))
        assert view is not None
        assert view.px == D("150.250000001")

    async def test_an_order_of_another_origin_does_not_spoil_the_list(self) -> None:
        rows = b"[" + b",".join(map(body, ("order_mleg", "order_notional", "order"))) + b"]"
        async with served(reply(200, rows), reply(200, b"[]")) as executor:
            snapshot = await executor.snapshot(0)
        assert [each.venue_cl_ord_id for each in snapshot.orders] == [ROOT]

    async def test_an_order_whose_past_is_not_told_is_left_out_of_the_list(self) -> None:
        """It is asked about by itself, and has no answer there either."""
        row = msgspec.json.encode([changed("order", client_order_id="hand", replaces="gone")])
        gone = reply(404, b'{"code":40410000,"message":"order not found"}')
        async with served(reply(200, row), gone, reply(200, b"[]")) as executor:
            assert (await executor.snapshot(0)).orders == ()
        single = msgspec.json.encode(changed("order", replaces="gone"))
        async with served(reply(200, single), gone) as executor:
            with pytest.raises(OutcomeUnknown, match="not told"):
                await executor.query(OrderRef(symbol="AAPL", venue_cl_ord_id=ROOT))

    async def test_a_list_that_cannot_be_read_is_not_an_empty_one(self) -> None:
        for bad in (b"{}", b"null", b'{"message":"oops"}'):
            async with served(reply(200, bad)) as executor:
                with pytest.raises(OutcomeUnknown):
                    await executor.snapshot(0)

    async def test_a_fill_that_cannot_be_read_is_not_left_out(self) -> None:
        broken = body("activities").replace(b'"price"', b'"prize"', 1)
        async with served(reply(200, b"[]"), reply(200, broken)) as executor:
            with pytest.raises(OutcomeUnknown):
                await executor.snapshot(0)

    async def test_an_asset_that_cannot_be_read_is_not_traded(self) -> None:
        rows = body("assets").replace(b'"0.001"', b'"many"')
        async with raw_server(
            reply(200, body("account")), reply(200, rows), reply(200, b"[]")
        ) as server:
            config = AlpacaConfig(base_url=server.url)
            executor = AlpacaExecutor("alpaca", config, KEY, clock=CLOCK)
            try:
                await executor.connect()
                assert executor.instruments().keys() == {"AAPL", "BRK.A"}
            finally:
                await executor.aclose()

    async def test_a_wrong_symbol_is_refused_here(self) -> None:
        async with served() as executor:
            terms = msgspec.structs.replace(LIMIT, symbol="TSLA")
            outcome = await executor.place(PlaceOrder(venue_cl_ord_id=ROOT, terms=terms))
            assert isinstance(outcome, Refused)
            assert outcome.reason == "unknown_symbol"

    async def test_an_id_without_room_for_its_replaces_is_refused_here(self) -> None:
        async with served() as executor:
            outcome = await executor.place(PlaceOrder(venue_cl_ord_id="x" * 40, terms=LIMIT))
            assert isinstance(outcome, Refused)
            assert outcome.reason == "bad_client_id"


@asynccontextmanager
async def served(*replies: bytes) -> AsyncIterator[AlpacaExecutor]:
    """An executor that has connected, and then gets these replies."""
    asset = msgspec.json.encode(msgspec.json.decode(body("assets"))[0])
    greeting = (reply(200, body("account")), reply(200, asset))
    async with raw_server(*greeting, *replies) as server:
        executor = executor_for(server.url)
        try:
            await executor.connect()
            yield executor
        finally:
            await executor.aclose()


class TestFrames:
    def test_text_and_binary_say_the_same(self) -> None:
        frame = body("trade_update_fill")
        assert isinstance(read_frame(frame), TradeUpdate)

    @pytest.mark.parametrize("frame", [b"", b"\x93\x01", b"{", b"[]", b'{"data":{}}'])
    def test_a_frame_that_cannot_be_read_is_a_gap(self, frame: bytes) -> None:
        with pytest.raises(Unreadable):
            read_frame(frame)

    def test_a_stream_nobody_asked_for_is_passed_over(self) -> None:
        assert read_frame(b'{"stream":"account_updates","data":{"id":7}}') is None

    @pytest.mark.parametrize(
        ("order", "is_gap"),
        [
            ({"client_order_id": "spread", "qty": ""}, False),
            ({"client_order_id": ROOT, "qty": ""}, True),
            ({"client_order_id": f"{ROOT}-r1", "qty": ""}, True),
            ({"qty": ""}, True),
        ],
    )
    def test_only_what_may_be_ours_is_a_gap(self, order: dict[str, Any], is_gap: bool) -> None:
        frame = msgspec.json.encode(
            {"stream": "trade_updates", "data": {"event": "new", "order": order}}
        )
        if is_gap:
            with pytest.raises(Unreadable):
                read_frame(frame)
        else:
            assert read_frame(frame) is None
