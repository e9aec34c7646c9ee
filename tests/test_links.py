"""Links: what an executor can take now, and whose turn an action is."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.scripted import (
    CLOCK,
    LIMIT,
    D,
    E,
    House,
    ScriptedExecutor,
    house,
    report,
    submit,
    traded,
    until,
)

from brokerd import link as module
from brokerd.errors import (
    BrokerdError,
    Busy,
    Halted,
    InvalidOrder,
    InvalidParams,
    Starting,
    VenueUnavailable,
)
from brokerd.events import RequestKind
from brokerd.executor import Accepted, InDoubt, LinkState, Refused, Standing
from brokerd.link import Link
from brokerd.links import Links, doubt_outstanding
from brokerd.messages import Answered, Ask, Cancel, Freeze, Replace, Reported, Send, Viewed
from brokerd.overview import doubts_of
from brokerd.terms import Instrument, OrdType, Quote, Terms, TimeInForce


def link_of(home: House, venue: ScriptedExecutor, name: str = "sim") -> Link:
    venue.name = name
    return home.link(venue)


@asynccontextmanager
async def linked(directory: Path, **promises: object) -> AsyncGenerator[tuple[House, Link], None]:
    async with house(directory) as home:
        link = link_of(home, ScriptedExecutor(**promises))
        link.condition.state = LinkState.UP
        yield home, link


async def test_an_order_that_the_venue_will_take_passes(tmp_path: Path) -> None:
    async with linked(tmp_path) as (_, link):
        link.check(LIMIT, CLOCK.now_ns())
        link.condition.state = LinkState.SYNCING
        link.check(LIMIT, CLOCK.now_ns())


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (LinkState.STARTING, Starting),
        (LinkState.DOWN, VenueUnavailable),
        (LinkState.FROZEN, Halted),
    ],
)
async def test_an_executor_that_is_not_there_takes_nothing_and_says_why(
    tmp_path: Path, state: LinkState, error: type[BrokerdError]
) -> None:
    async with linked(tmp_path) as (_, link):
        link.condition.state, link.condition.reason = state, "the key was revoked"
        with pytest.raises(error) as caught:
            link.check(LIMIT, CLOCK.now_ns())
        assert state is LinkState.STARTING or "the key was revoked" in str(caught.value)


async def test_a_frozen_link_refuses_what_adds_risk_and_lets_cancels_pass(tmp_path: Path) -> None:
    async with linked(tmp_path) as (home, link):
        links = Links()
        links.add(link)
        home.act = links.act
        await home.engine.do(submit())
        await home.engine.settle(Reported("sim", report(E.NEW), "stream", 2))
        links.act(Freeze("sim", "the venue has order bkd-z-1"))
        for refused in (lambda: link.check(LIMIT, CLOCK.now_ns()), link.check_frozen):
            with pytest.raises(Halted) as caught:
                refused()
            assert caught.value.code == 104
            assert "bkd-z-1" in str(caught.value)
        backlog = link.dispatch.backlog
        await home.engine.do(Cancel("x", 3))
        await until(lambda: link.dispatch.backlog == backlog + 1)


async def test_what_polls_find_counts_as_missed_only_while_the_stream_seemed_well(
    tmp_path: Path,
) -> None:
    async with linked(tmp_path) as (home, link):
        links = Links()
        links.add(link)
        await home.engine.do(submit())
        await home.engine.settle(Reported("sim", traded("t", 1), "poll", 2))
        await until(lambda: len(home.changes) == 2)
        link.in_sync.end()
        links.watch(home.changes)
        assert link.in_sync.missed == 0
        link.in_sync.begin()
        links.watch(home.changes)
        assert link.in_sync.missed == 1
        await home.engine.settle(Viewed("x", None, "query", 50, 50, 10))
        await home.engine.settle(Viewed("x", None, "query", 90, 90, 10))
        await until(lambda: len(home.changes) == 4)
        links.watch(home.changes[2:])
        assert home.order().reason == "forgotten_by_venue"
        assert link.in_sync.missed == 1, "no stream tells that there is nothing"


async def test_too_many_requests_that_wait_turn_new_ones_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKLOG_MAX", 1)
    async with linked(tmp_path) as (home, link):
        link.check(LIMIT, CLOCK.now_ns())
        await home.engine.do(submit())
        link.dispatch.send(home.order())
        with pytest.raises(Busy):
            link.check(LIMIT, CLOCK.now_ns())


@pytest.mark.parametrize(
    ("changes", "reason", "hint"),
    [
        ({"ord_type": OrdType.STOP}, "ord_type_not_supported", "it has limit, market"),
        ({"time_in_force": TimeInForce.FOK}, "time_in_force_not_supported", "it has gtc, ioc"),
        ({"post_only": True}, "post_only_not_supported", "leave it out, and the order may take"),
        ({"symbol": "BTCUSD"}, "unknown_symbol", 'did you mean "BTCUSDT"?'),
        ({"px": D("100.001")}, "not_on_tick", "nearest valid: 100 or 100.01"),
        ({"qty": D("0.0001")}, "not_on_lot", "nearest valid: 0.001"),
    ],
)
async def test_what_the_venue_would_refuse_is_refused_here_with_what_is_near(
    tmp_path: Path, changes: dict[str, object], reason: str, hint: str
) -> None:
    async with linked(
        tmp_path,
        ord_types=frozenset({OrdType.LIMIT, OrdType.MARKET}),
        times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
        post_only=False,
    ) as (_, link):
        with pytest.raises(InvalidOrder) as caught:
            link.check(replace(LIMIT, **changes), CLOCK.now_ns())
        assert (caught.value.reason, caught.value.hint) == (reason, hint)


BOUNDED = Instrument(
    "BTCUSDT", "BTC", "USDT", buy_reach=(D("0.5"), D(2)), market_notional_min=D(10_000)
)


class Bounded(ScriptedExecutor):
    """Has bounds that move with its market, whose quote is as old as told."""

    age_s = 0
    has_quote = True

    def instruments(self) -> Mapping[str, Instrument]:
        return {"BTCUSDT": BOUNDED}

    def quote(self, symbol: str) -> Quote | None:
        return Quote(D(99), D(101), CLOCK.now_ns() - self.age_s * 10**9) if self.has_quote else None


FAR = replace(LIMIT, px=D(1000))
SMALL = replace(LIMIT, ord_type=OrdType.MARKET, px=None, time_in_force=TimeInForce.IOC)
STOP = replace(LIMIT, ord_type=OrdType.STOP, px=None, stop_px=D(90))


@pytest.mark.parametrize(("terms", "field"), [(FAR, "px"), (SMALL, "qty")])
async def test_what_is_far_from_the_market_is_refused_only_where_that_is_known(
    tmp_path: Path, terms: Terms, field: str
) -> None:
    async with house(tmp_path) as home:
        venue = Bounded()
        link = link_of(home, venue)
        link.condition.state = LinkState.UP
        with pytest.raises(InvalidOrder) as refused:
            link.check(terms, CLOCK.now_ns())
        assert refused.value.field == field
        link.check(replace(LIMIT, px=D(100)), CLOCK.now_ns())
        link.check(STOP, CLOCK.now_ns())
        venue.age_s = 11
        link.check(terms, CLOCK.now_ns())
        venue.age_s, venue.has_quote = 0, False
        link.check(terms, CLOCK.now_ns())


async def test_the_only_executor_needs_no_name_and_one_of_two_does(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        links = Links()
        links.add(link_of(home, ScriptedExecutor(), "alpha"))
        assert links.choose(None).name == "alpha"
        links.add(link_of(home, ScriptedExecutor(), "beta"))
        assert links.choose("beta").name == "beta"
        assert [link.name for link in links] == ["alpha", "beta"]
        for name, hint in ((None, "known are alpha, beta"), ("alfa", 'did you mean "alpha"?')):
            with pytest.raises(InvalidParams) as caught:
                links.choose(name)
            assert (caught.value.field, caught.value.hint) == ("executor", hint)


async def test_an_action_goes_to_the_executor_of_its_order_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        links = Links()
        for name in ("sim", "other"):
            links.add(link_of(home, ScriptedExecutor(), name))
        await home.engine.do(submit())
        sim, other = links.by_name["sim"], links.by_name["other"]
        links.act(Send(home.order()))
        links.act(Ask(home.order()))
        await home.engine.do(submit("y", executor="no longer configured"))
        links.act(Send(home.order("y")))
        assert (sim.dispatch.backlog, other.dispatch.backlog) == (1, 0)
        assert (set(sim.questions._matters), set(other.questions._matters)) == ({"x"}, set())


async def test_a_link_at_work_takes_an_order_from_record_to_venue_and_back(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        links, venue = Links(), ScriptedExecutor()
        links.add(link_of(home, venue))
        home.act = links.act
        task = asyncio.get_running_loop().create_task(links.choose(None).run())
        await until(lambda: links.choose(None).condition.state is LinkState.UP)
        venue.script["place"].append(Accepted(reports=(report(E.NEW),)))
        await home.engine.do(submit(at_ns=CLOCK.now_ns()))
        await until(lambda: home.order().acked_at_ns is not None)
        venue.script["cancel"].append(Accepted(reports=(report(E.CANCELED),)))
        await home.engine.do(Cancel("x", CLOCK.now_ns()))
        await until(lambda: home.order().is_settled)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert venue.closed == 1


async def test_a_link_whose_listener_was_cancelled_from_within_ends_with_it(tmp_path: Path) -> None:
    """An executor's own task group can cancel it; a link without a listener must not look alive."""
    async with house(tmp_path) as home:
        link = link_of(home, ScriptedExecutor())
        task = asyncio.get_running_loop().create_task(link.run())
        await until(lambda: link.condition.state is LinkState.UP)
        (listener,) = (t for t in asyncio.all_tasks() if t.get_name() == "sim-listener")
        listener.cancel()
        await asyncio.wait((task,), timeout=30)
        error = task.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(RuntimeError) is not None


async def test_what_the_last_run_left_without_an_outcome_is_in_doubt(tmp_path: Path) -> None:
    """It may have been sent a moment before the process died."""
    async with linked(tmp_path) as (home, link):
        for cl_ord_id in ("x", "acked"):
            await home.engine.do(submit(cl_ord_id))
        told = Reported("sim", report(E.NEW, "acked"), "stream", 2)
        await home.engine.settle(told)
        await doubt_outstanding(home.engine, link, home.engine.blotter.unsettled("sim"), 5)
        request = home.order().request
        assert request is not None
        assert (request.in_doubt, request.final_at_ns) == (True, 5 + 1_000_000_000)
        assert not home.order("acked").in_doubt
        seq = home.journal.last_seq
        await doubt_outstanding(home.engine, link, home.engine.blotter.unsettled("sim"), 6)
        assert home.journal.last_seq == seq, "it is on record already"
        (timed,) = link.questions.waits_anew("x")
        assert timed.final_at_ns == 6 + 1_000_000_000, "each run waits by its own clock"


async def test_a_replace_in_doubt_and_the_cancel_over_it_are_both_in_doubt_after_a_restart(
    tmp_path: Path,
) -> None:
    lost = InDoubt(evidence="lost")
    async with linked(tmp_path) as (home, link):
        await home.engine.do(submit())
        await home.engine.settle(Reported("sim", report(E.NEW), "stream", 2))
        await home.engine.do(Replace("x", D(20), None, 3))
        await home.engine.settle(Answered("x", RequestKind.REPLACE, 1, lost, 4, 99))
        await home.engine.do(Cancel("x", 5))
        await doubt_outstanding(home.engine, link, home.engine.blotter.unsettled("sim"), 6)
        told = [(each.kind, each.in_doubt) for each in home.order().requests]
        assert told == [(RequestKind.CANCEL, True), (RequestKind.REPLACE, True)]
        (timed,) = link.questions.waits_anew("x")
        assert (timed.kind, timed.final_at_ns) == (RequestKind.REPLACE, 6 + 1_000_000_000)
        (doubt,) = doubts_of([link], home.engine)
        assert (doubt.request, doubt.leaves_qty) == (RequestKind.CANCEL, "20")


async def test_a_doubt_that_no_time_ends_stays_one_through_a_restart(tmp_path: Path) -> None:
    """ "Duplicate": the venue has the order, and no absence may ever say otherwise."""
    async with linked(tmp_path) as (home, link):
        await home.engine.do(submit())
        taken = Refused(reason="duplicate", is_about_order=True)
        await home.engine.settle(Answered("x", RequestKind.NEW, 1, taken, 2, 3))
        seq = home.journal.last_seq
        await doubt_outstanding(home.engine, link, home.engine.blotter.unsettled("sim"), 5)
        assert home.journal.last_seq == seq
        assert home.order().request.final_at_ns is None  # type: ignore[union-attr]


async def test_a_link_says_what_its_venue_and_its_executor_cannot_promise(tmp_path: Path) -> None:
    async with linked(tmp_path, validity_window_s=None) as (_, link):
        link.executor.stands = Standing(weaknesses=("the clock is only guessed",))
        expiry, clock = link.weaknesses
        assert 'so that "not found" never ends a doubt' in expiry
        assert clock == "the clock is only guessed"
