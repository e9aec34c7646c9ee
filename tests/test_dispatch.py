"""Dispatch: what is on record goes out once, and every call comes to an outcome."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.scripted import (
    CLOCK,
    D,
    E,
    House,
    K,
    S,
    ScriptedExecutor,
    house,
    report,
    submit,
    until,
)

from brokerd import dispatch as module
from brokerd.dispatch import Dispatch
from brokerd.errors import ConfigError, OutcomeUnknown, VenueUnavailable
from brokerd.executor import (
    Accepted,
    CancelOrder,
    Capabilities,
    InDoubt,
    NotSent,
    Outcome,
    PlaceOrder,
    ReplaceOrder,
    Standing,
)
from brokerd.ids import Ids
from brokerd.messages import Cancel, Replace, Reported, Send

NOT_SENT = NotSent(reason="refused_connection", evidence="ECONNREFUSED")


class Desk:
    """An engine whose sends go to a scripted venue."""

    def __init__(self, home: House, venue: ScriptedExecutor, dispatch: Dispatch) -> None:
        self.home, self.venue, self.dispatch = home, venue, dispatch
        self.engine = home.engine

    async def submit(self, cl_ord_id: str = "x") -> None:
        await self.engine.do(submit(cl_ord_id, CLOCK.now_ns()))

    async def acknowledged(self) -> None:
        self.venue.script["place"].append(Accepted(reports=(report(E.NEW),)))
        await self.submit()
        await until(lambda: self.home.order().acked_at_ns is not None)


@asynccontextmanager
async def desk(
    directory: Path, deadline_s: float = 5.0, retry_window_s: float = 5.0, **promises: object
) -> AsyncGenerator[Desk, None]:
    async with house(directory) as home:
        venue = ScriptedExecutor(**promises)
        dispatch = Dispatch(
            venue, home.engine, CLOCK, deadline_s=deadline_s, retry_window_s=retry_window_s
        )
        home.act = lambda action: (
            dispatch.send(action.order) if isinstance(action, Send) else home.actions.append(action)
        )
        async with asyncio.TaskGroup() as group:
            task = group.create_task(dispatch.run())
            yield Desk(home, venue, dispatch)
            task.cancel()


@pytest.fixture
def retry_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "delay_s", lambda _attempt, retry_after_s=None: retry_after_s or 0)


async def test_each_request_goes_out_by_both_ids_and_as_it_is_on_record(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await at.acknowledged()
        await at.engine.do(Replace("x", D(20), None, CLOCK.now_ns()))
        at.venue.script["replace"].append(Accepted())
        await until(lambda: len(at.venue.calls) == 2)
        told = report(E.REPLACED, qty=D(20), px=D(100))
        await at.engine.settle(Reported("sim", told, "stream", CLOCK.now_ns()))
        await at.engine.do(Cancel("x", CLOCK.now_ns()))
        await until(lambda: len(at.venue.calls) == 3)
        place, change, cancel = at.venue.calls
        assert isinstance(place, PlaceOrder)
        assert (place.venue_cl_ord_id, place.terms.qty) == ("v-x", D(10))
        assert isinstance(change, ReplaceOrder)
        assert (change.qty, change.px, change.replace_no, change.request_id) == (
            D(20),
            D(100),
            1,
            "v-x-r1",
        )
        assert (change.order_qty, change.order_px, change.only_shrinks) == (D(10), D(100), False)
        assert (change.ref.venue_order_id, change.ref.symbol) == ("1-x", "BTCUSDT")
        assert change.ref.replace_no == change.replace_no
        assert isinstance(cancel, CancelOrder)
        assert (cancel.ref.venue_cl_ord_id, cancel.ref.replace_no) == ("v-x", None)


def test_the_id_of_a_replace_is_the_id_of_no_order() -> None:
    """Counted in letters and digits, an order could be "1r3" or "r5", as if it were a replace."""
    ids = Ids("0123456789")
    made = [ids.next() for _ in range(3_000)]
    replaces = {f"{each}-r{number}" for each in made for number in range(1, 4)}
    assert not replaces & set(made)
    assert not any("r" in each for each in made)


def test_a_request_is_dead_after_its_window_the_venues_bound_its_lag_and_the_clocks_error() -> None:
    promised = Capabilities(
        repeat_id="refused_forever",
        validity_window_s=5.0,
        processing_bound_s=10.0,
        query_lag_s=1.0,
        clock_error_s=0.5,
        query_closed=True,
        amend="in_place",
    )
    assert promised.final_after_s == 16.5
    assert replace(promised, validity_window_s=None).final_after_s is None


async def test_a_call_without_an_answer_by_its_deadline_is_in_doubt(tmp_path: Path) -> None:
    async with desk(tmp_path, deadline_s=0.02) as at:
        at.venue.script["place"].append(None)
        began_ns = CLOCK.now_ns()
        await at.submit()
        await until(lambda: at.home.order().in_doubt)
        assert at.venue.under_way == 0, "the call was given up"
        request = at.home.order().request
        assert request is not None
        assert request.final_at_ns is not None
        # Signed at the latest when the call was given up, 0.02 s after it began.
        assert request.final_at_ns >= began_ns + 1_020_000_000
        assert len(at.venue.calls) == 1


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("bug"),
        VenueUnavailable("x"),
        OutcomeUnknown("x"),
        ConfigError("x"),
        TimeoutError(),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_an_executor_that_raises_leaves_doubt_and_everything_else_alive(
    tmp_path: Path, fault: Exception
) -> None:
    async with desk(tmp_path) as at:
        at.venue.script["place"].append(fault)
        await at.submit()
        await until(lambda: at.home.order().in_doubt)
        at.venue.script["place"].append(Accepted(reports=(report(E.NEW, "y"),)))
        await at.submit("y")
        await until(lambda: at.home.order("y").ord_status is S.NEW)


@pytest.mark.parametrize(
    ("window_s", "signed_at_ns", "final_at_ns"),
    [(2.0, 4 * 10**18, 4 * 10**18 + 2 * 10**9), (None, 4 * 10**18, None)],
)
async def test_doubt_is_final_when_the_venue_says_a_request_can_no_longer_arrive(
    tmp_path: Path, window_s: float | None, signed_at_ns: int, final_at_ns: int | None
) -> None:
    async with desk(tmp_path, validity_window_s=window_s) as at:
        doubt = InDoubt(evidence="lost", signed_at_ns=signed_at_ns)
        at.venue.script["place"].append(doubt)
        await at.submit()
        await until(lambda: at.home.order().in_doubt)
        request = at.home.order().request
        assert request is not None
        assert request.final_at_ns == final_at_ns


async def test_a_stamp_from_before_the_call_does_not_shorten_the_doubt(tmp_path: Path) -> None:
    """No request was signed before it was asked for, whatever an executor's clock says."""
    async with desk(tmp_path, validity_window_s=2.0) as at:
        at.venue.script["place"].append(InDoubt(evidence="lost", signed_at_ns=5_000))
        began_ns = CLOCK.now_ns()
        await at.submit()
        await until(lambda: at.home.order().in_doubt)
        request = at.home.order().request
        assert request is not None
        assert request.final_at_ns is not None
        assert request.final_at_ns >= began_ns + 2 * 10**9


async def test_a_doubt_lasts_longer_while_the_clock_is_more_uncertain_than_declared(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, validity_window_s=2.0, clock_error_s=0.5) as at:
        dispatch = at.dispatch
        assert dispatch.final_at_ns(0) == 2_500_000_000
        for measured_s, final_at_ns in ((0.1, 2_500_000_000), (3.0, 5_000_000_000)):
            at.venue.stands = Standing(clock_error_s=measured_s)
            assert dispatch.final_at_ns(0) == final_at_ns


async def test_what_was_not_sent_is_sent_again_after_it_is_on_record(
    tmp_path: Path, retry_at_once: None
) -> None:
    async with desk(tmp_path) as at:
        on_disk: list[int] = []

        def look() -> Accepted:
            on_disk.append(at.home.journal.last_seq)
            return Accepted(reports=(report(E.NEW),))

        at.venue.script["place"] += [NOT_SENT, look]
        await at.submit()
        await until(lambda: at.home.order().acked_at_ns is not None)
        assert on_disk == [2], "the retry was durable when its call was made"
        assert [type(call) for call in at.venue.calls] == [PlaceOrder, PlaceOrder]
        assert (at.dispatch.retries, at.home.order().retries) == (1, 1)
        told = ["order_submitted", "request_retried", "order_acknowledged"]
        await until(lambda: at.home.events == told)


async def test_a_retry_that_would_come_after_the_window_is_given_up_at_once(
    tmp_path: Path, retry_at_once: None
) -> None:
    async with desk(tmp_path, retry_window_s=5.0) as at:
        late = NotSent(reason="rate_limited", evidence="429", retry_after_s=60.0)
        at.venue.script["place"].append(late)
        await at.submit()
        await until(lambda: at.home.order().is_final)
        assert at.home.order().reason == "venue_unavailable"
        assert len(at.venue.calls) == 1


async def test_retry_after_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    def delay_s(_attempt: int, retry_after_s: float | None = None) -> float:
        waits.append(retry_after_s)
        return 0.0

    monkeypatch.setattr(module, "delay_s", delay_s)
    async with desk(tmp_path) as at:
        at.venue.script["place"] += [
            NotSent(reason="rate_limited", retry_after_s=3.0),
            Accepted(reports=(report(E.NEW),)),
        ]
        await at.submit()
        await until(lambda: at.home.order().acked_at_ns is not None)
        assert waits == [3.0]


async def test_requests_run_side_by_side_but_no_more_than_there_are_lanes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LANES", 3)
    async with desk(tmp_path) as at:
        leave = asyncio.Event()
        at.venue.script["place"] += [leave] * 5
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(at.submit(f"o{number}"))
        await until(lambda: at.venue.under_way == 3)
        assert at.dispatch.backlog == 2
        assert at.dispatch.is_busy
        leave.set()
        await until(lambda: not at.dispatch.is_busy)
        assert (at.venue.under_way_most, len(at.venue.calls)) == (3, 5)


async def its_lane_hangs(at: Desk) -> asyncio.Event:
    """Let an order hang on its way to the venue, where there is one lane, until the event is set."""
    leave = asyncio.Event()
    at.venue.script["place"].append(leave)
    await at.submit("blocks")
    await until(lambda: at.venue.under_way == 1)
    return leave


async def test_a_cancel_goes_out_while_every_other_lane_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LANES", 1)
    async with desk(tmp_path) as at:
        await at.acknowledged()
        leave = await its_lane_hangs(at)
        await at.submit("waits")
        await at.engine.do(Cancel("x", CLOCK.now_ns()))
        await until(lambda: len(at.venue.calls) == 3, "the cancel is out")
        leave.set()
        await until(lambda: len(at.venue.calls) == 4)
        assert [type(call) for call in at.venue.calls[2:]] == [CancelOrder, PlaceOrder]


async def test_an_order_that_is_canceled_while_it_waits_for_a_lane_is_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LANES", 1)
    async with desk(tmp_path) as at:
        leave = await its_lane_hangs(at)
        await at.submit("waits")
        await at.engine.do(Cancel("waits", CLOCK.now_ns()))
        leave.set()
        await until(lambda: at.home.order("waits").is_final)
        order = at.home.order("waits")
        assert (order.ord_status, order.reason) == (S.CANCELED, "canceled_before_sent")
        assert len(at.venue.calls) == 1


async def test_a_replace_that_waits_for_a_lane_gives_way_to_the_cancel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LANES", 1)
    async with desk(tmp_path) as at:
        await at.acknowledged()
        leave = await its_lane_hangs(at)
        await at.engine.do(Replace("x", D(20), None, CLOCK.now_ns()))
        await at.engine.do(Cancel("x", CLOCK.now_ns()))
        leave.set()
        await until(lambda: len(at.venue.calls) == 3)
        assert [type(call) for call in at.venue.calls] == [PlaceOrder, PlaceOrder, CancelOrder]
        assert at.home.order().qty == D(10)


async def test_an_order_that_waited_too_long_for_a_lane_is_refused_and_a_cancel_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path) as at:
        await at.acknowledged()
        now_ns = CLOCK.now_ns()
        monkeypatch.setattr(at.dispatch, "_stale_ns", -1)
        await at.submit("late")
        await until(lambda: at.home.order("late").is_final)
        late = at.home.order("late")
        assert (late.ord_status, late.reason) == (S.REJECTED, "venue_unavailable")
        await at.engine.do(Cancel("x", now_ns))
        await until(lambda: len(at.venue.calls) == 2)
        assert isinstance(at.venue.calls[1], CancelOrder)


async def test_a_stop_ends_retries_that_still_wait(tmp_path: Path) -> None:
    async with desk(tmp_path, retry_window_s=600) as at:
        at.venue.script["place"].append(NotSent(reason="rate_limited", retry_after_s=500))
        await at.submit()
        await until(lambda: at.dispatch.retries == 1)
    assert at.home.order().request is not None
    assert at.home.order().request.kind is K.NEW


async def test_a_lane_ends_though_its_executor_swallows_the_end_and_what_it_said_is_told(
    tmp_path: Path,
) -> None:
    class Deaf(ScriptedExecutor):
        async def place(self, request: PlaceOrder) -> Outcome:
            self.calls.append(request)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return Accepted(reports=(report(E.NEW),))

    async with house(tmp_path) as home:
        dispatch = Dispatch(Deaf(), home.engine, CLOCK, deadline_s=5, retry_window_s=5)
        home.act = lambda action: (
            dispatch.send(action.order) if isinstance(action, Send) else home.actions.append(action)
        )
        task = asyncio.get_running_loop().create_task(dispatch.run())
        await home.engine.do(submit("x", CLOCK.now_ns()))
        await until(lambda: dispatch.is_busy and dispatch.backlog == 0, "the request is out")
        task.cancel()
        await asyncio.wait((task,), timeout=30)
        assert task.cancelled()
        await until(lambda: home.order().acked_at_ns is not None, "the answer is on record")
