"""Questions about orders in doubt: one for every doubt, at a bounded rate, and what they prove."""

import asyncio
from pathlib import Path

import pytest
from tests.asked import desk
from tests.scripted import (
    CLOCK,
    D,
    E,
    S,
    execution,
    report,
    submit,
    until,
    view,
)

from brokerd import pauses
from brokerd import questions as module
from brokerd.clock import SteadyClock
from brokerd.errors import ConfigError, OutcomeUnknown, VenueRefused, VenueUnavailable
from brokerd.events import RequestKind, Road
from brokerd.executor import Accepted, InDoubt, OrderView, Standing
from brokerd.messages import Answered, Message, Reported
from brokerd.orders import Order

DOWN = VenueUnavailable("down")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_ASK_S", 0.001)
    monkeypatch.setattr(module, "ASK_INTERVAL_S_MAX", 0.008)
    monkeypatch.setattr(module, "PER_S", 1e4)
    monkeypatch.setattr(pauses, "LOOK_S", 0.002)
    monkeypatch.setattr("brokerd.retries.delay_s", lambda *_: 0.0)


async def test_a_doubt_is_asked_about_until_the_answer_ends_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.venue.views += [DOWN, OutcomeUnknown("lost"), view()]
        await at.doubted()
        await until(lambda: not at.home.order().in_doubt)
        assert at.home.order().ord_status is S.NEW
        assert (len(at.venue.asked), at.questions.sent) == (3, 3)
        assert at.venue.asked[0].venue_cl_ord_id == "v-x"


async def test_questions_come_at_intervals_that_double_up_to_a_bound(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.venue.views += [DOWN] * 6
        at.venue.views.append(view())
        await at.doubted()
        await until(lambda: not at.home.order().in_doubt)
        assert at.waits == [0.001, 0.002, 0.004, 0.008, 0.008, 0.008, 0.008]
        assert len(at.venue.asked) == 7


async def test_an_answer_that_tells_nothing_new_brings_the_next_question_no_nearer(
    tmp_path: Path,
) -> None:
    """The rules call for a question after every such answer: a doubt that lasts would never rest."""
    async with desk(tmp_path, query_closed=False) as at:
        at.venue.views += [None] * 5
        at.venue.views.append(view())
        await at.doubted()
        await until(lambda: not at.home.order().in_doubt)
        assert at.waits == [0.001, 0.002, 0.004, 0.008, 0.008, 0.008]
        assert len(at.venue.asked) == 6


async def test_what_comes_up_while_a_question_is_out_is_asked_once_more(tmp_path: Path) -> None:
    """The answer under way may be older: left to the floor rate, it would be known a minute later."""
    async with desk(tmp_path) as at:
        await at.submitted()
        await at.home.engine.settle(Reported("sim", report(E.NEW), Road.STREAM, CLOCK.now_ns()))
        is_out, leave = asyncio.Event(), asyncio.Event()
        asked = 0

        async def slow(_ref: object) -> OrderView | None:
            nonlocal asked
            asked += 1
            is_out.set()
            await leave.wait()
            return view()

        at.venue.query = slow  # type: ignore[method-assign,assignment]
        at.questions.ask(at.home.order())
        await is_out.wait()
        at.questions.ask(at.home.order())
        leave.set()
        await until(lambda: asked == 2)
        await until(lambda: not at.questions._matters)
        assert asked == 2


async def test_an_order_that_is_asked_about_already_is_not_asked_twice(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.venue.views.append(view())
        await at.submitted(InDoubt(evidence="lost"))
        at.questions.ask(at.home.order())
        at.questions.ask(at.home.order())
        await until(lambda: not at.home.order().in_doubt)
        await until(lambda: not at.questions._matters)
        assert len(at.venue.asked) == 1
        at.venue.views.append(view())
        at.questions.ask(at.home.order())
        await until(lambda: len(at.venue.asked) == 2)


async def test_a_question_without_an_answer_is_put_again_even_when_nothing_is_in_doubt(
    tmp_path: Path,
) -> None:
    """The reply said nothing of the order and the stream dropped the rest."""
    async with desk(tmp_path) as at:
        at.venue.views += [DOWN, view()]
        await at.submitted(Accepted())
        await until(lambda: at.home.order().acked_at_ns is not None)
        assert len(at.venue.asked) == 2


async def test_an_order_that_settled_or_is_gone_is_not_asked_about(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.submitted()
        stale = at.home.order()
        await at.home.engine.settle(Reported("sim", report(E.REJECTED), "stream", 5))
        at.questions.ask(stale)
        await until(lambda: not at.questions._matters)
        at.home.engine.blotter.forget(0, 99)
        at.questions.ask(stale)
        await until(lambda: not at.questions._matters)
        assert at.venue.asked == []


async def test_two_absences_reject_and_no_sooner(tmp_path: Path) -> None:
    async with desk(tmp_path, processing_bound_s=0.02) as at:
        at.venue.views += [None] * 50
        await at.doubted()
        await until(lambda: at.home.order().is_final)
        assert at.home.order().reason == "not_found_at_venue"
        await until(lambda: at.home.events[-1:] == ["order_rejected"])
        first, last = (
            change.entry.event.at_ns
            for change in at.home.changes
            if type(change.entry.event).__name__ in {"OrderNotFound", "OrderRejected"}
        )
        assert last - first >= 20_000_000


async def test_the_second_not_found_is_asked_for_when_it_can_count_not_at_the_next_doubling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval had grown beyond all waiting by then: the doubt would last as much longer."""
    monkeypatch.setattr(module, "ASK_INTERVAL_S_MAX", 3600.0)
    async with desk(tmp_path, processing_bound_s=0.02) as at:
        at.venue.views += [None] * 50
        at.questions._began_ns = 0
        at.questions._matter("x").interval_s = 1800.0
        await at.doubted()
        await until(lambda: at.home.order().is_final)
        assert at.home.order().reason == "not_found_at_venue"
        assert max(at.waits) < 1, "and no question waits out an interval of half an hour"


async def test_what_began_to_count_while_an_answer_was_taken_in_is_asked_for_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk that takes longer than the answers must lie apart."""
    monkeypatch.setattr(module, "ASK_INTERVAL_S_MAX", 3600.0)
    async with desk(tmp_path, processing_bound_s=0.01) as at:
        at.venue.views += [None] * 50
        settle = at.home.engine.settle

        async def slowly(message: Message) -> Order | None:
            order = await settle(message)
            await asyncio.sleep(0.03)
            return order

        at.questions._began_ns = 0
        at.questions._matter("x").interval_s = 1800.0
        await at.doubted()
        monkeypatch.setattr(at.home.engine, "settle", slowly)
        await until(lambda: at.home.order().is_final)


async def test_not_found_proves_nothing_while_the_stream_is_out_of_sync(tmp_path: Path) -> None:
    """What the stream missed may have been the order's whole life."""
    async with desk(tmp_path) as at:
        at.link.in_sync.end()
        await at.doubted()
        at.venue.views += [None] * 5
        await until(lambda: len(at.venue.asked) >= 5)
        assert "order_not_found" not in at.home.events
        assert at.home.order().in_doubt
        at.link.in_sync.begin()
        with at.link.in_sync.waiting():
            at.venue.views += [None] * 5
            await until(lambda: len(at.venue.asked) >= 10)
            assert at.home.order().in_doubt, "a report that waits for room may be of this order"
        at.venue.views += [None] * 50
        await until(lambda: at.home.order().is_final)


async def test_a_clock_set_forward_beyond_the_window_does_not_make_not_found_count_early(
    tmp_path: Path,
) -> None:
    class Set:
        """The machine's clock, set forward by `by_ns`."""

        by_ns = 0

        def now_ns(self) -> int:
            return CLOCK.now_ns() + self.by_ns

        def monotonic_ns(self) -> int:
            return CLOCK.monotonic_ns()

    host = Set()
    async with desk(tmp_path, clock=SteadyClock(host)) as at:
        await at.home.engine.do(submit(at_ns=CLOCK.now_ns()))
        now_ns = CLOCK.now_ns()
        lost = Answered("x", RequestKind.NEW, 1, InDoubt(evidence=""), now_ns, now_ns + 60 * 10**9)
        await at.home.engine.settle(lost)
        host.by_ns = 3_600 * 10**9
        at.venue.views += [None] * 5
        await until(lambda: len(at.venue.asked) >= 5)
        assert "order_not_found" not in at.home.events
        assert at.home.order().in_doubt


async def test_a_stream_that_broke_while_the_venue_was_asked_takes_the_proof_away(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        await at.submitted(InDoubt(evidence="lost"))
        broken = 0

        async def breaks(_ref: object) -> None:
            nonlocal broken
            broken += 1
            at.link.in_sync.end()
            at.link.in_sync.begin()

        at.venue.query = breaks  # type: ignore[method-assign,assignment]
        await until(lambda: broken >= 5)
        assert at.home.order().in_doubt


async def test_a_run_too_young_to_tell_two_answers_apart_proves_nothing(tmp_path: Path) -> None:
    """The first "not found" may be an earlier run's, stamped by a clock that was set since."""
    async with desk(tmp_path, processing_bound_s=3600.0) as at:
        await at.doubted()
        at.venue.views += [None] * 5
        await until(lambda: len(at.venue.asked) >= 5)
        assert "order_not_found" not in at.home.events
        at.questions._began_ns -= 3600 * 10**9
        at.venue.views += [None] * 5
        await until(lambda: "order_not_found" in at.home.events)


async def test_a_venue_that_forgets_closed_orders_proves_nothing_by_absence(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, query_closed=False) as at:
        at.venue.views += [None] * 5
        await at.doubted()
        await until(lambda: len(at.venue.asked) == 5)
        assert at.home.order().in_doubt


async def test_a_view_is_as_old_as_the_venue_may_lag(tmp_path: Path) -> None:
    """It shows what was, so it must not undo a replace that came while it lagged."""
    async with desk(tmp_path, query_lag_s=60.0) as at:
        await at.submitted()
        for each in (report(E.NEW), report(E.REPLACED, qty=D(20), px=D(100))):
            await at.home.engine.settle(Reported("sim", each, "stream", CLOCK.now_ns()))
        at.venue.views.append(view(qty=D(10)))
        checked = await at.questions.check(at.home.order())
        assert checked is not None
        assert checked.qty == D(20)


async def test_check_asks_now_and_returns_the_order_as_it_then_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.submitted()
        at.venue.views.append(view(S.FILLED, executions=(execution("t", 10),)))
        checked = await at.questions.check(at.home.order())
        assert checked == at.home.order()
        assert checked.ord_status is S.FILLED
        with pytest.raises(VenueUnavailable):
            await at.questions.check(checked)


async def test_a_venue_that_refuses_to_tell_is_told_to_whoever_asked_and_leaves_the_doubt(
    tmp_path: Path,
) -> None:
    refused = VenueRefused("the key may not read orders")
    async with desk(tmp_path) as at:
        at.venue.views += [refused, refused]
        await at.doubted()
        await until(lambda: len(at.venue.asked) == 2)
        at.venue.views.append(refused)
        with pytest.raises(VenueRefused) as caught:
            await at.questions.check(at.home.order())
        assert caught.value.code == 200
        assert at.home.order().in_doubt


async def test_a_question_has_a_deadline(tmp_path: Path) -> None:
    async with desk(tmp_path, deadline_s=0.02) as at:
        await at.submitted()

        async def never(_ref: object) -> None:
            await asyncio.Event().wait()

        at.venue.query = never  # type: ignore[method-assign,assignment]
        with pytest.raises(VenueUnavailable, match="no answer"):
            await at.questions.check(at.home.order())


async def test_no_more_questions_are_out_at_once_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    async with desk(tmp_path) as at:
        out, most, leave = 0, 0, asyncio.Event()

        async def slow(_ref: object) -> OrderView | None:
            nonlocal out, most
            out += 1
            most = max(most, out)
            await leave.wait()
            out -= 1
            raise DOWN

        at.venue.query = slow  # type: ignore[method-assign,assignment]
        for number in range(5):
            await at.home.engine.do(submit(f"o{number}", CLOCK.now_ns()))
            at.questions.ask(at.home.order(f"o{number}"))
        await until(lambda: out == 2)
        leave.set()
        await until(lambda: at.questions.sent >= 5)
        assert most == 2


async def test_questions_keep_a_distance_however_many_orders_are_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand doubts after an outage must not cost the account its address."""
    monkeypatch.setattr(module, "PER_S", 1000.0)
    async with desk(tmp_path) as at:
        loop = asyncio.get_running_loop()
        asked_s: list[float] = []

        async def noted(_ref: object) -> OrderView | None:
            asked_s.append(loop.time())
            raise DOWN

        at.venue.query = noted  # type: ignore[method-assign,assignment]
        for number in range(5):
            await at.home.engine.do(submit(f"o{number}", CLOCK.now_ns()))
            at.questions.ask(at.home.order(f"o{number}"))
        await until(lambda: len(asked_s) >= 20)
        assert asked_s[19] - asked_s[0] >= 0.019


async def test_whoever_wants_to_know_now_keeps_the_distance_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PER_S", 1000.0)
    monkeypatch.setattr(module, "AT_ONCE", 2)
    async with desk(tmp_path) as at:
        loop = asyncio.get_running_loop()
        asked_s: list[float] = []
        under_way, most = 0, 0

        async def noted(_ref: object) -> OrderView | None:
            nonlocal under_way, most
            asked_s.append(loop.time())
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            raise DOWN

        at.venue.query = noted  # type: ignore[method-assign,assignment]
        await at.submitted()
        checks = (at.questions.check(at.home.order()) for _ in range(20))
        told = await asyncio.gather(*checks, return_exceptions=True)
        assert all(isinstance(each, VenueUnavailable) for each in told)
        assert asked_s[19] - asked_s[0] >= 0.019
        assert most == 2


async def test_in_a_pause_who_wants_to_know_now_is_told_how_long_it_lasts(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.submitted()
        at.venue.stands = Standing(paused_until_ns=CLOCK.now_ns() + 10**18)
        with pytest.raises(VenueUnavailable, match="left alone") as caught:
            await at.questions.check(at.home.order())
        assert caught.value.extra["retry_after_s"] > 10**8
        assert at.venue.asked == []


async def test_nothing_is_asked_while_the_venue_wants_to_be_left_alone(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.venue.views.append(view())
        at.venue.stands = Standing(paused_until_ns=CLOCK.now_ns() + 10**18)
        await at.doubted()
        syncing = asyncio.get_running_loop().create_task(at.link.poller.sync())
        await until(lambda: not at.questions._due)
        await asyncio.sleep(0.02)
        assert (at.venue.asked, at.venue.since) == ([], [])
        at.venue.stands = Standing()
        await syncing
        await until(lambda: not at.home.order().in_doubt)


async def test_what_a_snapshot_answers_while_questions_wait_is_not_asked_again(
    tmp_path: Path,
) -> None:
    """After an outage one look answers for thousands; their questions would take minutes."""
    async with desk(tmp_path) as at:
        at.venue.stands = Standing(paused_until_ns=CLOCK.now_ns() + 10**18)
        await at.doubted()
        await until(lambda: not at.questions._due)
        await at.home.engine.settle(Reported("sim", report(E.NEW), "stream", CLOCK.now_ns()))
        at.venue.stands = Standing()
        await until(lambda: "x" not in at.questions._matters)
        assert at.venue.asked == []


async def test_the_questions_a_doubt_has_cost_are_counted(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.venue.views += [DOWN] * 3
        await at.doubted()
        await until(lambda: at.questions.asked_about("x") >= 3)
        at.venue.views.append(view())
        await until(lambda: not at.home.order().in_doubt)
        await until(lambda: at.questions.asked_about("x") == 0)


async def test_a_key_that_is_refused_between_two_questions_is_no_end_of_the_others(
    tmp_path: Path,
) -> None:
    refused = ConfigError("the key is refused")
    async with desk(tmp_path, floor_s=0.001) as at:
        at.venue.views += [refused, view()]
        at.venue.snapshots.append(refused)
        await at.doubted()
        await until(lambda: not at.home.order().in_doubt, "it is asked about again")
        await until(lambda: len(at.venue.since) >= 2, "the floor rate goes on")
